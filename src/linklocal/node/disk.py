"""Writing many small private files durably. `files.py` writes one; here a replay writes a thousand.

Each file is whole or not there, and everything is on the disk when a function returns. Nothing here knows
what the files hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The kernel commits the syncs of several threads together: that halved the time; more gained no more.
_THREADS = 4


def write_files(folder: Path, files: Mapping[str, bytes]) -> dict[str, OSError]:
    """Write files with mode 0600 into the folder; name -> content. Returns those that failed, and why.

    A failed one keeps its old content. Blocks on the disk.
    """
    if not files:
        return {}
    failed: dict[str, OSError] = {}

    def write(item: tuple[str, bytes]) -> tuple[str, OSError] | None:
        name, content = item
        try:
            _write(folder / name, content)
        except OSError as error:
            return name, error
        return None

    workers = min(_THREADS, len(files))
    if workers == 1:
        results: Iterable[tuple[str, OSError] | None] = [write(item) for item in files.items()]
    else:
        with ThreadPoolExecutor(workers, thread_name_prefix="write") as pool:
            results = list(pool.map(write, files.items()))
    failed.update(result for result in results if result is not None)
    if len(failed) < len(files):
        sync_folder(folder)
    return failed


def remove_files(folder: Path, names: Iterable[str]) -> dict[str, OSError]:
    """Remove files, if they are there. Returns those that could not be removed, and why."""
    failed: dict[str, OSError] = {}
    removed = False
    for name in names:
        try:
            (folder / name).unlink()
            removed = True
        except FileNotFoundError:
            continue
        except OSError as error:
            failed[name] = error
    if removed:
        sync_folder(folder)
    return failed


def whole_files(folder: Path) -> Iterator[Path]:
    """The folder's files by name; what a crash left of unfinished writes is removed."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            path.unlink(missing_ok=True)
        else:
            yield path


def sync_folder(folder: Path) -> None:
    """Make renames and removals durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
