"""Small promises about files: private folders, atomic writes, one owner of a state folder, enough of them."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from linklocal.errors import OperatorError


def raise_file_limit() -> None:
    """Let this process open as many files as it may: a listener needs two, and 1024 is a usual limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def private_folder(path: Path) -> Path:
    """Make the folder with mode 0700. Raises OperatorError when it cannot be made."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(
            f"The state folder {path} cannot be made: {error.strerror}.",
            "Name another one with --state-dir (or LINKLOCAL_STATE_DIR).",
            exit_code=2,
        ) from error
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write the whole file, mode 0600, durably and at once: readers see the old or the new content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def sole_owner(folder: Path, who: str) -> Iterator[None]:
    """Hold the folder's lock. Raises OperatorError (exit code 2) when another process has it."""
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise OperatorError(
                f"{folder} is in use by {owner}.",
                f"Stop that process, or start {who} with another --state-dir.",
                exit_code=2,
            ) from error
        lock.truncate(0)
        lock.write(f"{who} (process {os.getpid()})\n")
        lock.flush()
        yield
