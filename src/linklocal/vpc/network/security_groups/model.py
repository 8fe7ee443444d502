"""Security groups: request bodies and the answers' schemas (contract 2.6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.network.answers import CrnReference, TypedReference, VpcReference
from linklocal.vpc.network.security_groups.rules import MAX_RULES, RulePrototype
from linklocal.vpc.references import Identity, Name, Patch, Prototype, ResourceGroupIdentity
from linklocal.vpc.resource_groups import ResourceGroupReference


class SecurityGroupPrototype(Prototype):
    vpc: Identity
    name: Name | None = None
    resource_group: ResourceGroupIdentity | None = None
    rules: Annotated[list[RulePrototype], Field(max_length=MAX_RULES)] | None = None


class SecurityGroupPatch(Patch):
    name: Name = "a"


class SecurityGroupRule(ResponseModel):
    direction: Literal["inbound", "outbound"]
    href: str
    id: str
    ip_version: Literal["ipv4"]
    local: dict[str, str]
    name: str
    protocol: str
    remote: dict[str, Any]
    resource_type: Literal["security_group_rule"]


class SecurityGroupRuleCollection(ResponseModel):
    rules: list[SecurityGroupRule]


class SecurityGroup(CrnReference):
    created_at: str
    resource_group: ResourceGroupReference
    rules: list[SecurityGroupRule]
    targets: list[TypedReference]
    vpc: VpcReference


class SecurityGroupCollection(Paginated):
    security_groups: list[SecurityGroup]


class SecurityGroupTargetCollection(Paginated):
    targets: list[TypedReference]
