"""`BareMetalServerRecord`: one bare metal server with everything that an answer or a document shows of it.

`load` takes a fixed number of queries whatever the number of servers, and no locks: who writes locks first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import MetadataService
from linklocal.fleet import placement
from linklocal.fleet.placement import PlacementState
from linklocal.ids import InstanceId
from linklocal.vpc.bare_metal_servers.catalog import BareMetalProfile, stored
from linklocal.vpc.bare_metal_servers.options import Options
from linklocal.vpc.bare_metal_servers.tables import bare_metal_servers
from linklocal.vpc.images.shown import shown_images
from linklocal.vpc.instances.load import UsedKey
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.keys.views import metadata_view
from linklocal.vpc.network.loaded import LoadedInterface, load_interfaces
from linklocal.vpc.network.tables import vpcs
from linklocal.vpc.resource_groups import resource_group_references


@dataclass(frozen=True, slots=True)
class BareMetalServerRecord:
    """Rows of one server and of what it refers to. `image` has `deleted`; `resource_group` is a reference."""

    row: Mapping[str, Any]
    profile: BareMetalProfile
    options: Options
    vpc: Mapping[str, Any]
    resource_group: Mapping[str, Any]
    image: Mapping[str, Any]
    keys: tuple[UsedKey, ...]
    interfaces: Sequence[LoadedInterface]
    placement: PlacementState | None

    @property
    def id(self) -> InstanceId:
        """The fleet knows servers and instances alike by this."""
        return InstanceId(self.row["id"])

    @property
    def metadata_service(self) -> MetadataService:
        """A bare metal server has no hop limit of its own: its answers reach the server and no further."""
        return MetadataService(self.row["metadata_enabled"], self.row["metadata_protocol"])


async def load(
    connection: AsyncConnection, ids: Collection[str]
) -> dict[InstanceId, BareMetalServerRecord]:
    """Records of those servers that exist, by id, in the order of `ids`."""
    wanted = [InstanceId(id) for id in dict.fromkeys(ids)]
    found = await _by_id(connection, bare_metal_servers, wanted)
    present = [id for id in wanted if id in found]
    rows = [found[id] for id in present]

    networks = await _by_id(connection, vpcs, [row["vpc_id"] for row in rows])
    groups = await resource_group_references(connection, [row["resource_group_id"] for row in rows])
    sources = await shown_images(connection, [row["image_id"] for row in rows])
    used = {key["id"] for row in rows for key in row["keys"]}
    statement = select(keys).where(keys.c.id.in_(sorted(used)))
    today = {row.id: metadata_view(row) for row in await connection.execute(statement)}
    interfaces = await load_interfaces(connection, present)
    placements = await placement.find(connection, present)
    return {
        id: BareMetalServerRecord(
            row=row,
            profile=stored(row["profile"]),
            options=Options.from_json(row["options"]),
            vpc=networks[row["vpc_id"]],
            resource_group=groups[row["resource_group_id"]],
            image=sources[row["image_id"]],
            keys=tuple(
                UsedKey(today.get(key["id"], key), deleted=key["id"] not in today)
                for key in row["keys"]
            ),
            interfaces=interfaces[id],
            placement=placements.get(id),
        )
        for id, row in zip(present, rows, strict=True)
    }


async def _by_id(
    connection: AsyncConnection, table: Table, ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    rows = await connection.execute(select(table).where(table.c.id.in_(sorted(set(ids)))))
    return {row["id"]: dict(row) for row in rows.mappings()}
