"""Publishing: one revision per change, all in the transaction of the change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from fakes.clock import FakeClock
from fakes.fleet import ACCOUNT, REGION, Host, document
from sqlalchemy import event, select

from linklocal.document import MetadataService
from linklocal.errors import Conflict, Invalid
from linklocal.fleet import nodes as fleet_nodes
from linklocal.fleet import placement
from linklocal.fleet.publish import TOMBSTONES_KEPT, FleetPublisher
from linklocal.fleet.tables import documents, nodes, placements, tombstones
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database
from linklocal.store.wake import Wake


@dataclass
class Fleet:
    """A server's side of two nodes."""

    database: Database
    clock: FakeClock
    publisher: FleetPublisher
    one: NodeId
    two: NodeId

    async def put(self, *names: str) -> dict[InstanceId, int]:
        async with self.database.transaction() as connection:
            return await self.publisher.put(connection, [document(name) for name in names])

    async def drop(self, name: str) -> int | None:
        async with self.database.transaction() as connection:
            return await self.publisher.drop(connection, InstanceId(name))

    async def place(self, name: str, node: NodeId) -> bool:
        async with self.database.transaction() as connection:
            return await placement.place(connection, InstanceId(name), ACCOUNT, node)

    async def move(self, name: str, node: NodeId) -> bool:
        async with self.database.transaction() as connection:
            moved = await placement.move(connection, self.publisher, InstanceId(name), node)
            await self.publisher.put(connection, [document(name)])
            return moved

    async def revision(self, node: NodeId) -> int:
        async with self.database.read() as connection:
            found = await fleet_nodes.get(connection, node)
            assert found is not None
            return found.revision

    async def state(self, name: str) -> placement.PlacementState | None:
        async with self.database.read() as connection:
            return (await placement.find(connection, [InstanceId(name)])).get(InstanceId(name))


@pytest.fixture
async def fleet(database: Database) -> Fleet:
    clock = FakeClock()
    joined = [await Host(name).join(database, clock.now()) for name in ("one", "two")]
    one, two = sorted(host.node_id for host in joined)
    return Fleet(database, clock, FleetPublisher(Wake(database), clock), one, two)


async def test_what_is_not_placed_is_passed_over(fleet: Fleet) -> None:
    assert await fleet.put("a") == {}
    assert await fleet.drop("a") is None
    assert await fleet.revision(fleet.one) == 0


async def test_every_change_has_a_revision_of_its_own(fleet: Fleet) -> None:
    for name in ("a", "b"):
        await fleet.place(name, fleet.one)
    await fleet.place("c", fleet.two)

    assert await fleet.put("b", "c", "a", "nowhere") == {"a": 1, "b": 2, "c": 1}
    assert await fleet.put("a") == {"a": 3}
    assert await fleet.drop("b") == 4
    assert await fleet.revision(fleet.one) == 4
    assert await fleet.revision(fleet.two) == 1


async def test_the_newest_of_two_documents_of_one_instance_counts(fleet: Fleet) -> None:
    await fleet.place("a", fleet.one)
    newer = document("a", name="newer")
    async with fleet.database.transaction() as connection:
        published = await fleet.publisher.put(connection, [document("a"), newer])
        stored = await connection.scalar(select(documents.c.document))

    assert published == {"a": 1}
    assert stored == newer.dumps()


async def test_the_placement_follows_the_document(fleet: Fleet) -> None:
    await fleet.place("a", fleet.one)
    async with fleet.database.read() as connection:
        held = await placement.get(connection, InstanceId("a"))
    assert held is not None
    assert not held.serving
    assert not held.metadata_enabled
    assert held.claims == {}

    told = replace(
        document("a"),
        tokens_valid_after=7,
        claims={"vpc": {"x": [1, None]}},
        metadata_service=MetadataService(enabled=False),
    )
    async with fleet.database.transaction() as connection:
        await fleet.publisher.put(connection, [told])
        held = await placement.get(connection, InstanceId("a"))

    assert held == placement.Placement(
        InstanceId("a"), fleet.one, ACCOUNT, True, False, 7, {"vpc": {"x": [1, None]}}
    )


async def test_a_rolled_back_change_leaves_no_trace(fleet: Fleet) -> None:
    await fleet.place("a", fleet.one)
    with pytest.raises(ZeroDivisionError):
        await _put_and_fail(fleet)

    assert await fleet.revision(fleet.one) == 0
    state = await fleet.state("a")
    assert state is not None
    assert state.document_revision is None


async def _put_and_fail(fleet: Fleet) -> None:
    async with fleet.database.transaction() as connection:
        await fleet.publisher.put(connection, [document("a")])
        raise ZeroDivisionError


async def test_dropping_leaves_a_tombstone_and_ends_the_placement(fleet: Fleet) -> None:
    await fleet.place("a", fleet.one)
    await fleet.put("a")
    await fleet.drop("a")

    assert await fleet.state("a") is None
    async with fleet.database.read() as connection:
        rows = (
            await connection.execute(select(tombstones.c.instance_id, tombstones.c.revision))
        ).all()
        assert [tuple(row) for row in rows] == [("a", 2)]
        assert (await connection.execute(select(documents))).all() == []


