"""The volumes of instances: planned, written, loaded, removed. Functions of somebody else's transaction.

`vpc/instances` calls these while it makes and deletes instances; they decide nothing about instances
and publish nothing. Contract 2.4, `boot_volume_attachment` and `volume_attachments`.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Problem, bad_field
from linklocal.iam.caller import Caller
from linklocal.ids import generated_name, new_regional_id, new_zonal_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import name_taken, unique
from linklocal.vpc.volumes.model import (
    MAX_DATA_VOLUMES,
    AttachedVolumePrototype,
    BootVolumeAttachmentPrototype,
    VolumeAttachmentPrototype,
)
from linklocal.vpc.volumes.planning import NewVolume, VolumePlanner, lock_volumes
from linklocal.vpc.volumes.tables import volume_attachments, volumes

AttachmentType = Literal["boot", "data"]

DEVICE_SUFFIX = 5
_DEVICE_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class PlannedVolumeAttachment:
    """One attachment: of the volume `existing_id`, or of `new`. Exactly one of the two is set."""

    name: str
    type: AttachmentType
    delete_volume_on_instance_delete: bool
    existing_id: str | None
    new: NewVolume | None


@dataclass(frozen=True, slots=True)
class VolumesPlan:
    """The volumes of a new instance, boot volume first.

    `allowed_use` is the boot volume's ({api_version, instance, bare_metal_server}, None if it has none);
    `source_image_id` what it was made from.
    """

    attachments: tuple[PlannedVolumeAttachment, ...]
    allowed_use: dict[str, str] | None
    source_image_id: str | None


@dataclass(frozen=True, slots=True)
class LoadedVolume:
    """An attached volume. `capacity` in GB, `bandwidth` in Mbps."""

    id: str
    crn: str
    name: str
    capacity: int
    bandwidth: int
    source_image_id: str | None
    allowed_use: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class LoadedVolumeAttachment:
    """What attaches a volume to an instance. Position 0 is the boot volume."""

    id: str
    instance_id: str
    position: int
    name: str
    type: AttachmentType
    device_id: str
    delete_volume_on_instance_delete: bool
    created_at: datetime
    volume: LoadedVolume


# Asked for every instance that is made, shown or published: made once, since to build a statement takes
# longer than to run it.
_LOADED = (
    select(
        volume_attachments,
        *(
            volumes.c[name].label(f"volume_{name}")
            for name in LoadedVolume.__dataclass_fields__
            if name != "id"
        ),
    )
    .join_from(volume_attachments, volumes, volumes.c.id == volume_attachments.c.volume_id)
    .where(volume_attachments.c.instance_id.in_(bindparam("ids", expanding=True)))
    .order_by(volume_attachments.c.instance_id, volume_attachments.c.position)
)

_ATTACHED = select(volume_attachments.c.volume_id).where(
    volume_attachments.c.instance_id == bindparam("instance")
)
_DETACH = (
    delete(volume_attachments)
    .where(volume_attachments.c.instance_id == bindparam("instance"))
    .returning(
        volume_attachments.c.volume_id, volume_attachments.c.delete_volume_on_instance_delete
    )
)
_DELETE = delete(volumes).where(volumes.c.id.in_(bindparam("ids", expanding=True)))


async def plan_volumes(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    *,
    zone: str | None,
    image_row: Any,
    boot_attachment: BootVolumeAttachmentPrototype | None,
    volume_attachments: Sequence[VolumeAttachmentPrototype] | None,
) -> tuple[VolumesPlan | None, list[Problem]]:
    """Resolve, lock and check the volumes of a new instance. Writes nothing.

    `image_row`: row of the image that the boot volume is made from; None when the body names a volume or
    snapshot, or when the caller has a problem with the image already. `zone` None: the caller has a
    problem with it already. Targets are the body's own paths (`boot_volume_attachment.volume.capacity`).
    The plan is None if there is a problem, or if there is nothing to start from (no image, no volume).
    Existing volumes are locked: call this after `plan_interfaces`.
    """
    planner = VolumePlanner(connection, context, caller, zone=zone or "")
    image = None if image_row is None else image_row._mapping
    boot_attachment = boot_attachment or BootVolumeAttachmentPrototype()
    body = boot_attachment.volume or AttachedVolumePrototype()
    existing = body.identity() is not None
    allowed_use, source_image_id = None, None
    boot: PlannedVolumeAttachment | None = None
    if existing or image is not None or body.source_snapshot is not None:
        boot = await _plan_one(
            planner, boot_attachment.name, body, "boot_volume_attachment.volume", image, "boot"
        )
    if boot is not None:
        keep = boot_attachment.delete_volume_on_instance_delete
        # A volume made with the instance goes with it; one that was there before stays (contract 2.6).
        delete_it = (not existing) if keep is None else keep
        boot = replace(boot, delete_volume_on_instance_delete=delete_it)
        allowed_use, source_image_id = await _boot_source(connection, boot)
    planned = [] if boot is None else [boot]
    problems = _check_data(boot_attachment, volume_attachments or ())
    for index, attachment in enumerate(volume_attachments or ()):
        field = f"volume_attachments[{index}].volume"
        one = await plan_data_volume(planner, attachment, field)
        if one is not None:
            planned.append(one)
    problems += planner.problems
    if problems or boot is None or zone is None:
        return None, problems
    return VolumesPlan(tuple(planned), allowed_use, source_image_id), []


def _check_data(
    boot: BootVolumeAttachmentPrototype, attachments: Sequence[VolumeAttachmentPrototype]
) -> list[Problem]:
    problems = []
    if len(attachments) > MAX_DATA_VOLUMES:
        message = f"An instance has at most {MAX_DATA_VOLUMES} data volumes."
        problems.append(bad_field("volume_attachments", message, len(attachments)))
    names = {boot.name} - {None}
    for index, attachment in enumerate(attachments):
        if attachment.name is not None and attachment.name in names:
            field = f"volume_attachments[{index}].name"
            problems.append(volume_attachment_name_taken(attachment.name, field))
        names.add(attachment.name)
    return problems


def volume_attachment_name_taken(name: str, field: str = "name") -> Problem:
    """Names of volume attachments are unique per instance."""
    message = f"The instance has another volume attachment named {name!r}: choose another name."
    target = bad_field(field, message, name).target
    return Problem("validation_unique_failed", message, target)


async def _plan_one(
    planner: VolumePlanner,
    name: str | None,
    body: AttachedVolumePrototype,
    field: str,
    image: Any,
    type: AttachmentType,
) -> PlannedVolumeAttachment | None:
    identity = body.identity()
    name = name or generated_name()
    if identity is not None:
        row = await planner.existing(body, identity, field, boot=type == "boot")
        if row is None:
            return None
        return PlannedVolumeAttachment(name, type, False, row._mapping["id"], None)
    new = await planner.new(body, field, boot=type == "boot", image=image)
    return None if new is None else PlannedVolumeAttachment(name, type, False, None, new)


async def plan_data_volume(
    planner: VolumePlanner, attachment: VolumeAttachmentPrototype, field: str = "volume"
) -> PlannedVolumeAttachment | None:
    """One data volume; problems are in the planner. `field`: where the body has its `volume`."""
    one = await _plan_one(planner, attachment.name, attachment.volume, field, None, "data")
    keep = attachment.delete_volume_on_instance_delete
    return one and replace(one, delete_volume_on_instance_delete=keep is True)


async def _boot_source(
    connection: AsyncConnection, boot: PlannedVolumeAttachment
) -> tuple[dict[str, str] | None, str | None]:
    if boot.new is not None:
        return boot.new.allowed_use, boot.new.source_image_id
    statement = select(volumes.c.allowed_use, volumes.c.source_image_id).where(
        volumes.c.id == boot.existing_id
    )
    allowed_use, image_id = (await connection.execute(statement)).one()
    return allowed_use, image_id


async def create_volumes(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    instance_id: str,
    plan: VolumesPlan,
    resource_group_id: str,
) -> None:
    """Write a plan of this transaction, after the instance's row. `resource_group_id`: of new volumes."""
    for position, attachment in enumerate(plan.attachments):
        await write_attachment(
            connection, context, caller, instance_id, position, attachment, resource_group_id
        )


