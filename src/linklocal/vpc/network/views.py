"""Network resources as the VPC API shows them: loaded data -> plain dicts, hrefs beginning with `/v1/`.

Pure functions; contract 2.4 and 2.6 say which members each has. The metadata API's shapes are not here:
they are the renderer's.
"""

from __future__ import annotations

from typing import Any, Protocol

from linklocal.clock import rfc3339_ms
from linklocal.vpc.network.loaded import (
    LoadedFloatingIp,
    LoadedInterface,
    LoadedIp,
    LoadedVirtualInterface,
    Named,
)
from linklocal.vpc.regions import views as regions


class _Named(Protocol):
    """Anything with the members of a reference: `Named`, a loaded resource, a row's `_mapping` wrapped."""

    @property
    def id(self) -> str: ...
    @property
    def crn(self) -> str: ...
    @property
    def name(self) -> str: ...


def _reference(of: _Named, collection: str, resource_type: str | None) -> dict[str, Any]:
    view = {"crn": of.crn, "href": f"/v1/{collection}/{of.id}", "id": of.id, "name": of.name}
    return view if resource_type is None else {**view, "resource_type": resource_type}


def named(row: Any) -> Named:
    """`Named` of a row that has `id`, `crn` and `name`."""
    r = row._mapping
    return Named(r["id"], r["crn"], r["name"])


def vpc_reference(vpc: _Named) -> dict[str, Any]:
    """VPCReference."""
    return _reference(vpc, "vpcs", "vpc")


def subnet_reference(subnet: _Named) -> dict[str, Any]:
    """SubnetReference."""
    return _reference(subnet, "subnets", "subnet")


def security_group_reference(group: _Named) -> dict[str, Any]:
    """SecurityGroupReference: it alone has no `resource_type`."""
    return _reference(group, "security_groups", None)


def virtual_network_interface_reference(vni: _Named) -> dict[str, Any]:
    """VirtualNetworkInterfaceReferenceAttachmentContext."""
    return _reference(vni, "virtual_network_interfaces", "virtual_network_interface")


def floating_ip_reference(ip: LoadedFloatingIp) -> dict[str, Any]:
    """FloatingIPReference."""
    return {**_reference(ip, "floating_ips", None), "address": ip.address}


def zone_reference(zone: str) -> dict[str, Any]:
    """ZoneReference. The region is what stands before the last hyphen of a zone's name."""
    return regions.zone_reference(zone.rpartition("-")[0], zone)


def reserved_ip_reference(ip: LoadedIp) -> dict[str, Any]:
    """ReservedIPReference."""
    return {
        "address": ip.address,
        "href": f"/v1/subnets/{ip.subnet_id}/reserved_ips/{ip.id}",
        "id": ip.id,
        "name": ip.name,
        "resource_type": "subnet_reserved_ip",
    }


def interface_href(interface: LoadedInterface) -> str:
    """Of the interface, or of the read-only child interface of an attachment."""
    return f"/v1/{interface.server_kind}s/{interface.instance_id}/network_interfaces/{interface.id}"


def attachment_href(interface: LoadedInterface) -> str:
    return (
        f"/v1/{interface.server_kind}s/{interface.instance_id}/network_attachments/{interface.id}"
    )


def network_interface_reference(interface: LoadedInterface) -> dict[str, Any]:
    """NetworkInterfaceInstanceContextReference; of an attachment: its read-only child interface."""
    return {
        "href": interface_href(interface),
        "id": interface.id,
        "name": interface.name,
        "primary_ip": reserved_ip_reference(interface.primary_ip),
        "resource_type": "network_interface",
        "subnet": subnet_reference(interface.subnet),
    }


def network_attachment_reference(interface: LoadedInterface) -> dict[str, Any]:
    """InstanceNetworkAttachmentReference, or a bare metal server's. The kind must be `attachment`."""
    assert interface.vni is not None
    return {
        "href": attachment_href(interface),
        "id": interface.id,
        "name": interface.name,
        "primary_ip": reserved_ip_reference(interface.primary_ip),
        "resource_type": f"{interface.server_kind}_network_attachment",
        "subnet": subnet_reference(interface.subnet),
        "virtual_network_interface": virtual_network_interface_reference(interface.vni),
    }


def network_interface(interface: LoadedInterface, port_speed: int) -> dict[str, Any]:
    """NetworkInterface. `port_speed` in Mbps is the profile's."""
    return {
        **network_interface_reference(interface),
        "allow_ip_spoofing": interface.allow_ip_spoofing,
        "created_at": rfc3339_ms(interface.created_at),
        "floating_ips": [floating_ip_reference(ip) for ip in interface.floating_ips],
        "port_speed": port_speed,
        "security_groups": [security_group_reference(g) for g in interface.security_groups],
        "status": "available",
        "type": interface.type,
    }


def network_attachment(interface: LoadedInterface, port_speed: int) -> dict[str, Any]:
    """InstanceNetworkAttachment. `port_speed` in Mbps is the profile's."""
    return {
        **network_attachment_reference(interface),
        "created_at": rfc3339_ms(interface.created_at),
        "lifecycle_state": "stable",
        "port_speed": port_speed,
        "type": interface.type,
    }


def virtual_network_interface(
    vni: LoadedVirtualInterface,
    *,
    vpc: Named,
    subnet: Named,
    security_groups: tuple[Named, ...],
    attachment: LoadedInterface | None,
) -> dict[str, Any]:
    """VirtualNetworkInterface. `attachment` is what it is attached by, shown as `target`."""
    view = {
        **virtual_network_interface_reference(vni),
        "allow_ip_spoofing": vni.allow_ip_spoofing,
        "auto_delete": vni.auto_delete,
        "created_at": rfc3339_ms(vni.created_at),
        "enable_infrastructure_nat": vni.enable_infrastructure_nat,
        "ips": [reserved_ip_reference(ip) for ip in vni.ips],
        "lifecycle_state": "stable",
        "mac_address": vni.mac_address,
        "primary_ip": reserved_ip_reference(vni.ips[0]),
        "protocol_state_filtering_mode": vni.protocol_state_filtering_mode,
        "resource_group": {
            "href": f"/v2/resource_groups/{vni.resource_group_id}",
            "id": vni.resource_group_id,
            "name": vni.resource_group_name,
        },
        "security_groups": [security_group_reference(group) for group in security_groups],
        "subnet": subnet_reference(subnet),
        "vpc": vpc_reference(vpc),
        "zone": zone_reference(vni.zone),
    }
    if attachment is not None:
        view["target"] = {
            "href": attachment_href(attachment),
            "id": attachment.id,
            "name": attachment.name,
            "resource_type": f"{attachment.server_kind}_network_attachment",
        }
    return view
