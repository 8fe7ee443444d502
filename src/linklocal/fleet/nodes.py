"""Nodes: finding, listing and revoking them, and what they report about themselves."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import NodeStatus
from linklocal.fleet.model import Node
from linklocal.fleet.tables import nodes, placements
from linklocal.ids import NodeId
from linklocal.store.wake import Wake

# What every report of a node asks: made once, since to build a statement takes longer than to run it.
_REVISIONS = (
    select(nodes.c.revision, nodes.c.applied_revision)
    .where(nodes.c.id == bindparam("node"))
    .with_for_update(key_share=True)
)
_REPORTED = (
    update(nodes)
    .where(nodes.c.id == bindparam("node"))
    .values(
        applied_revision=bindparam("new_applied"),
        version=bindparam("new_version"),
        last_seen_at=bindparam("new_seen"),
    )
)
_SHOWN = select(placements.c.instance_id, placements.c.fault, placements.c.address).where(
    placements.c.node_id == bindparam("node")
)
_SHOW = (
    update(placements)
    .where(placements.c.instance_id == bindparam("of"), placements.c.node_id == bindparam("node"))
    .values(fault=bindparam("new_fault"), address=bindparam("new_address"))
)


def _select() -> Select[Any]:
    placed = select(func.count()).where(placements.c.node_id == nodes.c.id).scalar_subquery()
    return select(nodes, placed.label("instances"))


def _node(row: Row[Any]) -> Node:
    n = row._mapping
    return Node(**{name: n[name] for name in Node.__dataclass_fields__})


async def get(connection: AsyncConnection, node_id: NodeId) -> Node | None:
    """The node with this id, revoked or not."""
    row = (await connection.execute(_select().where(nodes.c.id == node_id))).one_or_none()
    return None if row is None else _node(row)


async def find(connection: AsyncConnection, region: str, name_or_id: str) -> Node | None:
    """The node that an operator means: by id, else by name, preferring one that is not revoked."""
    statement = (
        _select()
        .where(nodes.c.region == region)
        .where(or_(nodes.c.id == name_or_id, nodes.c.name == name_or_id))
        .order_by(
            (nodes.c.id == name_or_id).desc(),
            nodes.c.revoked_at.is_(None).desc(),
            nodes.c.created_at.desc(),
        )
        .limit(1)
    )
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else _node(row)


async def list_nodes(connection: AsyncConnection, region: str) -> list[Node]:
    """All nodes of the region by name, revoked ones included."""
    statement = _select().where(nodes.c.region == region).order_by(nodes.c.name, nodes.c.created_at)
    return [_node(row) for row in await connection.execute(statement)]


async def revoke(
    connection: AsyncConnection, node_id: NodeId, *, now: datetime, wake: Wake | None = None
) -> bool:
    """Refuse the node from the commit on: its requests, its identity key, its place in listings of keys.

    Its watch stream ends: at once with `wake`, else within the feed's poll interval. Its placements stay
    until an operator moves the instances. Returns whether it was not revoked before.
    """
    revoked = await connection.execute(
        update(nodes)
        .where(nodes.c.id == node_id, nodes.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    if wake is not None:
        await wake.notify(connection, node_id)
    return bool(revoked.rowcount)


async def identity_keys(connection: AsyncConnection) -> list[dict[str, Any]]:
    """JWKs of the identity keys of all nodes that are not revoked."""
    statement = (
        select(nodes.c.identity_jwk).where(nodes.c.revoked_at.is_(None)).order_by(nodes.c.id)
    )
    return list((await connection.scalars(statement)).all())


async def applied_revisions(
    connection: AsyncConnection, node_ids: Collection[NodeId]
) -> dict[NodeId, int]:
    """What each of these nodes has acknowledged."""
    statement = select(nodes.c.id, nodes.c.applied_revision).where(nodes.c.id.in_(sorted(node_ids)))
    return {NodeId(id): applied for id, applied in await connection.execute(statement)}


async def seen(connection: AsyncConnection, node_id: NodeId, now: datetime) -> None:
    """Note that the node made a request."""
    await connection.execute(update(nodes).where(nodes.c.id == node_id).values(last_seen_at=now))


async def report(
    connection: AsyncConnection, node_id: NodeId, status: NodeStatus, now: datetime
) -> None:
    """Take a node's status: what it applied, and of its *own* placements their faults and addresses.

    The applied revision never goes back, and one beyond the node's revision is not believed. `faults`
    and `addresses` are complete: an instance that is in neither has neither.
    """
    # The node's row first, then its placements: the order of everybody who locks both.
    row = (await connection.execute(_REVISIONS, {"node": node_id})).one_or_none()
    if row is None:
        return
    newest, applied = row
    believed = applied < status.applied_revision <= newest
    values = {
        "new_applied": status.applied_revision if believed else applied,
        "new_version": status.version,
        "new_seen": now,
    }
    await connection.execute(_REPORTED, {"node": node_id, **values})
    changed = [
        {"of": id, "node": node_id, "new_fault": fault, "new_address": address}
        for id, old_fault, old_address in await connection.execute(_SHOWN, {"node": node_id})
        if (fault := status.faults.get(id), address := status.addresses.get(id))
        != (old_fault, old_address)
    ]
    if changed:
        await connection.execute(_SHOW, sorted(changed, key=lambda row: str(row["of"])))
