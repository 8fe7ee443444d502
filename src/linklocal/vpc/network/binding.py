"""Binding floating ips to interfaces, in the caller's transaction: one place for three paths of the API.

`PATCH /floating_ips/{id}`, a VNI's `/floating_ips/{id}` and an instance interface's. Locks come in the
order of `locks.py`: VNIs, the floating ip, then the instances that show it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, DomainError, Invalid, NotFound, bad_field, not_found_field
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.network.locks import lock_rows
from linklocal.vpc.network.shown import instances_with_targets
from linklocal.vpc.network.tables import (
    floating_ips,
    network_interfaces,
    subnets,
    virtual_network_interfaces,
)
from linklocal.vpc.references import Identity, resolve
from linklocal.vpc.render import publish_instances
from linklocal.vpc.rows import Problems, find_row, own
from linklocal.vpc.scopes import Scope

_INTERFACES_OF_ACCOUNT = (
    select(network_interfaces)
    .join(instances, instances.c.id == network_interfaces.c.instance_id)
    .where(
        instances.c.account_id == bindparam("account"), instances.c.region == bindparam("region")
    )
)


async def resolve_target(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    identity: Identity,
    field: str = "target",
) -> tuple[str | None, Problems]:
    """The id of the VNI or older interface that a body names, or what is wrong."""
    vni, older = virtual_network_interfaces, network_interfaces
    scope = own(context, caller, vni)
    found, problems = await resolve(connection, vni, identity, field, scope=scope)
    if found is not None:
        return str(found._mapping["id"]), []
    if identity.crn is not None:  # an older interface has no CRN
        return None, problems
    whose = {"account": caller.account_id, "region": context.region.name}
    mine = Scope(_INTERFACES_OF_ACCOUNT, whose)
    interface, _ = await resolve(connection, older, identity, field, scope=mine)
    return (None, problems) if interface is None else (str(interface._mapping["id"]), [])


def _refusal(field: str | None, message: str, value: str) -> DomainError:
    """400 about a body's member, or 409 when the target stands in the path."""
    return Invalid(bad_field(field, message, value)) if field else Conflict(message, "id")


async def bind_floating_ip(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    id: str,
    target_id: str | None,
    *,
    field: str | None = None,
    values: dict[str, Any] | None = None,
) -> Row[Any]:
    """Give a floating ip another target (None: dissociate it), write `values` too, and publish.

    `target_id` must be an id that `resolve_target` or a query of the caller's own rows gave. `field`: the
    body's member that problems are about; None: the path's. Returns the new row.
    Raises NotFound (`id`), Invalid or Conflict (other zone, target taken), Conflict (changed meanwhile).
    """
    before = await find_row(connection, context, caller, floating_ips, id)
    old = before._mapping["target_id"]
    targets = {target for target in (old, target_id) if target is not None}
    await lock_rows(connection, virtual_network_interfaces, targets)
    row = await find_row(connection, context, caller, floating_ips, id, lock=True)
    if row._mapping["target_id"] != old:
        raise Conflict("The floating ip was bound or dissociated meanwhile: try again.", "id")
    users = await instances_with_targets(connection, targets)
    await lock_rows(connection, instances, users)
    if target_id is not None and target_id != old:
        await _check_target(connection, row, target_id, field)
    statement = (
        update(floating_ips)
        .where(floating_ips.c.id == id)
        .values(target_id=target_id, **(values or {}))
        .returning(floating_ips)
    )
    bound: Row[Any] = (await connection.execute(statement)).one()
    await publish_instances(connection, context, users)
    return bound


async def _check_target(
    connection: AsyncConnection, floating_ip: Row[Any], target_id: str, field: str | None
) -> None:
    vni, older = virtual_network_interfaces, network_interfaces
    zone = await connection.scalar(select(vni.c.zone).where(vni.c.id == target_id))
    if zone is None:
        of_interface = (
            select(subnets.c.zone)
            .join(older, older.c.subnet_id == subnets.c.id)
            .where(older.c.id == target_id)
        )
        zone = await connection.scalar(of_interface)
    if zone is None:  # deleted since it was found
        if field is None:
            raise NotFound("id", target_id)
        raise Invalid(not_found_field(field, "There is no interface with this id.", target_id))
    if zone != floating_ip._mapping["zone"]:
        here = floating_ip._mapping["zone"]
        message = (
            f"The floating ip is in zone {here}, the interface in {zone}: use one of that zone."
        )
        raise _refusal(field, message, target_id)
    held = select(floating_ips.c.name).where(floating_ips.c.target_id == target_id)
    if (name := await connection.scalar(held)) is not None:
        message = f"The interface has floating ip {name!r} already: dissociate that first."
        raise _refusal(field, message, target_id)
