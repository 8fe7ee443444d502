"""A SQLite file serves one process, and a second one is told so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from linklocal.errors import OperatorError
from linklocal.store.sqlite import path_of, sole_process

HOLD = """
import sys
from sqlalchemy.engine import make_url
from linklocal.store.sqlite import sole_process
with sole_process(make_url(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'linklocal.db'}"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(OperatorError, match=f"\\({holder.pid}\\)") as raised,
            sole_process(make_url(url)),
        ):
            pytest.fail("both have it")
        assert raised.value.exit_code == 2
        assert "postgresql://" in raised.value.next_step

        holder.kill()
        holder.wait(10)
        with sole_process(make_url(url)):
            pass


def test_it_can_be_taken_again(tmp_path: Path) -> None:
    url = make_url(f"sqlite:///{tmp_path / 'linklocal.db'}")
    for _ in range(2):
        with sole_process(url):
            lock = tmp_path / "linklocal.db.lock"
            assert lock.read_text() == f"{os.getpid()}\n"
            assert lock.stat().st_mode & 0o777 == 0o600


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    url = make_url(f"sqlite:///{tmp_path / 'nowhere' / 'linklocal.db'}")

    with pytest.raises(OperatorError, match="nowhere"), sole_process(url):
        pytest.fail("there is nothing to lock")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql:///linklocal"])
def test_nothing_else_has_a_file(url: str) -> None:
    assert path_of(make_url(url)) is None
    with sole_process(make_url(url)), sole_process(make_url(url)):
        pass
