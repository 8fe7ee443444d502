"""Whatever is placed, published, moved and dropped: a node that follows its stream holds what it should."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from fakes.clock import FakeClock
from fakes.fleet import ACCOUNT, Host, Replica, document
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete

from linklocal.document import InstanceDocument
from linklocal.fleet import placement
from linklocal.fleet.feed import Feed
from linklocal.fleet.publish import TOMBSTONES_KEPT, FleetPublisher
from linklocal.fleet.tables import documents, join_tokens, nodes, placements, tombstones
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import open_database
from linklocal.store.wake import Wake

NAMES = st.sampled_from([InstanceId(name) for name in "abcde"])
WHICH = st.integers(0, 1)
# What passes before a drop: nothing, or so much that tombstones are pruned.
DAYS = st.sampled_from([0.0, TOMBSTONES_KEPT / timedelta(days=1) + 1])


class Fleet(RuleBasedStateMachine):
    """Two nodes with their replicas, against a dictionary of what each should hold."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.number = 0
        self.model: list[dict[InstanceId, InstanceDocument]] = [{}, {}]
        self.placed: dict[InstanceId, int] = {}
        self.replicas = [Replica(), Replica()]

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    @initialize(page=st.integers(1, 4))
    def begin(self, page: int) -> None:
        self.run(self._begin(page))

    async def _begin(self, page: int) -> None:
        self.database = open_database(self.url)
        async with self.database.transaction() as connection:
            for table in (documents, tombstones, placements, nodes, join_tokens):
                await connection.execute(delete(table))
        hosts = [await Host(n).join(self.database, self.clock.now()) for n in ("one", "two")]
        self.nodes: list[NodeId] = [host.node_id for host in hosts]
        wake = Wake(self.database)
        self.publisher = FleetPublisher(wake, self.clock)
        self.feed = Feed(self.database, wake, poll=3600, heartbeat=3600, page=page)

    def fresh(self, name: InstanceId) -> InstanceDocument:
        self.number += 1
        return document(name, name=f"n{self.number}")

    @rule(names=st.sets(NAMES, min_size=1), which=WHICH)
    def place_and_publish(self, names: set[InstanceId], which: int) -> None:
        self.run(self._place(sorted(names), which))

    async def _place(self, names: list[InstanceId], which: int) -> None:
        new = [name for name in names if name not in self.placed]
        told = [self.fresh(name) for name in names]
        async with self.database.transaction() as connection:
            for name in new:
                await placement.place(connection, name, ACCOUNT, self.nodes[which])
            await self.publisher.put(connection, told)
        self.placed.update(dict.fromkeys(new, which))
        for one in told:
            self.model[self.placed[one.instance_id]][one.instance_id] = one

    @rule(name=NAMES, days=DAYS)
    def drop(self, name: InstanceId, days: float) -> None:
        self.clock.advance(days * 86400)
        self.run(self._drop(name))

    async def _drop(self, name: InstanceId) -> None:
        async with self.database.transaction() as connection:
            revision = await self.publisher.drop(connection, name)
        assert (revision is None) == (name not in self.placed)
        if name in self.placed:
            self.model[self.placed.pop(name)].pop(name, None)

    @rule(name=NAMES, which=WHICH)
    def move(self, name: InstanceId, which: int) -> None:
        if name in self.placed:
            self.run(self._move(name, which))

    async def _move(self, name: InstanceId, which: int) -> None:
        one = self.fresh(name)
        async with self.database.transaction() as connection:
            moved = await placement.move(connection, self.publisher, name, self.nodes[which])
            await self.publisher.put(connection, [one])
        assert moved == (self.placed[name] != which)
        self.model[self.placed[name]].pop(name, None)
        self.placed[name] = which
        self.model[which][name] = one

    @rule(which=WHICH, lines=st.integers(1, 6))
    def connection_breaks(self, which: int, lines: int) -> None:
        """After so many lines; the node resumes from there another time."""
        self.run(self._follow(which, lines))

    @rule(which=WHICH)
    def node_loses_its_state(self, which: int) -> None:
        self.replicas[which] = Replica()

    @rule(which=WHICH)
    def node_catches_up(self, which: int) -> None:
        self.run(self._follow(which, None))
        assert self.replicas[which].documents == self.model[which]

    async def _follow(self, which: int, lines: int | None) -> None:
        replica = self.replicas[which]
        replica.synced = False
        async with (
            asyncio.timeout(20),
            aclosing(self.feed.changes(self.nodes[which], replica.revision)) as stream,
        ):
            async for change in stream:
                replica.apply(change)
                lines = None if lines is None else lines - 1
                if lines == 0 or replica.synced:
                    return

    @invariant()
    def no_instance_is_on_two_nodes(self) -> None:
        assert not self.model[0].keys() & self.model[1].keys()

    def teardown(self) -> None:
        if hasattr(self, "feed"):
            for which in (0, 1):
                self.node_catches_up(which)
            self.run(self.database.close())
        self.runner.close()


def test_replicas_equal_the_model(database_url: str) -> None:
    machine = type("FleetOn", (Fleet,), {"url": database_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
