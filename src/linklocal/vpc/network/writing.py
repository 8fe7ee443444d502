"""Writing what was planned, and taking it away again: rows of addresses and interfaces. No checks here."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import ServerKind
from linklocal.events import also
from linklocal.iam.caller import Caller
from linklocal.ids import new_zonal_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import name_taken, unique
from linklocal.vpc.network.address_planning import PlannedIp
from linklocal.vpc.network.addresses import mac_address
from linklocal.vpc.network.planning import PlannedInterface
from linklocal.vpc.network.tables import (
    floating_ips,
    interface_security_groups,
    network_attachments,
    network_interfaces,
    reserved_ips,
    virtual_network_interfaces,
)

_IP = "is.subnet.reserved-ip"
_VNI = "is.virtual-network-interface.virtual-network-interface"

# Made once, since to build a statement takes longer than to run it. `ids`: of VNIs or older interfaces.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_UNGUARD = delete(interface_security_groups).where(
    interface_security_groups.c.interface_id.in_(_IDS)
)
_DELETE_IPS = (
    delete(reserved_ips)
    .where(reserved_ips.c.target_id.in_(_IDS), reserved_ips.c.auto_delete)
    .returning(reserved_ips.c.id)
)
_FREE_IPS, _FREE_FLOATING_IPS = (
    update(table).where(table.c.target_id.in_(_IDS)).values(target_id=None).returning(table.c.id)
    for table in (reserved_ips, floating_ips)
)
_DELETE_VNIS = (
    delete(virtual_network_interfaces)
    .where(virtual_network_interfaces.c.id.in_(_IDS))
    .returning(virtual_network_interfaces.c.id)
)
_DELETE_AUTO_VNIS = _DELETE_VNIS.where(virtual_network_interfaces.c.auto_delete)


def attachment_events(server_kind: ServerKind) -> str:
    """What events about an attachment begin with."""
    return f"is.{server_kind.replace('_', '-')}.network-attachment"


async def write_ip(
    connection: AsyncConnection,
    context: VpcContext,
    zone: str,
    ip: PlannedIp,
    target_id: str | None,
) -> str:
    """Bind an existing reserved ip, or make a new one. Returns its id."""
    if ip.existing_id is not None:
        await connection.execute(
            update(reserved_ips)
            .where(reserved_ips.c.id == ip.existing_id)
            .values(target_id=target_id)
        )
        if target_id is not None:
            also(f"{_IP}.attach", ip.existing_id)
        return ip.existing_id
    id = new_zonal_id(zone)
    await connection.execute(
        insert(reserved_ips),
        {
            "id": id,
            "subnet_id": ip.subnet_id,
            "address": str(ip.address),
            "address_number": int(ip.address),
            "name": ip.name,
            "owner": "user",
            "auto_delete": ip.auto_delete,
            "target_id": target_id,
            "created_at": context.clock.now(),
        },
    )
    also(f"{_IP}.create", id)
    if target_id is not None:
        also(f"{_IP}.attach", id)
    return id


async def write_security_groups(
    connection: AsyncConnection, interface_id: str, group_ids: Collection[str]
) -> None:
    """What an interface is guarded by. `interface_id`: of a VNI or of an older interface."""
    if group_ids:
        rows = [
            {"interface_id": interface_id, "security_group_id": group_id}
            for group_id in sorted(group_ids)
        ]
        await connection.execute(insert(interface_security_groups), rows)


async def write_virtual_interface(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    plan: PlannedInterface,
    resource_group_id: str,
) -> str:
    """A new virtual network interface with its addresses. Returns its id. Raises Invalid (name)."""
    id = new_zonal_id(plan.zone)
    ip_ids = [await write_ip(connection, context, plan.zone, ip, id) for ip in plan.ips]
    taken = name_taken("virtual network interface", plan.name, plan.name_field)
    with unique(virtual_network_interfaces, name=taken):
        await connection.execute(
            insert(virtual_network_interfaces),
            {
                "id": id,
                "account_id": caller.account_id,
                "region": context.region.name,
                "zone": plan.zone,
                "name": plan.name,
                "crn": vpc_crn(plan.zone, caller.account_id, "virtual-network-interface", id),
                "version": 1,
                "subnet_id": plan.subnet_id,
                "primary_ip_id": ip_ids[0],
                "mac_address": mac_address(str(plan.ips[0].address)),
                "allow_ip_spoofing": plan.allow_ip_spoofing,
                "auto_delete": plan.auto_delete,
                "enable_infrastructure_nat": plan.enable_infrastructure_nat,
                "protocol_state_filtering_mode": plan.protocol_state_filtering_mode,
                "resource_group_id": plan.resource_group_id or resource_group_id,
                "created_at": context.clock.now(),
            },
        )
    await write_security_groups(connection, id, plan.security_group_ids)
    also(f"{_VNI}.create", id)
    return id


async def write_attachment(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    instance_id: str,
    position: int,
    name: str,
    plan: PlannedInterface,
    resource_group_id: str,
    server_kind: ServerKind = "instance",
) -> str:
    """A network attachment, and its virtual network interface if that is new. Returns its id.

    `server_kind`: what `instance_id` is the id of.
    """
    vni_id = plan.existing_vni_id or await write_virtual_interface(
        connection, context, caller, plan, resource_group_id
    )
    id = new_zonal_id(plan.zone)
    await connection.execute(
        insert(network_attachments),
        {
            "id": id,
            "instance_id": instance_id,
            "server_kind": server_kind,
            "position": position,
            "name": name,
            "virtual_network_interface_id": vni_id,
            "created_at": context.clock.now(),
        },
    )
    also(f"{_VNI}.attach", vni_id)
    also(f"{attachment_events(server_kind)}.attach", id)
    return id


async def write_interface(
    connection: AsyncConnection,
    context: VpcContext,
    instance_id: str,
    position: int,
    name: str,
    plan: PlannedInterface,
) -> str:
    """An interface of the older kind with its address. Returns its id."""
    id = new_zonal_id(plan.zone)
    primary_ip_id = await write_ip(connection, context, plan.zone, plan.ips[0], id)
    await connection.execute(
        insert(network_interfaces),
        {
            "id": id,
            "instance_id": instance_id,
            "position": position,
            "name": name,
            "subnet_id": plan.subnet_id,
            "primary_ip_id": primary_ip_id,
            "allow_ip_spoofing": plan.allow_ip_spoofing,
            "created_at": context.clock.now(),
        },
    )
    await write_security_groups(connection, id, plan.security_group_ids)
    also("is.instance.network-interface.attach", id)
    return id


async def release_targets(connection: AsyncConnection, target_ids: Collection[str]) -> None:
    """Free what interfaces held, after their rows are gone: addresses, groups, floating ips."""
    ids = sorted(target_ids)
    if not ids:
        return
    of = {"ids": ids}
    await connection.execute(_UNGUARD, of)
    for id in (await connection.scalars(_DELETE_IPS, of)).all():
        also(f"{_IP}.detach", id)
        also(f"{_IP}.delete", id)
    for statement, name in ((_FREE_IPS, _IP), (_FREE_FLOATING_IPS, "is.floating-ip.floating-ip")):
        for id in (await connection.scalars(statement, of)).all():
            also(f"{name}.detach", id)


async def delete_virtual_interfaces(
    connection: AsyncConnection, ids: Collection[str], *, only_auto_delete: bool = False
) -> None:
    """Delete detached virtual network interfaces and free what they held."""
    statement = _DELETE_AUTO_VNIS if only_auto_delete else _DELETE_VNIS
    gone = (await connection.scalars(statement, {"ids": sorted(ids)})).all()
    for id in gone:
        also(f"{_VNI}.delete", id)
    await release_targets(connection, gone)
