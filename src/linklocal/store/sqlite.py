"""What SQLite needs that PostgreSQL does not: pragmas, explicit transactions, one process per file."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL

from linklocal.errors import OperatorError
from linklocal.store.sqlite_connection import connect

BUSY_SECONDS = 10
# Execution option of a connection that only reads: its transaction takes no write lock.
READ_ONLY = "linklocal_read"


def path_of(url: URL) -> Path | None:
    """The file of a SQLite URL; None for a database in memory or of another kind."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def prepare(engine: Engine, *, foreign_keys: bool = True) -> None:
    """Pragmas on every connection, BEGIN IMMEDIATE for every transaction that may write.

    `foreign_keys` off is for migrations alone: to alter a table SQLite must drop and rename it.
    """

    @event.listens_for(engine, "do_connect")
    def on_do_connect(_dialect: Any, _record: Any, _given: Any, options: dict[str, Any]) -> None:
        if engine.dialect.is_async:
            options["async_creator_fn"] = connect
        path = path_of(engine.url)
        if path is not None and path.parent.is_dir():
            # SQLite would make it readable for everybody; it holds user data. -wal and -shm follow it.
            path.touch(mode=0o600)

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # pysqlite's own transaction handling would hide BEGIN IMMEDIATE from us.
        connection.isolation_level = None
        cursor = connection.cursor()
        # First, because the change to WAL needs a lock.
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        # A deferred transaction that reads first and writes later can fail on a stale snapshot;
        # taking the write lock at once turns that into a short wait.
        deferred = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Turn the file to WAL, once for ever. Several processes may try at the same moment.

    The change needs the file alone, and SQLite does not wait for that (two that wait would wait for
    ever): so we do, as long as for any other lock.
    """
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error.sqlite_errorcode) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)  # nothing tells when a lock is given back
        else:
            return


def is_busy(code: int) -> bool:
    """Whether this extended result code means that somebody else holds the lock."""
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_mistake(code: int) -> bool:
    """Whether this result code means a wrong statement, which no waiting mends."""
    return code == sqlite3.SQLITE_ERROR


@contextmanager
def sole_process(url: URL) -> Iterator[None]:
    """Keep every other process off the SQLite file while the block runs; nothing for other databases.

    A server holds it as long as it runs: in-process wake-ups and turns of writers end at the process.
    Raises OperatorError (exit code 2) when another process has it, or the folder is missing.
    """
    path = path_of(url)
    if path is None:
        yield
        return
    lock = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatorError(
            f"The database {path} cannot be locked: {error.strerror}.",
            f"Make the folder {path.parent} and let this user write in it.",
            exit_code=2,
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise OperatorError(
                f"Another linklocal process ({owner}) uses the database {path}: "
                "a SQLite file serves one process.",
                "Stop that process, or set LINKLOCAL_DATABASE_URL to postgresql://USER@HOST/NAME.",
                exit_code=2,
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        # The file stays: removing it would let two processes hold locks on two files of one name.
        os.close(descriptor)
