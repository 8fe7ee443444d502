"""Rows of the caller's account in this region: the scope of every query of the VPC API, and one by id."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import NotFound, Problem
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext

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
    statement = of_account(context, caller, table).where(table.c.id == id)
    if lock:
        statement = statement.with_for_update()
    row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(parameter, id)
    return row
