"""Planning volumes: what a body asks for, resolved, locked and checked. Writes nothing.

For the volumes of a new instance, for one attached later, and for a volume made on its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Problem, bad_field, not_found_field
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.allowed_use import expression_problems
from linklocal.vpc.naming import fresh_name, name_problems, name_taken
from linklocal.vpc.network.locks import lock_rows
from linklocal.vpc.references import Identity, resolve
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import own
from linklocal.vpc.scopes import Scope
from linklocal.vpc.volumes.model import (
    AllowedUsePrototype,
    AttachedVolumePrototype,
    NewVolumePrototype,
)
from linklocal.vpc.volumes.profiles import check_size, resolve_profile
from linklocal.vpc.volumes.tables import volume_attachments, volumes

DEFAULT_CAPACITY = 100  # GB


@dataclass(frozen=True, slots=True)
class NewVolume:
    """A volume to be made. `resource_group_id` None: the instance's. `name_field`: of the body."""

    name: str
    name_field: str
    zone: str
    capacity: int
    iops: int
    bandwidth: int
    profile: str
    user_tags: tuple[str, ...]
    resource_group_id: str | None
    source_image_id: str | None = None
    allowed_use: dict[str, str] | None = None


class VolumePlanner:
    """Plans the volumes of one request; appends what is wrong to `problems`."""

    def __init__(
        self, connection: AsyncConnection, context: VpcContext, caller: Caller, *, zone: str
    ) -> None:
        self._connection = connection
        self._context = context
        self._caller = caller
        self._zone = zone
        self.problems: list[Problem] = []
        self._names: set[str] = set()
        self._existing: set[str] = set()

    async def new(
        self,
        body: NewVolumePrototype,
        field: str,
        *,
        boot: bool = False,
        image: Any = None,
    ) -> NewVolume | None:
        """A volume as `body` describes it; None after a problem. `field`: path of the body, "" the root.

        `image`: mapping of the image's row that a boot volume is made from.
        """
        prefix = f"{field}." if field else ""
        before = len(self.problems)
        for member, message in (
            (
                "source_snapshot",
                "linklocal makes no snapshots, so there is none to make a volume from: leave it out.",
            ),
            (
                "encryption_key",
                "linklocal stores no volume data, so it encrypts none: leave `encryption_key` out.",
            ),
        ):
            if getattr(body, member) is not None:
                self.problems.append(bad_field(prefix + member, message))
        profile, problems = resolve_profile(body.profile, f"{prefix}profile")
        self.problems += problems
        minimum = image["minimum_provisioned_size"] if image is not None else 0
        capacity = body.capacity or max(DEFAULT_CAPACITY, minimum)
        self.problems += check_size(
            profile, capacity, body.iops, body.bandwidth, prefix, boot=boot, minimum=minimum
        )
        await self._check_name(body.name, f"{prefix}name")
        group_id: str | None = None
        if body.resource_group is not None:
            group_id, problems = await resolve_resource_group(
                self._connection, self._caller, body.resource_group, f"{prefix}resource_group"
            )
            self.problems += problems
        allowed_use = await self._allowed_use(body.allowed_use, f"{prefix}allowed_use", image)
        if len(self.problems) > before:
            return None
        iops = profile.iops(capacity, body.iops)
        return NewVolume(
            name=body.name or await fresh_name(self._connection, self._scope(), volumes),
            name_field=f"{prefix}name",
            zone=self._zone,
            capacity=capacity,
            iops=iops,
            bandwidth=profile.bandwidth(iops),
            profile=profile.name,
            user_tags=tuple(dict.fromkeys(body.user_tags or ())),
            resource_group_id=group_id,
            source_image_id=None if image is None else image["id"],
            allowed_use=allowed_use,
        )

    def _scope(self) -> Scope:
        return own(self._context, self._caller, volumes)

    async def _check_name(self, name: str | None, field: str) -> None:
        if name is None:
            return
        found = await name_problems(self._connection, self._scope(), volumes, "volume", name, field)
        self.problems += found or (
            [name_taken("volume", name, field)] if name in self._names else []
        )
        self._names.add(name)

    async def _allowed_use(
        self, asked: AllowedUsePrototype | None, field: str, image: Any
    ) -> dict[str, str] | None:
        """A boot volume's copy of its image's, with what the body has in its place (contract 8)."""
        if image is None:
            if asked is not None:
                message = "Only a volume made from an image has `allowed_use`: leave it out."
                self.problems.append(bad_field(field, message))
            return None
        if asked is None:
            return dict(image["allowed_use"])
        action = "is.volume.volume.manage-allowed-use"
        await self._context.authorizer.require(self._connection, self._caller, action)
        named = asked.model_dump(exclude_none=True)
        self.problems += expression_problems(named, field)
        return {**image["allowed_use"], **named}

    async def existing(
        self, body: AttachedVolumePrototype, identity: Identity, field: str, *, boot: bool = False
    ) -> Row[Any] | None:
        """The unattached volume that the body names, locked FOR UPDATE; None after a problem."""
        described = body.model_fields_set - {"id", "crn", "href"}
        before = len(self.problems)
        for member in sorted(described):
            if getattr(body, member) is not None:
                message = (
                    "A volume is named by `id`, `crn` or `href`, or described: "
                    f"leave `{member}` out, or the identity."
                )
                self.problems.append(bad_field(f"{field}.{member}", message))
        found, problems = await resolve(
            self._connection, volumes, identity, field, scope=self._scope()
        )
        self.problems += problems
        if found is None:
            return None
        target = f"{field}.{next(iter(identity.members()))}"
        id = found._mapping["id"]
        row = (await lock_volumes(self._connection, [id])).get(id)
        if row is None:  # deleted since it was found
            message = "There is no volume with this id."
            self.problems.append(not_found_field(target, message, id))
            return None
        v = row._mapping
        if id in self._existing:
            self.problems.append(bad_field(target, "The volume is named twice.", id))
        self._existing.add(id)
        used = select(volume_attachments.c.id).where(volume_attachments.c.volume_id == id)
        if (await self._connection.execute(used)).first() is not None:
            message = "The volume is attached to an instance already: detach it there first."
            self.problems.append(bad_field(target, message, id))
        if v["zone"] != self._zone:
            message = f"The volume is in zone {v['zone']}, not in {self._zone}: choose one there."
            self.problems.append(bad_field(target, message, id))
        if boot and v["source_image_id"] is None:
            message = "The volume was not made from an image, so nothing can start from it."
            self.problems.append(bad_field(target, message, id))
        return row if len(self.problems) == before else None


async def lock_volumes(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Row[Any]]:
    """Volumes by id, locked FOR UPDATE in order of id; those that are not there are left out."""
    return await lock_rows(connection, volumes, ids)
