"""`InstanceRecord` -> the VPC API's answers: instance, initialization, software attachments.

Plain dicts with hrefs that begin with `/v1/`. The metadata document is made from the same views by
`vpc/render.py`, which takes the hrefs out: whatever a member is called there, it means the same here.
Members and their order of appearance: control-plane contract 2.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linklocal.clock import rfc3339_ms
from linklocal.vpc import metadata_service
from linklocal.vpc.instances.lifecycle import Condition
from linklocal.vpc.instances.load import InstanceRecord, UsedKey
from linklocal.vpc.network.views import (
    network_attachment_reference,
    network_interface_reference,
    zone_reference,
)
from linklocal.vpc.references import DELETED_MORE_INFO
from linklocal.vpc.volumes.views import volume_attachment_reference


def reference(path: str, resource_type: str, of: Mapping[str, Any]) -> dict[str, Any]:
    """`{crn, deleted?, href, id, name, resource_type}` of a row with `crn`, `id`, `name`, `deleted?`."""
    view = {
        "crn": of["crn"],
        "href": f"/v1/{path}/{of['id']}",
        "id": of["id"],
        "name": of["name"],
        "resource_type": resource_type,
    }
    if of.get("deleted"):
        view["deleted"] = {"more_info": DELETED_MORE_INFO}
    return view


def instance_view(record: InstanceRecord, condition: Condition) -> dict[str, Any]:
    """Instance, in the given condition."""
    row, profile, options = record.row, record.profile, record.options
    interfaces = [network_interface_reference(interface) for interface in record.interfaces]
    attachments = [network_attachment_reference(attached) for attached in record.attachments]
    volumes = [volume_attachment_reference(volume) for volume in record.volumes]
    view: dict[str, Any] = {
        **options.view(),
        **condition.view(),
        "bandwidth": profile.bandwidth,
        "boot_volume_attachment": volumes[0],
        "cluster_network_attachments": [],
        "created_at": rfc3339_ms(row["created_at"]),
        "crn": row["crn"],
        "disks": [],
        "href": f"/v1/instances/{row['id']}",
        "id": row["id"],
        "memory": profile.memory,
        "metadata_service": metadata_service.view(record.metadata_service),
        "name": row["name"],
        "network_attachments": attachments,
        "network_interfaces": interfaces,
        "primary_network_interface": interfaces[0],
        "profile": {
            "href": f"/v1/instance/profiles/{profile.name}",
            "name": profile.name,
            "resource_type": "instance_profile",
        },
        "resource_group": {
            "href": f"/v2/resource_groups/{record.resource_group['id']}",
            "id": record.resource_group["id"],
            "name": record.resource_group["name"],
        },
        "resource_type": "instance",
        "software_attachments": [
            software_reference(row["id"], item) for item in row["software_attachments"]
        ],
        "startable": True,
        "total_network_bandwidth": profile.bandwidth - options.total_volume_bandwidth,
        "vcpu": {
            "architecture": profile.architecture,
            "count": profile.vcpu_count,
            "manufacturer": profile.manufacturer,
            "percentage": options.vcpu_percentage,
        },
        "volume_attachments": volumes,
        "vpc": reference("vpcs", "vpc", record.vpc),
        "zone": zone_reference(row["zone"]),
    }
    if attachments:
        view["primary_network_attachment"] = attachments[0]
    if record.image is not None:
        view["image"] = reference("images", "image", record.image)
    if record.placement_group is not None:
        view["placement_target"] = reference(
            "placement_groups", "placement_group", record.placement_group
        )
    if condition.status == "running":
        view["numa_count"] = 1
    return view


def key_view(key: UsedKey) -> dict[str, Any]:
    """KeyReference; of a key that is gone, what it was and `deleted`."""
    view = {
        "crn": key.view["crn"],
        "fingerprint": key.view["fingerprint"],
        "href": f"/v1/keys/{key.view['id']}",
        "id": key.view["id"],
        "name": key.view["name"],
    }
    return {**view, "deleted": {"more_info": DELETED_MORE_INFO}} if key.deleted else view


def initialization_view(record: InstanceRecord) -> dict[str, Any]:
    """InstanceInitialization. `user_data` is shown by the metadata service only, never here."""
    view: dict[str, Any] = {"keys": [key_view(key) for key in record.keys]}
    if (profile := record.row["default_trusted_profile"]) is not None:
        view["default_trusted_profile"] = profile
    return view


def software_reference(instance_id: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """InstanceSoftwareAttachmentReference."""
    return {
        "href": f"/v1/instances/{instance_id}/software_attachments/{item['id']}",
        "id": item["id"],
        "name": item["name"],
        "resource_type": "instance_software_attachment",
    }


def software_view(instance_id: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """InstanceSoftwareAttachment, without the entitlement: licence keys are for the instance alone."""
    shown = {name: value for name, value in item.items() if name != "entitlement"}
    return {**shown, **software_reference(instance_id, item)}
