"""Locks on what interfaces stand on, always in one order, so that no two transactions wait for each other.

Order: VPCs, subnets, security groups, virtual network interfaces, reserved ips, floating ips, volumes;
each kind by id; after them instances by id, then nodes. SQLite needs none of this: a transaction that
writes is the only one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.iam.caller import Caller
from linklocal.vpc.network.tables import (
    floating_ips,
    network_attachments,
    network_interfaces,
    reserved_ips,
    security_groups,
    subnets,
    virtual_network_interfaces,
    vpcs,
)


async def lock_rows(
    connection: AsyncConnection,
    table: Table,
    ids: Collection[str],
    *,
    read: bool = False,
    key_share: bool = False,
) -> dict[str, Row[Any]]:
    """The rows with these ids as they are now, locked until the transaction ends, by id.

    `read`: FOR SHARE (it may not change). `key_share`: FOR NO KEY UPDATE (others may refer to it).
    Neither: FOR UPDATE. Ids that are not there are left out.
    """
    if not ids:
        return {}
    statement = (
        select(table)
        .where(table.c.id.in_(sorted(ids)))
        .order_by(table.c.id)
        .with_for_update(read=read, key_share=key_share)
    )
    return {row._mapping["id"]: row for row in await connection.execute(statement)}


async def lock_subnets(
    connection: AsyncConnection, caller: Caller, ids: Collection[str]
) -> dict[str, Row[Any]]:
    """The caller's subnets with these ids, by id, and their VPCs with a share lock.

    Who holds a subnet's lock may choose addresses in it: no other transaction can choose the same.
    """
    if not ids:
        return {}
    of = select(subnets.c.vpc_id).where(
        subnets.c.id.in_(sorted(ids)), subnets.c.account_id == caller.account_id
    )
    vpc_ids = set((await connection.execute(of)).scalars())
    await lock_rows(connection, vpcs, vpc_ids, read=True)
    return await lock_rows(connection, subnets, ids, key_share=True)


async def lock_security_groups(
    connection: AsyncConnection, ids: Collection[str]
) -> dict[str, Row[Any]]:
    """Security groups that may not change before the transaction ends."""
    return await lock_rows(connection, security_groups, ids, read=True)


async def lock_interfaces(connection: AsyncConnection, instance_id: str) -> None:
    """Lock what deleting an instance's interfaces changes: call it *before* locking the instance.

    A rename of any of these locks it and then the instances that show it; taking the instance first
    would let the two wait for each other.
    """
    attached = select(network_attachments.c.virtual_network_interface_id).where(
        network_attachments.c.instance_id == instance_id
    )
    vni_ids = set((await connection.execute(attached)).scalars())
    await lock_rows(connection, virtual_network_interfaces, vni_ids)
    older = select(network_interfaces.c.id).where(network_interfaces.c.instance_id == instance_id)
    targets = sorted(vni_ids | set((await connection.execute(older)).scalars()))
    for table in (reserved_ips, floating_ips):
        await connection.execute(
            select(table.c.id)
            .where(table.c.target_id.in_(targets))
            .order_by(table.c.id)
            .with_for_update()
        )
