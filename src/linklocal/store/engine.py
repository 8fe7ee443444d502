"""Opening a database and running a unit of work in it. No domain words.

`Database.transaction()` is the one way to write: everything inside commits or nothing does.
SQLite: WAL, synchronous=FULL, busy timeout, foreign keys, BEGIN IMMEDIATE (one writer at a time, and
writers of this process wait their turn outside the database).
PostgreSQL: READ COMMITTED; code that reads in order to write takes row locks (`with_for_update`),
in the order: shared resources, instances by id, nodes by id. A deadlock is therefore a bug; it is
answered like a busy database and logged, not retried here: only the caller may repeat its decisions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import MetaData, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from linklocal.errors import OperatorError, Unavailable
from linklocal.store import sqlite

# Every slice's tables.py registers here; migrations compare against it.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# How long a request waits for a connection, a lock or its turn before it is told that the database is busy.
WAIT_SECONDS = sqlite.BUSY_SECONDS
POSTGRESQL_POOL = 20
# A replica that dies in a transaction must not hold its row locks until TCP notices.
IDLE_IN_TRANSACTION_SECONDS = 60

_AFTER_COMMIT = "linklocal.after_commit"
_BUSY = "The database is busy: send the request again."
_UNREACHABLE = "The database cannot be reached: send the request again later."

log = structlog.get_logger(__name__)


class Database:
    """An open database. Made by `open_database`; closed with `close`. Belongs to one event loop."""

    def __init__(self, engine: AsyncEngine, url: URL) -> None:
        self.engine = engine
        self.url = url
        self._writer = asyncio.Lock() if self.is_sqlite else None
        # SQLite in memory is one connection, so readers and writers take turns as well.
        self._reader = self._writer if sqlite.path_of(url) is None else None

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A unit of work: commits at the end of the block, rolls back when it raises.

        Must not be opened inside another one of the same task: on SQLite it would wait for itself.
        Raises Unavailable when the database cannot be reached or is busy for too long.
        """
        async with _reachable(), _turn(self._writer):
            async with self.engine.begin() as connection:
                callbacks: list[Callable[[], None]] = []
                assert connection.sync_connection is not None
                connection.sync_connection.info[_AFTER_COMMIT] = callbacks
                yield connection
            for callback in callbacks:
                callback()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A consistent snapshot for reading; takes no write lock. Raises Unavailable.

        The snapshot is as of the first query. Writing in it fails on PostgreSQL and is undone on SQLite.
        """
        async with _reachable(), _turn(self._reader), self.engine.connect() as connection:
            options: dict[str, Any] = (
                {sqlite.READ_ONLY: True}
                if self.is_sqlite
                else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            )
            await connection.execution_options(**options)
            yield connection
            await connection.rollback()

    async def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def after_commit(connection: AsyncConnection, callback: Callable[[], None]) -> None:
    """Call `callback` once the transaction of `connection` has committed; never if it rolls back.

    For hints only: a process that dies in between never calls it. `callback` must not raise or wait.
    """
    assert connection.sync_connection is not None
    connection.sync_connection.info[_AFTER_COMMIT].append(callback)


@asynccontextmanager
async def _turn(lock: asyncio.Lock | None) -> AsyncIterator[None]:
    """Hold the lock, if there is one. Waiting here is fair and holds no connection."""
    if lock is None:
        yield
        return
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await lock.acquire()
    except TimeoutError as error:
        raise Unavailable(_BUSY) from error
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    """Turn the database's own failures into Unavailable; a mistake of the program stays what it is."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(_BUSY) from error
    except OperationalError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        state = getattr(error.orig, "sqlstate", None)
        if code is not None and sqlite.is_mistake(code):
            raise
        busy = sqlite.is_busy(code) if code is not None else (state or "")[:2] in ("40", "55")
        # What went wrong may name hosts and accounts: for the log, not for whoever sent the request.
        log.warning("Database failed", reason=str(error.orig), sqlstate=state, sqlite_code=code)
        raise Unavailable(_BUSY if busy else _UNREACHABLE) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            log.warning("Database connection lost", reason=str(error.orig))
            raise Unavailable(_UNREACHABLE) from error
        raise


def database_url(text: str) -> URL:
    """Read `sqlite:///path`, `sqlite://` (memory, for tests) or `postgresql://...`.

    Raises OperatorError for anything else, without repeating a password.
    """
    step = "Set LINKLOCAL_DATABASE_URL to sqlite:///FILE or postgresql://USER@HOST/NAME."
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise OperatorError("The database URL cannot be read.", step, exit_code=2) from error
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise OperatorError(
            f"linklocal does not store in {url.get_backend_name()!r}.", step, exit_code=2
        )
    return url.set(drivername=url.get_backend_name())


def open_database(url: str) -> Database:
    """Open the database of a URL (see `database_url`). Connects lazily. Raises OperatorError."""
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        patience = {"pool_timeout": WAIT_SECONDS} if sqlite.path_of(parsed) is not None else {}
        engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"), **patience)
        sqlite.prepare(engine.sync_engine)
        return Database(engine, parsed)
    limits = (
        f"-c lock_timeout={int(WAIT_SECONDS * 1000)} "
        f"-c idle_in_transaction_session_timeout={int(IDLE_IN_TRANSACTION_SECONDS * 1000)}"
    )
    defaults = {"connect_timeout": str(WAIT_SECONDS), "options": limits}
    engine = create_async_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=POSTGRESQL_POOL,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={k: v for k, v in defaults.items() if k not in parsed.query},
    )
    return Database(engine, parsed)
