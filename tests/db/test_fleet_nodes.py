"""What a node reports is believed about itself and its own instances, and about nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from fakes.clock import FakeClock
from fakes.fleet import ACCOUNT, REGION, Host, document

from linklocal.document import NodeStatus
from linklocal.fleet import nodes as fleet_nodes
from linklocal.fleet import placement
from linklocal.fleet.model import Node
from linklocal.fleet.publish import FleetPublisher
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database
from linklocal.store.wake import Wake


@dataclass
class Fleet:
    database: Database
    clock: FakeClock
    one: NodeId
    two: NodeId

    async def node(self, id: NodeId) -> Node:
        async with self.database.read() as connection:
            found = await fleet_nodes.get(connection, id)
        assert found is not None
        return found

    async def report(self, node: NodeId, status: NodeStatus) -> None:
        async with self.database.transaction() as connection:
            await fleet_nodes.report(connection, node, status, self.clock.now())

    async def said(self) -> dict[str, tuple[str | None, str | None]]:
        """Fault and address by instance."""
        async with self.database.read() as connection:
            found = await placement.find(connection, [InstanceId(name) for name in "abc"])
        return {id: (state.fault, state.address) for id, state in found.items()}


@pytest.fixture
async def fleet(database: Database) -> Fleet:
    """`a` and `b` on node one, `c` on node two; each node is at revision 2 and 1."""
    clock = FakeClock()
    hosts = [await Host(name).join(database, clock.now()) for name in ("one", "two")]
    publisher = FleetPublisher(Wake(database), clock)
    async with database.transaction() as connection:
        for name, host in (("a", hosts[0]), ("b", hosts[0]), ("c", hosts[1])):
            await placement.place(connection, InstanceId(name), ACCOUNT, host.node_id)
        await publisher.put(connection, [document(name) for name in "abc"])
    return Fleet(database, clock, hosts[0].node_id, hosts[1].node_id)


async def test_the_applied_revision_only_grows(fleet: Fleet) -> None:
    for reported, believed in ((1, 1), (2, 2), (1, 2), (0, 2)):
        await fleet.report(fleet.one, NodeStatus(reported))
        assert (await fleet.node(fleet.one)).applied_revision == believed
    async with fleet.database.read() as connection:
        applied = await placement.node_applied(connection, [fleet.one, fleet.two])
    assert applied == {fleet.one: 2, fleet.two: 0}


async def test_a_revision_that_was_never_given_is_not_believed(fleet: Fleet) -> None:
    await fleet.report(fleet.one, NodeStatus(1))
    await fleet.report(fleet.one, NodeStatus(3))

    assert (await fleet.node(fleet.one)).applied_revision == 1


async def test_a_report_is_a_sign_of_life(fleet: Fleet) -> None:
    fleet.clock.advance(30)
    await fleet.report(fleet.one, NodeStatus(0, version="1.1"))

    node = await fleet.node(fleet.one)
    assert (node.last_seen_at, node.version) == (fleet.clock.now(), "1.1")
    assert (await fleet.node(fleet.two)).last_seen_at != fleet.clock.now()


async def test_faults_and_addresses_are_complete_each_time(fleet: Fleet) -> None:
    await fleet.report(
        fleet.one, NodeStatus(0, {"a": "port taken"}, {"b": "http://127.0.0.1:8775"})
    )
    assert await fleet.said() == {
        "a": ("port taken", None),
        "b": (None, "http://127.0.0.1:8775"),
        "c": (None, None),
    }
    await fleet.report(fleet.one, NodeStatus(0, {}, {"a": "http://127.0.0.1:8776"}))
    assert await fleet.said() == {
        "a": (None, "http://127.0.0.1:8776"),
        "b": (None, None),
        "c": (None, None),
    }


async def test_a_node_says_nothing_about_instances_of_others(fleet: Fleet) -> None:
    await fleet.report(fleet.two, NodeStatus(0, {"c": "mine"}, {}))
    await fleet.report(
        fleet.one, NodeStatus(0, {"c": "not mine", "x": "nobody's"}, {"c": "http://evil"})
    )

    assert (await fleet.said())["c"] == ("mine", None)


async def test_reports_and_publishing_do_not_lock_each_other_out(fleet: Fleet) -> None:
    publisher = FleetPublisher(Wake(fleet.database), fleet.clock)

    async def publish() -> None:
        async with fleet.database.transaction() as connection:
            await publisher.put(connection, [document(name) for name in "cba"])

    async with asyncio.timeout(30):
        await asyncio.gather(
            *(publish() for _ in range(8)),
            *(
                fleet.report(node, NodeStatus(0, dict.fromkeys("abc", f"{n}")))
                for node in (fleet.one, fleet.two)
                for n in range(8)
            ),
        )
    assert (await fleet.node(fleet.one)).revision == 18


async def test_what_operators_see(fleet: Fleet) -> None:
    async with fleet.database.read() as connection:
        listed = [node.to_json() for node in await fleet_nodes.list_nodes(connection, REGION)]
        assert await fleet_nodes.list_nodes(connection, "eu-de") == []

    assert [(node["name"], node["instances"], node["revision"]) for node in listed] == [
        ("one", 2, 2),
        ("two", 1, 1),
    ]
    assert listed[0] == {
        "id": fleet.one,
        "name": "one",
        "region": REGION,
        "revision": 2,
        "applied_revision": 0,
        "version": "1.0",
        "instances": 2,
        "events_dropped": 0,
        "created_at": "2026-11-24T12:00:00.000Z",
        "last_seen_at": "2026-11-24T12:00:00.000Z",
        "revoked_at": None,
    }


async def test_a_placement_tells_that_its_node_is_revoked(fleet: Fleet) -> None:
    async with fleet.database.transaction() as connection:
        await fleet_nodes.revoke(connection, fleet.one, now=fleet.clock.now())
        found = await placement.find(connection, [InstanceId("a"), InstanceId("c")])

    assert {id: state.revoked for id, state in found.items()} == {"a": True, "c": False}