async def write_volume(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    volume: NewVolume,
    resource_group_id: str,
) -> str:
    """A new volume. Returns its id. `resource_group_id` is for one that names none. Raises Invalid."""
    id = new_regional_id(context.region.name)
    with unique(volumes, name=name_taken("volume", volume.name, volume.name_field)):
        await connection.execute(
            insert(volumes),
            {
                "id": id,
                "account_id": caller.account_id,
                "region": context.region.name,
                "zone": volume.zone,
                "name": volume.name,
                "crn": vpc_crn(volume.zone, caller.account_id, "volume", id),
                "version": 1,
                "capacity": volume.capacity,
                "iops": volume.iops,
                "bandwidth": volume.bandwidth,
                "profile": volume.profile,
                "source_image_id": volume.source_image_id,
                "allowed_use": volume.allowed_use,
                "user_tags": list(volume.user_tags),
                "resource_group_id": volume.resource_group_id or resource_group_id,
                "created_at": context.clock.now(),
            },
        )
    return id


async def write_attachment(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    instance_id: str,
    position: int,
    plan: PlannedVolumeAttachment,
    resource_group_id: str,
) -> str:
    """An attachment, and its volume if that is new. Returns the attachment's id."""
    volume_id = plan.existing_id
    if plan.new is not None:
        volume_id = await write_volume(connection, context, caller, plan.new, resource_group_id)
        zone = plan.new.zone
    else:
        of = select(volumes.c.zone).where(volumes.c.id == volume_id)
        zone = (await connection.execute(of)).scalar_one()
    id = new_zonal_id(zone)
    await connection.execute(
        insert(volume_attachments),
        {
            "id": id,
            "instance_id": instance_id,
            "volume_id": volume_id,
            "position": position,
            "name": plan.name,
            "type": plan.type,
            "device_id": device_id(id),
            "delete_volume_on_instance_delete": plan.delete_volume_on_instance_delete,
            "created_at": context.clock.now(),
        },
    )
    return id