async def test_an_instance_that_comes_back_has_no_tombstone(fleet: Fleet) -> None:
    for _ in range(2):
        await fleet.place("a", fleet.one)
        await fleet.put("a")
        await fleet.drop("a")
    await fleet.place("a", fleet.one)
    assert await fleet.put("a") == {"a": 5}

    async with fleet.database.read() as connection:
        assert (await connection.execute(select(tombstones))).all() == []


async def test_moving_tells_both_nodes(fleet: Fleet) -> None:
    await fleet.place("a", fleet.one)
    await fleet.put("a")

    assert await fleet.move("a", fleet.two)
    assert not await fleet.move("a", fleet.two)

    state = await fleet.state("a")
    assert state is not None
    assert (state.node_id, state.document_revision) == (fleet.two, 2)
    async with fleet.database.read() as connection:
        rows = (await connection.execute(select(tombstones.c.node_id, tombstones.c.revision))).all()
    assert [tuple(row) for row in rows] == [(fleet.one, 2)]


async def test_opposite_moves_do_not_lock_each_other_out(fleet: Fleet) -> None:
    await fleet.place("a", fleet.one)
    await fleet.place("b", fleet.two)
    async with asyncio.timeout(30):
        for turn in range(10):
            here, there = (fleet.two, fleet.one) if turn % 2 == 0 else (fleet.one, fleet.two)
            assert await asyncio.gather(fleet.move("a", here), fleet.move("b", there)) == [True] * 2


async def test_bulk_changes_of_both_nodes_do_not_lock_each_other_out(fleet: Fleet) -> None:
    names = [f"i{n}" for n in range(20)]
    for n, name in enumerate(names):
        await fleet.place(name, (fleet.one, fleet.two)[n % 2])
    async with asyncio.timeout(30):
        await asyncio.gather(*(fleet.put(*names[:: 1 if n % 2 else -1]) for n in range(10)))

    assert await fleet.revision(fleet.one) == 100
    assert await fleet.revision(fleet.two) == 100


async def test_a_bulk_change_takes_a_fixed_number_of_round_trips(fleet: Fleet) -> None:
    names = [f"i{n}" for n in range(300)]
    for name in names:
        await fleet.place(name, fleet.one)
    statements: list[str] = []

    @event.listens_for(fleet.database.engine.sync_engine, "before_cursor_execute")
    def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    await fleet.put(*names[:3])
    few = len(statements)
    statements.clear()
    await fleet.put(*names)

    assert len(statements) == few


async def test_places_only_on_a_node_that_can_serve(fleet: Fleet) -> None:
    async with fleet.database.transaction() as connection:
        await fleet_nodes.revoke(connection, fleet.two, now=fleet.clock.now())

    with pytest.raises(Conflict, match="revoked"):
        await fleet.place("a", fleet.two)
    with pytest.raises(Invalid, match="no node"):
        await fleet.place("a", NodeId("node-x"))
    with pytest.raises(Conflict, match="not placed"):
        await fleet.move("a", fleet.one)
    assert await fleet.place("a", fleet.one)
    assert not await fleet.place("a", fleet.one)
    with pytest.raises(Conflict, match="revoked"):
        await fleet.move("a", fleet.two)


async def test_one_instance_is_on_one_node(fleet: Fleet) -> None:
    await fleet.place("a", fleet.one)

    with pytest.raises(Conflict, match="another node"):
        await fleet.place("a", fleet.two)


async def test_the_least_loaded_node_takes_the_next(fleet: Fleet) -> None:
    async def next_node() -> NodeId | None:
        async with fleet.database.read() as connection:
            return await placement.least_loaded(connection, REGION)

    first = await next_node()
    assert first is not None
    await fleet.place("a", first)
    second = await next_node()
    assert second not in (None, first)
    assert second is not None
    async with fleet.database.transaction() as connection:
        await fleet_nodes.revoke(connection, second, now=fleet.clock.now())
    assert await next_node() == first
    async with fleet.database.read() as connection:
        assert await placement.least_loaded(connection, "eu-de") is None


async def test_old_tombstones_are_pruned_and_remembered(fleet: Fleet) -> None:
    for name in ("a", "b", "c"):
        await fleet.place(name, fleet.one)
    await fleet.put("a", "b", "c")
    await fleet.drop("a")
    fleet.clock.advance(TOMBSTONES_KEPT.total_seconds() - 1)
    await fleet.drop("b")
    fleet.clock.advance(timedelta(seconds=2).total_seconds())
    await fleet.drop("c")

    async with fleet.database.read() as connection:
        kept = (await connection.scalars(select(tombstones.c.instance_id))).all()
        pruned = await connection.scalar(
            select(nodes.c.pruned_revision).where(nodes.c.id == fleet.one)
        )
        assert sorted(kept) == ["b", "c"]
        assert pruned == 4
        assert (await connection.execute(select(placements))).all() == []
