"""INSERT ... ON CONFLICT, spelt the same for both databases."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert, ReturningInsert


def upsert(connection: AsyncConnection, table: Table, columns: tuple[str, ...]) -> Insert:
    """An insert that replaces `columns` of a row with the same primary key. One and the same statement:
    give the row as parameters when it is executed.
    """
    return _upsert(connection.dialect.name, table, columns)


@cache  # to build it takes as long as to run it
def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    keys = list(table.primary_key.columns)
    if dialect == "postgresql":
        pg = postgresql_insert(table)
        return pg.on_conflict_do_update(
            index_elements=keys, set_={name: pg.excluded[name] for name in columns}
        )
    lite = sqlite_insert(table)
    return lite.on_conflict_do_update(
        index_elements=keys, set_={name: lite.excluded[name] for name in columns}
    )


def insert_new(connection: AsyncConnection, table: Table) -> ReturningInsert[Any]:
    """An insert that leaves a row with the same primary key alone; RETURNING tells whether it was new.

    On PostgreSQL it waits for an uncommitted row of the same key, and so never lets two in. Give the row
    as parameters when it is executed: the statement is one and the same.
    """
    return _insert_new(connection.dialect.name, table)


@cache  # to build it takes as long as to run it
def _insert_new(dialect: str, table: Table) -> ReturningInsert[Any]:
    keys = list(table.primary_key.columns)
    new: Insert
    if dialect == "postgresql":
        new = postgresql_insert(table).on_conflict_do_nothing(index_elements=keys)
    else:
        new = sqlite_insert(table).on_conflict_do_nothing(index_elements=keys)
    return new.returning(*keys)
