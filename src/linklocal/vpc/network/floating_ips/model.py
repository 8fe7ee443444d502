"""Floating ips: request bodies and the answers' schemas (contract 2.6)."""

from __future__ import annotations

from typing import Literal

from linklocal.vpc.http import Paginated
from linklocal.vpc.network.answers import FloatingIpReference, NamedReference, TypedReference
from linklocal.vpc.references import (
    Identity,
    Name,
    NamedIdentity,
    Patch,
    Prototype,
    ResourceGroupIdentity,
)
from linklocal.vpc.resource_groups import ResourceGroupReference


class FloatingIpPrototype(Prototype):
    """In a `zone`, or bound to a `target` and in its zone."""

    name: Name | None = None
    zone: NamedIdentity | None = None
    target: Identity | None = None
    resource_group: ResourceGroupIdentity | None = None


class FloatingIpPatch(Patch):
    """`target` null dissociates."""

    name: Name = "a"
    target: Identity | None = None


class FloatingIp(FloatingIpReference):
    created_at: str
    resource_group: ResourceGroupReference
    status: Literal["available"]
    target: TypedReference | None = None
    zone: NamedReference


class FloatingIpCollection(Paginated):
    floating_ips: list[FloatingIp]
