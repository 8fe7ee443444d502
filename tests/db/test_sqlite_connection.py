"""The SQLite connection that crosses to its thread once for a statement keeps what a transaction promises."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from linklocal.store.sqlite_connection import Connection, connect


class _Counted(Connection):
    """Counts what is handed to the database's thread."""

    crossings = 0

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.crossings += 1
        return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call] # aiosqlite's


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[_Counted]:
    file = tmp_path / "test.db"
    counted = _Counted(lambda: sqlite3.connect(file, isolation_level=None), 64)
    async with counted as opened:
        await _run(opened, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        opened.crossings = 0
        yield opened


async def _run(connection: Connection, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
    cursor = await connection.cursor().__aenter__()
    await cursor.execute(sql, parameters)
    rows = list(await cursor.fetchall())
    await cursor.close()
    return rows


async def test_a_statement_is_one_crossing(connection: _Counted) -> None:
    await _run(connection, "INSERT INTO t (name) VALUES (?)", ("one",))
    assert await _run(connection, "SELECT name FROM t") == [("one",)]

    assert connection.crossings == 2


async def test_a_cursor_says_what_its_last_statement_did(connection: _Counted) -> None:
    cursor = connection.cursor()
    await cursor.executemany("INSERT INTO t (name) VALUES (?)", [("a",), ("b",)])
    assert (cursor.rowcount, cursor.description) == (2, None)

    await cursor.execute("INSERT INTO t (name) VALUES ('c') RETURNING name")
    assert list(await cursor.fetchall()) == [("c",)]
    assert (cursor.lastrowid, cursor.description[0][0]) == (3, "name")

    await cursor.execute("UPDATE t SET name = name || '!' WHERE id < 3")
    assert (cursor.rowcount, list(await cursor.fetchall())) == (2, [])


async def test_what_sqlite_refuses_is_raised_as_it_was(connection: _Counted) -> None:
    await _run(connection, "INSERT INTO t (name) VALUES ('a')")
    with pytest.raises(sqlite3.IntegrityError) as raised:
        await _run(connection, "INSERT INTO t (name) VALUES ('a')")

    assert raised.value.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE


async def test_a_rollback_after_a_commit_asks_nobody(connection: _Counted) -> None:
    await _run(connection, "BEGIN")
    await connection.commit()
    asked = connection.crossings
    await connection.rollback()

    assert connection.crossings == asked


async def test_a_statement_that_nobody_waits_for_is_rolled_back(connection: _Counted) -> None:
    """It still runs in the database's thread when the one who asked has gone, and began a transaction."""
    await connection.commit()
    going = asyncio.ensure_future(_run(connection, "BEGIN IMMEDIATE"))
    await asyncio.sleep(0)  # it is in the thread's queue, or being done
    going.cancel()
    await connection.rollback()

    assert going.cancelled() or going.done()
    assert not connection.in_transaction


async def test_it_does_not_keep_a_process_alive(tmp_path: Path) -> None:
    opened = await connect(str(tmp_path / "test.db"))
    try:
        assert opened._thread.daemon
    finally:
        await opened.close()
