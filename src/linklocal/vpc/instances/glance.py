"""Looks at many instances that cost little: names for menus, floating ips for a list, whether it changed.

No view is made and none is loaded whole. Decides no rights: the service has asked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.fleet import placement
from linklocal.fleet.model import PlacementState
from linklocal.ids import InstanceId
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.network.tables import (
    floating_ips,
    network_attachments,
    network_interfaces,
    vpcs,
)
from linklocal.vpc.paging import Page, select_page


class Named(NamedTuple):
    """An instance, for a menu or a link."""

    id: str
    name: str
    crn: str


async def names(
    connection: AsyncConnection, statement: Select[Any], page: Page
) -> tuple[list[Named], int]:
    """One page of the instances that `statement` selects, newest first, and how many there are."""
    i = instances.c
    light = statement.with_only_columns(i.id, i.name, i.crn, i.created_at)
    rows, total, _ = await select_page(connection, light, instances, page)
    return [Named(row.id, row.name, row.crn) for row in rows], total


async def addresses(
    connection: AsyncConnection, instance_ids: Collection[InstanceId]
) -> dict[InstanceId, str]:
    """The floating ip of each instance that has one; of several, that of the first interface."""
    a, n, f = network_attachments.c, network_interfaces.c, floating_ips.c
    wanted = sorted(instance_ids)
    found: dict[InstanceId, str] = {}
    for table, target in (
        (network_attachments, a.virtual_network_interface_id),
        (network_interfaces, n.id),
    ):
        statement = (
            select(table.c.instance_id, f.address)
            .join(floating_ips, f.target_id == target)
            .where(table.c.instance_id.in_(wanted))
            .order_by(table.c.instance_id, table.c.position, f.address)
        )
        for instance_id, address in await connection.execute(statement):
            found.setdefault(InstanceId(instance_id), address)
    return found


async def mark(
    connection: AsyncConnection, statement: Select[Any], page: Page
) -> tuple[object, ...]:
    """What differs when one page of a list has changed: six queries, no instance loaded."""
    i = instances.c
    columns = (i.id, i.created_at, i.version, i.vpc_id, i.desired, i.transition, i.revision)
    rows, total, following = await select_page(
        connection, statement.with_only_columns(*columns), instances, page
    )
    ids = [InstanceId(row.id) for row in rows]
    placed = await placement.find(connection, ids)
    networks = select(vpcs.c.id, vpcs.c.name).where(vpcs.c.id.in_({row.vpc_id for row in rows}))
    called = (await connection.execute(networks.order_by(vpcs.c.id))).all()
    states = [
        (row.id, row.version, row.desired, row.transition, *_state(placed.get(id), row.revision))
        for id, row in zip(ids, rows, strict=True)
    ]
    floating = await addresses(connection, ids)
    return total, following, states, [tuple(row) for row in called], sorted(floating.items())


def _state(placed: PlacementState | None, revision: int | None) -> tuple[bool, ...]:
    """What of a placement the status depends on."""
    if placed is None:
        return (False,)
    return True, placed.fault is None, placed.applied_revision >= (revision or 0)
