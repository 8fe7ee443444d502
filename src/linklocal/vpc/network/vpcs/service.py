"""VPCs: create with all that belongs to one, list, get, rename, delete. Decides; knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import Conflict
from linklocal.iam.caller import Caller
from linklocal.ids import new_regional_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.http import check_if_match, etag
from linklocal.vpc.naming import fresh_name, name_problems, name_taken, unique
from linklocal.vpc.network.loaded import Named
from linklocal.vpc.network.security_groups.rules import default_rules
from linklocal.vpc.network.security_groups.views import security_group_views
from linklocal.vpc.network.shown import instances_in_vpc
from linklocal.vpc.network.tables import security_groups, subnets, vpcs
from linklocal.vpc.network.views import named
from linklocal.vpc.network.vpcs.model import VpcPatch, VpcPrototype
from linklocal.vpc.network.vpcs.views import (
    default_network_acl_view,
    default_routing_table_view,
    vpc_view,
)
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.references import raise_if
from linklocal.vpc.render import publish_instances
from linklocal.vpc.resource_groups import (
    resolve_resource_group,
    resource_group_reference,
    resource_group_references,
)
from linklocal.vpc.rows import ViewPage, find_row, of_account, own

# The default address prefixes: one /18 for each zone, in the order of the zones (contract 3).
DEFAULT_SPACE = IPv4Network("10.240.0.0/16")
DEFAULT_PREFIX_LENGTH = 18


async def insert_vpc(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    *,
    name: str | None,
    resource_group_id: str,
    prefixes: bool = True,
    classic_access: bool = False,
) -> Row[Any]:
    """A new VPC with its default ACL, routing table, security group and, if asked, address prefixes.

    Raises Invalid (`name`) when another request has taken the name.
    """
    region, now = context.region.name, context.clock.now()
    id = new_regional_id(region)
    scope = own(context, caller, vpcs)
    group_names = own(context, caller, security_groups)
    name = name or await fresh_name(connection, scope, vpcs)
    networks = DEFAULT_SPACE.subnets(new_prefix=DEFAULT_PREFIX_LENGTH)
    address_prefixes = [
        {
            "id": new_regional_id(region),
            "name": await fresh_name(connection, scope, vpcs),
            "cidr": str(network),
            "zone": zone,
            "is_default": True,
            "created_at": rfc3339_ms(now),
        }
        for zone, network in zip(context.region.zones, networks, strict=False)
        if prefixes
    ]
    statement = insert(vpcs).values(
        id=id,
        account_id=caller.account_id,
        region=region,
        name=name,
        crn=vpc_crn(region, caller.account_id, "vpc", id),
        version=1,
        classic_access=classic_access,
        default_network_acl={
            "id": new_regional_id(region),
            "name": await fresh_name(connection, scope, vpcs),
        },
        default_routing_table={
            "id": new_regional_id(region),
            "name": await fresh_name(connection, scope, vpcs),
        },
        address_prefixes=address_prefixes,
        resource_group_id=resource_group_id,
        created_at=now,
    )
    with unique(vpcs, name=name_taken("VPC", name)):
        row: Row[Any] = (await connection.execute(statement.returning(vpcs))).one()
    group_id = new_regional_id(region)
    await connection.execute(
        insert(security_groups).values(
            id=group_id,
            account_id=caller.account_id,
            region=region,
            vpc_id=id,
            name=await fresh_name(connection, group_names, security_groups),
            crn=vpc_crn(region, caller.account_id, "security-group", group_id),
            is_default=True,
            rules=default_rules(region, group_id),
            resource_group_id=resource_group_id,
            created_at=now,
        )
    )
    return row


class VpcService:
    """One instance per server; every method is one unit of work. Views come with their ETag."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _view(self, connection: AsyncConnection, row: Row[Any]) -> tuple[dict[str, Any], str]:
        view = (await self._views(connection, [row]))[0]
        return view, etag(row._mapping["id"], row._mapping["version"])

    async def _views(
        self, connection: AsyncConnection, rows: Sequence[Row[Any]]
    ) -> list[dict[str, Any]]:
        groups = await resource_group_references(
            connection, [row._mapping["resource_group_id"] for row in rows]
        )
        statement = select(security_groups).where(
            security_groups.c.vpc_id.in_([row._mapping["id"] for row in rows]),
            security_groups.c.is_default,
        )
        defaults = {
            group._mapping["vpc_id"]: named(group) for group in await connection.execute(statement)
        }
        return [
            vpc_view(
                dict(row._mapping),
                defaults[row._mapping["id"]],
                groups[row._mapping["resource_group_id"]],
            )
            for row in rows
        ]

    async def create(self, caller: Caller, body: VpcPrototype) -> tuple[dict[str, Any], str]:
        """VPC. Raises Invalid (`name`, `resource_group.id`)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.vpc.vpc.create")
            group_id, problems = await resolve_resource_group(
                connection, caller, body.resource_group
            )
            scope = own(self._context, caller, vpcs)
            problems += await name_problems(connection, scope, vpcs, "VPC", body.name)
            raise_if(problems)
            row = await insert_vpc(
                connection,
                self._context,
                caller,
                name=body.name,
                resource_group_id=group_id,
                prefixes=body.address_prefix_management != "manual",
                classic_access=body.classic_access is True,
            )
            return await self._view(connection, row)

    async def list(
        self,
        caller: Caller,
        page: Page,
        resource_group_id: str | None = None,
        classic_access: bool | None = None,
    ) -> ViewPage:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._context.authorizer.require(connection, caller, "is.vpc.vpc.list")
            statement = of_account(self._context, caller, vpcs)
            if resource_group_id is not None:
                statement = statement.where(vpcs.c.resource_group_id == resource_group_id)
            if classic_access is not None:
                statement = statement.where(vpcs.c.classic_access.is_(classic_access))
            rows, total, following = await select_page(connection, statement, vpcs, page)
            return await self._views(connection, rows), total, following

    async def get(self, caller: Caller, id: str) -> tuple[dict[str, Any], str]:
        """VPC. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._context.authorizer.require(connection, caller, "is.vpc.vpc.read")
            return await self._view(
                connection, await find_row(connection, self._context, caller, vpcs, id)
            )

    async def update(
        self, caller: Caller, id: str, patch: VpcPatch, if_match: str | None
    ) -> tuple[dict[str, Any], str]:
        """Rename; its instances show the new name. Raises NotFound, PreconditionFailed, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.vpc.vpc.update")
            row = await find_row(connection, self._context, caller, vpcs, id, lock=True)
            check_if_match(if_match, etag(id, row._mapping["version"]))
            name = patch.given().get("name", row._mapping["name"])
            if name == row._mapping["name"]:
                return await self._view(connection, row)
            scope = own(self._context, caller, vpcs)
            raise_if(await name_problems(connection, scope, vpcs, "VPC", name))
            statement = (
                update(vpcs)
                .where(vpcs.c.id == id)
                .values(name=name, version=vpcs.c.version + 1)
                .returning(vpcs)
            )
            with unique(vpcs, name=name_taken("VPC", name)):
                row = (await connection.execute(statement)).one()
            await publish_instances(
                connection, self._context, await instances_in_vpc(connection, id)
            )
            return await self._view(connection, row)

    async def delete(self, caller: Caller, id: str, if_match: str | None) -> None:
        """Its security groups go with it. Raises NotFound, PreconditionFailed, Conflict (subnets)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.vpc.vpc.delete")
            row = await find_row(connection, self._context, caller, vpcs, id, lock=True)
            check_if_match(if_match, etag(id, row._mapping["version"]))
            left = select(subnets.c.name).where(subnets.c.vpc_id == id).order_by(subnets.c.name)
            if names := list((await connection.execute(left.limit(3))).scalars()):
                raise Conflict(
                    f"The VPC has subnets ({', '.join(names)}): delete them first.", "id"
                )
            await connection.execute(delete(security_groups).where(security_groups.c.vpc_id == id))
            await connection.execute(delete(vpcs).where(vpcs.c.id == id))

    # What is made with a VPC

    async def default_security_group(self, caller: Caller, id: str) -> dict[str, Any]:
        """DefaultSecurityGroup. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._context.authorizer.require(connection, caller, "is.vpc.vpc.read")
            await find_row(connection, self._context, caller, vpcs, id)
            statement = select(security_groups).where(
                security_groups.c.vpc_id == id, security_groups.c.is_default
            )
            row = (await connection.execute(statement)).one()
            return (await security_group_views(connection, [row]))[0]

    async def default_network_acl(self, caller: Caller, id: str) -> dict[str, Any]:
        """DefaultNetworkACL. Raises NotFound."""
        async with self._context.database.read() as connection:
            row, used, group = await self._default(connection, caller, id)
            return default_network_acl_view(dict(row._mapping), used, group)

    async def default_routing_table(self, caller: Caller, id: str) -> dict[str, Any]:
        """DefaultRoutingTable. Raises NotFound."""
        async with self._context.database.read() as connection:
            row, used, group = await self._default(connection, caller, id)
            return default_routing_table_view(dict(row._mapping), used, group)

    async def _default(
        self, connection: AsyncConnection, caller: Caller, id: str
    ) -> tuple[Row[Any], Sequence[Named], dict[str, Any]]:
        await self._context.authorizer.require(connection, caller, "is.vpc.vpc.read")
        row = await find_row(connection, self._context, caller, vpcs, id)
        using = select(subnets).where(subnets.c.vpc_id == id).order_by(subnets.c.name)
        used = [named(subnet) for subnet in await connection.execute(using)]
        group = await resource_group_reference(connection, row._mapping["resource_group_id"])
        return row, used, group
