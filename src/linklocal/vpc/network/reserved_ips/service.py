"""Reserved ips: the addresses of a subnet that are taken, by the provider or by users. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import Conflict, NotFound, bad_field
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import name_reserved
from linklocal.vpc.network.address_planning import AddressPlanner, ip_name_taken
from linklocal.vpc.network.loaded import LoadedIp
from linklocal.vpc.network.locks import lock_rows, lock_subnets
from linklocal.vpc.network.model import MAX_SECONDARY_IPS, IpPrototype
from linklocal.vpc.network.reserved_ips.model import ReservedIpPatch, ReservedIpPrototype
from linklocal.vpc.network.shown import instances_with_targets
from linklocal.vpc.network.tables import (
    network_interfaces,
    reserved_ips,
    subnets,
    virtual_network_interfaces,
)
from linklocal.vpc.network.targets import TargetFilter, load_targets
from linklocal.vpc.network.views import reserved_ip_reference
from linklocal.vpc.network.writing import write_ip
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.references import Identity, raise_if, resolve
from linklocal.vpc.render import publish_instances
from linklocal.vpc.rows import Problems, View, ViewPage, find_row, own


async def reserved_ip_views(
    connection: AsyncConnection, rows: Sequence[Row[Any]]
) -> list[dict[str, Any]]:
    """ReservedIP of each row, with a fixed number of queries."""
    targets = await load_targets(connection, [row._mapping["target_id"] for row in rows])
    views = []
    for row in rows:
        r = row._mapping
        view = {
            **reserved_ip_reference(LoadedIp(r["id"], r["address"], r["name"], r["subnet_id"])),
            "auto_delete": r["auto_delete"],
            "created_at": rfc3339_ms(r["created_at"]),
            "lifecycle_state": "stable",
            "owner": r["owner"],
        }
        if r["target_id"] is not None:
            view["target"] = targets[r["target_id"]].short_reference()
        views.append(view)
    return views


async def is_primary(connection: AsyncConnection, ip_id: str) -> bool:
    """Whether an interface stands on this address."""
    for table in (virtual_network_interfaces, network_interfaces):
        statement = select(table.c.id).where(table.c.primary_ip_id == ip_id)
        if (await connection.execute(statement)).first() is not None:
            return True
    return False


async def secondary_problem(connection: AsyncConnection, vni_id: str) -> str | None:
    """Why a VNI cannot have another address, if it cannot. The VNI is locked."""
    held = select(reserved_ips.c.id).where(reserved_ips.c.target_id == vni_id)
    if len((await connection.execute(held)).all()) <= MAX_SECONDARY_IPS:
        return None
    return f"The interface has {MAX_SECONDARY_IPS} secondary addresses already."


class ReservedIpService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        await self._context.authorizer.require(connection, caller, f"is.subnet.reserved-ip.{verb}")

    async def _subnet(
        self, connection: AsyncConnection, caller: Caller, subnet_id: str, *, lock: bool = False
    ) -> Row[Any]:
        found = await find_row(
            connection, self._context, caller, subnets, subnet_id, parameter="subnet_id"
        )
        if not lock:
            return found
        locked = await lock_subnets(connection, caller, [subnet_id])
        if subnet_id not in locked:  # deleted since it was found
            raise NotFound("subnet_id", subnet_id)
        return locked[subnet_id]

    @staticmethod
    def _of(subnet_id: str) -> Select[Any]:
        return select(reserved_ips).where(reserved_ips.c.subnet_id == subnet_id)

    async def _get(
        self, connection: AsyncConnection, subnet_id: str, id: str, *, lock: bool = False
    ) -> Row[Any]:
        statement = self._of(subnet_id).where(reserved_ips.c.id == id)
        if lock:
            statement = statement.with_for_update()
        row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound("id", id)
        return row

    async def _of_user(self, connection: AsyncConnection, subnet_id: str, id: str) -> Row[Any]:
        """The reserved ip, locked; its VNI before it. Raises NotFound, Conflict (the provider's)."""
        row = await self._get(connection, subnet_id, id)
        if row._mapping["owner"] == "provider":
            raise Conflict("The reserved ip is the provider's: it cannot be changed.", "id")
        if (target_id := row._mapping["target_id"]) is not None:
            await lock_rows(connection, virtual_network_interfaces, [target_id])
        locked = await self._get(connection, subnet_id, id, lock=True)
        if locked._mapping["target_id"] != target_id:
            raise Conflict("The reserved ip was bound or unbound meanwhile: try again.", "id")
        return locked

    async def _publish(self, connection: AsyncConnection, row: Row[Any]) -> None:
        if (target_id := row._mapping["target_id"]) is not None:
            users = await instances_with_targets(connection, [target_id])
            await publish_instances(connection, self._context, users)

    async def create(self, caller: Caller, subnet_id: str, body: ReservedIpPrototype) -> View:
        """ReservedIP. Raises NotFound (`subnet_id`), Invalid (`address`, `name`, `target`)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            subnet = await self._subnet(connection, caller, subnet_id, lock=True)
            problems: Problems = []
            planner = AddressPlanner(connection, self._context, caller, problems)
            # Without a target, an address is kept until somebody deletes it.
            auto_delete = body.auto_delete if body.auto_delete is not None else bool(body.target)
            asked = IpPrototype(address=body.address, name=body.name, auto_delete=auto_delete)
            plan = await planner.plan(asked, "", subnet)
            target_id: str | None = None
            if body.target is None and body.auto_delete:
                message = "An address that is bound to nothing cannot go with it: leave it out."
                problems.append(bad_field("auto_delete", message, body.auto_delete))
            if body.target is not None:
                target_id, found = await self._target(connection, caller, subnet, body.target)
                problems += found
            raise_if(problems)
            assert plan is not None
            zone = subnet._mapping["zone"]
            id = await write_ip(connection, self._context, zone, plan, target_id)
            row = await self._get(connection, subnet_id, id)
            await self._publish(connection, row)
            return (await reserved_ip_views(connection, [row]))[0]

    async def _target(
        self, connection: AsyncConnection, caller: Caller, subnet: Row[Any], identity: Identity
    ) -> tuple[str | None, Problems]:
        """The VNI to bind to, locked."""
        vni = virtual_network_interfaces
        scope = own(self._context, caller, vni)
        found, problems = await resolve(connection, vni, identity, "target", scope=scope)
        if found is None:
            return None, problems
        id = str(found._mapping["id"])
        await lock_rows(connection, vni, [id])
        if found._mapping["subnet_id"] != subnet._mapping["id"]:
            message = "The interface is in another subnet than the address."
            return None, [bad_field("target", message, id)]
        if (message_or_none := await secondary_problem(connection, id)) is not None:
            return None, [bad_field("target", message_or_none, id)]
        return id, []

    async def list(
        self, caller: Caller, subnet_id: str, page: Page, target: TargetFilter
    ) -> ViewPage:
        """Views of one page, total count, start of the next. Raises NotFound (`subnet_id`), Invalid."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            await self._subnet(connection, caller, subnet_id)
            statement = self._of(subnet_id)
            condition = target.condition(reserved_ips.c.target_id)
            if condition is not None:
                statement = statement.where(condition)
            rows, total, following = await select_page(connection, statement, reserved_ips, page)
            return await reserved_ip_views(connection, rows), total, following

    async def get(self, caller: Caller, subnet_id: str, id: str) -> View:
        """ReservedIP. Raises NotFound (`subnet_id`, `id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            await self._subnet(connection, caller, subnet_id)
            row = await self._get(connection, subnet_id, id)
            return (await reserved_ip_views(connection, [row]))[0]

    async def update(self, caller: Caller, subnet_id: str, id: str, patch: ReservedIpPatch) -> View:
        """Name and `auto_delete`. Raises NotFound (`subnet_id`, `id`), Invalid, Conflict."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            await self._subnet(connection, caller, subnet_id, lock=True)
            row = await self._of_user(connection, subnet_id, id)
            given = patch.given()
            problems: Problems = []
            name = given.get("name", row._mapping["name"])
            if name != row._mapping["name"]:
                problems += name_reserved(name)
                taken = self._of(subnet_id).where(reserved_ips.c.name == name)
                if (await connection.execute(taken)).first() is not None:
                    problems.append(ip_name_taken(name))
            if given.get("auto_delete") and row._mapping["target_id"] is None:
                message = "An address that is bound to nothing cannot go with it: bind it first."
                problems.append(bad_field("auto_delete", message, True))
            raise_if(problems)
            if given:
                statement = update(reserved_ips).where(reserved_ips.c.id == id).values(given)
                row = (await connection.execute(statement.returning(reserved_ips))).one()
                await self._publish(connection, row)
            return (await reserved_ip_views(connection, [row]))[0]

    async def delete(self, caller: Caller, subnet_id: str, id: str) -> None:
        """Unbinds a secondary address. Raises NotFound (`subnet_id`, `id`), Conflict (primary)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            await self._subnet(connection, caller, subnet_id, lock=True)
            row = await self._of_user(connection, subnet_id, id)
            if await is_primary(connection, id):
                message = "The address is the primary one of an interface: delete that instead."
                raise Conflict(message, "id")
            await connection.execute(delete(reserved_ips).where(reserved_ips.c.id == id))
            await self._publish(connection, row)
