"""Interfaces and attachments of an instance: patches, and the answers' schemas (contract 2.6)."""

from __future__ import annotations

from typing import Literal

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.network.answers import (
    CrnReference,
    FloatingIpReference,
    Reference,
    ReservedIpReference,
    SubnetReference,
    VniReference,
)
from linklocal.vpc.network.floating_ips.model import FloatingIp
from linklocal.vpc.network.reserved_ips.model import ReservedIp
from linklocal.vpc.references import Name, Patch


class NetworkInterfacePatch(Patch):
    name: Name = "a"
    allow_ip_spoofing: bool = False


class NetworkAttachmentPatch(Patch):
    name: Name = "a"


class NetworkInterface(Reference):
    allow_ip_spoofing: bool
    created_at: str
    floating_ips: list[FloatingIpReference]
    port_speed: int
    primary_ip: ReservedIpReference
    resource_type: Literal["network_interface"]
    security_groups: list[CrnReference]
    status: Literal["available"]
    subnet: SubnetReference
    type: Literal["primary", "secondary"]


class NetworkInterfaceCollection(ResponseModel):
    network_interfaces: list[NetworkInterface]


class NetworkAttachment(Reference):
    created_at: str
    lifecycle_state: Literal["stable"]
    port_speed: int
    primary_ip: ReservedIpReference
    resource_type: Literal["instance_network_attachment"]
    subnet: SubnetReference
    type: Literal["primary", "secondary"]
    virtual_network_interface: VniReference


class NetworkAttachmentCollection(ResponseModel):
    network_attachments: list[NetworkAttachment]


class InterfaceFloatingIps(ResponseModel):
    floating_ips: list[FloatingIp]


class InterfaceIps(Paginated):
    ips: list[ReservedIp]
