"""What /proc and mounts tell about this host, for commands that name a process or a disk. Reads only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"


def unit_of(pid: int | None, proc: Path = PROC) -> str | None:
    """The systemd service that a process belongs to; None: none that a restart would be asked of."""
    if pid is None:
        return None
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    ends = (line.rpartition("/")[2] for line in lines)
    # A user's terminal is in a service, too: `user@1000.service` and what is below it is not ours.
    return next(
        (end for end in ends if end.startswith("linklocal") and end.endswith(".service")), None
    )


def is_stopped(pid: int | None, proc: Path = PROC) -> bool:
    """Whether a signal has stopped the process: it has its files and sockets, and does nothing."""
    if pid is None:
        return False
    try:
        state = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state in ("T", "t")


def mount_of(folder: Path) -> Path:
    """Where the file system that holds this folder is mounted."""
    found = folder.resolve()
    while not found.is_mount() and found != found.parent:
        found = found.parent
    return found


def listening_process(port: int, proc: Path = PROC) -> int | None:
    """The process that listens on this TCP port; None when nobody does, or it is hidden from this user."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            words = row.split()
            if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{words[9]}]")
    if not sockets:
        return None
    for process in proc.iterdir():
        if process.name.isdigit() and sockets.intersection(_opened(process)):
            return int(process.name)
    return None


def _opened(process: Path) -> Iterator[str]:
    """What a process has open; nothing when it has ended or is another user's."""
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                yield str(link.readlink())
