"""Opening a database and running a unit of work in it. No domain words.

`Database.transaction()` is the one way to write: everything inside commits or nothing does.
SQLite: WAL, synchronous=FULL, busy timeout, foreign keys, BEGIN IMMEDIATE (one writer at a time).
PostgreSQL: READ COMMITTED; code that reads in order to write takes row locks (`with_for_update`),
in the order: shared resources, instances by id, nodes by id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import MetaData, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from linklocal.errors import OperatorError, Unavailable

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

SQLITE_BUSY_SECONDS = 10


class Database:
    """An open database. Made by `open_database`; closed with `close`."""

    def __init__(self, engine: AsyncEngine, url: str) -> None:
        self.engine = engine
        self.url = url

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A unit of work: commits at the end of the block, rolls back when it raises.

        Raises Unavailable when the database cannot be reached.
        """
        async with _reachable(), self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A consistent snapshot for reading; takes no write lock. Raises Unavailable."""
        async with _reachable(), self.engine.connect() as connection:
            options: dict[str, Any] = (
                {"linklocal_read": True}
                if self.is_sqlite
                else {"isolation_level": "REPEATABLE READ"}
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


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(f"The database cannot be reached: {error.orig}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("The connection to the database was lost.") from error
        raise


def open_database(url: str) -> Database:
    """Open `sqlite:///path`, `sqlite://` (memory, for tests) or `postgresql://...`.

    Connects lazily. Raises OperatorError for any other URL.
    """
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"))
            _prepare_sqlite(engine)
        case "postgresql":
            engine = create_async_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_size=10,
                max_overflow=10,
                pool_pre_ping=True,
                isolation_level="READ COMMITTED",
            )
        case other:
            raise OperatorError(
                f"linklocal does not store in {other!r}.",
                "Set LINKLOCAL_DATABASE_URL to sqlite:///FILE or postgresql://USER@HOST/NAME.",
                exit_code=2,
            )
    return Database(engine, url)


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # pysqlite's own transaction handling would hide BEGIN IMMEDIATE from us.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        # A deferred transaction that reads first and writes later can fail on a stale snapshot;
        # taking the write lock at once turns that into a short wait.
        deferred = connection.get_execution_options().get("linklocal_read", False)
        connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")
