"""The `database` fixture: every test that asks for it runs twice, on SQLite and on PostgreSQL.

Each test gets a database with the whole schema and no row: on SQLite a copy of a file that was made once
per session, on PostgreSQL one database that is emptied after each test (a copy there takes longer than
most tests).
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from postgres import PostgresServer

from linklocal.store import migrations
from linklocal.store.engine import Database, open_database


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> str:
    name = postgres_server.create()
    migrations.upgrade(postgres_server.url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a fresh database with the schema."""
    if request.param == "sqlite":
        path = tmp_path / "linklocal.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name: str = request.getfixturevalue("postgres_database")
    yield server.url(name)
    server.empty(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database, fresh for this test."""
    database = open_database(database_url)
    yield database
    await database.close()
