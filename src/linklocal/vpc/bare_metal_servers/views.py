"""`BareMetalServerRecord` and profiles -> the VPC API's answers: dicts, hrefs beginning with `/v1/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from linklocal.clock import rfc3339_ms
from linklocal.settings import Region
from linklocal.vpc.bare_metal_servers.catalog import BareMetalProfile
from linklocal.vpc.bare_metal_servers.load import BareMetalServerRecord
from linklocal.vpc.bare_metal_servers.options import TPM_MODES
from linklocal.vpc.instances.lifecycle import Condition
from linklocal.vpc.instances.views import key_view, reference
from linklocal.vpc.network.loaded import LoadedInterface
from linklocal.vpc.network.views import (
    network_attachment,
    network_attachment_reference,
    network_interface,
    network_interface_reference,
    zone_reference,
)
from linklocal.vpc.regions import views as regions

_PCI = {"allowed_vlans": [], "interface_type": "pci"}


def server_view(record: BareMetalServerRecord, condition: Condition) -> dict[str, Any]:
    """BareMetalServer, in the given condition."""
    row, profile = record.row, record.profile
    if (
        condition.status == "stopping"
    ):  # a bare metal server has no such status: it is on until it is off
        condition = replace(condition, status="running")
    interfaces = [network_interface_reference(interface) for interface in record.interfaces]
    attachments = [network_attachment_reference(interface) for interface in record.interfaces]
    disk = disk_view(record)
    return {
        **record.options.view(),
        **condition.view(),
        "boot_target": {name: disk[name] for name in ("href", "id", "name", "resource_type")},
        "cpu": {
            "architecture": profile.architecture,
            "core_count": profile.core_count,
            "socket_count": profile.socket_count,
            "threads_per_core": profile.threads_per_core,
        },
        "created_at": rfc3339_ms(row["created_at"]),
        "crn": row["crn"],
        "disks": [disk],
        "firmware": {"update": "none"},
        "href": f"/v1/bare_metal_servers/{row['id']}",
        "id": row["id"],
        "memory": profile.memory,
        "metadata_service": {
            "enabled": row["metadata_enabled"],
            "protocol": row["metadata_protocol"],
        },
        "name": row["name"],
        "network_attachments": attachments,
        "network_interfaces": interfaces,
        "primary_network_attachment": attachments[0],
        "primary_network_interface": interfaces[0],
        "profile": profile_reference(profile),
        "reservation_affinity": {"policy": "disabled", "pool": []},
        "resource_group": record.resource_group,
        "resource_type": "bare_metal_server",
        "vpc": reference("vpcs", "vpc", record.vpc),
        "zone": zone_reference(row["zone"]),
    }


def disk_view(record: BareMetalServerRecord) -> dict[str, Any]:
    """BareMetalServerDisk: the one that it boots from."""
    id = record.row["boot_disk_id"]
    return {
        "created_at": rfc3339_ms(record.row["created_at"]),
        "href": f"/v1/bare_metal_servers/{record.id}/disks/{id}",
        "id": id,
        "interface_type": "nvme",
        "name": "boot",
        "resource_type": "bare_metal_server_disk",
        "size": record.profile.boot_disk_size,
    }


def attachment_view(interface: LoadedInterface, profile: BareMetalProfile) -> dict[str, Any]:
    """BareMetalServerNetworkAttachmentByPCI."""
    return {**network_attachment(interface, profile.port_speed), **_PCI}


def interface_view(interface: LoadedInterface, profile: BareMetalProfile) -> dict[str, Any]:
    """BareMetalServerNetworkInterfaceByPCI: the read-only picture of an attachment."""
    assert interface.vni is not None
    return {
        **network_interface(interface, profile.port_speed),
        **_PCI,
        "enable_infrastructure_nat": interface.vni.enable_infrastructure_nat,
        "mac_address": interface.vni.mac_address,
    }


def initialization_view(record: BareMetalServerRecord) -> dict[str, Any]:
    """BareMetalServerInitialization. `user_data` is never shown."""
    view: dict[str, Any] = {
        "image": reference("images", "image", record.image),
        "keys": [key_view(key) for key in record.keys],
        "user_accounts": [],
    }
    if (profile := record.row["default_trusted_profile"]) is not None:
        view["default_trusted_profile"] = profile
    return view


def profile_reference(profile: BareMetalProfile) -> dict[str, Any]:
    """BareMetalServerProfileReference."""
    return {
        "href": f"/v1/bare_metal_server/profiles/{profile.name}",
        "name": profile.name,
        "resource_type": "bare_metal_server_profile",
    }


def profile_view(profile: BareMetalProfile, region: Region) -> dict[str, Any]:
    """BareMetalServerProfile: every capability is an object whose `type` says how it may be chosen."""
    attachments = {"max": profile.max_attachments, "min": 1, "type": "range"}
    return {
        **profile_reference(profile),
        "bandwidth": _enum(profile.bandwidths),
        "console_types": {"type": "enum", "values": []},
        "cpu_architecture": _fixed(profile.architecture),
        "cpu_core_count": _fixed(profile.core_count),
        "cpu_socket_count": _fixed(profile.socket_count),
        "disks": [
            {
                "quantity": _fixed(1),
                "size": _fixed(profile.boot_disk_size),
                "supported_interface_types": _enum(["nvme"]),
            }
        ],
        "family": profile.family,
        "memory": _fixed(profile.memory),
        "network_attachment_count": attachments,
        "network_interface_count": attachments,
        "os_architecture": _enum([profile.architecture]),
        "reservation_terms": {"type": "enum", "values": []},
        "supported_trusted_platform_module_modes": _enum(TPM_MODES),
        "virtual_network_interfaces_supported": {"type": "fixed", "value": True},
        "zones": [regions.zone_reference(region.name, zone) for zone in region.zones],
    }


def _fixed(value: str | int) -> dict[str, Any]:
    return {"type": "fixed", "value": value}


def _enum(values: Sequence[str | int]) -> dict[str, Any]:
    """The first value is the default."""
    return {"default": values[0], "type": "enum", "values": list(values)}
