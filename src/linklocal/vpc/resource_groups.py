"""Resource groups as the VPC API refers to them: `{id, name, href}` in answers, `{id}` in bodies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Problem, not_found_field
from linklocal.iam.caller import Caller
from linklocal.iam.tables import resource_groups
from linklocal.vpc.http import ResponseModel
from linklocal.vpc.references import ResourceGroupIdentity

# Asked at most calls: made once, since to build a statement takes longer than to run it.
_BY_IDS = select(resource_groups).where(resource_groups.c.id.in_(bindparam("ids", expanding=True)))
_DEFAULT = select(resource_groups.c.id).where(
    resource_groups.c.account_id == bindparam("account"), resource_groups.c.is_default
)


class ResourceGroupReference(ResponseModel):
    href: str
    id: str
    name: str


async def resource_group_references(
    connection: AsyncConnection, ids: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """ResourceGroupReferences of existing groups, by id, with one query."""
    return {
        row.id: {"href": f"/v2/resource_groups/{row.id}", "id": row.id, "name": row.name}
        for row in await connection.execute(_BY_IDS, {"ids": sorted(set(ids))})
    }


async def resource_group_reference(connection: AsyncConnection, id: str) -> dict[str, Any]:
    """ResourceGroupReference of one existing group; lists use `resource_group_references`."""
    return (await resource_group_references(connection, [id]))[id]


async def resource_groups_of(connection: AsyncConnection, caller: Caller) -> list[dict[str, Any]]:
    """ResourceGroupReferences of all groups of the caller's account, the default one first."""
    columns = resource_groups.c
    statement = select(columns.id).where(columns.account_id == caller.account_id)
    ordered = statement.order_by(columns.is_default.desc(), columns.name)
    ids = (await connection.scalars(ordered)).all()
    found = await resource_group_references(connection, ids)
    return [found[id] for id in ids]


async def resolve_resource_group(
    connection: AsyncConnection,
    caller: Caller,
    identity: ResourceGroupIdentity | None,
    field: str = "resource_group",
) -> tuple[str, list[Problem]]:
    """The id of the group asked for, or of the account's default one. `field`: where the body has it."""
    if identity is None:
        default = await connection.execute(_DEFAULT, {"account": caller.account_id})
        return str(default.scalar_one()), []
    asked = select(resource_groups.c.id).where(
        resource_groups.c.account_id == caller.account_id, resource_groups.c.id == identity.id
    )
    if (found := (await connection.execute(asked)).scalar_one_or_none()) is not None:
        return str(found), []
    message = "There is no resource group with this id: leave it out to use the default one."
    return "", [not_found_field(f"{field}.id", message, identity.id)]
