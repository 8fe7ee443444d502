"""The interfaces of instances: planned, written, removed. Functions of somebody else's transaction.

`vpc/instances` calls these while it makes and deletes instances; they decide nothing about instances
and publish nothing. Reading them back is `loaded.py`. Contract 2.4, `primary_network_interface` and
`primary_network_attachment`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import ServerKind
from linklocal.errors import Problem, bad_field, missing_field
from linklocal.events import also
from linklocal.iam.caller import Caller
from linklocal.ids import generated_name
from linklocal.vpc.context import VpcContext
from linklocal.vpc.network.loaded import (
    LoadedInterface,
    LoadedIp,
    LoadedVirtualInterface,
    Named,
    load_interfaces,
)
from linklocal.vpc.network.locks import lock_interfaces
from linklocal.vpc.network.model import (
    MAX_INTERFACES,
    NetworkAttachmentPrototype,
    NetworkInterfacePrototype,
)
from linklocal.vpc.network.planning import InterfacePlanner, PlannedInterface, Wanted
from linklocal.vpc.network.tables import network_attachments, network_interfaces
from linklocal.vpc.network.writing import (
    attachment_events,
    delete_virtual_interfaces,
    release_targets,
    write_attachment,
    write_interface,
)

__all__ = [
    "InterfacesPlan",
    "LoadedInterface",
    "LoadedIp",
    "LoadedVirtualInterface",
    "Named",
    "NetworkAttachmentPrototype",
    "NetworkInterfacePrototype",
    "create_interfaces",
    "load_interfaces",
    "lock_interfaces",
    "plan_interfaces",
    "remove_interfaces",
]

Kind = Literal["attachment", "interface"]
_Body = TypeVar("_Body", NetworkInterfacePrototype, NetworkAttachmentPrototype)

# Made once, since to build a statement takes longer than to run it.
_DETACH = (
    delete(network_attachments)
    .where(network_attachments.c.instance_id == bindparam("instance"))
    .returning(network_attachments.c.id, network_attachments.c.virtual_network_interface_id)
)
_DELETE_OLDER = (
    delete(network_interfaces)
    .where(network_interfaces.c.instance_id == bindparam("instance"))
    .returning(network_interfaces.c.id)
)


@dataclass(frozen=True, slots=True)
class InterfacesPlan:
    """The interfaces of a new instance, primary first, each with its name. See `create_interfaces`."""

    kind: Kind
    vpc_id: str
    zone: str
    interfaces: tuple[tuple[str, PlannedInterface], ...]


async def plan_interfaces(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    *,
    zone: str | None,
    primary_interface: NetworkInterfacePrototype | None,
    interfaces: Sequence[NetworkInterfacePrototype] | None,
    primary_attachment: NetworkAttachmentPrototype | None,
    attachments: Sequence[NetworkAttachmentPrototype] | None,
    server_kind: ServerKind = "instance",
) -> tuple[InterfacesPlan | None, list[Problem]]:
    """Resolve, lock and check what a new server's body says of its network. Writes nothing.

    Exactly one of the two primaries must be given, and secondaries of the same kind only. `zone` None:
    any zone (the caller has a problem with it already). Targets are the body's own paths
    (`primary_network_interface.subnet.id`, `network_attachments[0].name`). The plan is None if there is
    a problem. It holds until the transaction ends; run this in a `transaction()`, never in a `read()`.
    """
    interfaces, attachments = interfaces or [], attachments or []
    problems = _check_kinds(primary_interface, interfaces, primary_attachment, attachments)
    bodies: list[tuple[str, str | None, Wanted]] = []
    for field, body in _paths("network_interface", primary_interface, interfaces):
        bodies.append((field, body.name, Wanted(field, body, "interface")))
    for field, attachment in _paths("network_attachment", primary_attachment, attachments):
        inner = Wanted(f"{field}.virtual_network_interface", attachment.virtual_network_interface)
        bodies.append((field, attachment.name, inner))
    problems += _check_names(bodies)
    planner = InterfacePlanner(connection, context, caller, zone=zone, server_kind=server_kind)
    plans = await planner.plan([wanted for _, _, wanted in bodies])
    problems += planner.problems
    if problems:
        return None, problems
    named = tuple(
        (name or generated_name(), plan)
        for (_, name, _), plan in zip(bodies, plans, strict=True)
        if plan is not None
    )
    kind: Kind = "interface" if primary_interface is not None else "attachment"
    return InterfacesPlan(kind, named[0][1].vpc_id, named[0][1].zone, named), []


def _paths(kind: str, primary: _Body | None, others: Sequence[_Body]) -> list[tuple[str, _Body]]:
    first = [] if primary is None else [(f"primary_{kind}", primary)]
    return first + [(f"{kind}s[{index}]", body) for index, body in enumerate(others)]


def _check_kinds(
    primary_interface: NetworkInterfacePrototype | None,
    interfaces: Sequence[NetworkInterfacePrototype],
    primary_attachment: NetworkAttachmentPrototype | None,
    attachments: Sequence[NetworkAttachmentPrototype],
) -> list[Problem]:
    problems = []
    if primary_interface is None and primary_attachment is None:
        message = (
            "An instance needs a network: send `primary_network_attachment` "
            "(or `primary_network_interface`) with a subnet."
        )
        problems.append(missing_field("primary_network_attachment", message))
    if primary_interface is not None and primary_attachment is not None:
        message = (
            "Send either `primary_network_attachment` or `primary_network_interface`, not both."
        )
        problems.append(bad_field("primary_network_interface", message))
    elif primary_interface is not None and attachments:
        message = (
            "An instance has network interfaces or network attachments: send `network_interfaces`."
        )
        problems.append(bad_field("network_attachments", message))
    elif primary_attachment is not None and interfaces:
        message = (
            "An instance has network attachments or network interfaces: send `network_attachments`."
        )
        problems.append(bad_field("network_interfaces", message))
    count = 1 + max(len(interfaces), len(attachments))
    if count > MAX_INTERFACES:
        field = "network_interfaces" if interfaces else "network_attachments"
        message = f"An instance has at most {MAX_INTERFACES} of them, the primary one included."
        problems.append(bad_field(field, message, count))
    return problems


def _check_names(bodies: Sequence[tuple[str, str | None, Wanted]]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for field, name, _ in bodies:
        if name is not None and name in seen:
            problems.append(attachment_name_taken(name, f"{field}.name"))
        if name is not None:
            seen.add(name)
    return problems


def attachment_name_taken(name: str, field: str = "name") -> Problem:
    """Names of interfaces and attachments are unique per instance."""
    message = f"The instance has another interface named {name!r}: choose another name."
    problem = bad_field(field, message, name)
    return Problem("validation_unique_failed", message, problem.target)


async def create_interfaces(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    instance_id: str,
    plan: InterfacesPlan,
    resource_group_id: str,
    server_kind: ServerKind = "instance",
) -> None:
    """Write a plan of this transaction, after the instance's row. `resource_group_id`: of new VNIs.

    `server_kind`: what `instance_id` is the id of; only an instance has interfaces of the older kind.
    """
    for position, (name, interface) in enumerate(plan.interfaces):
        if plan.kind == "interface":
            await write_interface(connection, context, instance_id, position, name, interface)
        else:
            await write_attachment(
                connection,
                context,
                caller,
                instance_id,
                position,
                name,
                interface,
                resource_group_id,
                server_kind,
            )


async def remove_interfaces(
    connection: AsyncConnection, instance_id: str, server_kind: ServerKind = "instance"
) -> None:
    """Take everything off a server that is being deleted, before its row goes.

    Attachments and interfaces go, virtual network interfaces with `auto_delete` go, addresses with
    `auto_delete` go with what held them, floating ips are dissociated. `lock_interfaces` must have been
    called before the instance was locked.
    """
    of = {"instance": instance_id}
    vni_ids = []
    for id, vni_id in (await connection.execute(_DETACH, of)).all():
        vni_ids.append(vni_id)
        also(f"{attachment_events(server_kind)}.detach", id)
    for id in vni_ids:
        also("is.virtual-network-interface.virtual-network-interface.detach", id)
    await delete_virtual_interfaces(connection, vni_ids, only_auto_delete=True)
    older = (await connection.scalars(_DELETE_OLDER, of)).all()
    for id in older:
        also("is.instance.network-interface.detach", id)
        also("is.instance.network-interface.delete", id)
    await release_targets(connection, older)


async def next_position(connection: AsyncConnection, instance_id: str) -> int:
    """Where another attachment or interface of an instance goes (its row is locked)."""
    highest = 0
    for table in (network_attachments, network_interfaces):
        statement = select(func.max(table.c.position)).where(table.c.instance_id == instance_id)
        found = await connection.scalar(statement)
        highest = highest if found is None else max(highest, found + 1)
    return highest
