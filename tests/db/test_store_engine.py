"""A unit of work commits whole or not at all; a busy or lost database is told apart from a mistake."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from pathlib import Path

import psycopg
import pytest
from fakes.clock import FakeClock
from postgres import PostgresServer
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from linklocal.errors import OperatorError, Unavailable
from linklocal.fleet.tables import node_requests
from linklocal.store import engine
from linklocal.store.engine import Database, after_commit, open_database

NOW = FakeClock().now()


async def add(database: Database, id: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(node_requests).values(id=id, expires_at=NOW))


async def count(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(node_requests)) or 0


async def test_commits_at_the_end_of_the_block(database: Database) -> None:
    await add(database, "a")

    assert await count(database) == 1


async def add_and_fail(database: Database, id: str) -> None:
    async with database.transaction() as connection:
        after_commit(connection, lambda: pytest.fail("it did not commit"))
        await connection.execute(insert(node_requests).values(id=id, expires_at=NOW))
        raise ZeroDivisionError


async def test_rolls_back_what_raises(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await add_and_fail(database, "a")
    assert await count(database) == 0

    await add(database, "a")
    assert await count(database) == 1


async def test_callbacks_come_after_the_commit(database: Database) -> None:
    seen: list[str] = []
    async with database.transaction() as connection:
        after_commit(connection, lambda: seen.append("called"))
        await connection.execute(insert(node_requests).values(id="a", expires_at=NOW))
        assert seen == []

    assert seen == ["called"]


async def test_a_read_is_one_snapshot(database: Database) -> None:
    """What commits meanwhile is seen by the next read only, and a reader does not stop a writer."""
    async with database.read() as connection:
        statement = select(func.count()).select_from(node_requests)
        assert await connection.scalar(statement) == 0
        await add(database, "a")
        assert await connection.scalar(statement) == 0

    assert await count(database) == 1


async def test_writers_take_turns(database: Database) -> None:
    """No increment of many at once is lost, and none fails."""
    await add(database, "counter")
    column = node_requests.c.expires_at
    row = node_requests.c.id == "counter"

    async def increment() -> None:
        async with database.transaction() as connection:
            held = await connection.scalar(select(column).where(row).with_for_update())
            assert held is not None
            later = held.replace(microsecond=held.microsecond + 1000)
            await connection.execute(update(node_requests).where(row).values(expires_at=later))

    await asyncio.gather(*(increment() for _ in range(50)))

    async with database.read() as connection:
        after = await connection.scalar(select(column).where(row))
        assert after is not None
        assert after.microsecond == 50_000


async def test_cancelled_writers_leave_the_database_usable(database: Database) -> None:
    """And no connection: each is a thread on SQLite."""
    threads = threading.active_count()
    chance = random.Random(7)
    for round in range(30):
        writers = [asyncio.create_task(add(database, f"{round}-{n}")) for n in range(4)]
        await asyncio.sleep(chance.random() * 0.01)  # the moment of the cancel is the test's input
        for writer in writers[1:]:
            writer.cancel()
        results = await asyncio.gather(*writers, return_exceptions=True)
        assert results[0] is None
        assert all(r is None or isinstance(r, asyncio.CancelledError) for r in results)

    async with asyncio.timeout(20):
        before = await count(database)
        await add(database, "last")
        assert await count(database) == before + 1
        await database.close()
        while threading.active_count() > threads:
            await asyncio.sleep(0.01)


async def test_a_duplicate_is_not_an_outage(database: Database) -> None:
    await add(database, "a")

    with pytest.raises(IntegrityError):
        await add(database, "a")


async def test_a_wrong_statement_is_not_an_outage(database: Database) -> None:
    with pytest.raises(DBAPIError):
        async with database.transaction() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))


async def test_a_missing_server_is_unavailable(tmp_path: Path) -> None:
    for url in (f"postgresql://u:secret@/x?host={tmp_path}", f"sqlite:///{tmp_path}/no/folder.db"):
        database = open_database(url)
        with pytest.raises(Unavailable) as raised:
            await database.ping()
        assert str(tmp_path) not in str(raised.value)
        assert "secret" not in str(raised.value)
        await database.close()


async def test_a_lock_that_is_held_too_long_is_a_busy_database(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held by another process: of the file on SQLite, of the row on PostgreSQL."""
    monkeypatch.setattr(engine, "WAIT_SECONDS", 0.1)
    monkeypatch.setattr(engine.sqlite, "BUSY_SECONDS", 0)
    database = open_database(database_url.replace("?", "?options=-c%20lock_timeout%3D100&"))
    await add(database, "a")
    change = update(node_requests).values(expires_at=NOW)
    if database.is_sqlite:
        other = sqlite3.connect(str(database.url.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
    else:
        other = psycopg.connect(database_url)
        other.execute("UPDATE node_requests SET expires_at = 0")
    with pytest.raises(Unavailable, match="busy"):
        async with database.transaction() as connection:
            await connection.execute(change)

    other.close()
    await add(database, "b")
    await database.close()


async def test_waiting_for_a_turn_has_an_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Including one that waits for itself: a transaction inside a transaction."""
    monkeypatch.setattr(engine, "WAIT_SECONDS", 0.05)
    database = open_database(database_url)
    if not database.is_sqlite:
        await database.close()
        return
    async with database.transaction():
        with pytest.raises(Unavailable, match="busy"):
            await add(database, "a")
    await add(database, "a")
    await database.close()


async def test_postgresql_ends_a_transaction_that_idles(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that died in a transaction must not hold its locks; its own use of it is an outage."""
    monkeypatch.setattr(engine, "IDLE_IN_TRANSACTION_SECONDS", 0.05)
    database = open_database(postgres_server.url("postgres"))
    with pytest.raises(Unavailable):
        await _idle_in_transaction(database, postgres_server)
    await database.ping()
    await database.close()


async def _idle_in_transaction(database: Database, server: PostgresServer) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SELECT 1"))
        async with asyncio.timeout(10):
            while await _open(server):
                await asyncio.sleep(0.02)
        await connection.execute(text("SELECT 1"))


async def _open(server: PostgresServer) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    async with await psycopg.AsyncConnection.connect(server.url("postgres")) as connection:
        row = await (await connection.execute(query)).fetchone()
        return row is not None and row[0] > 0


async def test_memory_is_one_connection_and_still_isolated() -> None:
    database = open_database("sqlite://")
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))

    async def grow() -> None:
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))
            await asyncio.sleep(0)

    async def look() -> int:
        async with database.read() as connection:
            return await connection.scalar(text("SELECT count(*) FROM t")) or 0

    await asyncio.gather(*(grow() for _ in range(10)), *(look() for _ in range(10)))
    assert await look() == 10
    await database.close()


async def test_the_file_is_private(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'new.db'}")
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    await database.close()

    assert modes["new.db"] == 0o600
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("url", ["mysql://user:secret@host/name", "not a url", "sqlite:secret"])
def test_other_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(OperatorError) as raised:
        open_database(url)
    assert "secret" not in raised.value.message
    assert raised.value.exit_code == 2
