"""Start, stop, reboot, place, reinitialize: status follows the node, tokens follow stops. Contract 2.4."""

from __future__ import annotations

import pytest
from fakes import region as r
from fakes.region import Region, targets
from ibm_vpc.vpc_v1 import Instance, InstanceAction
from sqlalchemy import select

from linklocal.errors import Conflict, Invalid, NotAuthorized, NotFound
from linklocal.fleet.tables import tombstones
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database
from linklocal.vpc.instances.model import (
    ReinitializePrototype,
)

ON_HTTPS_64 = {"enabled": True, "protocol": "https", "response_hop_limit": 64}


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


# Life cycle


async def test_status_follows_the_node(region: Region) -> None:
    id = (await region.create())["id"]
    seen = [(await region.get(id))["status"]]
    await region.acknowledge()
    seen.append((await region.get(id))["status"])
    for type in ("reboot", "stop", "start"):
        action = await region.act(id, type)
        assert InstanceAction.from_dict(action).status == "running"
        seen.append((await region.get(id))["status"])
        await region.acknowledge()
        seen.append((await region.get(id))["status"])

    assert seen == [
        "starting",
        "running",
        "restarting",
        "running",
        "stopping",
        "stopped",
        "starting",
        "running",
    ]
    assert await region.stale() == []


async def test_what_is_missing_is_said(region: Region) -> None:
    id = (await region.create())["id"]
    region.clock.advance(60)
    silent = await region.get(id)
    await region.acknowledge()
    await region.report_fault(id, "port 80 is taken")
    faulty = await region.get(id)
    await region.report_fault(id, None)
    region.clock.advance(60)
    degraded = await region.get(id)

    assert silent["status"] == "starting"
    assert "has not been seen since" in silent["status_reasons"][0]["message"]
    assert faulty["status"] == "starting"
    assert "port 80 is taken" in faulty["status_reasons"][0]["message"]
    assert (degraded["status"], degraded["health_state"]) == ("running", "degraded")
    assert degraded["health_reasons"][0]["code"] == "node_unreachable"
    for view in (silent, faulty, degraded):
        Instance.from_dict(view)


@pytest.mark.parametrize("type", ["start", "stop", "reboot"])
async def test_an_action_without_effect_is_a_conflict(region: Region, type: str) -> None:
    id = await (region.running if type == "start" else region.stopped)()

    with pytest.raises(Conflict):
        await region.act(id, type)


async def test_force_stops_again(region: Region) -> None:
    id = await region.stopped()

    action = await region.act(id, "stop", force=True)

    assert action["force"] is True


async def test_a_stop_voids_tokens_and_keeps_the_rest(region: Region) -> None:
    """Contract 2.4: stopping loses neither `metadata_service` nor links."""
    id = await region.running(
        metadata_service=ON_HTTPS_64,
        default_trusted_profile={"target": {"id": r.PROFILE}},
    )
    before = await region.epoch(id)

    await region.act(id, "reboot")
    rebooted = await region.epoch(id)
    await region.act(id, "stop")

    document = (await region.published())[InstanceId(id)]
    assert rebooted == before
    assert document.tokens_valid_after == before + 1
    assert document.serving is False
    assert (await region.get(id))["metadata_service"] == ON_HTTPS_64
    assert len(await region.links()) == 1


# Placement


@pytest.mark.differs(
    "VPC API: an instance that is on no node",
    "placed by IBM",
    "`pending` until `linklocal node place`; `dev` places it",
)
async def test_without_a_node_it_waits_for_one(database: Database) -> None:
    region = await Region(database, auto_place=False).furnish()
    id = (await region.create())["id"]
    pending = await region.get(id)

    await region.instances.place(r.ADMINISTRATOR, id, NodeId("node-2"))
    placed = await region.get(id)
    await region.acknowledge("node-2")

    assert pending["status"] == "pending"
    assert pending["status_reasons"][0]["code"] == "cannot_start_compute"
    assert "linklocal node place" in pending["status_reasons"][0]["message"]
    assert Instance.from_dict(pending).status == "pending"
    assert placed["status"] == "starting"
    assert (await region.get(id))["status"] == "running"
    assert await region.epoch(id) == 1


async def test_without_a_node_it_stops_and_goes_at_once(database: Database) -> None:
    region = await Region(database, auto_place=False).furnish()
    id = (await region.create())["id"]

    action = await region.act(id, "stop")
    status = (await region.get(id))["status"]
    await region.instances.delete(r.ADMINISTRATOR, id, None)

    assert (action["status"], status) == ("completed", "stopped")
    with pytest.raises(NotFound):
        await region.get(id)


async def test_a_move_voids_tokens_and_tells_both_nodes(region: Region) -> None:
    id = await region.running()

    await region.instances.place(r.ADMINISTRATOR, InstanceId(id), NodeId("node-1"))
    stayed = await region.epoch(id)
    await region.instances.place(r.ADMINISTRATOR, InstanceId(id), NodeId("node-2"))

    async with region.database.read() as connection:
        gone = (await connection.execute(select(tombstones))).all()
    assert stayed == 1
    assert await region.epoch(id) == 2
    assert await region.node_of(id) == "node-2"
    assert [(row.node_id, row.instance_id) for row in gone] == [("node-1", id)]
    assert (await region.get(id))["status"] == "starting"
    assert await region.stale() == []


async def test_placing_is_for_administrators(region: Region) -> None:
    id = await region.running()
    editor = await region.grant("Editor")

    with pytest.raises(NotAuthorized):
        await region.instances.place(editor, InstanceId(id), NodeId("node-2"))


# Reinitialize


@pytest.mark.differs(
    "VPC API: links at a reinitialize",
    "not published",
    "the automatic link of the old profile goes",
)
async def test_reinitializing_replaces_the_initialization_as_a_whole(region: Region) -> None:
    id = await region.stopped(
        keys=[{"id": r.KEY}],
        user_data="old",
        default_trusted_profile={"target": {"id": r.PROFILE}},
    )
    before = await region.epoch(id)
    body = {"image": {"id": r.IMAGE}, "keys": [{"id": r.RSA_KEY}]}

    await region.instances.reinitialize(
        r.ADMINISTRATOR, id, ReinitializePrototype.model_validate(body)
    )

    initialization = await region.instances.initialization(r.ADMINISTRATOR, id)
    document = (await region.published())[InstanceId(id)]
    assert [key["id"] for key in initialization["keys"]] == [r.RSA_KEY]
    assert "default_trusted_profile" not in initialization
    assert "user_data" not in document.metadata["initialization"]
    assert await region.links() == []
    assert await region.epoch(id) == before + 1
    assert (await region.get(id))["status"] == "starting"
    assert await region.stale() == []


async def test_reinitializing_makes_the_new_profile_s_link(region: Region) -> None:
    id = await region.stopped()
    body = {"image": {"id": r.IMAGE}, "default_trusted_profile": {"target": {"id": r.PROFILE}}}

    await region.instances.reinitialize(
        r.ADMINISTRATOR, id, ReinitializePrototype.model_validate(body)
    )

    assert len(await region.links()) == 1


async def test_reinitializing_needs_a_stopped_instance_and_an_image(region: Region) -> None:
    id = await region.running()
    body = ReinitializePrototype.model_validate({"image": {"id": r.IMAGE}})

    with pytest.raises(Conflict):
        await region.instances.reinitialize(r.ADMINISTRATOR, id, body)
    with pytest.raises(Invalid) as error:
        await region.instances.reinitialize(r.ADMINISTRATOR, id, ReinitializePrototype())

    assert targets(error.value) == {"image": "missing_field"}
