"""Network attachments of an instance: list, get, attach, rename, detach. Decides; knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Invalid
from linklocal.iam.caller import Caller
from linklocal.ids import generated_name
from linklocal.vpc.context import VpcContext
from linklocal.vpc.network.instance_interfaces.instance import (
    changed,
    check_removable,
    find_instance,
    interfaces_of,
    pick,
    plan_another,
    profile_of,
)
from linklocal.vpc.network.instance_interfaces.model import NetworkAttachmentPatch
from linklocal.vpc.network.interfaces import (
    attachment_name_taken,
    lock_interfaces,
    next_position,
)
from linklocal.vpc.network.model import NetworkAttachmentPrototype
from linklocal.vpc.network.planning import Wanted
from linklocal.vpc.network.tables import network_attachments
from linklocal.vpc.network.views import network_attachment
from linklocal.vpc.network.writing import delete_virtual_interfaces, write_attachment
from linklocal.vpc.rows import View


class NetworkAttachmentService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        action = f"is.instance.network-attachment.{verb}"
        await self._context.authorizer.require(connection, caller, action)

    async def list(self, caller: Caller, instance_id: str) -> Sequence[View]:
        """InstanceNetworkAttachment of each, primary first. Raises NotFound (`instance_id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            instance = await find_instance(connection, self._context, caller, instance_id)
            speed = profile_of(instance).port_speed
            found = await interfaces_of(connection, instance_id)
            return [network_attachment(i, speed) for i in found if i.vni is not None]

    async def _view(
        self, connection: AsyncConnection, caller: Caller, instance_id: str, id: str
    ) -> View:
        instance = await find_instance(connection, self._context, caller, instance_id)
        found = pick(await interfaces_of(connection, instance_id), id, attachment=True)
        return network_attachment(found, profile_of(instance).port_speed)

    async def get(self, caller: Caller, instance_id: str, id: str) -> View:
        """InstanceNetworkAttachment. Raises NotFound (`instance_id`, `id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            return await self._view(connection, caller, instance_id, id)

    async def create(
        self, caller: Caller, instance_id: str, body: NetworkAttachmentPrototype
    ) -> View:
        """InstanceNetworkAttachment. Raises NotFound, Invalid, Conflict (too many, other kind)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            wanted = Wanted("virtual_network_interface", body.virtual_network_interface)
            plan = await plan_another(
                connection, self._context, caller, instance_id, wanted, body.name
            )
            instance = await find_instance(connection, self._context, caller, instance_id)
            id = await write_attachment(
                connection,
                self._context,
                caller,
                instance_id,
                await next_position(connection, instance_id),
                body.name or generated_name(),
                plan,
                instance["resource_group_id"],
            )
            await changed(connection, self._context, instance_id)
            return await self._view(connection, caller, instance_id, id)

    async def update(
        self, caller: Caller, instance_id: str, id: str, patch: NetworkAttachmentPatch
    ) -> View:
        """Rename. Raises NotFound (`instance_id`, `id`), Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            await find_instance(connection, self._context, caller, instance_id, lock=True)
            interfaces = await interfaces_of(connection, instance_id)
            name = patch.given().get("name")
            old = pick(interfaces, id, attachment=True).name
            if name is not None and name != old:
                if any(name == other.name for other in interfaces):
                    raise Invalid(attachment_name_taken(name))
                table = network_attachments
                await connection.execute(update(table).where(table.c.id == id).values(name=name))
                await changed(connection, self._context, instance_id)
            return await self._view(connection, caller, instance_id, id)

    async def delete(self, caller: Caller, instance_id: str, id: str) -> None:
        """Detach; the VNI goes if it has `auto_delete`. Raises NotFound, Conflict (the primary one)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            await find_instance(connection, self._context, caller, instance_id)
            await lock_interfaces(connection, instance_id)
            await find_instance(connection, self._context, caller, instance_id, lock=True)
            found = pick(await interfaces_of(connection, instance_id), id, attachment=True)
            check_removable(found)
            table = network_attachments
            await connection.execute(delete(table).where(table.c.id == id))
            await delete_virtual_interfaces(connection, [found.target_id], only_auto_delete=True)
            await changed(connection, self._context, instance_id)
