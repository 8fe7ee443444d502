"""The state folder: whole files or none, nothing for others to read, torn ones skipped."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.documents import INSTANCE, full_document

from linklocal.ids import InstanceId
from linklocal.node.snapshot import Loaded, Marker, Snapshot

DOCUMENT = full_document()
OTHER = replace(DOCUMENT, instance_id=InstanceId("0717_other"))
CONTACT = datetime(2026, 11, 24, 12, tzinfo=UTC)
MARKER = Marker(7, CONTACT, "node-1")


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    return Snapshot(tmp_path)


def test_what_is_saved_is_loaded(snapshot: Snapshot) -> None:
    assert snapshot.save([DOCUMENT, OTHER]) == {}
    snapshot.save_marker(MARKER)
    both = {INSTANCE: DOCUMENT, OTHER.instance_id: OTHER}

    assert snapshot.load("node-1") == Loaded(both, MARKER, {})
    assert snapshot.save([], [OTHER.instance_id]) == {}
    assert snapshot.load("node-1").documents == {INSTANCE: DOCUMENT}


def test_an_empty_folder_has_heard_nothing(snapshot: Snapshot) -> None:
    assert snapshot.load("node-1") == Loaded({}, Marker(0, None, "node-1"), {})


def test_revisions_of_another_node_are_not_this_ones(snapshot: Snapshot) -> None:
    snapshot.save_marker(MARKER)

    assert snapshot.load("node-2").marker == Marker(0, CONTACT, "node-2")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff", DOCUMENT.dumps().encode()[:-9], OTHER.dumps().encode(),
     json.dumps({**DOCUMENT.to_json(), "schema": 99}).encode()],
)  # fmt: skip
def test_a_torn_or_foreign_file_is_skipped_and_everything_is_asked_for_again(
    snapshot: Snapshot, tmp_path: Path, content: bytes
) -> None:
    snapshot.save([DOCUMENT, OTHER])
    snapshot.save_marker(MARKER)
    name = f"{INSTANCE}.json"
    (tmp_path / "documents" / name).write_bytes(content)
    loaded = snapshot.load("node-1")

    assert loaded.documents == {OTHER.instance_id: OTHER}
    assert list(loaded.skipped) == [name]
    assert loaded.marker.revision == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"revision":"x","node_id":"node-1"}'])
def test_a_torn_marker_asks_for_everything_again(
    snapshot: Snapshot, tmp_path: Path, content: bytes
) -> None:
    snapshot.save([DOCUMENT])
    (tmp_path / "revision.json").write_bytes(content)
    loaded = snapshot.load("node-1")

    assert loaded.documents == {INSTANCE: DOCUMENT}
    assert loaded.marker.revision == 0
    assert "revision.json" in loaded.skipped


def test_what_a_crash_left_is_removed(snapshot: Snapshot, tmp_path: Path) -> None:
    left = tmp_path / "documents" / f".{INSTANCE}.json.tmp"
    left.write_bytes(b"half")

    assert snapshot.load("").skipped == {}
    assert not left.exists()


def test_a_failed_write_fails_alone_and_leaves_the_old_content(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    snapshot.save([DOCUMENT])
    blocked = tmp_path / "documents" / f".{INSTANCE}.json.tmp"
    blocked.mkdir()  # stands in the way of the temporary file
    failed = snapshot.save([replace(DOCUMENT, name="new"), OTHER])
    blocked.rmdir()

    assert failed == {INSTANCE: "Is a directory"}
    assert snapshot.load("").documents == {INSTANCE: DOCUMENT, OTHER.instance_id: OTHER}


@pytest.mark.parametrize("id", ["../x", "", ".x", "a/b", "a\0b", "x" * 65])
def test_an_id_never_leaves_the_folder(snapshot: Snapshot, tmp_path: Path, id: str) -> None:
    strange = InstanceId(id)
    failed = snapshot.save([replace(DOCUMENT, instance_id=strange)], [strange])

    assert list(failed) == [strange]
    assert [p.name for p in tmp_path.rglob("*")] == ["documents"]


def test_pruning_leaves_only_what_is_kept(snapshot: Snapshot, tmp_path: Path) -> None:
    snapshot.save([DOCUMENT, OTHER])
    (tmp_path / "documents" / "torn.json").write_bytes(b"{")
    snapshot.prune([INSTANCE])

    assert [p.name for p in (tmp_path / "documents").iterdir()] == [f"{INSTANCE}.json"]


def test_only_the_owner_can_read(snapshot: Snapshot, tmp_path: Path) -> None:
    snapshot.save([DOCUMENT])
    snapshot.save_marker(MARKER)

    assert (tmp_path / "documents").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "documents" / f"{INSTANCE}.json", tmp_path / "revision.json"):
        assert path.stat().st_mode & 0o777 == 0o600
