"""aiosqlite with one crossing to the database's thread for each statement, where it makes four.

A crossing costs more than most statements do: two switches of threads, and two of the interpreter's lock.
So a statement runs, is fetched and is closed at once. Nothing here knows SQL or SQLAlchemy, which
asks for cursors and what is on them (`sqlalchemy.connectors.asyncio.AsyncIODBAPICursor`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import aiosqlite


class _Done(NamedTuple):
    """What a statement left behind."""

    rows: Sequence[Any] = ()
    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None


class Cursor:
    """Runs one statement after another; what the last one gave is here already."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._done = _Done()

    async def __aenter__(self) -> Cursor:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> Cursor:
        """Run a statement and fetch all its rows. Raises what sqlite3 raises."""
        self._done = await self._connection.run(partial(_execute, sql=sql, parameters=parameters))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> Cursor:
        """Run a statement for each of the parameters. Raises what sqlite3 raises."""
        self._done = await self._connection.run(
            partial(_execute_many, sql=sql, parameters=parameters)
        )
        return self

    async def fetchall(self) -> Sequence[Any]:
        return self._done.rows

    async def close(self) -> None:
        """Let go of the rows."""
        self._done = self._done._replace(rows=())

    @property
    def description(self) -> Any:
        return self._done.description

    @property
    def rowcount(self) -> int:
        return self._done.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._done.lastrowid


class Connection(aiosqlite.Connection):
    """A connection with such cursors. `rollback` after a commit or a rollback asks nobody."""

    _settled = False  # whether nothing was done since the last commit or rollback

    def cursor(self) -> Cursor:  # type: ignore[override] # SQLAlchemy enters it at once, as aiosqlite's
        return Cursor(self)

    async def run(self, work: Callable[[sqlite3.Connection], _Done]) -> _Done:
        """Do it in the database's thread, after everything that was asked before."""
        # First: whoever stops waiting does not stop what runs there.
        self._settled = False
        done: _Done = await self._execute(work, self._conn)  # type: ignore[no-untyped-call] # theirs
        return done

    async def commit(self) -> None:
        self._settled = False
        await super().commit()
        self._settled = True

    async def rollback(self) -> None:
        if not self._settled:
            await super().rollback()
            self._settled = True


def connect(database: str, **options: Any) -> Connection:
    """A connection to be awaited; `options` are those of `sqlite3.connect`."""
    connection = Connection(partial(sqlite3.connect, database, **options), iter_chunk_size=64)
    # A process that ends does not wait for a connection that nobody closed.
    connection._thread.daemon = True
    return connection


def _execute(connection: sqlite3.Connection, *, sql: str, parameters: Any) -> _Done:
    cursor = connection.execute(sql, parameters)
    try:
        rows = () if cursor.description is None else cursor.fetchall()
        return _Done(rows, cursor.description, cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()


def _execute_many(connection: sqlite3.Connection, *, sql: str, parameters: Iterable[Any]) -> _Done:
    cursor = connection.executemany(sql, parameters)
    try:
        return _Done((), cursor.description, cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()
