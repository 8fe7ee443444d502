"""Images: list, get, and the profiles that can run one. Decides; knows no HTTP.

The stock images come from the seed (`stock.py`), those of an account from `changing.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, Select, false, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import NotFound
from linklocal.iam.caller import Caller
from linklocal.settings import Region
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images import operating_systems
from linklocal.vpc.images.allowed_use import allows_profile
from linklocal.vpc.images.changing import (
    create_image,
    delete_image,
    retire_image,
    update_image,
)
from linklocal.vpc.images.model import ImagePatch, ImagePrototype
from linklocal.vpc.images.tables import images
from linklocal.vpc.paging import Page, select_page, slice_page
from linklocal.vpc.profiles.catalog import PROFILES
from linklocal.vpc.profiles.views import profile_reference
from linklocal.vpc.regions.views import zone_reference
from linklocal.vpc.resource_groups import resource_group_reference, resource_group_references

# Statuses in which an image is in every zone; `partially_available` does not occur here.
_IN_ALL_ZONES = ("available", "partially_available", "deprecated")

Views = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """What a list is narrowed to; None: not narrowed by this."""

    resource_group_id: str | None = None
    name: str | None = None
    status: Collection[str] | None = None
    visibility: str | None = None
    user_data_format: Collection[str] | None = None
    remote_account_id: str | None = None


def image_view(row: Row[Any], resource_group: Mapping[str, Any], region: Region) -> dict[str, Any]:
    """Image. `resource_group` is the reference to the row's group."""
    i = row._mapping
    zones = region.zones if i["status"] in _IN_ALL_ZONES else ()
    return {
        "allowed_use": i["allowed_use"],
        "catalog_offering": {"managed": False},
        "created_at": rfc3339_ms(i["created_at"]),
        "crn": i["crn"],
        "encryption": "none",
        "file": i["file"],
        "href": f"/v1/images/{i['id']}",
        "id": i["id"],
        "minimum_provisioned_size": i["minimum_provisioned_size"],
        "name": i["name"],
        "operating_system": operating_systems.stored(i["operating_system"]).view(),
        "resource_group": resource_group,
        "resource_type": "image",
        "status": i["status"],
        "status_reasons": [],
        "user_data_format": i["user_data_format"],
        "visibility": i["visibility"],
        "zones": [zone_reference(region.name, zone) for zone in zones],
        **{
            member: rfc3339_ms(i[member])
            for member in ("deprecation_at", "obsolescence_at")
            if i[member] is not None
        },
    }


class ImageService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    def _visible(self, caller: Caller) -> Select[Any]:
        """The account's images in this region, and the public ones."""
        return select(images).where(
            images.c.region == self._context.region.name,
            or_(images.c.account_id == caller.account_id, images.c.visibility == "public"),
        )

    async def _get(self, connection: AsyncConnection, caller: Caller, id: str) -> Row[Any]:
        await self._context.authorizer.require(connection, caller, "is.image.image.read")
        statement = self._visible(caller).where(images.c.id == id)
        row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound("id", id)
        return row

    async def list(
        self, caller: Caller, page: Page, wanted: ImageFilter
    ) -> tuple[Views, int, str | None]:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        region = self._context.region
        async with self._context.database.read() as connection:
            await self._context.authorizer.require(connection, caller, "is.image.image.list")
            statement = _narrowed(self._visible(caller), wanted)
            rows, total, following = await select_page(connection, statement, images, page)
            groups = await resource_group_references(
                connection, [row._mapping["resource_group_id"] for row in rows]
            )
            views = [
                image_view(row, groups[row._mapping["resource_group_id"]], region) for row in rows
            ]
            return views, total, following

    async def get(self, caller: Caller, id: str) -> dict[str, Any]:
        """Image view. Raises NotFound."""
        async with self._context.database.read() as connection:
            return await self._view(connection, await self._get(connection, caller, id))

    async def _view(self, connection: AsyncConnection, row: Row[Any]) -> dict[str, Any]:
        group = await resource_group_reference(connection, row._mapping["resource_group_id"])
        return image_view(row, group, self._context.region)

    async def create(
        self, caller: Caller, prototype: ImagePrototype, version: str
    ) -> dict[str, Any]:
        """Image view. Raises as `changing.create_image`."""
        async with self._context.database.transaction() as connection:
            row = await create_image(connection, self._context, caller, prototype, version)
            return await self._view(connection, row)

    async def update(self, caller: Caller, id: str, patch: ImagePatch) -> dict[str, Any]:
        """Image view. Raises as `changing.update_image`."""
        async with self._context.database.transaction() as connection:
            row = await update_image(connection, self._context, caller, id, patch)
            return await self._view(connection, row)

    async def retire(
        self, caller: Caller, id: str, status: Literal["deprecated", "obsolete"]
    ) -> None:
        """Raises as `changing.retire_image`."""
        async with self._context.database.transaction() as connection:
            await retire_image(connection, self._context, caller, id, status)

    async def delete(self, caller: Caller, id: str) -> None:
        """Raises as `changing.delete_image`."""
        async with self._context.database.transaction() as connection:
            await delete_image(connection, self._context, caller, id)

    async def instance_profiles(
        self, caller: Caller, id: str, page: Page
    ) -> tuple[Views, int, str | None]:
        """References to the profiles that the image can run on. Raises NotFound, Invalid (`start`)."""
        async with self._context.database.read() as connection:
            row = await self._get(connection, caller, id)
        architecture = operating_systems.stored(row._mapping["operating_system"]).architecture
        fitting = [
            profile
            for profile in PROFILES
            if profile.architecture == architecture
            and allows_profile(row._mapping["allowed_use"], profile)
        ]
        shown, total, following = slice_page(fitting, lambda profile: profile.name, page)
        return [profile_reference(profile) for profile in shown], total, following


def _narrowed(statement: Select[Any], wanted: ImageFilter) -> Select[Any]:
    for column, value in (
        (images.c.resource_group_id, wanted.resource_group_id),
        (images.c.name, wanted.name),
        (images.c.visibility, wanted.visibility),
    ):
        if value is not None:
            statement = statement.where(column == value)
    for column, values in (
        (images.c.status, wanted.status),
        (images.c.user_data_format, wanted.user_data_format),
    ):
        if values is not None:
            statement = statement.where(column.in_(sorted(values)))
    if wanted.remote_account_id not in (None, "null"):
        # No image here is remote, so any account, and `not:null`, selects none.
        statement = statement.where(false())
    return statement
