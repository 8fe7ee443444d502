"""The server's record of events: what nodes sent in batches, and what the server did itself.

Kept for a time and up to a number; what is beyond is pruned in a transaction that adds, once a second or
when a thousandth more than that number may be there. A node is believed only about instances that are, or
lately were, on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, insert, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.events import Event
from linklocal.fleet.tables import event_batches, events, nodes, placements, tombstones
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import after_commit
from linklocal.store.upsert import insert_new

QUERY_MOST = 1000
# More than a batch has, so that pruning keeps up; few enough that no request waits for it.
_PRUNE_AT_MOST = 2000
PRUNE_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IdentityUse:
    """Calls of one instance that were alike: `count` of them, the last at `last_at`.

    `path` is the one that was asked, `nonce` whether a nonce was given, `profile_id` whose token was made.
    """

    instance_id: str
    action: str
    outcome: str
    path: str | None
    nonce: bool
    profile_id: str | None
    count: int
    last_at: datetime


class EventStore:
    """One per server. `most` events are kept, each for `hours`.

    `stored` is told of events once they are committed; it must not raise or wait.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        most: int = 1_000_000,
        hours: float = 24,
        stored: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self._clock = clock
        self._stored = stored
        self._most = most
        self._kept = timedelta(hours=hours)
        self._pruned_at = -math.inf  # monotonic
        self._added = 0  # events since then

    async def add(
        self,
        connection: AsyncConnection,
        node_id: NodeId,
        batch: str,
        batch_events: Sequence[Event],
        dropped: int = 0,
    ) -> bool:
        """Store a node's batch. False if it is here already: the node did not hear the first answer.

        `dropped` is how many events the node had no room for since its last batch. Events about
        instances that are not the node's are left out, and logged.
        """
        now = self._clock.now()
        row = {"node_id": node_id, "batch": batch, "received_at": now}
        new = await connection.execute(insert_new(connection, event_batches), row)
        if new.first() is None:
            return False
        named = {event.instance_id for event in batch_events if event.instance_id is not None}
        foreign = named - await _instances_of(connection, node_id, named)
        believed = [event for event in batch_events if event.instance_id not in foreign]
        if foreign:
            log.warning(
                "Events refused",
                node_id=node_id,
                events=len(batch_events) - len(believed),
                reason="about instances that are not on this node",
            )
        await self._insert(connection, believed, node_id, now)
        if dropped:
            lost = nodes.c.events_dropped + dropped
            await connection.execute(
                update(nodes).where(nodes.c.id == node_id).values(events_dropped=lost)
            )
        await self._prune(connection, now)
        return True

    async def record(self, connection: AsyncConnection, *new: Event) -> None:
        """Store events of the server's own, in the transaction of what they tell of."""
        now = self._clock.now()
        await self._insert(connection, new, None, now)
        await self._prune(connection, now)

    async def query(
        self,
        connection: AsyncConnection,
        *,
        instance_id: str | None = None,
        since: datetime | None = None,
        action: str | None = None,
        limit: int = 100,
    ) -> list[Event]:
        """The newest events first: of one instance, from a time on, of one action. At most 1000."""
        e = events.c
        statement = (
            select(e.record)
            .where(e.time >= self._clock.now() - self._kept)
            .order_by(e.time.desc(), e.id.desc())
            .limit(max(0, min(limit, QUERY_MOST)))
        )
        if instance_id is not None:
            statement = statement.where(e.instance_id == instance_id)
        if since is not None:
            statement = statement.where(e.time >= since)
        if action is not None:
            statement = statement.where(e.action == action)
        return [Event.from_json(record) for record in await connection.scalars(statement)]

    async def page(
        self,
        connection: AsyncConnection,
        *,
        limit: int,
        before: int | None = None,
        after: int | None = None,
        instance_id: str | None = None,
        action: str | None = None,
        outcome: str | None = None,
        since: datetime | None = None,
    ) -> list[tuple[int, Event]]:
        """Number and event, in the order in which they came, the newest first; at most 1000.

        `before` and `after` are such numbers: they go on from an earlier page, or ask what is new.
        """
        e = events.c
        wanted = [
            e.time >= self._clock.now() - self._kept,
            *([] if before is None else [e.id < before]),
            *([] if after is None else [e.id > after]),
            *([] if instance_id is None else [e.instance_id == instance_id]),
            *([] if action is None else [e.action == action]),
            *([] if outcome is None else [e.outcome == outcome]),
            *([] if since is None else [e.time >= since]),
        ]
        statement = select(e.id, e.record).where(*wanted).order_by(e.id.desc())
        rows = await connection.execute(statement.limit(max(0, min(limit, QUERY_MOST))))
        return [(row.id, Event.from_json(row.record)) for row in rows]

    async def extent(
        self, connection: AsyncConnection, *, instance_id: str, since: datetime
    ) -> tuple[int, int]:
        """How many events of an instance there are from a time on, and the number of the newest (or 0):
        what differs when there is news, without reading any."""
        e = events.c
        # Asked together: the newest number alone would be looked for among all instances' events.
        statement = select(func.count(), func.coalesce(func.max(e.id), 0)).where(
            e.instance_id == instance_id, e.time >= max(since, self.kept_since())
        )
        count, newest = (await connection.execute(statement)).one()
        return count, newest

    def kept_since(self) -> datetime:
        """The time from which on events are kept."""
        return self._clock.now() - self._kept

    async def identity_use(
        self, connection: AsyncConnection, *, actions: Collection[str], since: datetime
    ) -> list[IdentityUse]:
        """How instances used these actions, added up by the database."""
        e = events.c
        detail = e.record["detail"]
        alike = (
            e.instance_id,
            e.action,
            e.outcome,
            detail["path"].as_string().label("path"),
            detail["nonce"].as_boolean().label("nonce"),
            detail["profile_id"].as_string().label("profile_id"),
        )
        times = func.coalesce(e.record["count"].as_integer(), 1)
        rows = await connection.execute(
            select(*alike, func.sum(times), func.max(e.time))
            .where(
                e.time >= max(since, self.kept_since()),
                e.action.in_(sorted(actions)),
                e.instance_id.is_not(None),
            )
            .group_by(*alike)
        )
        return [
            IdentityUse(id, action, outcome, path, bool(nonce), profile, int(count), last)
            for id, action, outcome, path, nonce, profile, count, last in rows
        ]

    async def _insert(
        self,
        connection: AsyncConnection,
        new: Sequence[Event],
        node_id: NodeId | None,
        now: datetime,
    ) -> None:
        if not new:
            return
        self._added += len(new)
        rows = [
            {
                "node_id": node_id,
                "instance_id": event.instance_id,
                # A clock that runs ahead must not keep an event for ever. The record keeps what it said.
                "time": min(event.time, now),
                "action": event.action,
                "outcome": event.outcome,
                "status": event.status,
                "record": event.to_json(),
            }
            for event in new
        ]
        await connection.execute(insert(events), rows)
        if (stored := self._stored) is not None:
            after_commit(connection, lambda: stored(new))

    async def _prune(self, connection: AsyncConnection, now: datetime) -> None:
        """Remove some of what is too old or too many, if it is time to.

        Skips rows that another transaction removes.
        """
        moment = self._clock.monotonic()
        if moment - self._pruned_at < PRUNE_SECONDS and self._added * 1000 < self._most:
            return
        self._pruned_at, self._added = moment, 0
        e, b = events.c, event_batches.c
        newest = select(func.max(e.id)).scalar_subquery()
        surplus = (
            select(e.id)
            .where(or_(e.time < now - self._kept, e.id <= newest - self._most))
            .order_by(e.id)
            .limit(_PRUNE_AT_MOST)
            .with_for_update(skip_locked=True)
        )
        await connection.execute(delete(events).where(e.id.in_(surplus)))
        stale = (
            select(b.batch)
            .where(b.received_at < now - self._kept)
            .limit(_PRUNE_AT_MOST)
            .with_for_update(skip_locked=True)
        )
        await connection.execute(
            delete(event_batches).where(b.batch.in_(stale), b.received_at < now - self._kept)
        )


async def _instances_of(
    connection: AsyncConnection, node_id: NodeId, ids: Collection[str]
) -> set[InstanceId]:
    """Those of `ids` that are placed on the node or that it was lately told to forget."""
    wanted = sorted(ids)
    p, t = placements.c, tombstones.c
    statement = union(
        select(p.instance_id).where(p.node_id == node_id, p.instance_id.in_(wanted)),
        select(t.instance_id).where(t.node_id == node_id, t.instance_id.in_(wanted)),
    )
    return {InstanceId(id) for id in (await connection.scalars(statement)).all()}
