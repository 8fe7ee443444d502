"""The account's own images: made, renamed, allowed and deleted. Decides; knows no HTTP.

An image here is a record: linklocal boots nothing, so no file is read and none is written. What it
decides is who may start an instance of it, how (contract 8), and what references to it show.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, NotAuthorized, NotFound, Problem, bad_field, missing_field
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId, generated_name, new_regional_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.http import EARLIEST_VERSION
from linklocal.vpc.images import operating_systems
from linklocal.vpc.images.allowed_use import expression_problems
from linklocal.vpc.images.model import ImagePatch, ImagePrototype
from linklocal.vpc.images.shown import shown_images
from linklocal.vpc.images.tables import deleted_images, images
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.references import raise_if, resolve, resolve_named
from linklocal.vpc.render import publish_instances
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import own
from linklocal.vpc.volumes.tables import volume_attachments, volumes

DEFAULT_SIZE = 10  # GB
# What an image's status must be before, and where the time is kept.
_BEFORE = {"deprecated": ("available",), "obsolete": ("available", "deprecated")}
_SINCE = {"deprecated": "deprecation_at", "obsolete": "obsolescence_at"}
# Members of IBM's prototype that would be promises nobody keeps.
_NOT_KEPT = {
    "deprecation_at": "linklocal has no deprecation dates: leave `deprecation_at` out.",
    "obsolescence_at": "linklocal has no obsolescence dates: leave `obsolescence_at` out.",
    "encryption_key": "linklocal stores no image data, so it encrypts none: leave it out.",
    "encrypted_data_key": "linklocal stores no image data, so it encrypts none: leave it out.",
}


async def create_image(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    prototype: ImagePrototype,
    version: str,
) -> Row[Any]:
    """The row of a new image. Raises Invalid, NotAuthorized, Conflict (the volume is in use).

    `version` of the request is the date its expressions are written with, unless they name another.
    """
    await context.authorizer.require(connection, caller, "is.image.image.create")
    problems = [
        bad_field(member, message)
        for member, message in _NOT_KEPT.items()
        if getattr(prototype, member) is not None
    ]
    group_id, found = await resolve_resource_group(connection, caller, prototype.resource_group)
    problems += found
    scope = own(context, caller, images)
    problems += await name_problems(connection, scope, images, "image", prototype.name)
    system, size, found = await _source(connection, context, caller, prototype)
    problems += found
    allowed_use = {"api_version": version, "bare_metal_server": "true", "instance": "true"}
    if prototype.allowed_use is not None:
        await context.authorizer.require(connection, caller, "is.image.image.manage-allowed-use")
        named = prototype.allowed_use.model_dump(exclude_none=True)
        problems += _allowed_use_problems(context, named)
        allowed_use |= named
    raise_if(problems)
    assert system is not None
    id, name = new_regional_id(context.region.name), prototype.name or generated_name()
    statement = insert(images).values(
        id=id,
        account_id=caller.account_id,
        region=context.region.name,
        name=name,
        crn=vpc_crn(context.region.name, caller.account_id, "image", id),
        status="available",
        visibility="private",
        operating_system=system,
        user_data_format=operating_systems.stored(system).user_data_format,
        minimum_provisioned_size=size,
        file={},
        allowed_use=allowed_use,
        resource_group_id=group_id,
        created_at=context.clock.now(),
    )
    with unique(images, name=name_taken("image", name)):
        row: Row[Any] = (await connection.execute(statement.returning(images))).one()
    return row


async def _source(
    connection: AsyncConnection, context: VpcContext, caller: Caller, prototype: ImagePrototype
) -> tuple[str | None, int, list[Problem]]:
    """Operating system and size (GB) of the image, from a file or a volume; and what is wrong."""
    if prototype.source_volume is None:
        problems = []
        if prototype.file is None:
            message = "Say what the image is made from: `file` or `source_volume`."
            problems.append(missing_field("file", message))
        if prototype.operating_system is None:
            message = "Name the `operating_system` in the file."
            return None, 0, [*problems, missing_field("operating_system", message)]
        known = [system.name for system in operating_systems.OPERATING_SYSTEMS]
        asked = prototype.operating_system
        system, found = resolve_named(asked, known, "operating system", "operating_system")
        return system, DEFAULT_SIZE, problems + found
    if prototype.file is not None or prototype.operating_system is not None:
        message = "An image of a volume has its operating system: leave `file` and it out."
        return None, 0, [bad_field("source_volume", message)]
    scope = own(context, caller, volumes)
    row, problems = await resolve(
        connection, volumes, prototype.source_volume, "source_volume", scope=scope, lock=True
    )
    if row is None:
        return None, 0, problems
    volume = row._mapping
    running = (
        select(instances.c.id)
        .join(volume_attachments, volume_attachments.c.instance_id == instances.c.id)
        .where(volume_attachments.c.volume_id == volume["id"], instances.c.desired == "running")
    )
    if (user := await connection.scalar(running)) is not None:
        message = f"The volume is in use by running instance {user}: stop it first."
        raise Conflict(message, "source_volume")
    sources = await shown_images(connection, [volume["source_image_id"]])
    if not sources:
        message = "The volume has no operating system: only a boot volume can become an image."
        return None, 0, [bad_field("source_volume", message, volume["id"])]
    return sources[volume["source_image_id"]]["operating_system"], volume["capacity"], []


async def update_image(
    connection: AsyncConnection, context: VpcContext, caller: Caller, id: str, patch: ImagePatch
) -> Row[Any]:
    """The row after a merge patch; instances show the new name. Raises NotFound, NotAuthorized, Invalid.

    Volumes have copies of `allowed_use`: what exists already is not asked anew.
    """
    row = await _own(connection, context, caller, id, "is.image.image.update")
    image, given = row._mapping, patch.model_fields_set
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    if "name" in given and patch.name != image["name"]:
        values["name"] = patch.name
        scope = own(context, caller, images)
        problems += await name_problems(connection, scope, images, "image", patch.name)
    if "allowed_use" in given:
        await context.authorizer.require(connection, caller, "is.image.image.manage-allowed-use")
        named = patch.allowed_use.given()
        problems += _allowed_use_problems(context, named)
        values["allowed_use"] = {**image["allowed_use"], **named}
    raise_if(problems)
    if not values:
        return row
    statement = update(images).where(images.c.id == id).values(values).returning(images)
    with unique(images, name=name_taken("image", patch.name)):
        changed: Row[Any] = (await connection.execute(statement)).one()
    if "name" in values:
        await publish_instances(connection, context, await _users(connection, id))
    return changed


async def retire_image(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    id: str,
    status: Literal["deprecated", "obsolete"],
) -> None:
    """A deprecated image can still be used, an obsolete one cannot; what was made of it stays.

    There is no way back, as in IBM's API. Raises NotFound, NotAuthorized, Conflict.
    """
    image = (await _own(connection, context, caller, id, "is.image.image.update"))._mapping
    if image["status"] not in _BEFORE[status]:
        message = f"The image is {image['status']}: only one that is " + " or ".join(
            _BEFORE[status]
        )
        raise Conflict(f"{message} can become {status}.")
    values = {"status": status, _SINCE[status]: context.clock.now()}
    await connection.execute(update(images).where(images.c.id == id).values(values))


async def delete_image(
    connection: AsyncConnection, context: VpcContext, caller: Caller, id: str
) -> None:
    """Instances and volumes keep their reference, marked as deleted. Raises NotFound, NotAuthorized."""
    image = (await _own(connection, context, caller, id, "is.image.image.delete"))._mapping
    kept = {column.name: image[column.name] for column in deleted_images.columns}
    await connection.execute(insert(deleted_images).values(kept))
    await connection.execute(delete(images).where(images.c.id == id))
    await publish_instances(connection, context, await _users(connection, id))


async def _own(
    connection: AsyncConnection, context: VpcContext, caller: Caller, id: str, action: str
) -> Row[Any]:
    """The image, locked FOR UPDATE. Raises NotFound, and NotAuthorized for one of the provider's."""
    await context.authorizer.require(connection, caller, action)
    visible = (
        select(images)
        .where(
            images.c.id == id,
            images.c.region == context.region.name,
            or_(images.c.account_id == caller.account_id, images.c.visibility == "public"),
        )
        .with_for_update()
    )
    row: Row[Any] | None = (await connection.execute(visible)).one_or_none()
    if row is None:
        raise NotFound("id", id)
    if row._mapping["account_id"] != caller.account_id:
        needs = "an image of your own account, and this one is the provider's: make one with POST"
        raise NotAuthorized(action=action, needs=needs, rule="owner")
    return row


async def _users(connection: AsyncConnection, id: str) -> Sequence[InstanceId]:
    """Instances that show the image. It is locked, so there will be no more."""
    found = await connection.execute(select(instances.c.id).where(instances.c.image_id == id))
    return sorted(InstanceId(instance_id) for instance_id in found.scalars())


def _allowed_use_problems(context: VpcContext, named: dict[str, str]) -> list[Problem]:
    problems = expression_problems(named, "allowed_use")
    if (version := named.get("api_version")) is not None:
        today = context.clock.now().date()
        try:
            fits = EARLIEST_VERSION <= date.fromisoformat(version) <= today
        except ValueError:
            fits = False
        if not fits:
            message = f"`api_version` must be a day from {EARLIEST_VERSION} to today, {today}."
            problems.append(bad_field("allowed_use.api_version", message, version))
    return problems
