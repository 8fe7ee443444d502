"""Whatever the stream does, what is wanted ends as the server's set, and resumes where it must."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.documents import full_document
from hypothesis import given
from hypothesis import strategies as st

from linklocal.document import Change, InstanceDocument
from linklocal.ids import InstanceId
from linklocal.node.desired import Batch, Desired

BASE = full_document(metadata={}, claims={})
A, B, C = (InstanceId(f"0717_{n}") for n in "abc")


def document(instance_id: InstanceId, name: str = "x") -> InstanceDocument:
    return replace(BASE, instance_id=instance_id, name=name)


def put(revision: int, instance_id: InstanceId, name: str = "x") -> Change:
    return Change("document", revision, document(instance_id, name))


def gone(revision: int, instance_id: InstanceId) -> Change:
    return Change("gone", revision, instance_id=instance_id)


def test_a_burst_is_one_batch_with_the_last_word() -> None:
    desired = Desired()
    desired.begin_stream()
    for change in (put(1, A, "one"), put(2, A, "two"), put(3, B), gone(4, B), Change("synced", 4)):
        assert desired.apply(change)

    assert desired.take() == Batch((document(A, "two"),), (B,), 4, full=True)
    assert desired.documents == {A: document(A, "two")}
    assert desired.take() == Batch((), (), None)
    assert desired.after == 4


def test_a_heartbeat_is_nothing_to_do() -> None:
    assert not Desired().apply(Change("heartbeat", 0))


def test_a_full_set_drops_what_it_does_not_name_only_when_it_is_complete() -> None:
    desired = Desired({A: document(A), B: document(B)}, 7)
    desired.begin_stream()
    desired.apply(Change("reset", 0))
    desired.apply(put(1, A))

    assert set(desired.documents) == {A, B}
    assert desired.after == 0  # a stream that breaks now must tell everything again
    assert desired.take() == Batch((), (), None)

    desired.apply(Change("synced", 2))

    assert desired.take() == Batch((), (B,), 2, full=True)
    assert desired.after == 2


def test_a_full_set_that_broke_off_counts_for_nothing() -> None:
    desired = Desired({A: document(A), B: document(B)}, 7)
    desired.begin_stream()
    desired.apply(Change("reset", 0))
    desired.apply(put(1, A))
    desired.begin_stream()
    desired.apply(put(2, B))
    desired.apply(Change("synced", 2))

    assert set(desired.documents) == {B}


def test_what_cannot_be_read_is_kept_by_a_full_set() -> None:
    desired = Desired({A: document(A), B: document(B)}, 7)
    desired.restart()
    desired.begin_stream()
    desired.name(A)
    desired.apply(Change("synced", 9))

    assert set(desired.documents) == {A}


def test_what_could_not_be_saved_is_due_again() -> None:
    desired = Desired({B: document(B)}, 1)
    desired.apply(put(2, A))
    desired.apply(gone(3, B))
    desired.take()
    desired.give_back([A, B])

    assert desired.take() == Batch((document(A),), (B,), None)


def test_what_could_not_be_saved_and_left_since_is_due_as_gone() -> None:
    desired = Desired()
    desired.apply(put(2, A))
    desired.take()
    desired.apply(gone(3, A))
    desired.give_back([A])

    assert desired.take() == Batch((), (A,), None)


def test_forgetting_makes_everything_gone() -> None:
    desired = Desired({A: document(A)}, 7)
    desired.forget()

    assert desired.take() == Batch((), (A,), None)
    assert (desired.documents, desired.after) == ({}, 0)


@pytest.mark.parametrize("type", ["document", "gone", "surprise"])
def test_a_line_without_what_it_needs_is_refused(type: str) -> None:
    with pytest.raises(ValueError, match=type):
        Desired().apply(Change(type, 1))  # type: ignore[arg-type]


# A server's history, and a link that breaks now and then.
HISTORY = st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from(["x", "y", None])))


@given(HISTORY, st.data())
def test_any_sequence_of_broken_streams_ends_as_the_server_has_it(
    history: list[tuple[InstanceId, str | None]], data: st.DataObject
) -> None:
    latest: dict[InstanceId, Change] = {}
    revision = pruned = 0
    desired = Desired()
    saved: dict[InstanceId, InstanceDocument] = {}
    synced = 0

    def stream(*, breaks: bool) -> None:
        nonlocal synced
        after = desired.after
        desired.begin_stream()
        lines: list[Change] = []
        if after > revision or after < pruned:
            lines.append(Change("reset", 0))
            after = 0
        lines += sorted(
            (c for c in latest.values() if c.revision > after), key=lambda change: change.revision
        )
        lines.append(Change("synced", revision))
        if breaks:
            lines = lines[: data.draw(st.integers(0, len(lines)))]
        for line in lines:
            desired.apply(line)
            if data.draw(st.booleans()):
                save()
        save()

    def save() -> None:
        nonlocal synced
        batch = desired.take()
        for document in batch.changed:
            saved[document.instance_id] = document
        for instance_id in batch.gone:
            saved.pop(instance_id, None)
        synced = batch.synced if batch.synced is not None else synced

    for instance_id, name in history:
        revision += 1
        latest[instance_id] = (
            gone(revision, instance_id) if name is None else put(revision, instance_id, name)
        )
        if data.draw(st.integers(0, 3)) == 0:  # tombstones are pruned
            latest = {i: c for i, c in latest.items() if c.type != "gone"}
            pruned = revision
        if data.draw(st.booleans()):
            stream(breaks=True)
        if data.draw(st.integers(0, 3)) == 0:  # the node restarts from its disk
            desired = Desired(saved, synced)
    stream(breaks=False)

    assert desired.documents == {i: c.document for i, c in latest.items() if c.document}
    assert saved == desired.documents
    assert synced == revision
