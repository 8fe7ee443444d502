"""The schema's history: one line of revisions, run alike on both databases. No domain words.

`versions/` holds SQL that stands for itself: a revision never imports a slice's tables, which go on
changing. How the tables differ from the newest revision is looked up by
`python -m linklocal.store.migrations MESSAGE` (development) and by a test.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, pool, text
from sqlalchemy.exc import OperationalError

import linklocal
from linklocal.errors import OperatorError
from linklocal.store import sqlite
from linklocal.store.engine import database_url, metadata

FOLDER = Path(__file__).parent
# Two replicas that are started together must not both migrate. Any number; this one is ours.
_ADVISORY_LOCK = 0x6C696E6B6C6F63


def import_tables() -> MetaData:
    """The metadata with every slice's tables: whatever module of the package is named `tables`.

    For tests and for making revisions. A server never needs it: the revisions hold the schema.
    """
    for module in pkgutil.walk_packages(linklocal.__path__, f"{linklocal.__name__}."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)
    return metadata


def configuration(connection: Connection | None = None, target: MetaData | None = None) -> Config:
    """Alembic's configuration: no ini file, everything in the package. `target` to make a revision."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    config.attributes["target_metadata"] = target
    return config


def head() -> str:
    """The revision that this version of linklocal needs."""
    revision = ScriptDirectory.from_config(configuration()).get_current_head()
    assert revision is not None
    return revision


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """A plain, blocking connection in a transaction. Raises OperatorError when there is no database."""
    parsed = database_url(url)
    driver = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql+psycopg"
    engine = create_engine(parsed.set(drivername=driver), poolclass=pool.NullPool)
    if driver == "sqlite":
        sqlite.prepare(engine, foreign_keys=False)
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise OperatorError(
            f"The database {parsed.render_as_string()} cannot be opened: {error.orig}",
            "Start it, or name another one with LINKLOCAL_DATABASE_URL.",
        ) from error
    with connection, connection.begin():
        yield connection


def upgrade(url: str) -> str:
    """Bring the schema to `head`, in one transaction: all of it or nothing. Returns the revision.

    Safe to repeat and to run from several processes at once. Raises OperatorError when the database is
    of a newer linklocal.
    """
    with connect(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _ADVISORY_LOCK})
        _refuse_newer(_revision(connection))
        command.upgrade(configuration(connection), "head")
        if connection.dialect.name == "sqlite":
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise OperatorError(
                    f"Rows of {broken[0]} refer to rows of {broken[2]} that do not exist.",
                    "Restore the database from a backup. Nothing was changed.",
                )
    return head()


def current(url: str) -> str | None:
    """The revision that the database is at; None when it is empty. Raises OperatorError."""
    with connect(url) as connection:
        return _revision(connection)


def is_current(url: str) -> bool:
    """Whether the database is as this version of linklocal needs it."""
    return current(url) == head()


def require_current(url: str) -> None:
    """Raises OperatorError with what to do unless `is_current`."""
    revision = current(url)
    _refuse_newer(revision)
    if revision != head():
        at = "has no schema yet" if revision is None else f"is at schema revision {revision}"
        raise OperatorError(
            f"The database {at}; this linklocal needs revision {head()}.",
            "Run `linklocal db upgrade` with the same LINKLOCAL_DATABASE_URL.",
        )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(revision: str | None) -> None:
    known = {
        script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()
    }
    if revision is not None and revision not in known:
        raise OperatorError(
            f"The database is at schema revision {revision}, which this linklocal does not know.",
            "Install the version of linklocal that wrote it, or a newer one.",
        )
