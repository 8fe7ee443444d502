"""Names: unique per kind and region; `ibm-` belongs to the provider (control-plane contract 1.6).

Two requests may take one name at the same time, and no query before the write can prevent that: the
database's unique constraint decides, and `unique` turns its refusal into the answer of the contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg.errors
from sqlalchemy import Select, Table, UniqueConstraint, bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Invalid, Problem, Target, bad_field
from linklocal.ids import generated_name
from linklocal.vpc.scopes import DERIVED, Scope

PROVIDER_PREFIX = "ibm-"
_SQLITE_UNIQUE = re.compile(r"UNIQUE constraint failed: (.+)")


def name_taken(kind: str, name: str, field: str = "name") -> Problem:
    """400 `validation_unique_failed` (contract 1.4). `kind` in words: `instance`, `VPC`."""
    article = "an" if kind[0] in "aeiou" else "a"
    return Problem(
        "validation_unique_failed",
        f"There is already {article} {kind} named {name!r} in this region: choose another name.",
        Target(field, "field", name),
    )


def name_reserved(name: str | None, field: str = "name") -> list[Problem]:
    """A problem when a user takes a name of the provider's."""
    if name is None or not name.startswith(PROVIDER_PREFIX):
        return []
    return [bad_field(field, f"Names that begin with `{PROVIDER_PREFIX}` are reserved.", name)]


async def name_problems(
    connection: AsyncConnection,
    scope: Scope,
    table: Table,
    kind: str,
    name: str | None,
    field: str = "name",
) -> list[Problem]:
    """What is wrong with a name that a user asks for: reserved, or taken by a row of `scope`.

    `scope`: the rows of `table` that must have different names (`rows.own`). Another request may still
    take the name before the write: see `unique`.
    """
    if name is None:
        return []
    if await _is_taken(connection, scope, table, name):
        return [*name_reserved(name, field), name_taken(kind, name, field)]
    return name_reserved(name, field)


async def fresh_name(connection: AsyncConnection, scope: Scope, table: Table) -> str:
    """A generated name that no row of `scope` (as for `name_problems`) has.

    Four random words do repeat once a region holds some ten thousand of a kind.
    """
    while True:
        name = generated_name()
        if not await _is_taken(connection, scope, table, name):
            return name


async def _is_taken(connection: AsyncConnection, scope: Scope, table: Table, name: str) -> bool:
    statement = _taken(scope.statement, table)
    return bool(await connection.scalar(statement, scope.seeking(name)))


@lru_cache(maxsize=DERIVED)
def _taken(rows: Select[Any], table: Table) -> Select[tuple[bool]]:
    return select(
        rows.with_only_columns(table.c.id).where(table.c.name == bindparam("wanted")).exists()
    )


@contextmanager
def unique(table: Table, **problems: Problem) -> Iterator[None]:
    """Around a write to `table`: the violation of a unique constraint becomes Invalid.

    `problems` has, for the last column of each such constraint, what to answer:

        with unique(keys, name=name_taken("key", name), fingerprint=...):
            await connection.execute(insert(keys).values(...))

    The transaction is of no more use after that; let the error leave it. Any other integrity error
    is raised as it is.
    """
    try:
        yield
    except IntegrityError as error:
        column = _violated_column(table, error)
        if column is None or column not in problems:
            raise
        raise Invalid(problems[column]) from error


def _violated_column(table: Table, error: IntegrityError) -> str | None:
    """The last column of the unique constraint of `table` that the write violated."""
    if isinstance(error.orig, psycopg.errors.UniqueViolation):
        for constraint in table.constraints:
            if (
                isinstance(constraint, UniqueConstraint)
                and constraint.name == error.orig.diag.constraint_name
            ):
                return str(list(constraint.columns)[-1].name)
        return None
    if (match := _SQLITE_UNIQUE.search(str(error.orig))) is None:
        return None
    owner, _, column = match[1].split(", ")[-1].partition(".")
    return column if owner == table.name else None
