"""The key file and what is sealed with it."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.errors import OperatorError
from linklocal.iam.secrets import KEY_BYTES, Sealer, load_key_file

SEALER = Sealer(b"k" * KEY_BYTES)


@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_what_is_sealed_comes_back_for_its_own_context_only(plain: bytes, context: str) -> None:
    sealed = SEALER.seal(plain, context)

    assert SEALER.unseal(sealed, context) == plain
    assert SEALER.open(sealed, context + "x") is None
    assert Sealer(b"K" * KEY_BYTES).open(sealed, context) is None


@given(st.text(max_size=80) | st.text(max_size=40).map(lambda t: f"v1.{SEALER.key_id}.{t}"))
def test_text_from_outside_never_raises(text: str) -> None:
    assert SEALER.open(text, "c") is None


def test_sealing_twice_gives_different_texts() -> None:
    assert SEALER.seal(b"x", "c") != SEALER.seal(b"x", "c")


def test_a_wrong_key_is_told_from_a_damaged_text() -> None:
    sealed = SEALER.seal(b"x", "c")
    damaged = sealed[:-4] + ("AAAA" if not sealed.endswith("AAAA") else "BBBB")

    with pytest.raises(OperatorError, match="is not the key file"):
        Sealer(b"K" * KEY_BYTES, "/etc/key").unseal(sealed, "c")
    with pytest.raises(OperatorError, match="damaged"):
        SEALER.unseal(damaged, "c")


def test_the_key_file_is_made_once_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "state" / "server.key"
    first = load_key_file(path, create=True)
    again = load_key_file(path, create=True)

    assert first.key_id == again.key_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["server.key"]


def test_of_two_starters_the_first_ones_key_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one has seen no file, and finds one when it links its own."""
    path = tmp_path / "server.key"
    first = load_key_file(path, create=True)
    seen = iter([False])
    monkeypatch.setattr(Path, "exists", lambda self: next(seen, True))

    assert load_key_file(path, create=True).key_id == first.key_id
    assert [entry.name for entry in tmp_path.iterdir()] == ["server.key"]


def test_without_create_an_absent_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as refused:
        load_key_file(tmp_path / "server.key", create=False)

    assert "openssl rand" in refused.value.next_step
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("content", ["", "x", "linklocal-key-v1", "linklocal-key-v1 AAAA", "a b c"])
def test_what_is_no_key_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "server.key"
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(OperatorError, match="is not a key file"):
        load_key_file(path, create=True)


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    load_key_file(path, create=True)
    path.chmod(0o640)

    with pytest.raises(OperatorError) as refused:
        load_key_file(path, create=True)
    assert refused.value.next_step == f"Run `chmod 600 {path}`."


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """A file in its place stops root, too, whom no mode would."""
    folder = tmp_path / "closed"
    folder.touch()

    with pytest.raises(OperatorError, match="cannot be made"):
        load_key_file(folder / "server.key", create=True)


def test_the_documented_way_to_make_a_key_file_works(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    path.write_text(f"linklocal-key-v1 {base64.b64encode(b'x' * 32).decode()}\n")
    path.chmod(0o600)

    assert (
        load_key_file(path, create=False).unseal(Sealer(b"x" * 32).seal(b"plain", "c"), "c")
        == b"plain"
    )
