"""The revisions make exactly the tables that the code declares, on both databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres import PostgresServer
from sqlalchemy.exc import DBAPIError

from linklocal.errors import OperatorError
from linklocal.store import migrations

REMAKE = 'python -m linklocal.store.migrations "What changed" (add --replace if it is not released)'


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without a schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create()
    yield server.url(name)
    server.drop(name)


def test_the_revisions_make_the_declared_tables(empty_url: str) -> None:
    assert migrations.upgrade(empty_url) == migrations.head()

    with migrations.connect(empty_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, migrations.import_tables())
    assert differences == [], f"the tables have changed: {REMAKE}"


def test_partial_indexes_survive(empty_url: str) -> None:
    """Alembic does not compare the condition of an index, and this one frees a revoked node's name."""
    migrations.upgrade(empty_url)

    with migrations.connect(empty_url) as connection:
        indexes = {index["name"]: index for index in sa.inspect(connection).get_indexes("nodes")}
        options = indexes["uq_nodes_region_name"]["dialect_options"]
        assert "revoked_at IS NULL" in str(options[f"{connection.dialect.name}_where"])


def test_upgrading_again_changes_nothing(empty_url: str) -> None:
    migrations.upgrade(empty_url)

    assert migrations.upgrade(empty_url) == migrations.head()
    assert migrations.is_current(empty_url)
    migrations.require_current(empty_url)


UPGRADE = """
import sys
from linklocal.store import migrations
print("ready", flush=True)
sys.stdin.readline()
migrations.upgrade(sys.argv[1])
"""


def test_processes_may_upgrade_at_once(empty_url: str) -> None:
    """As replicas do that are started together."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", UPGRADE, empty_url]
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert migrations.is_current(empty_url)


def test_an_empty_database_says_how_to_get_a_schema(empty_url: str) -> None:
    assert migrations.current(empty_url) is None

    with pytest.raises(OperatorError, match="no schema yet") as raised:
        migrations.require_current(empty_url)
    assert "linklocal db upgrade" in raised.value.next_step


def test_a_database_of_a_newer_linklocal_is_left_alone(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    with migrations.connect(empty_url) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    for refuse in (migrations.upgrade, migrations.require_current):
        with pytest.raises(OperatorError, match="9999"):
            refuse(empty_url)


def test_a_failed_revision_leaves_nothing_behind(empty_url: str) -> None:
    """A stranger's table is in the way of one of the last that the revision makes."""
    with migrations.connect(empty_url) as connection:
        connection.execute(sa.text("CREATE TABLE volumes (id INTEGER)"))

    with pytest.raises(DBAPIError, match="volumes"):
        migrations.upgrade(empty_url)

    with migrations.connect(empty_url) as connection:
        assert sa.inspect(connection).get_table_names() == ["volumes"]


def test_the_schema_goes_forward_only(empty_url: str) -> None:
    migrations.upgrade(empty_url)

    with (
        migrations.connect(empty_url) as connection,
        pytest.raises(RuntimeError, match="restore a backup"),
    ):
        command.downgrade(migrations.configuration(connection), "base")
    assert migrations.is_current(empty_url)


def test_history_is_one_line() -> None:
    scripts = ScriptDirectory.from_config(migrations.configuration())

    assert scripts.get_heads() == [migrations.head()]
    assert scripts.get_bases() == ["0001"]


def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://user:hidden@/name?host={tmp_path}"

    with pytest.raises(OperatorError, match="cannot be opened") as raised:
        migrations.current(url)
    assert "hidden" not in str(raised.value)
