"""Reserved ips of a subnet: request bodies and the answers' schemas (contract 2.6)."""

from __future__ import annotations

from typing import Literal

from linklocal.vpc.http import Paginated
from linklocal.vpc.network.addresses import Ipv4
from linklocal.vpc.network.answers import ReservedIpReference, TypedReference
from linklocal.vpc.references import Identity, Name, Patch, Prototype


class ReservedIpPrototype(Prototype):
    """`target` is the virtual network interface to bind it to, as a secondary address."""

    address: Ipv4 | None = None
    auto_delete: bool | None = None
    name: Name | None = None
    target: Identity | None = None


class ReservedIpPatch(Patch):
    auto_delete: bool = False
    name: Name = "a"


class ReservedIp(ReservedIpReference):
    auto_delete: bool
    created_at: str
    lifecycle_state: Literal["stable"]
    owner: Literal["user", "provider"]
    target: TypedReference | None = None


class ReservedIpCollection(Paginated):
    reserved_ips: list[ReservedIp]
