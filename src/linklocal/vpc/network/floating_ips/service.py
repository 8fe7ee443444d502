"""Floating ips: reserve, list, get, rename, bind, release. Decides; knows no HTTP.

The addresses are of documentation networks: linklocal moves no packets, and none of them is anybody's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import Conflict, bad_field, missing_field
from linklocal.iam.caller import Caller
from linklocal.ids import new_regional_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import fresh_name, name_problems, name_taken, unique
from linklocal.vpc.network.addresses import FLOATING_RANGES
from linklocal.vpc.network.binding import bind_floating_ip, resolve_target
from linklocal.vpc.network.floating_ips.model import FloatingIpPatch, FloatingIpPrototype
from linklocal.vpc.network.loaded import LoadedFloatingIp
from linklocal.vpc.network.tables import (
    floating_ips,
    network_interfaces,
    subnets,
    virtual_network_interfaces,
)
from linklocal.vpc.network.targets import TargetFilter, load_targets
from linklocal.vpc.network.views import floating_ip_reference, zone_reference
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.references import raise_if
from linklocal.vpc.regions.views import resolve_zone
from linklocal.vpc.resource_groups import resolve_resource_group, resource_group_references
from linklocal.vpc.rows import Problems, View, ViewPage, find_row, of_account, own


async def floating_ip_views(
    connection: AsyncConnection, rows: Sequence[Row[Any]]
) -> list[dict[str, Any]]:
    """FloatingIP of each row, with a fixed number of queries."""
    targets = await load_targets(connection, [row._mapping["target_id"] for row in rows])
    groups = await resource_group_references(
        connection, [row._mapping["resource_group_id"] for row in rows]
    )
    views = []
    for row in rows:
        f = row._mapping
        loaded = LoadedFloatingIp(f["id"], f["crn"], f["name"], f["address"])
        view = {
            **floating_ip_reference(loaded),
            "created_at": rfc3339_ms(f["created_at"]),
            "resource_group": groups[f["resource_group_id"]],
            "status": "available",
            "zone": zone_reference(f["zone"]),
        }
        if f["target_id"] is not None:
            view["target"] = targets[f["target_id"]].reference()
        views.append(view)
    return views


class FloatingIpService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        action = f"is.floating-ip.floating-ip.{verb}"
        await self._context.authorizer.require(connection, caller, action)

    async def create(self, caller: Caller, body: FloatingIpPrototype) -> View:
        """FloatingIP. Raises Invalid (`zone`, `target`, `name`, `resource_group.id`), Conflict."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            zone, target_id, problems = await self._where(connection, caller, body)
            group_id, found = await resolve_resource_group(connection, caller, body.resource_group)
            problems += found
            scope = own(self._context, caller, floating_ips)
            problems += await name_problems(
                connection, scope, floating_ips, "floating ip", body.name
            )
            raise_if(problems)
            id = new_regional_id(self._context.region.name)
            name = body.name or await fresh_name(connection, scope, floating_ips)
            row = await self._insert(
                connection,
                id=id,
                account_id=caller.account_id,
                region=self._context.region.name,
                zone=zone,
                name=name,
                crn=vpc_crn(str(zone), caller.account_id, "floating-ip", id),
                target_id=None,
                resource_group_id=group_id,
                created_at=self._context.clock.now(),
            )
            if target_id is not None:
                row = await bind_floating_ip(
                    connection, self._context, caller, id, target_id, field="target"
                )
            return (await floating_ip_views(connection, [row]))[0]

    async def _where(
        self, connection: AsyncConnection, caller: Caller, body: FloatingIpPrototype
    ) -> tuple[str | None, str | None, Problems]:
        """Zone and target that the body asks for."""
        if body.zone is None and body.target is None:
            message = "Send the `zone` of the floating ip, or the `target` to bind it to."
            return None, None, [missing_field("zone", message)]
        if body.zone is not None and body.target is not None:
            message = "Send either `zone` or `target`, not both: a target has a zone."
            return None, None, [bad_field("zone", message)]
        if body.zone is not None:
            zone, problems = resolve_zone(self._context.region, body.zone)
            return zone, None, problems
        assert body.target is not None
        target_id, problems = await resolve_target(connection, self._context, caller, body.target)
        if target_id is None:
            return None, None, problems
        vni, older = virtual_network_interfaces, network_interfaces
        zone = await connection.scalar(select(vni.c.zone).where(vni.c.id == target_id))
        if zone is None:
            of_interface = (
                select(subnets.c.zone)
                .join(older, older.c.subnet_id == subnets.c.id)
                .where(older.c.id == target_id)
            )
            zone = await connection.scalar(of_interface)
        return zone, target_id, []

    async def _insert(self, connection: AsyncConnection, **values: Any) -> Row[Any]:
        """A row with the lowest free address.

        Another request may take that address at the same time: the unique index decides, and the loser
        tries the next one.
        """
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        with unique(floating_ips, name=name_taken("floating ip", values["name"])):
            async for address in _free_addresses(connection):
                statement = (
                    dialect.insert(floating_ips)
                    .values(address=address, **values)
                    .on_conflict_do_nothing(index_elements=["address"])
                    .returning(floating_ips)
                )
                row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
                if row is not None:
                    return row
        raise Conflict("There is no free floating ip left: delete one first.", "zone")

    async def list(
        self,
        caller: Caller,
        page: Page,
        resource_group_id: str | None = None,
        target: TargetFilter | None = None,
    ) -> ViewPage:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            statement = of_account(self._context, caller, floating_ips)
            if resource_group_id is not None:
                statement = statement.where(floating_ips.c.resource_group_id == resource_group_id)
            condition = (target or TargetFilter()).condition(floating_ips.c.target_id)
            if condition is not None:
                statement = statement.where(condition)
            rows, total, following = await select_page(connection, statement, floating_ips, page)
            return await floating_ip_views(connection, rows), total, following

    async def get(self, caller: Caller, id: str) -> View:
        """FloatingIP. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            row = await find_row(connection, self._context, caller, floating_ips, id)
            return (await floating_ip_views(connection, [row]))[0]

    async def update(self, caller: Caller, id: str, patch: FloatingIpPatch) -> View:
        """Rename, bind, dissociate. Raises NotFound, Invalid (`name`, `target`), Conflict."""
        given = patch.given()
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            row = await find_row(connection, self._context, caller, floating_ips, id)
            problems: Problems = []
            name = given.get("name", row._mapping["name"])
            if name != row._mapping["name"]:
                scope = own(self._context, caller, floating_ips)
                problems += await name_problems(
                    connection, scope, floating_ips, "floating ip", name
                )
            target_id = row._mapping["target_id"]
            if "target" in given:
                target_id = None
                if patch.target is not None:
                    target_id, found = await resolve_target(
                        connection, self._context, caller, patch.target
                    )
                    problems += found
            raise_if(problems)
            with unique(floating_ips, name=name_taken("floating ip", name)):
                row = await bind_floating_ip(
                    connection,
                    self._context,
                    caller,
                    id,
                    target_id,
                    field="target",
                    values={"name": name},
                )
            return (await floating_ip_views(connection, [row]))[0]

    async def delete(self, caller: Caller, id: str) -> None:
        """Dissociates and releases it. Raises NotFound, Conflict (changed meanwhile)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            await bind_floating_ip(connection, self._context, caller, id, None)
            await connection.execute(delete(floating_ips).where(floating_ips.c.id == id))


async def _free_addresses(connection: AsyncConnection) -> AsyncIterator[str]:
    """Addresses that no floating ip had when this began, lowest first."""
    used = set((await connection.execute(select(floating_ips.c.address))).scalars())
    for network in FLOATING_RANGES:
        for address in map(str, network.hosts()):
            if address not in used:
                yield address
