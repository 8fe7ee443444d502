"""Placement groups: create, list, get, rename, delete. Decides; knows no HTTP.

linklocal spreads nothing over hosts: an operator places instances. A group is kept because instances
show the one they are in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import Conflict
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId, generated_name, new_regional_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.placement_groups.model import PlacementGroupPatch, PlacementGroupPrototype
from linklocal.vpc.placement_groups.tables import placement_groups
from linklocal.vpc.references import raise_if
from linklocal.vpc.render import publish_instances
from linklocal.vpc.resource_groups import (
    resolve_resource_group,
    resource_group_reference,
    resource_group_references,
)
from linklocal.vpc.rows import find_row, of_account, own
from linklocal.vpc.scopes import Scope


def placement_group_view(row: Row[Any], resource_group: Mapping[str, Any]) -> dict[str, Any]:
    """PlacementGroup. `resource_group` is the reference to the row's group."""
    g = row._mapping
    return {
        "created_at": rfc3339_ms(g["created_at"]),
        "crn": g["crn"],
        "href": f"/v1/placement_groups/{g['id']}",
        "id": g["id"],
        "lifecycle_state": "stable",
        "name": g["name"],
        "resource_group": resource_group,
        "resource_type": "placement_group",
        "strategy": g["strategy"],
    }


class PlacementGroupService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    def _own(self, caller: Caller) -> Scope:
        return own(self._context, caller, placement_groups)

    def _of(self, caller: Caller) -> Select[Any]:
        return of_account(self._context, caller, placement_groups)

    async def _get(
        self, connection: AsyncConnection, caller: Caller, id: str, *, lock: bool = False
    ) -> Row[Any]:
        return await find_row(connection, self._context, caller, placement_groups, id, lock=lock)

    async def _view(self, connection: AsyncConnection, row: Row[Any]) -> dict[str, Any]:
        group = await resource_group_reference(connection, row._mapping["resource_group_id"])
        return placement_group_view(row, group)

    @staticmethod
    async def _members(connection: AsyncConnection, id: str) -> Sequence[InstanceId]:
        statement = select(instances.c.id).where(instances.c.placement_group_id == id)
        found = (await connection.execute(statement)).scalars()
        return sorted(InstanceId(instance_id) for instance_id in found)

    async def _require(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        action = f"is.placement-group.placement-group.{verb}"
        await self._context.authorizer.require(connection, caller, action)

    async def create(self, caller: Caller, prototype: PlacementGroupPrototype) -> dict[str, Any]:
        """PlacementGroup view. Raises Invalid (`name`, `resource_group.id`)."""
        region = self._context.region.name
        async with self._context.database.transaction() as connection:
            await self._require(connection, caller, "create")
            group_id, problems = await resolve_resource_group(
                connection, caller, prototype.resource_group
            )
            problems += await name_problems(
                connection,
                self._own(caller),
                placement_groups,
                "placement group",
                prototype.name,
            )
            raise_if(problems)
            id = new_regional_id(region)
            name = prototype.name or generated_name()
            statement = insert(placement_groups).values(
                id=id,
                account_id=caller.account_id,
                region=region,
                name=name,
                crn=vpc_crn(region, caller.account_id, "placement-group", id),
                strategy=prototype.strategy,
                resource_group_id=group_id,
                created_at=self._context.clock.now(),
            )
            with unique(placement_groups, name=name_taken("placement group", name)):
                row = (await connection.execute(statement.returning(placement_groups))).one()
            return await self._view(connection, row)

    async def list(
        self, caller: Caller, page: Page
    ) -> tuple[list[dict[str, Any]], int, str | None]:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "list")
            rows, total, following = await select_page(
                connection, self._of(caller), placement_groups, page
            )
            groups = await resource_group_references(
                connection, [row._mapping["resource_group_id"] for row in rows]
            )
            views = [
                placement_group_view(row, groups[row._mapping["resource_group_id"]]) for row in rows
            ]
            return views, total, following

    async def get(self, caller: Caller, id: str) -> dict[str, Any]:
        """PlacementGroup view. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "read")
            return await self._view(connection, await self._get(connection, caller, id))

    async def update(self, caller: Caller, id: str, patch: PlacementGroupPatch) -> dict[str, Any]:
        """Rename; the instances in it show the new name. Raises NotFound, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._require(connection, caller, "update")
            row = await self._get(connection, caller, id, lock=True)
            name = patch.given().get("name", row._mapping["name"])
            if name == row._mapping["name"]:
                return await self._view(connection, row)
            raise_if(
                await name_problems(
                    connection, self._own(caller), placement_groups, "placement group", name
                )
            )
            statement = (
                update(placement_groups).where(placement_groups.c.id == id).values(name=name)
            )
            with unique(placement_groups, name=name_taken("placement group", name)):
                row = (await connection.execute(statement.returning(placement_groups))).one()
            await publish_instances(connection, self._context, await self._members(connection, id))
            return await self._view(connection, row)

    async def delete(self, caller: Caller, id: str) -> None:
        """Raises NotFound, and Conflict while instances are in the group."""
        async with self._context.database.transaction() as connection:
            await self._require(connection, caller, "delete")
            # Who creates an instance in the group holds a share lock on it: there can be no newer one.
            await self._get(connection, caller, id, lock=True)
            if members := await self._members(connection, id):
                message = (
                    f"The placement group has {len(members)} instance(s), such as {members[0]}: "
                    "delete them first, or take them out of the group."
                )
                raise Conflict(message)
            await connection.execute(delete(placement_groups).where(placement_groups.c.id == id))
