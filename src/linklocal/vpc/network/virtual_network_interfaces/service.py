"""Virtual network interfaces: create, list, get, change, delete, their addresses and floating ips."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, NotFound
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.http import check_if_match, etag
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.network.binding import bind_floating_ip
from linklocal.vpc.network.loaded import load_floating_ips, load_ips
from linklocal.vpc.network.locks import lock_subnets
from linklocal.vpc.network.model import VirtualNetworkInterfacePrototype
from linklocal.vpc.network.planning import InterfacePlanner, Wanted
from linklocal.vpc.network.reserved_ips.service import is_primary, secondary_problem
from linklocal.vpc.network.shown import instances_with_targets
from linklocal.vpc.network.tables import (
    network_attachments,
    reserved_ips,
    virtual_network_interfaces,
)
from linklocal.vpc.network.views import floating_ip_reference, reserved_ip_reference
from linklocal.vpc.network.virtual_network_interfaces.load import virtual_interface_views
from linklocal.vpc.network.virtual_network_interfaces.model import VirtualNetworkInterfacePatch
from linklocal.vpc.network.writing import delete_virtual_interfaces, write_virtual_interface
from linklocal.vpc.paging import Page, select_page, slice_page
from linklocal.vpc.references import raise_if
from linklocal.vpc.render import publish_instances
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import View, ViewPage, find_row, of_account, own

_TABLE = virtual_network_interfaces
_KIND = "virtual network interface"


class VirtualNetworkInterfaceService:
    """One instance per server; every method is one unit of work. Views come with their ETag."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        action = f"is.virtual-network-interface.virtual-network-interface.{verb}"
        await self._context.authorizer.require(connection, caller, action)

    async def _get(
        self,
        connection: AsyncConnection,
        caller: Caller,
        id: str,
        parameter: str = "id",
        *,
        lock: bool = False,
    ) -> Row[Any]:
        return await find_row(
            connection, self._context, caller, _TABLE, id, parameter=parameter, lock=lock
        )

    @staticmethod
    async def _view(connection: AsyncConnection, row: Row[Any]) -> tuple[View, str]:
        id = row._mapping["id"]
        views = await virtual_interface_views(connection, [id])
        return views[id], etag(id, row._mapping["version"])

    async def _publish(self, connection: AsyncConnection, id: str) -> None:
        users = await instances_with_targets(connection, [id])
        await publish_instances(connection, self._context, users)

    async def create(
        self, caller: Caller, body: VirtualNetworkInterfacePrototype
    ) -> tuple[View, str]:
        """VirtualNetworkInterface. Raises Invalid with the targets of `InterfacePlanner`."""
        if body.auto_delete is None:
            # Made on its own it is kept; made with an attachment it goes with that.
            body = body.model_copy(update={"auto_delete": False})
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            group_id, _ = await resolve_resource_group(connection, caller, None)
            planner = InterfacePlanner(connection, self._context, caller, zone=None)
            [plan] = await planner.plan([Wanted("", body)])
            raise_if(planner.problems)
            assert plan is not None
            id = await write_virtual_interface(connection, self._context, caller, plan, group_id)
            return await self._view(connection, await self._get(connection, caller, id))

    async def list(
        self, caller: Caller, page: Page, resource_group_id: str | None = None
    ) -> ViewPage:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            statement = of_account(self._context, caller, _TABLE)
            if resource_group_id is not None:
                statement = statement.where(_TABLE.c.resource_group_id == resource_group_id)
            rows, total, following = await select_page(connection, statement, _TABLE, page)
            ids = [row._mapping["id"] for row in rows]
            views = await virtual_interface_views(connection, ids)
            return [views[id] for id in ids], total, following

    async def get(self, caller: Caller, id: str) -> tuple[View, str]:
        """VirtualNetworkInterface. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            return await self._view(connection, await self._get(connection, caller, id))

    async def update(
        self, caller: Caller, id: str, patch: VirtualNetworkInterfacePatch, if_match: str | None
    ) -> tuple[View, str]:
        """Raises NotFound, PreconditionFailed, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            row = await self._get(connection, caller, id, lock=True)
            check_if_match(if_match, etag(id, row._mapping["version"]))
            changed = {k: v for k, v in patch.given().items() if row._mapping[k] != v}
            if not changed:
                return await self._view(connection, row)
            name = changed.get("name")
            scope = own(self._context, caller, _TABLE)
            raise_if(await name_problems(connection, scope, _TABLE, _KIND, name))
            statement = (
                update(_TABLE)
                .where(_TABLE.c.id == id)
                .values(version=_TABLE.c.version + 1, **changed)
                .returning(_TABLE)
            )
            with unique(_TABLE, name=name_taken(_KIND, name or "")):
                row = (await connection.execute(statement)).one()
            await self._publish(connection, id)
            return await self._view(connection, row)

    async def delete(self, caller: Caller, id: str, if_match: str | None) -> None:
        """Raises NotFound, PreconditionFailed, Conflict while it is attached."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            row = await self._get(connection, caller, id, lock=True)
            check_if_match(if_match, etag(id, row._mapping["version"]))
            a = network_attachments.c
            attached = select(a.server_kind, a.instance_id).where(
                a.virtual_network_interface_id == id
            )
            if (found := (await connection.execute(attached)).one_or_none()) is not None:
                first = {
                    "instance": "delete the attachment first",
                    "bare_metal_server": "delete the server first",
                }[found.server_kind]
                kind = found.server_kind.replace("_", " ")
                message = f"The interface is attached to {kind} {found.instance_id}: {first}."
                raise Conflict(message, "id")
            await delete_virtual_interfaces(connection, [id])

    # Addresses

    async def list_ips(self, caller: Caller, vni_id: str, page: Page) -> ViewPage:
        """ReservedIPReference of each address. Raises NotFound (path), Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            await self._get(connection, caller, vni_id, "virtual_network_interface_id")
            ips = await load_ips(connection, [vni_id])
        shown, total, following = slice_page(ips[vni_id], lambda ip: ip.id, page)
        return [reserved_ip_reference(ip) for ip in shown], total, following

    async def get_ip(self, caller: Caller, vni_id: str, id: str) -> View:
        """ReservedIPReference. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            await self._get(connection, caller, vni_id, "virtual_network_interface_id")
            return await self._ip(connection, vni_id, id)

    @staticmethod
    async def _ip(connection: AsyncConnection, vni_id: str, id: str) -> View:
        ips = await load_ips(connection, [vni_id])
        for ip in ips[vni_id]:
            if ip.id == id:
                return reserved_ip_reference(ip)
        raise NotFound("id", id)

    async def add_ip(self, caller: Caller, vni_id: str, id: str) -> View:
        """Bind a reserved ip as a secondary address. Raises NotFound, Conflict (bound, full)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            vni = await self._for_ips(connection, caller, vni_id)
            statement = (
                select(reserved_ips)
                .where(
                    reserved_ips.c.id == id, reserved_ips.c.subnet_id == vni._mapping["subnet_id"]
                )
                .with_for_update()
            )
            row = (await connection.execute(statement)).one_or_none()
            if row is None:
                raise NotFound("id", id)
            if row._mapping["target_id"] != vni_id:
                if row._mapping["target_id"] is not None or row._mapping["owner"] == "provider":
                    raise Conflict("The reserved ip is in use: choose one that is not bound.", "id")
                if (message := await secondary_problem(connection, vni_id)) is not None:
                    raise Conflict(message, "id")
                await connection.execute(
                    update(reserved_ips).where(reserved_ips.c.id == id).values(target_id=vni_id)
                )
                await self._publish(connection, vni_id)
            return await self._ip(connection, vni_id, id)

    async def remove_ip(self, caller: Caller, vni_id: str, id: str) -> None:
        """Unbind a secondary address. Raises NotFound, Conflict (the primary one)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            await self._for_ips(connection, caller, vni_id)
            await self._ip(connection, vni_id, id)
            if await is_primary(connection, id):
                raise Conflict("The primary address of an interface cannot be unbound.", "id")
            ip = reserved_ips
            await connection.execute(delete(ip).where(ip.c.id == id, ip.c.auto_delete))
            await connection.execute(update(ip).where(ip.c.id == id).values(target_id=None))
            await self._publish(connection, vni_id)

    async def _for_ips(self, connection: AsyncConnection, caller: Caller, vni_id: str) -> Row[Any]:
        """The interface, locked after its subnet."""
        parameter = "virtual_network_interface_id"
        row = await self._get(connection, caller, vni_id, parameter)
        await lock_subnets(connection, caller, [row._mapping["subnet_id"]])
        return await self._get(connection, caller, vni_id, parameter, lock=True)

    # Floating ips

    async def list_floating_ips(self, caller: Caller, vni_id: str, page: Page) -> ViewPage:
        """FloatingIPReference of each. Raises NotFound (path), Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            await self._get(connection, caller, vni_id, "virtual_network_interface_id")
            found = (await load_floating_ips(connection, [vni_id]))[vni_id]
        shown, total, following = slice_page(found, lambda ip: ip.id, page)
        return [floating_ip_reference(ip) for ip in shown], total, following

    async def get_floating_ip(self, caller: Caller, vni_id: str, id: str) -> View:
        """FloatingIPReference. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            await self._get(connection, caller, vni_id, "virtual_network_interface_id")
            return await self._floating_ip(connection, vni_id, id)

    @staticmethod
    async def _floating_ip(connection: AsyncConnection, vni_id: str, id: str) -> View:
        for ip in (await load_floating_ips(connection, [vni_id]))[vni_id]:
            if ip.id == id:
                return floating_ip_reference(ip)
        raise NotFound("id", id)

    async def add_floating_ip(self, caller: Caller, vni_id: str, id: str) -> View:
        """Bind one. Raises NotFound, Conflict (other zone, interface has one)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(
                connection, caller, "is.floating-ip.floating-ip.update"
            )
            await self._get(connection, caller, vni_id, "virtual_network_interface_id")
            await bind_floating_ip(connection, self._context, caller, id, vni_id)
            return await self._floating_ip(connection, vni_id, id)

    async def remove_floating_ip(self, caller: Caller, vni_id: str, id: str) -> None:
        """Dissociate one. Raises NotFound, Conflict (changed meanwhile)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(
                connection, caller, "is.floating-ip.floating-ip.update"
            )
            await self._get(connection, caller, vni_id, "virtual_network_interface_id")
            await self._floating_ip(connection, vni_id, id)
            await bind_floating_ip(connection, self._context, caller, id, None)
