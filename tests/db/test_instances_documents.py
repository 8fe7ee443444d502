"""What nodes are told is what the rows say: after any history, and with many writers at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import pytest
from fakes import region as r
from fakes.region import Region, attachment
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.event import listen

from linklocal.errors import Conflict, Invalid, NotFound
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database, open_database
from linklocal.vpc.instances.model import InstanceActionPrototype, ReinitializePrototype
from linklocal.vpc.instances.tables import instance_keys, instances
from linklocal.vpc.keys.model import KeyPatch
from linklocal.vpc.keys.service import KeyService
from linklocal.vpc.network.security_groups.model import SecurityGroupPatch
from linklocal.vpc.network.security_groups.service import SecurityGroupService
from linklocal.vpc.network.subnets.model import SubnetPatch
from linklocal.vpc.network.subnets.service import SubnetService
from linklocal.vpc.network.tables import network_attachments, network_interfaces
from linklocal.vpc.network.vpcs.model import VpcPatch
from linklocal.vpc.network.vpcs.service import VpcService
from linklocal.vpc.placement_groups.model import PlacementGroupPatch
from linklocal.vpc.placement_groups.service import PlacementGroupService
from linklocal.vpc.render import publish_instances
from linklocal.vpc.volumes.tables import volume_attachments

SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "protocol": st.sampled_from(["http", "https"]),
        "response_hop_limit": st.integers(1, 64),
    },
)
DEFAULTS = {"enabled": False, "protocol": "http", "response_hop_limit": 1}
KINDS: dict[str, dict[str, Any]] = {
    "attachments": {"network_attachments": [attachment(r.SUBNET_2)]},
    "interfaces": {
        "primary_network_attachment": None,
        "primary_network_interface": {"subnet": {"id": r.SUBNET}},
    },
}


def renames(region: Region) -> dict[str, Callable[[str], Awaitable[Any]]]:
    """Every rename that an instance can see, by what is renamed."""
    context, admin = region.context, r.ADMINISTRATOR
    return {
        "key": lambda name: KeyService(context).update(admin, r.KEY, KeyPatch(name=name)),
        "vpc": lambda name: VpcService(context).update(admin, r.VPC, VpcPatch(name=name), None),
        "subnet": lambda name: SubnetService(context).update(
            admin, r.SUBNET, SubnetPatch(name=name)
        ),
        "security group": lambda name: SecurityGroupService(context).update(
            admin, f"{r.VPC}-sg", SecurityGroupPatch(name=name)
        ),
        "placement group": lambda name: PlacementGroupService(context).update(
            admin, r.PLACEMENT_GROUP, PlacementGroupPatch(name=name)
        ),
    }


class Histories(RuleBasedStateMachine):
    """Random histories of a few instances against the real services, and a model of what they must show."""

    region: Region
    runner: asyncio.Runner

    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, dict[str, Any]] = {}
        self.number = 0

    def run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self.runner.run(awaited())

    def name(self) -> str:
        self.number += 1
        return f"n{self.number}-{random.getrandbits(40):x}"

    @rule(target=made, members=SETTINGS, kind=st.sampled_from(sorted(KINDS)), profile=st.booleans())
    def create(self, members: dict[str, Any], kind: str, profile: bool) -> str:
        body: dict[str, Any] = {"metadata_service": members, "keys": [{"id": r.KEY}], **KINDS[kind]}
        if profile:
            body["default_trusted_profile"] = {"target": {"id": r.PROFILE}}
        view = self.run(self.region.create(**body))
        self.model[view["id"]] = {
            "crn": view["crn"],
            "linked": profile,
            "metadata_service": {**DEFAULTS, **members},
            "desired": "running",
            "epoch": 1,
        }
        return str(view["id"])

    @rule(id=made, members=SETTINGS)
    def patch(self, id: str, members: dict[str, Any]) -> None:
        self.run(self.region.update(id, {"metadata_service": members}))
        self.model[id]["metadata_service"].update(members)

    @rule(id=made)
    def rename(self, id: str) -> None:
        self.run(self.region.update(id, {"name": self.name()}))

    @rule(what=st.sampled_from(["key", "vpc", "subnet", "security group", "placement group"]))
    def rename_shared(self, what: str) -> None:
        self.run(renames(self.region)[what](self.name()))

    @rule(id=made, type=st.sampled_from(["start", "stop", "reboot"]))
    def act(self, id: str, type: str) -> None:
        model = self.model[id]
        action = InstanceActionPrototype.model_validate({"type": type})
        possible = (model["desired"] == "running") is (type != "start")
        try:
            self.run(self.region.instances.act(r.ADMINISTRATOR, id, action))
        except Conflict:
            assert not possible
            return
        assert possible
        model["desired"] = "stopped" if type == "stop" else "running"
        model["epoch"] += type == "stop"

    @rule(id=made)
    def reinitialize(self, id: str) -> None:
        model = self.model[id]
        body = ReinitializePrototype.model_validate({"image": {"id": r.IMAGE}})
        self.acknowledge()
        try:
            self.run(self.region.instances.reinitialize(r.ADMINISTRATOR, id, body))
        except Conflict:
            assert model["desired"] == "running"
            return
        model.update(desired="running", epoch=model["epoch"] + 1, linked=False)

    @rule(id=made, node=st.sampled_from(["node-1", "node-2"]))
    def place(self, id: str, node: str) -> None:
        moves = self.run(self.region.node_of(id)) != node
        self.run(self.region.instances.place(r.ADMINISTRATOR, InstanceId(id), NodeId(node)))
        self.model[id]["epoch"] += moves

    @rule()
    def acknowledge(self) -> None:
        self.run(self.region.acknowledge("node-1"))
        self.run(self.region.acknowledge("node-2"))

    @rule(id=consumes(made))
    def delete(self, id: str) -> None:
        self.run(self.region.instances.delete(r.ADMINISTRATOR, id, None))
        del self.model[id]

    @invariant()
    def documents_are_what_the_rows_say(self) -> None:
        published = self.run(self.region.published())
        assert set(published) == set(self.model)
        assert self.run(self.region.stale()) == []
        for id, model in self.model.items():
            document = published[InstanceId(id)]
            assert asdict(document.metadata_service) == model["metadata_service"]
            assert document.serving is (model["desired"] == "running")
            assert document.tokens_valid_after == model["epoch"]
        linked = sorted(model["crn"] for model in self.model.values() if model["linked"])
        assert sorted(self.run(self.region.links())) == linked

    @invariant()
    def the_api_agrees(self) -> None:
        for id, model in self.model.items():
            view = self.run(self.region.get(id))
            assert view["metadata_service"] == model["metadata_service"]
            assert view["status"] in (
                ("running", "starting", "restarting")
                if model["desired"] == "running"
                else ("stopped", "stopping")
            )

    def teardown(self) -> None:
        for id in list(self.model):
            self.delete(id)
        left = self.run(
            self.region.count(
                instances,
                instance_keys,
                network_attachments,
                network_interfaces,
                volume_attachments,
            )
        )
        assert set(left.values()) == {0}


def test_any_history_ends_in_documents_that_are_true(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = open_database(database_url)
        region = runner.run(Region(database).furnish())
        machine = type("Machine", (Histories,), {"region": region, "runner": runner})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=10,
                stateful_step_count=15,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(database.close())


ROUNDS = 25


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


async def test_writers_at_once_never_leave_a_stale_document(region: Region) -> None:
    """Locks: what an instance stands on, then instances, then nodes; no order can lose an update."""
    made = [
        await region.create(
            keys=[{"id": r.KEY}], placement_target={"id": r.PLACEMENT_GROUP}, **KINDS["attachments"]
        )
        for _ in range(3)
    ]
    ids = [view["id"] for view in made]
    chance = random.Random(7)

    async def act(id: str) -> None:
        type = chance.choice(["start", "stop", "reboot"])
        action = InstanceActionPrototype.model_validate({"type": type})
        try:
            await region.instances.act(r.ADMINISTRATOR, id, action)
        except Conflict:
            return

    async def come_and_go() -> None:
        view = await region.create(keys=[{"id": r.KEY}])
        await region.instances.delete(r.ADMINISTRATOR, view["id"], None)

    async def move(id: str) -> None:
        node = NodeId(chance.choice(["node-1", "node-2"]))
        await region.instances.place(r.ADMINISTRATOR, InstanceId(id), node)

    for number in range(ROUNDS):
        hop = {"metadata_service": {"response_hop_limit": number % 64 + 1}}
        calls: list[Awaitable[Any]] = [
            *(rename(f"r{number}") for rename in renames(region).values()),
            *(region.update(id, hop) for id in ids),
            region.update(ids[0], {"name": f"vm-{number}"}),
            act(chance.choice(ids)),
            move(chance.choice(ids)),
            come_and_go(),
            come_and_go(),
        ]
        chance.shuffle(calls)

        await asyncio.gather(*calls)

        assert await region.stale() == [], f"round {number}"
        published = await region.published()
        assert {published[id].metadata_service.response_hop_limit for id in ids} == {
            number % 64 + 1
        }


async def test_publishing_takes_a_fixed_number_of_queries(region: Region) -> None:
    """A rename of a VPC reaches thousands of instances at once."""
    ids = [
        InstanceId((await region.create(keys=[{"id": r.KEY}], **KINDS[kind]))["id"])
        for kind in ("attachments", "interfaces", "attachments", "attachments")
    ]
    statements: list[str] = []
    listen(
        region.database.engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )
    counts = []
    for wanted in (ids[:2], ids):  # both are on both nodes
        statements.clear()
        async with region.database.transaction() as connection:
            await publish_instances(connection, region.context, wanted)
        counts.append(len([s for s in statements if not s.startswith("BEGIN")]))

    assert counts[0] == counts[1]


async def test_two_that_want_one_name_do_not_both_get_it(region: Region) -> None:
    answers = await asyncio.gather(
        *(region.create(name="web") for _ in range(4)), return_exceptions=True
    )

    refused = [answer for answer in answers if isinstance(answer, Invalid)]
    assert len(refused) == 3
    assert {problem.code for error in refused for problem in error.problems} == {
        "validation_unique_failed"
    }


async def test_a_change_and_a_delete_at_once_leave_nothing(region: Region) -> None:
    for _ in range(5):
        id = (await region.create())["id"]

        answers = await asyncio.gather(
            region.instances.delete(r.ADMINISTRATOR, id, None),
            region.update(id, {"metadata_service": {"enabled": True}}),
            region.instances.delete(r.ADMINISTRATOR, id, None),
            return_exceptions=True,
        )

        assert all(a is None or isinstance(a, dict | Conflict | NotFound) for a in answers), answers
        assert isinstance(answers[0], NotFound) is not isinstance(answers[2], NotFound)
        assert await region.published() == {}
        assert await region.stale() == []
