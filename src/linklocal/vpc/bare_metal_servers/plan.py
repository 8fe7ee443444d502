"""Planning a bare metal server: what a body asks for, resolved, locked and checked. Writes nothing.

Every independent problem of the body is collected; a plan holds until the transaction ends. Locks come in
the order of an instance's plan: trusted profile, image, keys, then the network's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Problem, bad_field, missing_field
from linklocal.iam.caller import Caller
from linklocal.vpc.bare_metal_servers.catalog import BareMetalProfile, resolve_profile
from linklocal.vpc.bare_metal_servers.model import (
    BareMetalServerPrototype,
    InitializationPrototype,
)
from linklocal.vpc.bare_metal_servers.options import Options, chosen
from linklocal.vpc.bare_metal_servers.tables import bare_metal_servers
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.allowed_use import bare_metal_problems
from linklocal.vpc.instances.resolving import Resolver
from linklocal.vpc.keys.views import metadata_view
from linklocal.vpc.naming import name_problems
from linklocal.vpc.network.interfaces import InterfacesPlan, plan_interfaces
from linklocal.vpc.network.tables import vpcs
from linklocal.vpc.references import resolve
from linklocal.vpc.regions.views import resolve_zone
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import own

_PREFIX = "initialization."


@dataclass(frozen=True, slots=True)
class Initialization:
    """What an initialization resolves to: `columns` of the server's row."""

    image: Row[Any]
    keys: Sequence[Row[Any]]
    user_data: str | None
    default_trusted_profile: dict[str, Any] | None

    def columns(self) -> dict[str, Any]:
        return {
            "image_id": self.image._mapping["id"],
            "keys": [metadata_view(key) for key in self.keys],
            "user_data": self.user_data,
            "default_trusted_profile": self.default_trusted_profile,
        }


@dataclass(frozen=True, slots=True)
class BareMetalServerPlan:
    """A server that can be written. `name` None: a generated one."""

    name: str | None
    zone: str
    profile: BareMetalProfile
    options: Options
    resource_group_id: str
    initialization: Initialization
    interfaces: InterfacesPlan


def rights_to_create(prototype: BareMetalServerPrototype) -> list[str]:
    """The actions that a caller must be allowed for this body."""
    return [
        "is.vpc.vpc.operate",
        "is.subnet.subnet.operate",
        "is.security-group.security-group.operate",
        *rights_to_initialize(prototype.initialization),
    ]


def rights_to_initialize(body: InitializationPrototype) -> list[str]:
    """The actions that a caller must be allowed to name these."""
    actions = ["is.image.image.operate"]
    if body.keys:
        actions.append("is.key.key.operate")
    if body.default_trusted_profile is not None:
        actions.append("iam-identity.profile.linkToResource")
    return actions


async def plan_initialization(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    body: InitializationPrototype,
    profile: BareMetalProfile | None,
    *,
    secure_boot: bool,
    prefix: str = "",
) -> tuple[Initialization | None, list[Problem]]:
    """Find and lock what the body names; call it before the server is locked. `prefix`: of targets."""
    resolver = Resolver(connection, context, caller)
    trusted_profile = await resolver.trusted_profile(body.default_trusted_profile)
    image = await resolver.image(body.image, profile)
    keys = await resolver.keys(body.keys, image)
    problems = [_below(prefix, problem) for problem in resolver.problems]
    if image is not None:
        allowed_use = image._mapping["allowed_use"]
        field = f"{prefix}image"
        problems += bare_metal_problems(allowed_use, field, secure_boot=secure_boot)
    if problems or image is None:
        return None, problems
    return Initialization(image, keys, body.user_data, trusted_profile), []


def _below(prefix: str, problem: Problem) -> Problem:
    """The problem with the path of its target below `prefix`."""
    target = problem.target
    return (
        problem
        if target is None
        else replace(problem, target=replace(target, name=f"{prefix}{target.name}"))
    )


async def plan_server(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    body: BareMetalServerPrototype,
) -> tuple[BareMetalServerPlan | None, list[Problem]]:
    """The plan, or None and what is wrong. Run this in a `transaction()`, never in a `read()`."""
    problems = _refused(body)
    scope = own(context, caller, bare_metal_servers)
    kind = "bare metal server"
    problems += await name_problems(connection, scope, bare_metal_servers, kind, body.name)
    zone, found = resolve_zone(context.region, body.zone)
    problems += found
    profile, found = resolve_profile(body.profile)
    problems += found
    group_id, found = await resolve_resource_group(connection, caller, body.resource_group)
    problems += found
    options = None
    if profile is not None:
        options, found = chosen(Options(profile.bandwidths[0]), body, profile)
        problems += found
    initialization, found = await plan_initialization(
        connection, context, caller, body.initialization, profile,
        secure_boot=bool(body.enable_secure_boot), prefix=_PREFIX,
    )  # fmt: skip
    problems += found
    interfaces, found = await _plan_network(connection, context, caller, body, zone, profile)
    problems += found
    if (
        problems
        or zone is None
        or profile is None
        or options is None
        or initialization is None
        or interfaces is None
    ):
        return None, problems
    plan = BareMetalServerPlan(
        name=body.name,
        zone=zone,
        profile=profile,
        options=options,
        resource_group_id=group_id,
        initialization=initialization,
        interfaces=interfaces,
    )
    return plan, []


def _refused(body: BareMetalServerPrototype) -> list[Problem]:
    """Members of IBM's body that are not offered here."""
    problems = []
    for member in ("primary_network_interface", "network_interfaces"):
        if getattr(body, member):
            message = (
                "A bare metal server has network attachments here: send "
                "`primary_network_attachment` with a `virtual_network_interface`."
            )
            problems.append(bad_field(member, message))
    if body.reservation_affinity:
        message = "There are no reservations here: leave `reservation_affinity` out."
        problems.append(bad_field("reservation_affinity", message))
    if body.primary_network_attachment is None and not problems:
        message = "A bare metal server needs a network: send `primary_network_attachment`."
        problems.append(missing_field("primary_network_attachment", message))
    return problems


async def _plan_network(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    body: BareMetalServerPrototype,
    zone: str | None,
    profile: BareMetalProfile | None,
) -> tuple[InterfacesPlan | None, list[Problem]]:
    if body.primary_network_attachment is None:
        return None, []
    vpc_id, problems = None, list[Problem]()
    if body.vpc is not None:
        scope = own(context, caller, vpcs)
        row, problems = await resolve(connection, vpcs, body.vpc, "vpc", scope=scope, lock=True)
        vpc_id = None if row is None else row._mapping["id"]
    plan, found = await plan_interfaces(
        connection,
        context,
        caller,
        zone=zone,
        primary_interface=None,
        interfaces=None,
        primary_attachment=body.primary_network_attachment,
        attachments=body.network_attachments,
        server_kind="bare_metal_server",
    )
    problems += found
    if plan is not None and vpc_id is not None and vpc_id != plan.vpc_id:
        message = "The subnets belong to another VPC: leave `vpc` out, or choose subnets of it."
        problems.append(bad_field("vpc", message, vpc_id))
    if plan is not None and profile is not None and len(plan.interfaces) > profile.max_attachments:
        message = f"Profile {profile.name} has at most {profile.max_attachments} attachments."
        problems.append(bad_field("network_attachments", message, len(plan.interfaces)))
    return plan, problems
