"""VPCs: request bodies and the answers' schemas (contract 2.6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.network.addresses import Cidr
from linklocal.vpc.network.answers import (
    Address,
    CrnReference,
    NamedReference,
    Rules,
    SubnetReference,
    TypedReference,
    VpcReference,
)
from linklocal.vpc.references import Name, NamedIdentity, Patch, Prototype, ResourceGroupIdentity
from linklocal.vpc.resource_groups import ResourceGroupReference


def _no_hub(value: bool) -> bool:
    if value:
        raise PydanticCustomError("hub", "`enable_hub` must be false: DNS hubs are not supported.")
    return value


NoHub = Annotated[
    bool, AfterValidator(_no_hub), WithJsonSchema({"type": "boolean", "const": False})
]


class DnsPrototype(Prototype):
    enable_hub: NoHub | None = None


class VpcPrototype(Prototype):
    name: Name | None = None
    address_prefix_management: Literal["auto", "manual"] | None = None
    classic_access: bool | None = None
    dns: DnsPrototype | None = None
    resource_group: ResourceGroupIdentity | None = None


class VpcPatch(Patch):
    name: Name = "a"


class AddressPrefixPrototype(Prototype):
    cidr: Cidr
    zone: NamedIdentity
    name: Name | None = None
    is_default: bool | None = None


class AddressPrefixPatch(Patch):
    name: Name = "a"
    is_default: bool = False


class CseSourceIp(ResponseModel):
    ip: Address
    zone: NamedReference


class DnsResolver(ResponseModel):
    configuration: Literal["default"]
    servers: list[Address]
    type: Literal["system"]


class Dns(ResponseModel):
    enable_hub: bool
    resolution_binding_count: int
    resolver: DnsResolver


class Vpc(VpcReference):
    classic_access: bool
    created_at: str
    cse_source_ips: list[CseSourceIp]
    default_network_acl: CrnReference
    default_routing_table: CrnReference
    default_security_group: CrnReference
    dns: Dns
    health_reasons: list[Any]
    health_state: Literal["ok"]
    public_address_ranges: list[Any]
    resource_group: ResourceGroupReference
    status: Literal["available"]


class VpcCollection(Paginated):
    vpcs: list[Vpc]


class DefaultNetworkAcl(CrnReference):
    created_at: str
    resource_group: ResourceGroupReference
    rules: Rules
    subnets: list[SubnetReference]
    vpc: VpcReference


class DefaultRoutingTable(CrnReference):
    accept_routes_from: list[Any]
    advertise_routes_to: list[str]
    created_at: str
    is_default: Literal[True]
    lifecycle_state: Literal["stable"]
    resource_group: ResourceGroupReference
    resource_type: Literal["routing_table"]
    route_direct_link_ingress: bool
    route_internet_ingress: bool
    route_transit_gateway_ingress: bool
    route_vpc_zone_ingress: bool
    routes: list[TypedReference]
    subnets: list[SubnetReference]


class AddressPrefix(ResponseModel):
    cidr: str
    created_at: str
    has_subnets: bool
    href: str
    id: str
    is_default: bool
    name: str
    zone: NamedReference


class AddressPrefixCollection(Paginated):
    address_prefixes: list[AddressPrefix]
