"""Which process listens, and which unit it is of: from a made-up /proc, and from this machine's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from linklocal.cli.processes import is_stopped, listening_process, mount_of, unit_of


def test_this_process_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listening_process(port) == os.getpid()
    assert listening_process(port) is None


@pytest.mark.parametrize(
    ("line", "unit"),
    [
        ("0::/system.slice/linklocal-node.service", "linklocal-node.service"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/run.scope", None),
        ("0::/system.slice/ssh.service", None),
        ("0::/", None),
    ],
)
def test_the_unit_of_a_process(tmp_path: Path, line: str, unit: str | None) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(f"{line}\n")
    assert unit_of(7, tmp_path) == unit
    assert unit_of(8, tmp_path) is None
    assert unit_of(None, tmp_path) is None


@pytest.mark.parametrize(("state", "stopped"), [("S", False), ("T", True)])
def test_whether_a_signal_has_stopped_a_process(tmp_path: Path, state: str, stopped: bool) -> None:
    """Its name is in parentheses, and may hold some."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(f"7 (a) b) {state} 1 7 7 0")

    assert is_stopped(7, tmp_path) is stopped
    assert not is_stopped(8, tmp_path)


def test_where_a_folder_is_mounted() -> None:
    assert mount_of(Path("/proc/self")) == Path("/proc")
