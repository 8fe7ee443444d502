"""Telling nodes: documents and tombstones, written in the transaction of the change.

Publishing is not a second step that could be lost. Every change takes a revision of its node of its own;
the node's row stays locked until the commit, so revisions of one node become visible in order.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.document import InstanceDocument
from linklocal.fleet.tables import documents, nodes, placements, tombstones
from linklocal.ids import InstanceId, NodeId
from linklocal.store.upsert import upsert
from linklocal.store.wake import Wake

# A node that was away for longer gets the full set anew instead of what it missed.
TOMBSTONES_KEPT = timedelta(days=7)
# Rows per IN list; both databases take more, SQLite's older builds only 999.
CHUNK = 500
# Documents written as JSON in one go: other requests have their turn in between.
TURN = 50

# What every change asks: made once, since to build a statement takes longer than to run it. `of`: an
# instance's id.
_PLACED = select(placements.c.instance_id, placements.c.node_id).where(
    placements.c.instance_id.in_(bindparam("ids", expanding=True))
)
_BUMP = (
    update(nodes)
    .where(nodes.c.id == bindparam("node"))
    .values(revision=nodes.c.revision + bindparam("by"))
    .returning(nodes.c.revision)
)
_UPDATE_PLACEMENT = (
    update(placements)
    .where(placements.c.instance_id == bindparam("of"))
    .values(
        serving=bindparam("new_serving"),
        metadata_enabled=bindparam("new_enabled"),
        tokens_valid_after=bindparam("new_epoch"),
        claims=bindparam("new_claims", type_=placements.c.claims.type),
    )
)
_DELETE_PLACEMENT = delete(placements).where(placements.c.instance_id == bindparam("of"))
_DELETE_DOCUMENT = delete(documents).where(documents.c.instance_id == bindparam("of"))
_DELETE_TOMBSTONE = delete(tombstones).where(
    tombstones.c.node_id == bindparam("node"), tombstones.c.instance_id == bindparam("of")
)
_NEWEST_STALE = select(func.max(tombstones.c.revision)).where(
    tombstones.c.node_id == bindparam("node"), tombstones.c.created_at < bindparam("before")
)


class FleetPublisher:
    """`vpc.context.Publisher`. Callers hold the locks of the instances that they publish."""

    def __init__(self, wake: Wake, clock: Clock) -> None:
        self._wake = wake
        self._clock = clock

    async def put(
        self, connection: AsyncConnection, documents: Sequence[InstanceDocument]
    ) -> dict[InstanceId, int]:
        """Publish documents of placed instances; those not placed are passed over.

        Returns the node revision of each published one. One bump of the revision per node, nodes by id.
        """
        newest = {document.instance_id: document for document in documents}
        by_node = await _placed(connection, sorted(newest))
        published: dict[InstanceId, int] = {}
        for node_id in sorted(by_node):
            ids = by_node[node_id]
            first = await _bump(connection, node_id, len(ids)) - len(ids) + 1
            revisions = {id: first + n for n, id in enumerate(ids)}
            await _write(connection, node_id, [newest[id] for id in ids], revisions)
            await self._wake.notify(connection, node_id)
            published.update(revisions)
        return published

    async def drop(self, connection: AsyncConnection, instance_id: InstanceId) -> int | None:
        """Tell the instance's node to forget it and end the placement. None if it was not placed."""
        by_node = await _placed(connection, [instance_id])
        if not by_node:
            return None
        (node_id,) = by_node
        revision = await _bump(connection, node_id, 1)
        now = self._clock.now()
        row = {
            "node_id": node_id,
            "instance_id": instance_id,
            "revision": revision,
            "created_at": now,
        }
        await connection.execute(upsert(connection, tombstones, ("revision", "created_at")), [row])
        await connection.execute(_DELETE_DOCUMENT, {"of": instance_id})
        await connection.execute(_DELETE_PLACEMENT, {"of": instance_id})
        await _prune(connection, node_id, now - TOMBSTONES_KEPT)
        await self._wake.notify(connection, node_id)
        return revision


async def _placed(
    connection: AsyncConnection, ids: Sequence[InstanceId]
) -> dict[NodeId, list[InstanceId]]:
    """The instances among `ids` that are placed, by node, in the order of `ids`."""
    where: dict[str, NodeId] = {}
    for start in range(0, len(ids), CHUNK):
        rows = await connection.execute(_PLACED, {"ids": ids[start : start + CHUNK]})
        where.update((id, NodeId(node)) for id, node in rows)
    by_node: defaultdict[NodeId, list[InstanceId]] = defaultdict(list)
    for id in ids:
        if id in where:
            by_node[where[id]].append(id)
    return dict(by_node)


async def _bump(connection: AsyncConnection, node_id: NodeId, by: int) -> int:
    """Take `by` revisions of the node and return the last. Locks the node's row until the commit."""
    bumped = await connection.execute(_BUMP, {"node": node_id, "by": by})
    return int(bumped.scalar_one())


async def _write(
    connection: AsyncConnection,
    node_id: NodeId,
    published: Sequence[InstanceDocument],
    revisions: dict[InstanceId, int],
) -> None:
    rows: list[dict[str, Any]] = []
    for document in published:
        row = {
            "instance_id": document.instance_id,
            "node_id": node_id,
            "revision": revisions[document.instance_id],
            "document": document.dumps(),
        }
        rows.append(row)
        if len(rows) % TURN == 0:
            await asyncio.sleep(0)
    await connection.execute(
        upsert(connection, documents, ("node_id", "revision", "document")), rows
    )
    # An instance that came back to this node: its document stands for the newest change.
    await connection.execute(
        _DELETE_TOMBSTONE,
        [{"node": node_id, "of": document.instance_id} for document in published],
    )
    await connection.execute(
        _UPDATE_PLACEMENT,
        [
            {
                "of": document.instance_id,
                "new_serving": document.serving,
                "new_enabled": document.metadata_service.enabled,
                "new_epoch": document.tokens_valid_after,
                "new_claims": document.claims,
            }
            for document in published
        ],
    )


async def _prune(connection: AsyncConnection, node_id: NodeId, before: datetime) -> None:
    """Forget the node's tombstones from before then, and remember up to which revision."""
    t = tombstones.c
    newest = await connection.scalar(_NEWEST_STALE, {"node": node_id, "before": before})
    if newest is None:
        return
    await connection.execute(delete(tombstones).where(t.node_id == node_id, t.revision <= newest))
    await connection.execute(
        update(nodes).where(nodes.c.id == node_id).values(pruned_revision=newest)
    )
