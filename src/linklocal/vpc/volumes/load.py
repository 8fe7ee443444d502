"""Volumes as the API shows them: rows in, views out, with a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.vpc.images import operating_systems
from linklocal.vpc.images.shown import shown_images
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.references import DELETED_MORE_INFO
from linklocal.vpc.regions.views import zone_reference
from linklocal.vpc.resource_groups import resource_group_references
from linklocal.vpc.volumes.profiles import ADJUSTABLE_STATES, profile_href
from linklocal.vpc.volumes.tables import volume_attachments


async def volume_views(
    connection: AsyncConnection, rows: Sequence[Row[Any]]
) -> list[dict[str, Any]]:
    """Volume of each row, in order."""
    groups = await resource_group_references(
        connection, [row._mapping["resource_group_id"] for row in rows]
    )
    attached = await _attachments(connection, [row._mapping["id"] for row in rows])
    sources = await shown_images(connection, [row._mapping["source_image_id"] for row in rows])
    views = []
    for row in rows:
        v = row._mapping
        uses = attached[v["id"]]
        view = {
            "active": any(use["desired"] == "running" for use in uses),
            "adjustable_capacity_states": [*ADJUSTABLE_STATES],
            "adjustable_iops_states": [*ADJUSTABLE_STATES],
            "attachment_state": "attached" if uses else "unattached",
            "bandwidth": v["bandwidth"],
            "busy": False,
            "capacity": v["capacity"],
            "created_at": rfc3339_ms(v["created_at"]),
            "crn": v["crn"],
            "encryption": "provider_managed",
            "health_reasons": [],
            "health_state": "ok",
            "href": f"/v1/volumes/{v['id']}",
            "id": v["id"],
            "iops": v["iops"],
            "name": v["name"],
            "profile": {"href": profile_href(v["profile"]), "name": v["profile"]},
            "resource_group": groups[v["resource_group_id"]],
            "resource_type": "volume",
            "software_attachments": [],
            "status": "available",
            "status_reasons": [],
            "storage_generation": 1,
            "user_tags": v["user_tags"],
            "volume_attachments": [_reference(use) for use in uses],
            "zone": zone_reference(v["region"], v["zone"]),
        }
        if v["allowed_use"] is not None:
            view["allowed_use"] = v["allowed_use"]
        if (image := sources.get(v["source_image_id"])) is not None:
            view["source_image"] = {
                "crn": image["crn"],
                "href": f"/v1/images/{image['id']}",
                "id": image["id"],
                "name": image["name"],
                "resource_type": "image",
            }
            if image["deleted"]:
                view["source_image"]["deleted"] = {"more_info": DELETED_MORE_INFO}
            view["operating_system"] = operating_systems.stored(image["operating_system"]).view()
        views.append(view)
    return views


async def _attachments(
    connection: AsyncConnection, volume_ids: Sequence[str]
) -> defaultdict[str, list[dict[str, Any]]]:
    """Attachments by volume, each with its instance's `desired`, CRN and name."""
    statement = (
        select(
            volume_attachments,
            instances.c.desired,
            instances.c.crn.label("instance_crn"),
            instances.c.name.label("instance_name"),
        )
        .join(instances, instances.c.id == volume_attachments.c.instance_id)
        .where(volume_attachments.c.volume_id.in_(sorted(volume_ids)))
    )
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in (await connection.execute(statement)).mappings():
        found[row["volume_id"]].append(dict(row))
    return found


def _reference(use: dict[str, Any]) -> dict[str, Any]:
    """VolumeAttachmentReferenceVolumeContext."""
    instance = f"/v1/instances/{use['instance_id']}"
    return {
        "delete_volume_on_instance_delete": use["delete_volume_on_instance_delete"],
        "device": {"id": use["device_id"]},
        "href": f"{instance}/volume_attachments/{use['id']}",
        "id": use["id"],
        "instance": {
            "crn": use["instance_crn"],
            "href": instance,
            "id": use["instance_id"],
            "name": use["instance_name"],
        },
        "name": use["name"],
        "type": use["type"],
    }
