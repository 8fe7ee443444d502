"""`InstanceRecord`: one instance with everything that an answer or a document shows of it.

The API's views and the renderer read the same record, so they cannot disagree. `load` takes no
more queries for many instances than for one; it takes no locks, so who writes locks first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Select, Table, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import MetadataService
from linklocal.fleet import placement
from linklocal.fleet.placement import PlacementState
from linklocal.iam.tables import resource_groups
from linklocal.ids import InstanceId
from linklocal.vpc import metadata_service
from linklocal.vpc.images.shown import shown_images
from linklocal.vpc.instances.options import Options
from linklocal.vpc.instances.tables import instance_keys, instances
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.keys.views import metadata_view
from linklocal.vpc.network.loaded import LoadedInterface, load_interfaces
from linklocal.vpc.network.tables import vpcs
from linklocal.vpc.placement_groups.tables import placement_groups
from linklocal.vpc.profiles.catalog import Profile, stored
from linklocal.vpc.volumes.attach import LoadedVolumeAttachment, load_volume_attachments

_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_KEYS = (
    select(instance_keys)
    .where(instance_keys.c.instance_id.in_(_IDS))
    .order_by(instance_keys.c.instance_id, instance_keys.c.position)
)


@dataclass(frozen=True, slots=True)
class UsedKey:
    """A key that an instance was initialized with, as the metadata API shows it.

    `deleted`: the key itself is gone, and `view` is what it was when it was used.
    """

    view: Mapping[str, Any]
    deleted: bool


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """Rows of one instance and of what it refers to. `image` has `deleted`."""

    row: Mapping[str, Any]
    profile: Profile
    options: Options
    vpc: Mapping[str, Any]
    resource_group: Mapping[str, Any]
    image: Mapping[str, Any] | None
    placement_group: Mapping[str, Any] | None
    keys: tuple[UsedKey, ...]
    interfaces: Sequence[LoadedInterface]
    volumes: Sequence[LoadedVolumeAttachment]
    placement: PlacementState | None

    @property
    def id(self) -> InstanceId:
        return InstanceId(self.row["id"])

    @property
    def attachments(self) -> list[LoadedInterface]:
        """Those interfaces that are network attachments: all of them or none."""
        return [interface for interface in self.interfaces if interface.kind == "attachment"]

    @property
    def metadata_service(self) -> MetadataService:
        return metadata_service.from_columns(self.row)


async def load(
    connection: AsyncConnection, ids: Collection[InstanceId]
) -> dict[InstanceId, InstanceRecord]:
    """Records of those instances that exist, by id, in the order of `ids`."""
    wanted = list(dict.fromkeys(ids))
    found = await _by_id(connection, instances, wanted)
    present = [id for id in wanted if id in found]
    rows = [found[id] for id in present]

    networks = await _by_id(connection, vpcs, [row["vpc_id"] for row in rows])
    groups = await _by_id(connection, resource_groups, [row["resource_group_id"] for row in rows])
    sources = await shown_images(connection, [row["image_id"] for row in rows])
    spreads = await _by_id(
        connection, placement_groups, [row["placement_group_id"] for row in rows]
    )
    used = await _keys(connection, present)
    interfaces = await load_interfaces(connection, present)
    volumes = await load_volume_attachments(connection, present)
    placements = await placement.find(connection, present)
    return {
        id: InstanceRecord(
            row=row,
            profile=stored(row["profile"]),
            options=Options.from_json(row["options"]),
            vpc=networks[row["vpc_id"]],
            resource_group=groups[row["resource_group_id"]],
            image=sources.get(row["image_id"]),
            placement_group=spreads.get(row["placement_group_id"]),
            keys=tuple(used.get(id, ())),
            interfaces=interfaces[id],
            volumes=volumes[id],
            placement=placements.get(id),
        )
        for id, row in zip(present, rows, strict=True)
    }


async def _by_id(
    connection: AsyncConnection, table: Table, ids: Collection[str | None]
) -> dict[str, dict[str, Any]]:
    """Rows of a table by id. One query; none when there is nothing to ask for."""
    wanted = sorted({id for id in ids if id is not None})
    if not wanted:
        return {}
    rows = await connection.execute(_with_ids(table), {"ids": wanted})
    return {row["id"]: dict(row) for row in rows.mappings()}


@cache  # to build it takes longer than to run it
def _with_ids(table: Table) -> Select[Any]:
    return select(table).where(table.c.id.in_(_IDS))


async def _keys(
    connection: AsyncConnection, ids: Collection[InstanceId]
) -> dict[InstanceId, list[UsedKey]]:
    """Keys by instance, in the order given. A key that still exists shows its name of today."""
    uses = (await connection.execute(_KEYS, {"ids": sorted(ids)})).mappings().all()
    if not uses:
        return {}
    wanted = sorted({use["key_id"] for use in uses})
    rows = await connection.execute(_with_ids(keys), {"ids": wanted})
    today = {row._mapping["id"]: metadata_view(row) for row in rows}
    found: dict[InstanceId, list[UsedKey]] = {}
    for use in uses:
        view = today.get(use["key_id"])
        key = UsedKey(view or use["snapshot"], deleted=view is None)
        found.setdefault(InstanceId(use["instance_id"]), []).append(key)
    return found
