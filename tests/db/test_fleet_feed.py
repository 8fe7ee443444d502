"""The watch stream misses nothing and keeps the order, whoever writes meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.fleet import ACCOUNT, Host, Replica, document
from sqlalchemy import select, update

from linklocal.document import Change, InstanceDocument
from linklocal.fleet import nodes as fleet_nodes
from linklocal.fleet import placement
from linklocal.fleet.feed import Feed
from linklocal.fleet.publish import TOMBSTONES_KEPT, FleetPublisher
from linklocal.fleet.tables import documents, nodes
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database
from linklocal.store.wake import Wake

SOON = 20.0  # a deadline, not a delay
NEVER = 3600.0


@dataclass
class Server:
    """The server's side of one node."""

    database: Database
    clock: FakeClock
    wake: Wake
    publisher: FleetPublisher
    node: NodeId

    def feed(self, **intervals: Any) -> Feed:
        """A feed that looks only when it is woken, unless told otherwise."""
        return Feed(self.database, self.wake, **{"poll": NEVER, "heartbeat": NEVER, **intervals})

    async def put(self, id: str, **changes: Any) -> None:
        async with self.database.transaction() as connection:
            await placement.place(connection, InstanceId(id), ACCOUNT, self.node)
            await self.publisher.put(connection, [document(id, **changes)])

    async def drop(self, name: str) -> None:
        async with self.database.transaction() as connection:
            await self.publisher.drop(connection, InstanceId(name))

    async def revoke(self, wake: Wake | None) -> None:
        async with self.database.transaction() as connection:
            await fleet_nodes.revoke(connection, self.node, now=self.clock.now(), wake=wake)


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Server]:
    clock = FakeClock()
    wake = Wake(database)
    await wake.start()
    async with asyncio.timeout(SOON):
        await wake.listening()
    host = await Host("one").join(database, clock.now())
    yield Server(database, clock, wake, FleetPublisher(wake, clock), host.node_id)
    await wake.close()


async def until(
    stream: AsyncGenerator[Change, None], done: Callable[[Change], bool]
) -> list[Change]:
    """The changes up to the first that satisfies `done`."""
    got: list[Change] = []
    async with asyncio.timeout(SOON):
        async for change in stream:
            got.append(change)
            if done(change):
                return got
    raise AssertionError(f"the stream ended after {got}")


def is_synced(change: Change) -> bool:
    return change.type == "synced"


def told(changes: list[Change]) -> list[tuple[str, int]]:
    return [(change.type, change.revision) for change in changes]


async def test_an_empty_node_is_synced_at_once(server: Server) -> None:
    async with aclosing(server.feed().changes(server.node, 0)) as stream:
        assert told(await until(stream, is_synced)) == [("synced", 0)]


async def test_replays_in_the_order_of_revisions(server: Server) -> None:
    for name in ("a", "b", "c"):
        await server.put(name)
    await server.drop("b")
    await server.put("a", name="renamed")

    async with aclosing(server.feed().changes(server.node, 0)) as stream:
        changes = await until(stream, is_synced)
    assert told(changes) == [("document", 3), ("gone", 4), ("document", 5), ("synced", 5)]
    assert changes[0].document == document("c")
    assert changes[1].instance_id == "b"
    assert changes[2].document == document("a", name="renamed")

    async with aclosing(server.feed().changes(server.node, 4)) as stream:
        assert told(await until(stream, is_synced)) == [("document", 5), ("synced", 5)]
    async with aclosing(server.feed().changes(server.node, 5)) as stream:
        assert told(await until(stream, is_synced)) == [("synced", 5)]


async def test_pages_are_joined_without_a_seam(server: Server) -> None:
    for n in range(10):
        await server.put(f"i{n}")
    for page in (1, 3, 5, 10, 11):
        async with aclosing(server.feed(page=page).changes(server.node, 0)) as stream:
            changes = await until(stream, is_synced)
        assert told(changes) == [*(("document", n) for n in range(1, 11)), ("synced", 10)]


async def test_what_happens_while_a_page_is_sent_comes_later_or_not_at_all(server: Server) -> None:
    for name in ("a", "b", "c", "d"):
        await server.put(name)
    replica = Replica()
    async with aclosing(server.feed(page=1).changes(server.node, 0)) as stream:
        replica.apply(await anext(stream))
        await server.put("b", name="renamed")  # moves behind
        await server.drop("c")  # its document is gone before it was sent
        await server.drop("a")  # was sent
        for change in await until(stream, is_synced):
            replica.apply(change)

    assert replica.documents == {
        "b": document("b", name="renamed"),
        "d": document("d"),
    }
    assert replica.revision == 7


