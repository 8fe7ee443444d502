"""Volumes: create, list, get, change, delete. Decides; knows no HTTP.

A volume is a row: linklocal stores no blocks. What it does have is a name, a size and a place, which
instances show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, delete, false, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, bad_field
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId
from linklocal.vpc.context import VpcContext
from linklocal.vpc.http import check_if_match, etag
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.references import raise_if
from linklocal.vpc.regions.views import resolve_zone
from linklocal.vpc.render import publish_instances
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import Problems, View, ViewPage, find_row, of_account, own
from linklocal.vpc.volumes.attach import write_volume
from linklocal.vpc.volumes.load import volume_views
from linklocal.vpc.volumes.model import VolumePatch, VolumePrototype
from linklocal.vpc.volumes.planning import VolumePlanner
from linklocal.vpc.volumes.profiles import VOLUME_PROFILES, check_size, resolve_profile
from linklocal.vpc.volumes.tables import volume_attachments, volumes


@dataclass(frozen=True, slots=True)
class VolumeFilter:
    """What `list_volumes` may be narrowed by. None: not asked."""

    name: str | None = None
    zone_name: str | None = None
    attachment_state: Literal["attached", "unattached", "unusable"] | None = None
    encryption: Literal["provider_managed", "user_managed"] | None = None


class VolumeService:
    """One instance per server; every method is one unit of work. Views come with their ETag."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    async def _may(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        await self._context.authorizer.require(connection, caller, f"is.volume.volume.{verb}")

    @staticmethod
    async def _view(connection: AsyncConnection, row: Row[Any]) -> tuple[View, str]:
        view = (await volume_views(connection, [row]))[0]
        return view, etag(row._mapping["id"], row._mapping["version"])

    @staticmethod
    async def _users(connection: AsyncConnection, id: str) -> Sequence[InstanceId]:
        statement = select(volume_attachments.c.instance_id).where(
            volume_attachments.c.volume_id == id
        )
        return [InstanceId(found) for found in (await connection.execute(statement)).scalars()]

    async def create(self, caller: Caller, body: VolumePrototype) -> tuple[View, str]:
        """Volume. Raises Invalid (`zone`, `profile`, `capacity`, `iops`, `name`, ...)."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "create")
            zone, problems = resolve_zone(self._context.region, body.zone)
            planner = VolumePlanner(connection, self._context, caller, zone=zone or "")
            plan = await planner.new(body, "")
            raise_if(problems + planner.problems)
            assert plan is not None
            group_id, _ = await resolve_resource_group(connection, caller, None)
            id = await write_volume(connection, self._context, caller, plan, group_id)
            row = await find_row(connection, self._context, caller, volumes, id)
            return await self._view(connection, row)

    async def list(self, caller: Caller, page: Page, asked: VolumeFilter) -> ViewPage:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "list")
            statement = of_account(self._context, caller, volumes)
            used = select(volume_attachments.c.volume_id)
            if asked.name is not None:
                statement = statement.where(volumes.c.name == asked.name)
            if asked.zone_name is not None:
                statement = statement.where(volumes.c.zone == asked.zone_name)
            if asked.attachment_state == "attached":
                statement = statement.where(volumes.c.id.in_(used))
            elif asked.attachment_state == "unattached":
                statement = statement.where(volumes.c.id.not_in(used))
            elif asked.attachment_state == "unusable":
                statement = statement.where(false())
            if asked.encryption == "user_managed":
                statement = statement.where(false())
            rows, total, following = await select_page(connection, statement, volumes, page)
            return await volume_views(connection, rows), total, following

    async def get(self, caller: Caller, id: str) -> tuple[View, str]:
        """Volume. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "read")
            row = await find_row(connection, self._context, caller, volumes, id)
            return await self._view(connection, row)

    async def update(
        self, caller: Caller, id: str, patch: VolumePatch, if_match: str | None
    ) -> tuple[View, str]:
        """Name, tags, size and speed. Raises NotFound, PreconditionFailed, Invalid."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "update")
            row = await find_row(connection, self._context, caller, volumes, id, lock=True)
            check_if_match(if_match, etag(id, row._mapping["version"]))
            values, problems = _changes(dict(row._mapping), patch)
            name = values.get("name")
            scope = own(self._context, caller, volumes)
            problems += await name_problems(connection, scope, volumes, "volume", name)
            raise_if(problems)
            if not values:
                return await self._view(connection, row)
            statement = (
                update(volumes)
                .where(volumes.c.id == id)
                .values(version=volumes.c.version + 1, **values)
                .returning(volumes)
            )
            with unique(volumes, name=name_taken("volume", name or "")):
                row = (await connection.execute(statement)).one()
            await publish_instances(connection, self._context, await self._users(connection, id))
            return await self._view(connection, row)

    async def delete(self, caller: Caller, id: str, if_match: str | None) -> None:
        """Raises NotFound, PreconditionFailed, Conflict while it is attached."""
        async with self._context.database.transaction() as connection:
            await self._may(connection, caller, "delete")
            row = await find_row(connection, self._context, caller, volumes, id, lock=True)
            check_if_match(if_match, etag(id, row._mapping["version"]))
            if users := await self._users(connection, id):
                message = f"The volume is attached to instance {users[0]}: detach it there first."
                raise Conflict(message, "id")
            await connection.execute(delete(volumes).where(volumes.c.id == id))


def _changes(volume: View, patch: VolumePatch) -> tuple[View, Problems]:
    """The columns that the patch changes, and what is wrong with it."""
    given = patch.given()
    problems: Problems = []
    profile = VOLUME_PROFILES[volume["profile"]]
    boot = volume["source_image_id"] is not None
    if "profile" in given:
        asked, problems = resolve_profile(patch.profile, "profile")
        if not problems and asked.family != profile.family:
            message = f"A volume of family {profile.family} keeps to profiles of that family."
            problems.append(bad_field("profile", message, asked.name))
        profile = asked
    capacity: int = given["capacity"] if "capacity" in given else volume["capacity"]
    if capacity < volume["capacity"]:
        message = f"A volume cannot shrink: it has {volume['capacity']} GB."
        problems.append(bad_field("capacity", message, capacity))
    elif {"capacity", "iops", "profile"} & given.keys():
        problems += check_size(profile, capacity, given.get("iops"), None, "", boot=boot)
    iops = profile.iops(capacity, given.get("iops", volume["iops"]))
    tags: list[str] = given["user_tags"] if "user_tags" in given else volume["user_tags"]
    values = {
        "name": given.get("name", volume["name"]),
        "capacity": capacity,
        "profile": profile.name,
        "iops": iops,
        "bandwidth": profile.bandwidth(iops),
        "user_tags": list(dict.fromkeys(tags)),
    }
    return {k: v for k, v in values.items() if volume[k] != v}, problems
