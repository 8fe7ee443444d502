"""Placement groups: request bodies and the answers' schemas (contract 2.6)."""

from __future__ import annotations

from typing import Literal

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.references import Name, Patch, Prototype, ResourceGroupIdentity
from linklocal.vpc.resource_groups import ResourceGroupReference

Strategy = Literal["host_spread", "power_spread"]


class PlacementGroupPrototype(Prototype):
    strategy: Strategy
    name: Name | None = None
    resource_group: ResourceGroupIdentity | None = None


class PlacementGroupPatch(Patch):
    name: Name = "a"


class PlacementGroup(ResponseModel):
    created_at: str
    crn: str
    href: str
    id: str
    lifecycle_state: Literal["stable"]
    name: str
    resource_group: ResourceGroupReference
    resource_type: Literal["placement_group"]
    strategy: Strategy


class PlacementGroupCollection(Paginated):
    placement_groups: list[PlacementGroup]
