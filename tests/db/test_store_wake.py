"""A wake-up comes with the commit, to whoever waits for that key, in this process and in others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text

from linklocal.store import wake as wake_module
from linklocal.store.engine import Database, open_database
from linklocal.store.wake import Wake

SOON = 10.0  # a deadline, not a delay


@pytest.fixture
async def wake(database: Database) -> AsyncIterator[Wake]:
    wake = Wake(database)
    await wake.start()
    async with asyncio.timeout(SOON):
        await wake.listening()
    yield wake
    await wake.close()


async def say(database: Database, wake: Wake, key: str) -> None:
    async with database.transaction() as connection:
        await wake.notify(connection, key)


async def test_rings_with_the_commit_and_not_before(database: Database, wake: Wake) -> None:
    with wake.subscribe("a") as bell:
        bell.clear()
        async with database.transaction() as connection:
            await wake.notify(connection, "a")
            assert not await bell.wait(0.05)

        assert await bell.wait(SOON)


async def test_a_rolled_back_change_rings_nobody(database: Database, wake: Wake) -> None:
    with wake.subscribe("a") as bell, wake.subscribe("later") as later:
        bell.clear()
        with pytest.raises(ZeroDivisionError):
            await _say_and_fail(database, wake)
        await say(database, wake, "later")

        assert await later.wait(SOON)
        assert not await bell.wait(0)


async def _say_and_fail(database: Database, wake: Wake) -> None:
    async with database.transaction() as connection:
        await wake.notify(connection, "a")
        raise ZeroDivisionError


async def test_rings_every_bell_of_the_key_and_no_other(database: Database, wake: Wake) -> None:
    with (
        wake.subscribe("a") as one,
        wake.subscribe("a") as two,
        wake.subscribe("b") as other,
    ):
        for bell in (one, two, other):
            bell.clear()
        await say(database, wake, "a")

        assert await one.wait(SOON)
        assert await two.wait(SOON)
        assert not await other.wait(0)


async def test_a_ring_before_the_wait_is_not_lost(database: Database, wake: Wake) -> None:
    with wake.subscribe("a") as bell, wake.subscribe("b") as after:
        bell.clear()
        await say(database, wake, "a")
        await say(database, wake, "b")
        assert await after.wait(SOON)

        assert await bell.wait(0)


async def test_waiting_ends_without_a_ring(wake: Wake) -> None:
    before = time.monotonic()

    assert not await wake.wait("a", 0.02)
    assert time.monotonic() - before < SOON


async def test_bells_are_forgotten(wake: Wake) -> None:
    with wake.subscribe("a"), wake.subscribe("a"):
        pass

    assert wake._bells == {}


async def test_another_process_is_heard(database: Database, wake: Wake) -> None:
    """On PostgreSQL; SQLite has one process."""
    if database.is_sqlite:
        return
    elsewhere = open_database(database.url.render_as_string(hide_password=False))
    with wake.subscribe("a") as bell:
        bell.clear()
        await say(elsewhere, Wake(elsewhere), "a")

        assert await bell.wait(SOON)
    await elsewhere.close()


async def test_a_lost_connection_is_made_anew_and_rings(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody is rung after a reconnect: something may have happened meanwhile."""
    if database.is_sqlite:
        return
    monkeypatch.setattr(wake_module, "RETRY_FIRST", 0.01)
    wake = Wake(database)
    await wake.start()
    await wake.listening()
    with wake.subscribe("a") as bell:
        bell.clear()
        await _end_listeners(database)
        assert await bell.wait(SOON)

        bell.clear()
        await say(database, wake, "a")
        assert await bell.wait(SOON)
    await wake.close()


async def _end_listeners(database: Database) -> None:
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    )
    async with database.transaction() as connection:
        ended = await connection.execute(text(query))
        assert ended.scalars().all() == [True]


async def test_a_database_that_is_away_is_waited_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting does not need the database; hearing begins when it answers."""
    if database_url.startswith("sqlite"):
        return
    monkeypatch.setattr(wake_module, "RETRY_FIRST", 0.01)
    database = open_database(database_url)
    wake = Wake(database)
    tries = 0
    connect = wake._connect

    async def fail_twice() -> psycopg.AsyncConnection[tuple[object, ...]]:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise psycopg.OperationalError("not yet")
        return await connect()

    monkeypatch.setattr(wake, "_connect", fail_twice)
    await wake.start()
    async with asyncio.timeout(SOON):
        await wake.listening()
    assert tries == 3
    await wake.close()
    await database.close()
