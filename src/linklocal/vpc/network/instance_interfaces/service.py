"""Network interfaces of an instance, older kind and read-only children of attachments; their addresses.

Decides; knows no HTTP. A child interface shows its attachment's VNI and is changed there.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, Invalid, NotFound
from linklocal.iam.caller import Caller
from linklocal.ids import generated_name
from linklocal.vpc.context import VpcContext
from linklocal.vpc.network.binding import bind_floating_ip
from linklocal.vpc.network.floating_ips.service import floating_ip_views
from linklocal.vpc.network.instance_interfaces.instance import (
    changed,
    check_removable,
    find_instance,
    interfaces_of,
    pick,
    plan_another,
    profile_of,
)
from linklocal.vpc.network.instance_interfaces.model import NetworkInterfacePatch
from linklocal.vpc.network.interfaces import (
    attachment_name_taken,
    lock_interfaces,
    next_position,
)
from linklocal.vpc.network.loaded import LoadedInterface
from linklocal.vpc.network.model import NetworkInterfacePrototype
from linklocal.vpc.network.planning import Wanted
from linklocal.vpc.network.reserved_ips.service import reserved_ip_views
from linklocal.vpc.network.tables import floating_ips, network_interfaces, reserved_ips
from linklocal.vpc.network.views import network_interface
from linklocal.vpc.network.writing import release_targets, write_interface
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.rows import View, ViewPage


def _own(interface: LoadedInterface) -> None:
    """Raises Conflict for a read-only child of an attachment."""
    if interface.vni is not None:
        message = (
            "The interface is the read-only picture of a network attachment: "
            f"change the attachment, or virtual network interface {interface.vni.id}."
        )
        raise Conflict(message, "id")


class InstanceInterfaceService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        action = f"is.instance.network-interface.{verb}"
        await self._context.authorizer.require(connection, caller, action)

    async def list(self, caller: Caller, instance_id: str) -> Sequence[View]:
        """NetworkInterface of each, primary first. Raises NotFound (`instance_id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            instance = await find_instance(connection, self._context, caller, instance_id)
            speed = profile_of(instance).port_speed
            found = await interfaces_of(connection, instance_id)
            return [network_interface(interface, speed) for interface in found]

    async def _view(
        self, connection: AsyncConnection, caller: Caller, instance_id: str, id: str
    ) -> View:
        instance = await find_instance(connection, self._context, caller, instance_id)
        found = pick(await interfaces_of(connection, instance_id), id)
        return network_interface(found, profile_of(instance).port_speed)

    async def get(self, caller: Caller, instance_id: str, id: str) -> View:
        """NetworkInterface. Raises NotFound (`instance_id`, `id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            return await self._view(connection, caller, instance_id, id)

    async def create(
        self, caller: Caller, instance_id: str, body: NetworkInterfacePrototype
    ) -> View:
        """NetworkInterface. Raises NotFound, Invalid, Conflict (too many, other kind)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            wanted = Wanted("", body, "interface")
            plan = await plan_another(
                connection, self._context, caller, instance_id, wanted, body.name
            )
            id = await write_interface(
                connection,
                self._context,
                instance_id,
                await next_position(connection, instance_id),
                body.name or generated_name(),
                plan,
            )
            await changed(connection, self._context, instance_id)
            return await self._view(connection, caller, instance_id, id)

    async def update(
        self, caller: Caller, instance_id: str, id: str, patch: NetworkInterfacePatch
    ) -> View:
        """Name and spoofing. Raises NotFound (`instance_id`, `id`), Invalid (`name`), Conflict (child)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            await find_instance(connection, self._context, caller, instance_id, lock=True)
            interfaces = await interfaces_of(connection, instance_id)
            old = pick(interfaces, id)
            _own(old)
            values = {k: v for k, v in patch.given().items() if getattr(old, k) != v}
            if values:
                name = values.get("name")
                if name is not None and any(name == other.name for other in interfaces):
                    raise Invalid(attachment_name_taken(name))
                table = network_interfaces
                await connection.execute(update(table).where(table.c.id == id).values(values))
                await changed(connection, self._context, instance_id)
            return await self._view(connection, caller, instance_id, id)

    async def delete(self, caller: Caller, instance_id: str, id: str) -> None:
        """Raises NotFound, Conflict (the primary one, a child)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            await find_instance(connection, self._context, caller, instance_id)
            await lock_interfaces(connection, instance_id)
            await find_instance(connection, self._context, caller, instance_id, lock=True)
            found = pick(await interfaces_of(connection, instance_id), id)
            _own(found)
            check_removable(found)
            table = network_interfaces
            await connection.execute(delete(table).where(table.c.id == id))
            await release_targets(connection, [id])
            await changed(connection, self._context, instance_id)

    # Addresses and floating ips

    async def _interface(
        self, connection: AsyncConnection, caller: Caller, instance_id: str, interface_id: str
    ) -> LoadedInterface:
        await find_instance(connection, self._context, caller, instance_id)
        found = await interfaces_of(connection, instance_id)
        return pick(found, interface_id, "network_interface_id")

    async def list_ips(
        self, caller: Caller, instance_id: str, interface_id: str, page: Page
    ) -> ViewPage:
        """ReservedIP of each address. Raises NotFound, Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            interface = await self._interface(connection, caller, instance_id, interface_id)
            of = select(reserved_ips).where(reserved_ips.c.target_id == interface.target_id)
            rows, total, following = await select_page(connection, of, reserved_ips, page)
            return await reserved_ip_views(connection, rows), total, following

    async def get_ip(self, caller: Caller, instance_id: str, interface_id: str, id: str) -> View:
        """ReservedIP. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            interface = await self._interface(connection, caller, instance_id, interface_id)
            statement = select(reserved_ips).where(
                reserved_ips.c.id == id, reserved_ips.c.target_id == interface.target_id
            )
            rows = (await connection.execute(statement)).all()
            if not rows:
                raise NotFound("id", id)
            return (await reserved_ip_views(connection, rows))[0]

    async def list_floating_ips(
        self, caller: Caller, instance_id: str, interface_id: str
    ) -> Sequence[View]:
        """FloatingIP of each. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            interface = await self._interface(connection, caller, instance_id, interface_id)
            return await self._floating_ips(connection, interface)

    async def get_floating_ip(
        self, caller: Caller, instance_id: str, interface_id: str, id: str
    ) -> View:
        """FloatingIP. Raises NotFound."""
        for view in await self.list_floating_ips(caller, instance_id, interface_id):
            if view["id"] == id:
                return view
        raise NotFound("id", id)

    @staticmethod
    async def _floating_ips(
        connection: AsyncConnection, interface: LoadedInterface
    ) -> Sequence[View]:
        statement = select(floating_ips).where(floating_ips.c.target_id == interface.target_id)
        return await floating_ip_views(connection, (await connection.execute(statement)).all())

    async def add_floating_ip(
        self, caller: Caller, instance_id: str, interface_id: str, id: str
    ) -> View:
        """Bind one. Raises NotFound, Conflict (child, other zone, interface has one)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(
                connection, caller, "is.floating-ip.floating-ip.update"
            )
            interface = await self._interface(connection, caller, instance_id, interface_id)
            _own(interface)
            row = await bind_floating_ip(connection, self._context, caller, id, interface.id)
            return (await floating_ip_views(connection, [row]))[0]

    async def remove_floating_ip(
        self, caller: Caller, instance_id: str, interface_id: str, id: str
    ) -> None:
        """Dissociate one. Raises NotFound, Conflict (child, changed meanwhile)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(
                connection, caller, "is.floating-ip.floating-ip.update"
            )
            interface = await self._interface(connection, caller, instance_id, interface_id)
            _own(interface)
            if all(ip.id != id for ip in interface.floating_ips):
                raise NotFound("id", id)
            await bind_floating_ip(connection, self._context, caller, id, None)
