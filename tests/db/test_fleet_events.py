"""Events are stored once, kept for a time and up to a number, and believed only from where they happened."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.fleet import ACCOUNT, Host
from sqlalchemy import func, select

from linklocal.events import Event
from linklocal.fleet import nodes as fleet_nodes
from linklocal.fleet import placement
from linklocal.fleet.events import EventStore
from linklocal.fleet.publish import FleetPublisher
from linklocal.fleet.tables import event_batches, events
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database
from linklocal.store.wake import Wake


class Record:
    """An event store, and a node with instances `a` and `b`."""

    def __init__(self, database: Database, clock: FakeClock, node: NodeId) -> None:
        self.database = database
        self.clock = clock
        self.node = node
        self.store = EventStore(clock, most=10, hours=1)

    def event(self, trace: str, instance: str | None = "a", **changes: Any) -> Event:
        values: dict[str, Any] = {
            "time": self.clock.now(),
            "action": "is.metadata.instance.read",
            "outcome": "success",
            "status": 200,
            "trace": trace,
            "instance_id": instance,
            **changes,
        }
        return Event(**values)

    async def add(self, batch: str, *new: Event, dropped: int = 0) -> bool:
        async with self.database.transaction() as connection:
            return await self.store.add(connection, self.node, batch, new, dropped)

    async def traces(self, **conditions: Any) -> list[str]:
        async with self.database.read() as connection:
            return [event.trace for event in await self.store.query(connection, **conditions)]

    async def rows(self) -> int:
        async with self.database.read() as connection:
            return await connection.scalar(select(func.count()).select_from(events)) or 0


@pytest.fixture
async def record(database: Database) -> Record:
    clock = FakeClock()
    host = await Host("one").join(database, clock.now())
    async with database.transaction() as connection:
        for name in ("a", "b"):
            await placement.place(connection, InstanceId(name), ACCOUNT, host.node_id)
    return Record(database, clock, host.node_id)


async def test_an_event_comes_back_as_it_was(record: Record) -> None:
    full = record.event(
        "t",
        target="x",
        initiator="i",
        reason="not_found",
        message="no",
        rule="r",
        count=3,
        outcome="failure",
        status=404,
        detail={"path": "/x", "peer_ttl": 1, "list": [1, {"deep": None}]},
    )
    await record.add("1", full)

    async with record.database.read() as connection:
        assert await record.store.query(connection) == [full]


async def test_a_batch_sent_twice_is_stored_once(record: Record) -> None:
    assert await record.add("1", record.event("t"), dropped=2)
    assert not await record.add("1", record.event("t"), dropped=2)

    assert await record.traces() == ["t"]
    async with record.database.read() as connection:
        node = await fleet_nodes.get(connection, record.node)
    assert node is not None
    assert node.events_dropped == 2


async def test_a_batch_sent_many_times_at_once_is_stored_once(record: Record) -> None:
    results = await asyncio.gather(*(record.add("1", record.event("t")) for _ in range(6)))

    assert sorted(results) == [False] * 5 + [True]
    assert await record.traces() == ["t"]


async def test_batches_of_two_nodes_may_have_one_name(record: Record) -> None:
    other = await Host("two").join(record.database, record.clock.now())
    await record.add("1", record.event("t", None))
    record.node = other.node_id

    assert await record.add("1", record.event("u", None))
    assert sorted(await record.traces()) == ["t", "u"]


async def test_a_node_is_not_believed_about_instances_of_others(record: Record) -> None:
    await record.add(
        "1", record.event("mine"), record.event("forged", "elsewhere"), record.event("node's", None)
    )

    assert sorted(await record.traces()) == ["mine", "node's"]


async def test_a_node_may_tell_late_of_an_instance_that_has_left(record: Record) -> None:
    async with record.database.transaction() as connection:
        publisher = FleetPublisher(Wake(record.database), record.clock)
        await publisher.drop(connection, InstanceId("a"))

    await record.add("1", record.event("late"))
    assert await record.traces() == ["late"]


async def test_queries(record: Record) -> None:
    await record.add("1", record.event("a1"), record.event("b1", "b"))
    record.clock.advance(60)
    await record.add("2", record.event("a2", action="is.metadata.token.create"))
    async with record.database.transaction() as connection:
        await record.store.record(connection, record.event("server", None))

    assert await record.traces() == ["server", "a2", "b1", "a1"]
    assert await record.traces(instance_id="a") == ["a2", "a1"]
    assert await record.traces(since=record.clock.now()) == ["server", "a2"]
    assert await record.traces(action="is.metadata.token.create") == ["a2"]
    assert await record.traces(limit=2) == ["server", "a2"]
    assert await record.traces(limit=0) == []


async def test_the_extent_tells_of_news_without_reading_any(record: Record) -> None:
    async def extent() -> tuple[int, int]:
        since = record.clock.now() - timedelta(minutes=10)
        async with record.database.read() as connection:
            return await record.store.extent(connection, instance_id="a", since=since)

    assert await extent() == (0, 0)
    await record.add("1", record.event("t1"), record.event("t2", instance="b"))
    count, newest = await extent()
    # One that comes later and is older is news as well.
    earlier = record.clock.now() - timedelta(minutes=5)
    await record.add("2", record.event("t3", time=earlier))
    after = await extent()
    assert (count, after[0]) == (1, 2)
    assert after[1] > newest
    record.clock.advance(11 * 60)
    assert await extent() == (0, 0)


async def test_old_events_are_pruned_when_others_come(record: Record) -> None:
    await record.add("1", record.event("old"))
    record.clock.advance(3601)
    assert await record.traces() == []
    assert await record.rows() == 1
    await record.add("2", record.event("new"))

    assert await record.rows() == 1
    async with record.database.read() as connection:
        kept = (await connection.scalars(select(event_batches.c.batch))).all()
    assert kept == ["2"]


async def test_few_events_are_added_without_looking_for_old_ones(record: Record) -> None:
    """Once a second is enough, unless so many come that the number is exceeded before."""
    record.store = EventStore(record.clock, most=10_000, hours=1)
    await record.add("1", record.event("old", time=record.clock.now() - timedelta(hours=2)))
    assert await record.rows() == 0  # the first one looks
    await record.add("2", record.event("old", time=record.clock.now() - timedelta(hours=2)))
    assert await record.rows() == 1

    await record.add("3", *(record.event(str(n)) for n in range(10)))
    assert await record.rows() == 10
    await record.add("4", record.event("old", time=record.clock.now() - timedelta(hours=2)))
    record.clock.advance(1)
    await record.add("5", record.event("new"))
    assert await record.rows() == 11


async def test_a_clock_that_runs_ahead_keeps_nothing_for_ever(record: Record) -> None:
    await record.add("1", record.event("ahead", time=record.clock.now() + timedelta(days=900)))
    record.clock.advance(3601)
    await record.add("2", record.event("new"))

    assert await record.rows() == 1


async def test_the_number_of_events_is_capped(record: Record) -> None:
    for n in range(4):
        await record.add(str(n), *(record.event(f"{n}-{m}") for m in range(4)))

    assert await record.rows() == 10
    assert (await record.traces())[-1] == "1-2"


async def test_a_batch_larger_than_the_cap_keeps_its_end(record: Record) -> None:
    await record.add("1", *(record.event(str(n)) for n in range(25)))

    assert await record.traces() == [str(n) for n in range(24, 14, -1)]


async def test_many_who_prune_at_once_do_not_lock_each_other_out(record: Record) -> None:
    await record.add("0", *(record.event(str(n)) for n in range(10)))
    record.clock.advance(3601)
    async with asyncio.timeout(30):
        await asyncio.gather(
            *(record.add(f"b{n}", record.event(f"e{n}")) for n in range(12)),
        )
    await record.add("last", record.event("last"))

    assert await record.rows() <= 10


async def test_an_event_of_a_rolled_back_change_did_not_happen(record: Record) -> None:
    with pytest.raises(ZeroDivisionError):
        await _record_and_fail(record)

    assert await record.traces() == []


async def _record_and_fail(record: Record) -> None:
    async with record.database.transaction() as connection:
        await record.store.record(connection, record.event("t"))
        raise ZeroDivisionError


async def test_identity_use_is_added_up_by_what_was_asked(record: Record) -> None:
    """Path, nonce and profile come out of the stored record on both databases."""
    action, exchange = "is.metadata.jwt-token.create", "is.metadata.computeresource-token.request"
    old = {"path": "/instance_identity/v1/token", "nonce": False}
    await record.add(
        "1",
        record.event("1", action=action, detail=old),
        record.event("2", action=action, detail=old, count=4),
        record.event("3", action=action, detail={**old, "nonce": True}),
        record.event("4", "b", action=exchange, detail={"profile_id": "Profile-1"}),
        record.event("5", action="is.metadata.instance.read", detail=old),
    )
    store, now = record.store, record.clock.now()
    async with record.database.read() as connection:
        found = await store.identity_use(connection, actions={action, exchange}, since=now)
        later = now + timedelta(seconds=1)
        assert await store.identity_use(connection, actions={action}, since=later) == []

    key = {(use.instance_id, use.path, use.nonce, use.profile_id): use.count for use in found}
    assert key == {
        ("a", "/instance_identity/v1/token", False, None): 5,
        ("a", "/instance_identity/v1/token", True, None): 1,
        ("b", None, False, "Profile-1"): 1,
    }
    assert {use.last_at for use in found} == {now}
