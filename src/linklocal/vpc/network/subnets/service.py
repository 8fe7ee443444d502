"""Subnets: create by network or by size, list, get, rename, delete. Decides; knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import Conflict, Problem, bad_field, not_found_field
from linklocal.iam.caller import Caller
from linklocal.ids import new_zonal_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import fresh_name, name_problems, name_taken, unique
from linklocal.vpc.network.addresses import provider_addresses
from linklocal.vpc.network.locks import lock_rows
from linklocal.vpc.network.shown import instances_in_subnet
from linklocal.vpc.network.subnets.model import SubnetPatch, SubnetPrototype
from linklocal.vpc.network.subnets.placing import place_subnet
from linklocal.vpc.network.tables import (
    network_interfaces,
    reserved_ips,
    subnets,
    virtual_network_interfaces,
    vpcs,
)
from linklocal.vpc.network.views import named, subnet_reference, vpc_reference, zone_reference
from linklocal.vpc.network.vpcs.prefixes import subnet_cidrs
from linklocal.vpc.network.vpcs.views import network_acl_reference, routing_table_reference
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.references import Identity, href_id, raise_if, resolve
from linklocal.vpc.regions.views import resolve_zone
from linklocal.vpc.render import publish_instances
from linklocal.vpc.resource_groups import resolve_resource_group, resource_group_references
from linklocal.vpc.rows import Problems, View, ViewPage, find_row, of_account, own


@dataclass(frozen=True, slots=True)
class SubnetFilter:
    """What `list_subnets` may be narrowed by (contract 2.1). None: not asked."""

    resource_group_id: str | None = None
    zone_name: str | None = None
    vpc_id: str | None = None
    vpc_crn: str | None = None
    vpc_name: str | None = None
    routing_table_id: str | None = None
    routing_table_name: str | None = None

    def apply(self, statement: Select[Any]) -> Select[Any]:
        """The statement over `subnets`, narrowed."""
        default_table = vpcs.c.default_routing_table
        for column, value in (
            (vpcs.c.id, self.vpc_id),
            (vpcs.c.crn, self.vpc_crn),
            (vpcs.c.name, self.vpc_name),
            (default_table["id"].as_string(), self.routing_table_id),
            (default_table["name"].as_string(), self.routing_table_name),
        ):
            if value is not None:
                of = select(vpcs.c.id).where(column == value)
                statement = statement.where(subnets.c.vpc_id.in_(of))
        if self.resource_group_id is not None:
            statement = statement.where(subnets.c.resource_group_id == self.resource_group_id)
        if self.zone_name is not None:
            statement = statement.where(subnets.c.zone == self.zone_name)
        return statement


async def insert_subnet(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    *,
    vpc_id: str,
    zone: str,
    network: IPv4Network,
    name: str | None,
    resource_group_id: str,
) -> Row[Any]:
    """A new subnet with the provider's reserved ips. The VPC is locked and the network checked.

    Raises Invalid (`name`) when another request has taken the name.
    """
    id, now = new_zonal_id(zone), context.clock.now()
    name = name or await fresh_name(connection, own(context, caller, subnets), subnets)
    statement = insert(subnets).values(
        id=id,
        account_id=caller.account_id,
        region=context.region.name,
        zone=zone,
        vpc_id=vpc_id,
        name=name,
        crn=vpc_crn(zone, caller.account_id, "subnet", id),
        ipv4_cidr_block=str(network),
        resource_group_id=resource_group_id,
        created_at=now,
    )
    with unique(subnets, name=name_taken("subnet", name)):
        row: Row[Any] = (await connection.execute(statement.returning(subnets))).one()
    await connection.execute(
        insert(reserved_ips),
        [
            {
                "id": new_zonal_id(zone),
                "subnet_id": id,
                "address": str(address),
                "address_number": int(address),
                "name": address_name,
                "owner": "provider",
                "auto_delete": False,
                "target_id": None,
                "created_at": now,
            }
            for address, address_name in provider_addresses(network)
        ],
    )
    return row


class SubnetService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        await self._context.authorizer.require(connection, caller, f"is.subnet.subnet.{verb}")

    async def _views(self, connection: AsyncConnection, rows: Sequence[Row[Any]]) -> Sequence[View]:
        ids = [row._mapping["id"] for row in rows]
        counting = (
            select(reserved_ips.c.subnet_id, func.count())
            .where(reserved_ips.c.subnet_id.in_(ids))
            .group_by(reserved_ips.c.subnet_id)
        )
        taken = {row[0]: row[1] for row in await connection.execute(counting)}
        of = select(vpcs).where(vpcs.c.id.in_(sorted({row._mapping["vpc_id"] for row in rows})))
        networks = {vpc._mapping["id"]: vpc for vpc in await connection.execute(of)}
        groups = await resource_group_references(
            connection, [row._mapping["resource_group_id"] for row in rows]
        )
        views = []
        for row in rows:
            s, vpc = row._mapping, networks[row._mapping["vpc_id"]]
            total = IPv4Network(s["ipv4_cidr_block"]).num_addresses
            views.append(
                {
                    **subnet_reference(named(row)),
                    "available_ipv4_address_count": total - taken[s["id"]],
                    "created_at": rfc3339_ms(s["created_at"]),
                    "ip_version": "ipv4",
                    "ipv4_cidr_block": s["ipv4_cidr_block"],
                    "network_acl": network_acl_reference(dict(vpc._mapping)),
                    "resource_group": groups[s["resource_group_id"]],
                    "routing_table": routing_table_reference(dict(vpc._mapping)),
                    "status": "available",
                    "total_ipv4_address_count": total,
                    "vpc": vpc_reference(named(vpc)),
                    "zone": zone_reference(s["zone"]),
                }
            )
        return views

    async def create(self, caller: Caller, body: SubnetPrototype) -> View:
        """Subnet. Raises Invalid (`vpc`, `ipv4_cidr_block`, `total_ipv4_address_count`, `zone`, ...)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            problems: list[Problem] = []
            zone: str | None = None
            if body.zone is not None:
                zone, problems = resolve_zone(self._context.region, body.zone)
            group_id, found = await resolve_resource_group(connection, caller, body.resource_group)
            scope = own(self._context, caller, subnets)
            problems += found
            problems += await name_problems(connection, scope, subnets, "subnet", body.name)
            vpc, found = await self._locked_vpc(connection, caller, body.vpc)
            problems += found
            network: IPv4Network | None = None
            if vpc is not None:
                v = dict(vpc._mapping)
                problems += _check_defaults(body, v)
                used = await subnet_cidrs(connection, v["id"])
                zone, network, found = place_subnet(body, zone, v["address_prefixes"], used)
                problems += found
            raise_if(problems)
            assert vpc is not None
            assert zone is not None
            assert network is not None
            row = await insert_subnet(
                connection,
                self._context,
                caller,
                vpc_id=vpc._mapping["id"],
                zone=zone,
                network=network,
                name=body.name,
                resource_group_id=group_id,
            )
            return (await self._views(connection, [row]))[0]

    async def _locked_vpc(
        self, connection: AsyncConnection, caller: Caller, identity: Identity
    ) -> tuple[Row[Any] | None, Problems]:
        """The VPC, locked: nobody else makes a subnet in it before this one is there."""
        scope = own(self._context, caller, vpcs)
        row, problems = await resolve(connection, vpcs, identity, "vpc", scope=scope)
        if row is None:
            return None, problems
        locked = await lock_rows(connection, vpcs, [row._mapping["id"]], key_share=True)
        if (row := locked.get(row._mapping["id"])) is None:  # deleted since it was found
            return None, [not_found_field("vpc", "There is no VPC with this id.")]
        return row, []

    async def list(self, caller: Caller, page: Page, asked: SubnetFilter) -> ViewPage:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            statement = asked.apply(of_account(self._context, caller, subnets))
            rows, total, following = await select_page(connection, statement, subnets, page)
            return [*await self._views(connection, rows)], total, following

    async def get(self, caller: Caller, id: str) -> View:
        """Subnet. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            row = await find_row(connection, self._context, caller, subnets, id)
            return (await self._views(connection, [row]))[0]

    async def update(self, caller: Caller, id: str, patch: SubnetPatch) -> View:
        """Rename; instances with an interface in it show the new name. Raises NotFound, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            row = await find_row(connection, self._context, caller, subnets, id, lock=True)
            name = patch.given().get("name", row._mapping["name"])
            if name != row._mapping["name"]:
                scope = own(self._context, caller, subnets)
                raise_if(await name_problems(connection, scope, subnets, "subnet", name))
                statement = update(subnets).where(subnets.c.id == id).values(name=name)
                with unique(subnets, name=name_taken("subnet", name)):
                    row = (await connection.execute(statement.returning(subnets))).one()
                users = await instances_in_subnet(connection, id)
                await publish_instances(connection, self._context, users)
            return (await self._views(connection, [row]))[0]

    async def delete(self, caller: Caller, id: str) -> None:
        """Reserved ips that are not bound go with it. Raises NotFound, Conflict (interfaces)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            await find_row(connection, self._context, caller, subnets, id, lock=True)
            used = union_all(
                *(
                    select(table.c.name).where(table.c.subnet_id == id)
                    for table in (virtual_network_interfaces, network_interfaces)
                )
            )
            if names := list((await connection.execute(used.limit(3))).scalars()):
                message = (
                    f"The subnet is in use by interfaces ({', '.join(names)}): delete them first."
                )
                raise Conflict(message, "id")
            await connection.execute(delete(reserved_ips).where(reserved_ips.c.subnet_id == id))
            await connection.execute(delete(subnets).where(subnets.c.id == id))


def _check_defaults(body: SubnetPrototype, vpc: View) -> list[Problem]:
    """A VPC has one ACL and one routing table here, and no public gateways."""
    problems = []
    for field, identity in (
        ("network_acl", body.network_acl),
        ("routing_table", body.routing_table),
    ):
        default = vpc[f"default_{field}"]
        for member, value in (identity.members() if identity else {}).items():
            found = href_id(value) if member != "crn" else value.rpartition(":")[2]
            if found != default["id"]:
                message = (
                    f"The VPC has one {field.replace('_', ' ')}, its default one: leave it out."
                )
                problems.append(not_found_field(f"{field}.{member}", message, value))
    if body.public_gateway is not None:
        message = "linklocal has no public gateways: leave `public_gateway` out."
        problems.append(bad_field("public_gateway", message))
    return problems