def device_id(attachment_id: str) -> str:
    """`<attachment id>-<5 lower-case alphanumerics>` (metadata contract 4)."""
    suffix = "".join(secrets.choice(_DEVICE_ALPHABET) for _ in range(DEVICE_SUFFIX))
    return f"{attachment_id}-{suffix}"


async def lock_volumes_of(connection: AsyncConnection, instance_id: str) -> None:
    """Lock an instance's volumes: call it *before* locking the instance (see `network/locks.py`)."""
    attached = await connection.scalars(_ATTACHED, {"instance": instance_id})
    await lock_volumes(connection, set(attached))


async def remove_volumes(connection: AsyncConnection, instance_id: str) -> None:
    """Detach all volumes of an instance that is being deleted, before its row goes.

    Those with `delete_volume_on_instance_delete` go with it. `lock_volumes_of` must have been called
    before the instance was locked.
    """
    detached = (await connection.execute(_DETACH, {"instance": instance_id})).all()
    await connection.execute(_DELETE, {"ids": [id for id, doomed in detached if doomed]})


async def load_volume_attachments(
    connection: AsyncConnection, instance_ids: Collection[str]
) -> dict[str, list[LoadedVolumeAttachment]]:
    """The volumes of each instance, boot volume first. Every id asked for is a key. One query."""
    ids = sorted(set(instance_ids))
    loaded: dict[str, list[LoadedVolumeAttachment]] = {id: [] for id in ids}
    for row in (await connection.execute(_LOADED, {"ids": ids})).mappings():
        volume = LoadedVolume(
            **{name: row[f"volume_{name}"] for name in LoadedVolume.__dataclass_fields__}
        )
        loaded[row["instance_id"]].append(
            LoadedVolumeAttachment(
                id=row["id"],
                instance_id=row["instance_id"],
                position=row["position"],
                name=row["name"],
                type=row["type"],
                device_id=row["device_id"],
                delete_volume_on_instance_delete=row["delete_volume_on_instance_delete"],
                created_at=row["created_at"],
                volume=volume,
            )
        )
    return loaded
