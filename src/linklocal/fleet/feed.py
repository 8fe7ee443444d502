"""The watch stream of one node: replay what it missed, then tell it what happens. Reads, never writes.

Documents and tombstones are read in the order of their revisions. A row that changes meanwhile only
moves further back, so a page after another misses nothing; and because the node's row is locked while a
revision is taken, no revision can appear behind one that was already read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, bindparam, literal_column, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import Change, InstanceDocument
from linklocal.fleet.tables import documents, nodes, tombstones
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database
from linklocal.store.wake import Bell, Wake

POLL_SECONDS = 5.0  # a lost wake-up costs this much
HEARTBEAT_SECONDS = 15.0  # a node gives up after three missed ones
PAGE = 100  # changes in memory per stream, at most

# What every look asks: made once, since to build a statement takes longer than to run it.
_POSITION = select(nodes.c.revision, nodes.c.pruned_revision).where(
    nodes.c.id == bindparam("node"), nodes.c.revoked_at.is_(None)
)
_CHANGES = (
    union_all(
        select(documents.c.revision, documents.c.instance_id, documents.c.document).where(
            documents.c.node_id == bindparam("node"), documents.c.revision > bindparam("after")
        ),
        select(tombstones.c.revision, tombstones.c.instance_id, null()).where(
            tombstones.c.node_id == bindparam("node"), tombstones.c.revision > bindparam("after")
        ),
    )
    .order_by(literal_column("revision"))
    .limit(bindparam("most", type_=Integer))
)


@dataclass(slots=True)
class _Stream:
    bell: Bell
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class _Position:
    """Of a node: its newest revision, and up to which one tombstones may be gone."""

    revision: int
    pruned: int


class Feed:
    """Makes watch streams. One per server process."""

    def __init__(
        self,
        database: Database,
        wake: Wake,
        *,
        poll: float = POLL_SECONDS,
        heartbeat: float = HEARTBEAT_SECONDS,
        page: int = PAGE,
    ) -> None:
        self._database = database
        self._wake = wake
        self._poll = poll
        self._heartbeat = heartbeat
        self._page = page
        self._streams: dict[NodeId, _Stream] = {}

    async def changes(self, node_id: NodeId, after: int) -> AsyncGenerator[Change]:
        """What happened to the node after revision `after`, `synced`, and then what happens.

        Each change has a revision of its own, so a node resumes from the last one that it got. A later
        change of an instance takes the place of an earlier one, so only at `synced`, which follows every
        run of changes, is it certain that everything up to a revision has been told.

        Ends when the node is revoked, or when it opens another stream here. `reset` comes first (or at
        any time) when `after` cannot be resumed from: tombstones since then are gone, or the database is
        an older one than the node has seen. Holds a database connection only while it reads. Raises
        Unavailable; the node then resumes from the last change it got.
        """
        with self._wake.subscribe(node_id) as bell:
            stream = _Stream(bell)
            self._supersede(node_id, stream)
            try:
                loop = asyncio.get_running_loop()
                quiet_until = loop.time() + self._heartbeat
                complete_from = after  # nothing after this revision has been pruned unseen
                synced = False
                while True:
                    # Cleared before looking: a ring during the look is not lost.
                    bell.clear()
                    position, page = await self._look(node_id, after)
                    if stream.superseded or position is None:
                        return
                    if after > position.revision or position.pruned > max(after, complete_from):
                        yield Change("reset", 0)
                        after, complete_from, synced = 0, position.pruned, False
                        continue
                    for change in page:
                        after = change.revision
                        yield change
                    if len(page) == self._page:
                        synced = False
                        continue
                    if not synced or after < position.revision or page:
                        after, synced = position.revision, True
                        yield Change("synced", after)
                        quiet_until = loop.time() + self._heartbeat
                    await bell.wait(max(0.0, min(self._poll, quiet_until - loop.time())))
                    if loop.time() >= quiet_until:
                        quiet_until = loop.time() + self._heartbeat
                        yield Change("heartbeat", after)
            finally:
                if self._streams.get(node_id) is stream:
                    del self._streams[node_id]

    def _supersede(self, node_id: NodeId, stream: _Stream) -> None:
        """One stream per node: a new one means that the node has given up the old."""
        old = self._streams.get(node_id)
        self._streams[node_id] = stream
        if old is not None:
            old.superseded = True
            old.bell.ring()

    async def _look(self, node_id: NodeId, after: int) -> tuple[_Position | None, list[Change]]:
        """The node's position (None: revoked or unknown) and the next changes, in one snapshot."""
        async with self._database.read() as connection:
            row = (await connection.execute(_POSITION, {"node": node_id})).one_or_none()
            if row is None:
                return None, []
            position = _Position(*row)
            if position.revision <= after:
                return position, []
            return position, await _next(connection, node_id, after, self._page)


async def _next(
    connection: AsyncConnection, node_id: NodeId, after: int, limit: int
) -> list[Change]:
    asked = {"node": node_id, "after": after, "most": limit}
    rows: Sequence[tuple[int, str, str | None]] = [
        (revision, id, document)
        for revision, id, document in await connection.execute(_CHANGES, asked)
    ]
    return [_change(*row) for row in rows]


def _change(revision: int, instance_id: str, document: str | None) -> Change:
    if document is None:
        return Change("gone", revision, instance_id=InstanceId(instance_id))
    return Change("document", revision, InstanceDocument.from_json(json.loads(document)))
