"""Locks on what interfaces stand on, always in one order, so that no two transactions wait for each other.

Order: VPCs, subnets, security groups, virtual network interfaces, reserved ips, floating ips, volumes;
each kind by id; after them instances by id, then nodes. SQLite needs none of this: a transaction that
writes is the only one.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Row, Select, Table, bindparam, select
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

# What every creation and every delete asks: made once, since to build a statement takes longer than to
# run it.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_VPCS_OF_SUBNETS = select(subnets.c.vpc_id).where(
    subnets.c.id.in_(_IDS), subnets.c.account_id == bindparam("account")
)
_ATTACHED = select(network_attachments.c.virtual_network_interface_id).where(
    network_attachments.c.instance_id == bindparam("instance")
)
_OLDER = select(network_interfaces.c.id).where(
    network_interfaces.c.instance_id == bindparam("instance")
)
_LOCK_BOUND = [
    select(table.c.id).where(table.c.target_id.in_(_IDS)).order_by(table.c.id).with_for_update()
    for table in (reserved_ips, floating_ips)
]


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
    rows = await connection.execute(_locking(table, read, key_share), {"ids": sorted(ids)})
    return {row._mapping["id"]: row for row in rows}


@cache  # to build it takes longer than to run it
def _locking(table: Table, read: bool, key_share: bool) -> Select[Any]:
    return (
        select(table)
        .where(table.c.id.in_(_IDS))
        .order_by(table.c.id)
        .with_for_update(read=read, key_share=key_share)
    )


async def lock_subnets(
    connection: AsyncConnection, caller: Caller, ids: Collection[str]
) -> dict[str, Row[Any]]:
    """The caller's subnets with these ids, by id, and their VPCs with a share lock.

    Who holds a subnet's lock may choose addresses in it: no other transaction can choose the same.
    """
    if not ids:
        return {}
    asked = {"ids": sorted(ids), "account": caller.account_id}
    vpc_ids = set(await connection.scalars(_VPCS_OF_SUBNETS, asked))
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
    vni_ids = set(await connection.scalars(_ATTACHED, {"instance": instance_id}))
    await lock_rows(connection, virtual_network_interfaces, vni_ids)
    older = set(await connection.scalars(_OLDER, {"instance": instance_id}))
    for statement in _LOCK_BOUND:
        await connection.execute(statement, {"ids": sorted(vni_ids | older)})
