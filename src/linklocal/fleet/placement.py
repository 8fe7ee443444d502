"""Which instance is on which node. An operator decides it (or `linklocal dev`), never a node.

Who places or moves an instance holds the lock of the instance's row; nodes are locked here, by id.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from sqlalchemy import BindParameter, RowMapping, bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, Invalid, not_found_field
from linklocal.fleet import nodes as fleet_nodes
from linklocal.fleet.model import Placement, PlacementState
from linklocal.fleet.tables import documents, nodes, placements
from linklocal.ids import AccountId, InstanceId, NodeId

__all__ = [
    "Placement",
    "PlacementState",
    "find",
    "get",
    "least_loaded",
    "move",
    "node_applied",
    "place",
]

node_applied = fleet_nodes.applied_revisions

# Asked for every instance: made once, since to build a statement takes longer than to run it.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_STATES = (
    select(
        placements.c.instance_id,
        placements.c.node_id,
        nodes.c.name.label("node_name"),
        nodes.c.applied_revision,
        nodes.c.last_seen_at,
        nodes.c.revoked_at,
        placements.c.fault,
        placements.c.address,
        documents.c.revision.label("document_revision"),
    )
    .join(nodes, nodes.c.id == placements.c.node_id)
    .outerjoin(documents, documents.c.instance_id == placements.c.instance_id)
    .where(placements.c.instance_id.in_(_IDS))
)
_ONE = select(
    placements.c.instance_id,
    placements.c.node_id,
    placements.c.account_id,
    placements.c.serving,
    placements.c.metadata_enabled,
    placements.c.tokens_valid_after,
    placements.c.claims,
).where(placements.c.instance_id == bindparam("instance"))
_LEAST_LOADED = (
    select(nodes.c.id)
    .outerjoin(placements, placements.c.node_id == nodes.c.id)
    .where(nodes.c.region == bindparam("region"), nodes.c.revoked_at.is_(None))
    .group_by(nodes.c.id, nodes.c.name)
    .order_by(func.count(placements.c.instance_id), nodes.c.name)
    .limit(1)
)
_LOCK = (
    select(nodes.c.id, nodes.c.name, nodes.c.revoked_at)
    .where(nodes.c.id.in_(_IDS))
    .order_by(nodes.c.id)
    .with_for_update(key_share=True)
)


class Dropper(Protocol):
    """The part of `publish.FleetPublisher` that `move` needs."""

    async def drop(self, connection: AsyncConnection, instance_id: InstanceId) -> int | None: ...


async def find(
    connection: AsyncConnection, instance_ids: Collection[InstanceId]
) -> dict[InstanceId, PlacementState]:
    """Where these instances are; those not placed are absent. One query."""
    rows = (await connection.execute(_STATES, {"ids": sorted(instance_ids)})).mappings()
    return {row["instance_id"]: _state(row) for row in rows}


def _state(row: RowMapping) -> PlacementState:
    values = dict(row)
    return PlacementState(revoked=values.pop("revoked_at") is not None, **values)


async def get(connection: AsyncConnection, instance_id: InstanceId) -> Placement | None:
    """What the server holds about a placed instance."""
    row = (await connection.execute(_ONE, {"instance": instance_id})).one_or_none()
    return None if row is None else Placement(**row._mapping)


async def least_loaded(connection: AsyncConnection, region: str) -> NodeId | None:
    """The node of the region with the fewest instances; None when there is none to take one."""
    found = (await connection.execute(_LEAST_LOADED, {"region": region})).scalar_one_or_none()
    return None if found is None else NodeId(found)


async def _lock(connection: AsyncConnection, node_ids: Collection[NodeId]) -> dict[str, RowMapping]:
    """Rows of the nodes, locked against a revision bump and a revocation, lower id first."""
    rows = (await connection.execute(_LOCK, {"ids": sorted(node_ids)})).mappings()
    return {row["id"]: row for row in rows}


def _usable(found: dict[str, RowMapping], node_id: NodeId) -> None:
    row = found.get(node_id)
    if row is None:
        message = "There is no node with this id: `linklocal node list` shows them."
        raise Invalid(not_found_field("node", message, node_id))
    if row["revoked_at"] is not None:
        raise Conflict(f"Node {row['name']} is revoked: place the instance on another one.", "node")


async def place(
    connection: AsyncConnection, instance_id: InstanceId, account_id: AccountId, node_id: NodeId
) -> bool:
    """Place an instance that is on no node. The caller then publishes its document.

    Until then it serves nothing and may exchange nothing. Returns False when it is already there.
    Raises Invalid (`node`), Conflict when the node is revoked or the instance is on another one.
    """
    _usable(await _lock(connection, [node_id]), node_id)
    there = await get(connection, instance_id)
    if there is not None:
        if there.node_id == node_id:
            return False
        raise Conflict("The instance is placed on another node: move it.", "node")
    await connection.execute(
        insert(placements),
        {
            "instance_id": instance_id,
            "account_id": account_id,
            "node_id": node_id,
            "serving": False,
            "metadata_enabled": False,
            "tokens_valid_after": 0,
            "claims": {},
        },
    )
    return True


async def move(
    connection: AsyncConnection, publisher: Dropper, instance_id: InstanceId, node_id: NodeId
) -> bool:
    """Take a placed instance from its node, which is told to forget it, and place it on another.

    The caller then raises `tokens_valid_after` and publishes the document. Returns False when it is
    already there. Raises Invalid (`node`), Conflict when it is not placed or the node is revoked.
    """
    before = await get(connection, instance_id)
    if before is None:
        raise Conflict("The instance is not placed: place it.", "node")
    _usable(await _lock(connection, [before.node_id, node_id]), node_id)
    if before.node_id == node_id:
        return False
    await publisher.drop(connection, instance_id)
    return await place(connection, instance_id, before.account_id, node_id)