async def test_a_change_wakes_the_stream(server: Server) -> None:
    """Its own interval of looking is an hour here."""
    async with aclosing(server.feed().changes(server.node, 0)) as stream:
        await until(stream, is_synced)
        for n in range(5):
            waiting = asyncio.create_task(until(stream, is_synced))
            await asyncio.sleep(0)
            await server.put(f"i{n}")
            assert told(await waiting) == [("document", n + 1), ("synced", n + 1)]


async def test_a_change_between_look_and_wait_is_not_lost(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = server.feed()
    look, looks = feed._look, 0

    async def look_and_change(node_id: NodeId, after: int) -> Any:
        nonlocal looks
        seen = await look(node_id, after)
        looks += 1
        if looks == 1:
            await server.put("a")
        return seen

    monkeypatch.setattr(feed, "_look", look_and_change)
    async with aclosing(feed.changes(server.node, 0)) as stream:
        assert told(await until(stream, is_synced)) == [("synced", 0)]
        assert told(await until(stream, is_synced)) == [("document", 1), ("synced", 1)]


async def test_a_lost_wake_up_costs_one_poll(database: Database) -> None:
    clock = FakeClock()
    host = await Host("one").join(database, clock.now())
    deaf, elsewhere = Wake(database), Wake(database)
    server = Server(database, clock, deaf, FleetPublisher(elsewhere, clock), host.node_id)
    async with aclosing(server.feed(poll=0.02).changes(server.node, 0)) as stream:
        await until(stream, is_synced)
        await server.put("a")
        assert told(await until(stream, is_synced)) == [("document", 1), ("synced", 1)]


async def test_silence_is_filled_with_heartbeats(server: Server) -> None:
    await server.put("a")
    async with aclosing(server.feed(heartbeat=0.01).changes(server.node, 0)) as stream:
        await until(stream, is_synced)
        changes = await until(stream, lambda change: change.type == "heartbeat")
        changes += await until(stream, lambda change: change.type == "heartbeat")
    assert told(changes) == [("heartbeat", 1), ("heartbeat", 1)]


async def test_a_revoked_node_is_told_nothing_more(server: Server) -> None:
    await server.put("a")
    async with asyncio.timeout(SOON), aclosing(server.feed().changes(server.node, 0)) as stream:
        await until(stream, is_synced)
        await server.revoke(server.wake)
        assert [change async for change in stream] == []
    async with aclosing(server.feed().changes(server.node, 0)) as stream:
        assert [change async for change in stream] == []


async def test_a_revocation_without_a_wake_up_is_seen_by_the_next_look(server: Server) -> None:
    feed = server.feed(poll=0.02)
    async with asyncio.timeout(SOON), aclosing(feed.changes(server.node, 0)) as stream:
        await until(stream, is_synced)
        await server.revoke(None)
        assert [change async for change in stream] == []


async def test_an_unknown_node_is_told_nothing(server: Server) -> None:
    async with aclosing(server.feed().changes(NodeId("node-x"), 0)) as stream:
        assert [change async for change in stream] == []


async def test_a_node_has_one_stream(server: Server) -> None:
    """A second one means that the node has given up the first."""
    feed = server.feed()
    async with asyncio.timeout(SOON), aclosing(feed.changes(server.node, 0)) as first:
        await until(first, is_synced)
        async with aclosing(feed.changes(server.node, 0)) as second:
            await until(second, is_synced)
            assert [change async for change in first] == []
            await server.put("a")
            assert told(await until(second, is_synced)) == [("document", 1), ("synced", 1)]
        async with aclosing(feed.changes(server.node, 1)) as third:
            await until(third, is_synced)
    assert feed._streams == {}


async def test_a_node_that_knows_a_later_revision_starts_anew(server: Server) -> None:
    """The database is a restored one."""
    await server.put("a")
    async with aclosing(server.feed().changes(server.node, 9)) as stream:
        changes = await until(stream, is_synced)
    assert told(changes) == [("reset", 0), ("document", 1), ("synced", 1)]


async def test_a_node_that_was_away_too_long_starts_anew(server: Server) -> None:
    for name in ("a", "b", "c"):
        await server.put(name)
    await server.drop("a")
    server.clock.advance(TOMBSTONES_KEPT.total_seconds() + 1)
    await server.drop("b")  # prunes the tombstone of `a`, which had revision 4

    async with aclosing(server.feed().changes(server.node, 3)) as stream:
        changes = await until(stream, is_synced)
    assert told(changes) == [("reset", 0), ("document", 3), ("gone", 5), ("synced", 5)]
    async with aclosing(server.feed().changes(server.node, 4)) as stream:
        assert told(await until(stream, is_synced)) == [("gone", 5), ("synced", 5)]


async def test_after_a_reset_the_stream_goes_on(server: Server) -> None:
    """Nothing that is left has a revision beyond the pruned one, and still it is not told again."""
    for name in ("a", "b"):
        await server.put(name)
    await server.drop("b")
    async with server.database.transaction() as connection:
        await connection.execute(update(nodes).values(pruned_revision=3))
    async with aclosing(server.feed(page=1).changes(server.node, 1)) as stream:
        changes = await until(stream, is_synced)
        assert told(changes) == [("reset", 0), ("document", 1), ("gone", 3), ("synced", 3)]
        await server.put("c")
        assert told(await until(stream, is_synced)) == [("document", 4), ("synced", 4)]


async def test_waiting_holds_no_connection(server: Server) -> None:
    streams = [server.feed().changes(server.node, 0) for _ in range(50)]
    for stream in streams:
        await until(stream, is_synced)
    waiting = [asyncio.create_task(until(stream, is_synced)) for stream in streams]
    await asyncio.sleep(0)
    assert server.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool

    await server.put("a")
    for changes in await asyncio.gather(*waiting):
        assert told(changes) == [("document", 1), ("synced", 1)]
    for stream in streams:
        await stream.aclose()


async def published(server: Server) -> dict[InstanceId, str]:
    async with server.database.read() as connection:
        statement = select(documents.c.instance_id, documents.c.document).where(
            documents.c.node_id == server.node
        )
        return {InstanceId(id): text for id, text in await connection.execute(statement)}


def texts(held: dict[InstanceId, InstanceDocument]) -> dict[InstanceId, str]:
    return {id: held[id].dumps() for id in held}


@pytest.mark.parametrize("seed", range(3))
async def test_concurrent_writers_and_a_reader_that_reconnects(server: Server, seed: int) -> None:
    """Writers of one node in many transactions of random length; the reader breaks off and resumes at
    random points, and ends with exactly what is published."""
    chance = random.Random(seed)
    names = [f"i{n}" for n in range(12)]
    # Who changes an instance holds its lock (the row's, in the server).
    locks = {name: asyncio.Lock() for name in names}
    writing = True

    async def write(number: int) -> None:
        own = random.Random(seed * 100 + number)
        for turn in range(25):
            chosen = sorted(own.sample(names, own.randint(1, 4)))
            for name in chosen:
                await locks[name].acquire()
            try:
                async with server.database.transaction() as connection:
                    if own.random() < 0.3:
                        for name in chosen:
                            await server.publisher.drop(connection, InstanceId(name))
                    else:
                        for name in chosen:
                            await placement.place(
                                connection, InstanceId(name), ACCOUNT, server.node
                            )
                        fresh = [document(name, name=f"n{number}-{turn}") for name in chosen]
                        await server.publisher.put(connection, fresh)
                    await asyncio.sleep(own.random() * 0.003)  # the order of commits is the input
            finally:
                for name in chosen:
                    locks[name].release()

    replica = Replica()

    async def read() -> None:
        feed = server.feed(page=5)
        while writing or not replica.synced:
            async with aclosing(feed.changes(server.node, replica.revision)) as stream:
                for _ in range(chance.randint(1, 30)):
                    replica.apply(await anext(stream))
                    if not writing and replica.synced:
                        return

    async with asyncio.timeout(60):
        reader = asyncio.create_task(read())
        await asyncio.gather(*(write(number) for number in range(6)))
        writing = False
        await server.put("last")
        await reader
        async with aclosing(server.feed().changes(server.node, replica.revision)) as stream:
            for change in await until(stream, is_synced):
                replica.apply(change)

    assert texts(replica.documents) == await published(server)
