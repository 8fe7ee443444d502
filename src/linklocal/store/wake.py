"""Wake-ups: "something changed for this key". A hint that saves waiting, never the truth.

Whoever waits also looks by itself every few seconds, so a lost wake-up costs seconds and nothing else.
SQLite: an event in the one process, rung after the commit. PostgreSQL: NOTIFY in the transaction of the
change (delivered by its commit) and one LISTEN connection per process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.store.engine import Database, after_commit

CHANNEL = "linklocal_wake"
# A lost LISTEN connection is tried again after 0.25 s, doubling up to 5 s, each with +-50% jitter.
RETRY_FIRST = 0.25
RETRY_MOST = 5.0
# A LISTEN connection only hears, so a server that vanished is found by TCP: after about 60 s.
KEEPALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}

log = structlog.get_logger(__name__)


class Bell:
    """Rung when its key may have changed. Clear it, look, then wait: so no ring falls in between."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    async def wait(self, timeout: float) -> bool:
        """Whether it rang within `timeout` seconds (or since it was cleared)."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class Wake:
    """One per process. `start` before the first wait, `close` at the end; both only matter on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bells: dict[str, set[Bell]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def notify(self, connection: AsyncConnection, key: str) -> None:
        """Wake whoever waits for `key`, in any process, when the transaction of `connection` commits."""
        if self._database.is_sqlite:
            after_commit(connection, lambda: self._ring(key))
        else:
            await connection.execute(
                text("SELECT pg_notify(:channel, :key)"), {"channel": CHANNEL, "key": key}
            )

    @contextmanager
    def subscribe(self, key: str) -> Iterator[Bell]:
        """A bell that rings for `key` until the block ends."""
        bell = Bell()
        self._bells.setdefault(key, set()).add(bell)
        try:
            yield bell
        finally:
            others = self._bells[key]
            others.discard(bell)
            if not others:
                del self._bells[key]

    async def wait(self, key: str, timeout: float) -> bool:
        """Whether `key` was rung within `timeout` seconds from now."""
        with self.subscribe(key) as bell:
            return await bell.wait(timeout)

    async def start(self) -> None:
        """Begin to listen. Returns at once; `listening` tells when wake-ups of other processes arrive."""
        if not self._database.is_sqlite and self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="wake")

    async def listening(self) -> None:
        """Wait until wake-ups of other processes arrive."""
        if not self._database.is_sqlite:
            await self._listening.wait()

    async def close(self) -> None:
        """Stop listening."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])

    def _ring(self, key: str) -> None:
        for bell in self._bells.get(key, ()):
            bell.ring()

    def _ring_all(self) -> None:
        for bells in self._bells.values():
            for bell in bells:
                bell.ring()

    async def _listen(self) -> None:
        delay = RETRY_FIRST
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    delay = RETRY_FIRST
                    self._listening.set()
                    self._ring_all()  # what was said while nobody listened
                    async for notification in connection.notifies():
                        self._ring(notification.payload)
            except (psycopg.Error, OSError) as error:
                log.warning("Wake-up connection lost", reason=str(error), retry_seconds=delay)
            self._listening.clear()
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            delay = min(delay * 2, RETRY_MOST)

    async def _connect(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        """A connection of its own: it is never idle in a pool and never in a transaction."""
        engine = self._database.engine
        args, kwargs = engine.dialect.create_connect_args(engine.url)
        return await psycopg.AsyncConnection.connect(
            *args, **{**KEEPALIVE, **kwargs}, autocommit=True
        )
