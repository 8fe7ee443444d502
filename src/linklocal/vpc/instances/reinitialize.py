"""Reinitializing a stopped instance: its image, keys, user data and default trusted profile anew.

The only way to change the default trusted profile. The initialization is replaced as a whole: what the
body does not name is gone afterwards. Then the instance starts by itself (contract 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, bad_field, missing_field
from linklocal.iam.caller import Caller
from linklocal.iam.links import unlink_instance
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.allowed_use import allowed_use_problems
from linklocal.vpc.instances.lifecycle import Status
from linklocal.vpc.instances.load import InstanceRecord, load
from linklocal.vpc.instances.model import ReinitializePrototype
from linklocal.vpc.instances.resolving import Resolver
from linklocal.vpc.instances.tables import instance_keys
from linklocal.vpc.instances.writing import change_life_cycle, write_keys, write_link
from linklocal.vpc.profiles.catalog import Profile
from linklocal.vpc.references import raise_if
from linklocal.vpc.volumes.tables import volumes


def rights_to_reinitialize(prototype: ReinitializePrototype) -> list[str]:
    """The actions that a caller must be allowed for this body."""
    conditional = {
        "is.image.image.operate": prototype.image,
        "is.key.key.operate": prototype.keys,
        "iam-identity.profile.linkToResource": prototype.default_trusted_profile,
    }
    return [
        "is.instance.instance.update",
        *(action for action, named in conditional.items() if named),
    ]


@dataclass(frozen=True, slots=True)
class Initialization:
    """What a body resolves to: rows of the image and the keys, and the profile as it will be shown."""

    image: Row[Any]
    keys: tuple[Row[Any], ...]
    user_data: str | None
    default_trusted_profile: dict[str, Any] | None


async def resolve_initialization(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    prototype: ReinitializePrototype,
    profile: Profile,
) -> Initialization:
    """Find and lock what the body names; call it before the instance is locked. Raises Invalid."""
    resolver = Resolver(connection, context, caller)
    trusted_profile = await resolver.trusted_profile(prototype.default_trusted_profile)
    image = await resolver.image(prototype.image, profile)
    keys = await resolver.keys(prototype.keys, image)
    problems = resolver.problems
    if prototype.boot_volume_attachment is not None:
        message = "The boot volume is kept and written anew: name an `image` to write."
        problems.append(bad_field("boot_volume_attachment", message))
    elif prototype.image is None:
        problems.append(missing_field("image", "Name the `image` to start from anew."))
    raise_if(problems)
    assert image is not None
    return Initialization(image, keys, prototype.user_data, trusted_profile)


def check(record: InstanceRecord, status: Status, initialization: Initialization) -> None:
    """Raises Conflict unless the instance is stopped, Invalid when the image does not allow it."""
    if status != "stopped":
        raise Conflict(f"The instance is {status}: stop it first.")
    allowed_use = initialization.image._mapping["allowed_use"]
    settings = record.metadata_service
    raise_if(allowed_use_problems(allowed_use, settings, record.options, record.profile))


async def write_initialization(
    connection: AsyncConnection,
    context: VpcContext,
    record: InstanceRecord,
    initialization: Initialization,
) -> None:
    """Write it, and start the instance. The instance and its volumes are locked.

    The automatic link of the profile before goes, the new one's is made; links made by hand stay.
    Tokens from before are no longer accepted.
    """
    id, image, crn = record.id, dict(initialization.image._mapping), record.row["crn"]
    await connection.execute(
        update(volumes)
        .where(volumes.c.id == record.volumes[0].volume.id)
        .values(source_image_id=image["id"], allowed_use=image["allowed_use"])
    )
    await connection.execute(delete(instance_keys).where(instance_keys.c.instance_id == id))
    await write_keys(connection, id, initialization.keys)
    await unlink_instance(connection, instance_crn=crn, automatic_only=True)
    await write_link(connection, context, id, crn, initialization.default_trusted_profile)
    values = {
        "image_id": image["id"],
        "user_data": initialization.user_data,
        "default_trusted_profile": initialization.default_trusted_profile,
        "version": record.row["version"] + 1,
        "start_epoch": record.row["start_epoch"] + 1,
        "desired": "running",
        "transition": "starting",
    }
    now = (await load(connection, [id]))[id]
    await change_life_cycle(connection, context, replace(now, image=image), values)
