"""One instance and its interfaces, for the services of this folder: found, locked, published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, NotFound, bad_field
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.network.interfaces import attachment_name_taken, load_interfaces
from linklocal.vpc.network.loaded import LoadedInterface
from linklocal.vpc.network.planning import InterfacePlanner, PlannedInterface, Wanted
from linklocal.vpc.profiles.catalog import Profile, stored
from linklocal.vpc.references import raise_if
from linklocal.vpc.render import publish_instances
from linklocal.vpc.rows import find_row


async def find_instance(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    instance_id: str,
    *,
    lock: bool = False,
) -> Mapping[str, Any]:
    """The row of the instance in the path. Raises NotFound (`instance_id`)."""
    row = await find_row(
        connection, context, caller, instances, instance_id, parameter="instance_id", lock=lock
    )
    return dict(row._mapping)


def profile_of(instance: Mapping[str, Any]) -> Profile:
    """The instance's profile: its interfaces show its port speed."""
    return stored(instance["profile"])


async def interfaces_of(connection: AsyncConnection, instance_id: str) -> Sequence[LoadedInterface]:
    """All interfaces of an instance, primary first."""
    return (await load_interfaces(connection, [instance_id]))[instance_id]


def pick(
    interfaces: Sequence[LoadedInterface],
    id: str,
    parameter: str = "id",
    *,
    attachment: bool = False,
) -> LoadedInterface:
    """The interface with this id; `attachment`: only an attachment counts. Raises NotFound."""
    for interface in interfaces:
        if interface.id == id and (not attachment or interface.vni is not None):
            return interface
    raise NotFound(parameter, id)


async def changed(connection: AsyncConnection, context: VpcContext, instance_id: str) -> None:
    """A new ETag of a locked instance, and what its node knows."""
    await connection.execute(
        update(instances)
        .where(instances.c.id == instance_id)
        .values(version=instances.c.version + 1)
    )
    await publish_instances(connection, context, [InstanceId(instance_id)])


async def plan_another(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    instance_id: str,
    wanted: Wanted,
    name: str | None,
) -> PlannedInterface:
    """A plan for one more interface, with the instance locked after what the interface stands on.

    Raises NotFound (`instance_id`), Invalid, Conflict (too many, the other kind).
    """
    instance = await find_instance(connection, context, caller, instance_id)
    planner = InterfacePlanner(connection, context, caller, zone=instance["zone"])
    [plan] = await planner.plan([wanted])
    problems = planner.problems
    await find_instance(connection, context, caller, instance_id, lock=True)
    others = await interfaces_of(connection, instance_id)
    if plan is not None and plan.vpc_id != instance["vpc_id"]:
        message = "The subnet is in another VPC than the instance: choose one of its VPC."
        problems.append(bad_field(wanted.member("subnet"), message, plan.subnet_id))
    if name is not None and any(name == other.name for other in others):
        problems.append(attachment_name_taken(name))
    raise_if(problems)
    assert plan is not None
    is_vni = wanted.kind == "vni"
    if any((other.vni is not None) != is_vni for other in others):
        has, lacks = ("interfaces", "attachments") if is_vni else ("attachments", "interfaces")
        raise Conflict(f"The instance has network {has}: it cannot have network {lacks} too.")
    most = profile_of(instance).max_interfaces
    if len(others) >= most:
        raise Conflict(f"An instance of profile {instance['profile']} has at most {most} of them.")
    return plan


def check_removable(interface: LoadedInterface) -> None:
    """Raises Conflict for the primary one."""
    if interface.position == 0:
        message = "The primary interface stays as long as the instance: delete a secondary one."
        raise Conflict(message, "id")
