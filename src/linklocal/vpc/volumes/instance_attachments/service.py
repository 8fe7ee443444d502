"""Volume attachments of an instance: list, get, attach, change, detach. Decides; knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, Invalid, NotFound
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.references import raise_if
from linklocal.vpc.render import publish_instances
from linklocal.vpc.rows import View, find_row
from linklocal.vpc.volumes.attach import (
    LoadedVolumeAttachment,
    load_volume_attachments,
    lock_volumes_of,
    plan_data_volume,
    volume_attachment_name_taken,
    write_attachment,
)
from linklocal.vpc.volumes.model import (
    MAX_DATA_VOLUMES,
    VolumeAttachmentPatch,
    VolumeAttachmentPrototype,
)
from linklocal.vpc.volumes.planning import VolumePlanner
from linklocal.vpc.volumes.tables import volume_attachments
from linklocal.vpc.volumes.views import volume_attachment


class VolumeAttachmentService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        action = f"is.instance.volume-attachment.{verb}"
        await self._context.authorizer.require(connection, caller, action)

    async def _instance(
        self, connection: AsyncConnection, caller: Caller, instance_id: str, *, lock: bool = False
    ) -> Any:
        row = await find_row(
            connection,
            self._context,
            caller,
            instances,
            instance_id,
            parameter="instance_id",
            lock=lock,
        )
        return row._mapping

    @staticmethod
    async def _loaded(
        connection: AsyncConnection, instance_id: str
    ) -> Sequence[LoadedVolumeAttachment]:
        return (await load_volume_attachments(connection, [instance_id]))[instance_id]

    async def _one(
        self, connection: AsyncConnection, instance_id: str, id: str
    ) -> LoadedVolumeAttachment:
        for attachment in await self._loaded(connection, instance_id):
            if attachment.id == id:
                return attachment
        raise NotFound("id", id)

    async def _changed(self, connection: AsyncConnection, instance_id: str) -> None:
        """A new ETag of the instance, and what its node knows."""
        await connection.execute(
            update(instances)
            .where(instances.c.id == instance_id)
            .values(version=instances.c.version + 1)
        )
        await publish_instances(connection, self._context, [InstanceId(instance_id)])

    async def list(self, caller: Caller, instance_id: str) -> Sequence[View]:
        """VolumeAttachment of each, boot volume first. Raises NotFound (`instance_id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            await self._instance(connection, caller, instance_id)
            return [volume_attachment(a) for a in await self._loaded(connection, instance_id)]

    async def get(self, caller: Caller, instance_id: str, id: str) -> View:
        """VolumeAttachment. Raises NotFound (`instance_id`, `id`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            await self._instance(connection, caller, instance_id)
            return volume_attachment(await self._one(connection, instance_id, id))

    async def create(
        self, caller: Caller, instance_id: str, body: VolumeAttachmentPrototype
    ) -> View:
        """Attach a new or an existing volume. Raises NotFound, Invalid (`volume`, `name`), Conflict."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            instance = await self._instance(connection, caller, instance_id)
            planner = VolumePlanner(connection, self._context, caller, zone=instance["zone"])
            plan = await plan_data_volume(planner, body)
            await self._instance(connection, caller, instance_id, lock=True)
            others = await self._loaded(connection, instance_id)
            if any(body.name == other.name for other in others):
                planner.problems.append(volume_attachment_name_taken(str(body.name)))
            raise_if(planner.problems)
            assert plan is not None
            if len([other for other in others if other.type == "data"]) >= MAX_DATA_VOLUMES:
                raise Conflict(
                    f"The instance has {MAX_DATA_VOLUMES} data volumes: detach one first."
                )
            last = select(func.max(volume_attachments.c.position)).where(
                volume_attachments.c.instance_id == instance_id
            )
            position = (await connection.execute(last)).scalar_one() + 1
            id = await write_attachment(
                connection,
                self._context,
                caller,
                instance_id,
                position,
                plan,
                instance["resource_group_id"],
            )
            await self._changed(connection, instance_id)
            return volume_attachment(await self._one(connection, instance_id, id))

    async def update(
        self, caller: Caller, instance_id: str, id: str, patch: VolumeAttachmentPatch
    ) -> View:
        """Name and `delete_volume_on_instance_delete`. Raises NotFound, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            await self._instance(connection, caller, instance_id, lock=True)
            attachment = await self._one(connection, instance_id, id)
            values = {k: v for k, v in patch.given().items() if getattr(attachment, k) != v}
            if not values:
                return volume_attachment(attachment)
            others = await self._loaded(connection, instance_id)
            if any(values.get("name") == other.name for other in others):
                raise Invalid(volume_attachment_name_taken(values["name"]))
            await connection.execute(
                update(volume_attachments).where(volume_attachments.c.id == id).values(values)
            )
            await self._changed(connection, instance_id)
            return volume_attachment(await self._one(connection, instance_id, id))

    async def delete(self, caller: Caller, instance_id: str, id: str) -> None:
        """Detach; the volume stays. Raises NotFound, Conflict (the boot volume)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            await self._instance(connection, caller, instance_id)
            await lock_volumes_of(connection, instance_id)
            await self._instance(connection, caller, instance_id, lock=True)
            attachment = await self._one(connection, instance_id, id)
            if attachment.type == "boot":
                raise Conflict("The boot volume is detached with the instance only.", "id")
            await connection.execute(
                delete(volume_attachments).where(volume_attachments.c.id == id)
            )
            await self._changed(connection, instance_id)
