"""References and small objects that network answers are made of, as schemas for the OpenAPI document.

The answers themselves are plain dicts; nothing is validated against these at run time.
"""

from __future__ import annotations

from typing import Any, Literal

from linklocal.vpc.http import Paginated, ResponseModel


class Reference(ResponseModel):
    href: str
    id: str
    name: str


class CrnReference(Reference):
    crn: str


class NamedReference(ResponseModel):
    href: str
    name: str


class Address(ResponseModel):
    address: str


class VpcReference(CrnReference):
    resource_type: Literal["vpc"]


class SubnetReference(CrnReference):
    resource_type: Literal["subnet"]


class VniReference(CrnReference):
    resource_type: Literal["virtual_network_interface"]


class ReservedIpReference(Reference):
    address: str
    resource_type: Literal["subnet_reserved_ip"]


class FloatingIpReference(CrnReference):
    address: str


class TypedReference(Reference):
    resource_type: str


class FloatingIpList(ResponseModel):
    floating_ips: list[FloatingIpReference]


class FloatingIpPage(Paginated):
    floating_ips: list[FloatingIpReference]


class ReservedIpPage(Paginated):
    ips: list[ReservedIpReference]


Rules = list[dict[str, Any]]
