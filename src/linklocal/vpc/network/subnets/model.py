"""Subnets: request bodies and the answers' schemas (contract 2.6)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from linklocal.vpc.http import Paginated
from linklocal.vpc.network.addresses import Cidr
from linklocal.vpc.network.answers import (
    CrnReference,
    NamedReference,
    SubnetReference,
    VpcReference,
)
from linklocal.vpc.references import (
    Identity,
    Name,
    NamedIdentity,
    Patch,
    Prototype,
    ResourceGroupIdentity,
)
from linklocal.vpc.resource_groups import ResourceGroupReference


class SubnetPrototype(Prototype):
    """By `ipv4_cidr_block`, or by `total_ipv4_address_count` and `zone`."""

    vpc: Identity
    name: Name | None = None
    ipv4_cidr_block: Cidr | None = None
    total_ipv4_address_count: Annotated[int, Field(ge=8, le=8_388_608)] | None = None
    zone: NamedIdentity | None = None
    ip_version: Literal["ipv4"] | None = None
    network_acl: Identity | None = None
    public_gateway: Identity | None = None
    routing_table: Identity | None = None
    resource_group: ResourceGroupIdentity | None = None


class SubnetPatch(Patch):
    name: Name = "a"


class Subnet(SubnetReference):
    available_ipv4_address_count: int
    created_at: str
    ip_version: Literal["ipv4"]
    ipv4_cidr_block: str
    network_acl: CrnReference
    resource_group: ResourceGroupReference
    routing_table: CrnReference
    status: Literal["available"]
    total_ipv4_address_count: int
    vpc: VpcReference
    zone: NamedReference


class SubnetCollection(Paginated):
    subnets: list[Subnet]
