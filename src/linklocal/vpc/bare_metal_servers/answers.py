"""What bare metal server operations answer, as schemas for the OpenAPI document; see `views.py`."""

from __future__ import annotations

from typing import Any, Literal

from linklocal.vpc.bare_metal_servers.options import TpmMode
from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.instances.answers import (
    CrnReference,
    DefaultTrustedProfile,
    NamedReference,
    ReasonView,
    Reference,
)
from linklocal.vpc.instances.lifecycle import HealthState, LifecycleState
from linklocal.vpc.keys.model import KeyReference
from linklocal.vpc.metadata_service import BareMetalServiceView
from linklocal.vpc.resource_groups import ResourceGroupReference


class Disk(Reference):
    created_at: str
    interface_type: str
    resource_type: Literal["bare_metal_server_disk"]
    size: int


class DiskCollection(ResponseModel):
    disks: list[Disk]


class Cpu(ResponseModel):
    architecture: str
    core_count: int
    socket_count: int
    threads_per_core: int


class TrustedPlatformModule(ResponseModel):
    enabled: bool
    mode: TpmMode
    supported_modes: list[TpmMode]


class NetworkAttachmentReference(Reference):
    primary_ip: Reference
    resource_type: Literal["bare_metal_server_network_attachment"]
    subnet: CrnReference
    virtual_network_interface: CrnReference


class NetworkInterfaceReference(Reference):
    primary_ip: Reference
    resource_type: Literal["network_interface"]
    subnet: CrnReference


class BareMetalServer(ResponseModel):
    """A bare metal server. `metadata_service` has no hop limit."""

    bandwidth: int
    boot_target: Reference
    cpu: Cpu
    created_at: str
    crn: str
    disks: list[Disk]
    enable_secure_boot: bool
    firmware: dict[str, str]
    health_reasons: list[ReasonView]
    health_state: HealthState
    href: str
    id: str
    lifecycle_reasons: list[ReasonView]
    lifecycle_state: LifecycleState
    memory: int
    metadata_service: BareMetalServiceView
    name: str
    network_attachments: list[NetworkAttachmentReference]
    network_interfaces: list[NetworkInterfaceReference]
    primary_network_attachment: NetworkAttachmentReference
    primary_network_interface: NetworkInterfaceReference
    profile: NamedReference
    reservation_affinity: dict[str, Any]
    resource_group: ResourceGroupReference
    resource_type: Literal["bare_metal_server"]
    status: Literal["deleting", "pending", "restarting", "running", "starting", "stopped"]
    status_reasons: list[ReasonView]
    trusted_platform_module: TrustedPlatformModule
    vpc: CrnReference
    zone: NamedReference


class BareMetalServerCollection(Paginated):
    bare_metal_servers: list[BareMetalServer]


class BareMetalServerInitialization(ResponseModel):
    """What the server was initialized with. `user_data` is never shown."""

    default_trusted_profile: DefaultTrustedProfile | None = None
    image: CrnReference
    keys: list[KeyReference]
    user_accounts: list[dict[str, Any]]


class NetworkAttachment(NetworkAttachmentReference):
    allowed_vlans: list[int]
    created_at: str
    interface_type: Literal["pci"]
    lifecycle_state: str
    port_speed: int
    type: Literal["primary", "secondary"]


class NetworkAttachmentCollection(Paginated):
    network_attachments: list[NetworkAttachment]


class NetworkInterface(NetworkInterfaceReference):
    allow_ip_spoofing: bool
    allowed_vlans: list[int]
    created_at: str
    enable_infrastructure_nat: bool
    floating_ips: list[CrnReference]
    interface_type: Literal["pci"]
    mac_address: str
    port_speed: int
    security_groups: list[CrnReference]
    status: str
    type: Literal["primary", "secondary"]


class NetworkInterfaceCollection(Paginated):
    network_interfaces: list[NetworkInterface]


class BareMetalServerProfile(ResponseModel):
    """Every capability is an object whose `type` says how it may be chosen."""

    bandwidth: dict[str, Any]
    console_types: dict[str, Any]
    cpu_architecture: dict[str, Any]
    cpu_core_count: dict[str, Any]
    cpu_socket_count: dict[str, Any]
    disks: list[dict[str, Any]]
    family: str
    href: str
    memory: dict[str, Any]
    name: str
    network_attachment_count: dict[str, Any]
    network_interface_count: dict[str, Any]
    os_architecture: dict[str, Any]
    reservation_terms: dict[str, Any]
    resource_type: Literal["bare_metal_server_profile"]
    supported_trusted_platform_module_modes: dict[str, Any]
    virtual_network_interfaces_supported: dict[str, Any]
    zones: list[NamedReference]


class BareMetalServerProfileCollection(Paginated):
    profiles: list[BareMetalServerProfile]
