"""Rows of the caller's account in this region: the scope of every query of the VPC API, and one by id."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, Table, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import NotFound, Problem
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.scopes import DERIVED, Scope, account_rows, account_scope

View = dict[str, Any]
Problems = list[Problem]
# (Named here because in a class with a method `list` that word is the method.)
# What a list answers with: views of one page, total count, start of the next page.
ViewPage = tuple[list[View], int, str | None]


def of_account(context: VpcContext, caller: Caller, table: Table) -> Select[Any]:
    """The rows of `table` (columns `account_id` and `region`) that the caller's account has here."""
    return select(table).where(
        table.c.account_id == caller.account_id, table.c.region == context.region.name
    )


def own(context: VpcContext, caller: Caller, table: Table) -> Scope:
    """The same rows, for what looks for one of them: `resolve`, `name_problems`, `find_row`."""
    return account_scope(table, caller.account_id, context.region.name)


@lru_cache(maxsize=DERIVED)
def one_by_id(table: Table, *, lock: bool) -> Select[Any]:
    """One row of the account's (`own(...).seeking(id)` are the parameters); `lock` takes it FOR UPDATE."""
    statement = account_rows(table).where(table.c.id == bindparam("wanted"))
    return statement.with_for_update() if lock else statement


async def find_row(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    table: Table,
    id: str,
    *,
    parameter: str = "id",
    lock: bool = False,
) -> Row[Any]:
    """One row of the caller's, by id; `lock` takes it FOR UPDATE. Raises NotFound (`parameter`)."""
    wanted = own(context, caller, table).seeking(id)
    found = await connection.execute(one_by_id(table, lock=lock), wanted)
    row: Row[Any] | None = found.one_or_none()
    if row is None:
        raise NotFound(parameter, id)
    return row
