"""Address prefixes of a VPC: where its subnets may lie. They are kept in the VPC's row."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import Conflict, NotFound, Problem, bad_field
from linklocal.iam.caller import Caller
from linklocal.ids import generated_name, new_regional_id
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import name_reserved
from linklocal.vpc.network.addresses import overlapping
from linklocal.vpc.network.tables import subnets, vpcs
from linklocal.vpc.network.vpcs.model import AddressPrefixPatch, AddressPrefixPrototype
from linklocal.vpc.network.vpcs.views import address_prefix_view
from linklocal.vpc.paging import Page, slice_page
from linklocal.vpc.references import raise_if
from linklocal.vpc.regions.views import resolve_zone
from linklocal.vpc.rows import Problems, View, ViewPage, find_row


async def subnet_cidrs(connection: AsyncConnection, vpc_id: str) -> list[str]:
    """The networks of a VPC's subnets."""
    statement = select(subnets.c.ipv4_cidr_block).where(subnets.c.vpc_id == vpc_id)
    return list((await connection.execute(statement)).scalars())


class AddressPrefixService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _vpc(
        self, connection: AsyncConnection, caller: Caller, vpc_id: str, action: str
    ) -> Row[Any]:
        await self._context.authorizer.require(connection, caller, f"is.vpc.vpc.{action}")
        return await find_row(
            connection,
            self._context,
            caller,
            vpcs,
            vpc_id,
            parameter="vpc_id",
            lock=action == "update",
        )

    @staticmethod
    def _one(row: Row[Any], id: str) -> dict[str, Any]:
        for prefix in row._mapping["address_prefixes"]:
            if prefix["id"] == id:
                found: dict[str, Any] = prefix
                return found
        raise NotFound("id", id)

    async def list(self, caller: Caller, vpc_id: str, page: Page) -> ViewPage:
        """Views of one page in the order of names. Raises NotFound (`vpc_id`), Invalid (`start`)."""
        async with self._context.database.read() as connection:
            row = await self._vpc(connection, caller, vpc_id, "read")
            used = await subnet_cidrs(connection, vpc_id)
        prefixes: Sequence[View] = row._mapping["address_prefixes"]
        shown, total, following = slice_page(prefixes, lambda prefix: str(prefix["name"]), page)
        return [address_prefix_view(vpc_id, p, used) for p in shown], total, following

    async def get(self, caller: Caller, vpc_id: str, id: str) -> dict[str, Any]:
        """AddressPrefix. Raises NotFound (`vpc_id`, `id`)."""
        async with self._context.database.read() as connection:
            row = await self._vpc(connection, caller, vpc_id, "read")
            used = await subnet_cidrs(connection, vpc_id)
        return address_prefix_view(vpc_id, self._one(row, id), used)

    async def create(
        self, caller: Caller, vpc_id: str, body: AddressPrefixPrototype
    ) -> dict[str, Any]:
        """AddressPrefix. Raises NotFound (`vpc_id`), Invalid (`cidr`, `zone`, `name`), Conflict."""
        async with self._context.database.transaction() as connection:
            row = await self._vpc(connection, caller, vpc_id, "update")
            prefixes = [dict(prefix) for prefix in row._mapping["address_prefixes"]]
            zone, problems = resolve_zone(self._context.region, body.zone)
            problems += self._clashes(prefixes, body)
            raise_if(problems)
            if body.is_default:
                self._require_no_default(prefixes, zone)
            new = {
                "id": new_regional_id(self._context.region.name),
                "name": body.name or generated_name(),
                "cidr": body.cidr,
                "zone": zone,
                "is_default": body.is_default is True,
                "created_at": rfc3339_ms(self._context.clock.now()),
            }
            await self._write(connection, vpc_id, [*prefixes, new])
        return address_prefix_view(vpc_id, new, [])

    async def update(
        self, caller: Caller, vpc_id: str, id: str, patch: AddressPrefixPatch
    ) -> dict[str, Any]:
        """AddressPrefix after a merge patch. Raises NotFound (`vpc_id`, `id`), Invalid, Conflict."""
        async with self._context.database.transaction() as connection:
            row = await self._vpc(connection, caller, vpc_id, "update")
            old = self._one(row, id)
            prefixes = [prefix for prefix in row._mapping["address_prefixes"] if prefix != old]
            if "name" in patch.model_fields_set:
                raise_if(self._name_problems(prefixes, patch.name))
            if patch.is_default:
                self._require_no_default(prefixes, old["zone"])
            new = {**old, **patch.given()}
            await self._write(connection, vpc_id, [*prefixes, new])
            used = await subnet_cidrs(connection, vpc_id)
        return address_prefix_view(vpc_id, new, used)

    @classmethod
    def _clashes(cls, prefixes: Sequence[View], body: AddressPrefixPrototype) -> Problems:
        problems: Problems = []
        other = overlapping(IPv4Network(body.cidr), [prefix["cidr"] for prefix in prefixes])
        if other is not None:
            message = f"The prefix overlaps {other} of this VPC: choose another network."
            problems.append(bad_field("cidr", message, body.cidr))
        return problems + cls._name_problems(prefixes, body.name)

    @staticmethod
    def _name_problems(prefixes: Sequence[View], name: str | None) -> Problems:
        problems = name_reserved(name)
        if any(prefix["name"] == name for prefix in prefixes):
            message = f"The VPC has another address prefix named {name!r}: choose another name."
            target = bad_field("name", message, name).target
            problems.append(Problem("validation_unique_failed", message, target))
        return problems

    @staticmethod
    def _require_no_default(prefixes: Sequence[View], zone: str | None) -> None:
        for prefix in prefixes:
            if prefix["is_default"] and prefix["zone"] == zone:
                message = f"{prefix['name']!r} is the default of {zone}: set its `is_default` to false first."
                raise Conflict(message, "is_default")

    async def delete(self, caller: Caller, vpc_id: str, id: str) -> None:
        """Raises NotFound (`vpc_id`, `id`), Conflict while a subnet lies in it."""
        async with self._context.database.transaction() as connection:
            row = await self._vpc(connection, caller, vpc_id, "update")
            prefix = self._one(row, id)
            used = await subnet_cidrs(connection, vpc_id)
            if overlapping(IPv4Network(prefix["cidr"]), used) is not None:
                raise Conflict("Subnets lie in the address prefix: delete them first.", "id")
            kept = [p for p in row._mapping["address_prefixes"] if p["id"] != id]
            await self._write(connection, vpc_id, kept)

    @staticmethod
    async def _write(connection: AsyncConnection, vpc_id: str, prefixes: Sequence[View]) -> None:
        await connection.execute(
            update(vpcs).where(vpcs.c.id == vpc_id).values(address_prefixes=[*prefixes])
        )
