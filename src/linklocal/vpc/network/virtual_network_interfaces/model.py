"""Virtual network interfaces: request bodies and the answers' schemas (contract 2.6)."""

from __future__ import annotations

from typing import Literal

from linklocal.vpc.http import Paginated
from linklocal.vpc.network.answers import (
    CrnReference,
    NamedReference,
    ReservedIpReference,
    SubnetReference,
    TypedReference,
    VniReference,
    VpcReference,
)
from linklocal.vpc.network.model import FilteringMode
from linklocal.vpc.references import Name, Patch
from linklocal.vpc.resource_groups import ResourceGroupReference


class VirtualNetworkInterfacePatch(Patch):
    name: Name = "a"
    allow_ip_spoofing: bool = False
    auto_delete: bool = False
    enable_infrastructure_nat: Literal[True] = True
    protocol_state_filtering_mode: FilteringMode = "auto"


class VirtualNetworkInterface(VniReference):
    allow_ip_spoofing: bool
    auto_delete: bool
    created_at: str
    enable_infrastructure_nat: bool
    ips: list[ReservedIpReference]
    lifecycle_state: Literal["stable"]
    mac_address: str | None = None
    primary_ip: ReservedIpReference
    protocol_state_filtering_mode: FilteringMode
    resource_group: ResourceGroupReference
    security_groups: list[CrnReference]
    subnet: SubnetReference
    target: TypedReference | None = None
    vpc: VpcReference
    zone: NamedReference


class VirtualNetworkInterfaceCollection(Paginated):
    virtual_network_interfaces: list[VirtualNetworkInterface]
