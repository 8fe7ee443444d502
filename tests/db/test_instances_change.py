"""Changing instances: patches, actions, reinitialize, placement, delete. Contract 2.2-2.4."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import region as r
from fakes.region import Region, targets
from ibm_vpc.vpc_v1 import Instance, InstanceAction
from sqlalchemy import delete, insert, select, update

from linklocal.errors import Conflict, Invalid, NotAuthorized, NotFound, PreconditionFailed
from linklocal.fleet.tables import documents, placements, tombstones
from linklocal.iam.tables import profile_links
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database
from linklocal.vpc.images.tables import images
from linklocal.vpc.instances.model import (
    InstanceActionPrototype,
    InstancePatch,
    ReinitializePrototype,
)
from linklocal.vpc.instances.tables import deleted_instances, instance_keys, instances
from linklocal.vpc.network.tables import (
    floating_ips,
    interface_security_groups,
    network_attachments,
    network_interfaces,
    reserved_ips,
    virtual_network_interfaces,
)
from linklocal.vpc.volumes.tables import volume_attachments, volumes

OFF = {"enabled": False, "protocol": "http", "response_hop_limit": 1}
ON_HTTPS_64 = {"enabled": True, "protocol": "https", "response_hop_limit": 64}


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


async def act(region: Region, id: str, type: str, **members: Any) -> dict[str, Any]:
    action = InstanceActionPrototype.model_validate({"type": type, **members})
    return await region.instances.act(r.ADMINISTRATOR, id, action)


async def epoch(region: Region, id: str) -> int:
    async with region.database.read() as connection:
        statement = select(instances.c.start_epoch).where(instances.c.id == id)
        return int((await connection.execute(statement)).scalar_one())


async def running(region: Region, **members: Any) -> str:
    made = await region.create(**members)
    await region.acknowledge()
    return str(made["id"])


async def stopped(region: Region, **members: Any) -> str:
    id = await running(region, **members)
    await act(region, id, "stop")
    await region.acknowledge()
    return id


# Patches


async def test_a_patch_merges_and_reaches_the_node(region: Region) -> None:
    id = await running(region)

    on = await region.update(id, {"metadata_service": ON_HTTPS_64})
    off = await region.update(id, {"metadata_service": {"enabled": False}})

    document = (await region.published())[InstanceId(id)]
    assert on["metadata_service"] == ON_HTTPS_64
    assert off["metadata_service"] == {**ON_HTTPS_64, "enabled": False}
    assert (document.metadata_service.enabled, document.metadata_service.protocol) == (
        False,
        "https",
    )
    assert off["status"] == "running", "a patch needs no restart"
    assert await region.stale() == []


async def test_a_patch_is_all_or_nothing(region: Region) -> None:
    id = await running(region)
    other = await region.create(name="taken")
    before = await region.get(id)

    with pytest.raises(Invalid) as error:
        await region.update(
            id,
            {
                "name": other["name"],
                "metadata_service": {"enabled": True},
                "total_volume_bandwidth": 1,
                "placement_target": {"id": "nowhere"},
            },
        )

    assert set(targets(error.value)) == {"name", "total_volume_bandwidth", "placement_target.id"}
    assert await region.get(id) == before
    assert await region.stale() == []


@pytest.mark.parametrize(
    "member", ["image", "keys", "user_data", "zone", "vpc", "default_trusted_profile", "xyzzy"]
)
def test_what_only_a_create_body_may_have_is_refused(member: str) -> None:
    with pytest.raises(ValueError, match=member):
        InstancePatch.model_validate({member: {"id": "x"}})


async def test_if_match_guards_a_change(region: Region) -> None:
    id = await running(region)
    _, tag = await region.instances.get(r.ADMINISTRATOR, id)

    await region.update(id, {"name": "first"}, tag)
    with pytest.raises(PreconditionFailed):
        await region.update(id, {"name": "second"}, tag)
    with pytest.raises(PreconditionFailed):
        await region.instances.delete(r.ADMINISTRATOR, id, tag)
    await region.update(id, {"name": "third"}, "*")

    view, newest = await region.instances.get(r.ADMINISTRATOR, id)
    assert view["name"] == "third"
    assert newest != tag


async def test_a_patch_that_changes_nothing_keeps_the_etag(region: Region) -> None:
    id = await running(region)
    _, before = await region.instances.get(r.ADMINISTRATOR, id)

    await region.update(id, {"metadata_service": OFF})
    await region.update(id, {})

    _, after = await region.instances.get(r.ADMINISTRATOR, id)
    assert after == before


async def test_a_list_in_the_body_needs_if_match(region: Region) -> None:
    id = await running(region)
    body = {"reservation_affinity": {"policy": "automatic", "pool": []}}

    with pytest.raises(Invalid) as error:
        await region.update(id, body)
    changed = await region.update(id, body, "*")

    assert targets(error.value) == {"If-Match": "missing_field"}
    assert changed["reservation_affinity"]["policy"] == "automatic"


STOPPED_ONLY: list[dict[str, Any]] = [
    {"profile": {"name": "bx2-4x16"}},
    {"placement_target": {"id": r.PLACEMENT_GROUP}},
    {"enable_secure_boot": True},
    {"threads_per_core": 2},
    {"confidential_compute_mode": "disabled"},
    {"volume_bandwidth_qos_mode": "weighted"},
]


@pytest.mark.parametrize("body", STOPPED_ONLY)
async def test_some_members_need_a_stopped_instance(region: Region, body: dict[str, Any]) -> None:
    id = await running(region)

    with pytest.raises(Conflict) as error:
        await region.update(id, body)
    await act(region, id, "stop")
    await region.update(id, body)

    assert list(targets(error.value)) == list(body)
    assert await region.stale() == []


async def test_a_new_profile_brings_its_own_defaults(region: Region) -> None:
    id = await stopped(region)
    kept = await stopped(region, total_volume_bandwidth=600)

    changed = await region.update(id, {"profile": {"name": "bx2-8x32"}})
    kept_view = await region.update(kept, {"profile": {"name": "bx2-8x32"}})

    assert (changed["vcpu"]["count"], changed["memory"]) == (8, 32)
    assert changed["total_volume_bandwidth"] == changed["bandwidth"] // 4
    assert kept_view["total_volume_bandwidth"] == 600


async def test_a_profile_of_another_architecture_is_refused(region: Region) -> None:
    id = await stopped(region, metadata_service={"enabled": True})

    with pytest.raises(Invalid) as error:
        await region.update(id, {"profile": {"name": "bz2-2x8"}})

    assert set(targets(error.value)) == {"profile.name", "metadata_service.enabled"}


# The image's word on how it may be used


async def test_a_boot_volume_keeps_its_image_s_demands(region: Region) -> None:
    """Contract 8: evaluated on create and on patch, against the boot volume's copy."""
    demand = {**r.ALLOWED, "instance": "metadata_service.enabled == true"}
    async with region.database.transaction() as connection:
        await connection.execute(
            update(images).where(images.c.id == r.IMAGE).values(allowed_use=demand)
        )
    with pytest.raises(Invalid) as create:
        await region.create()
    id = await running(region, metadata_service={"enabled": True})

    with pytest.raises(Invalid) as patch:
        await region.update(id, {"metadata_service": {"enabled": False}})

    assert targets(create.value) == {"metadata_service.enabled": "bad_field"}
    assert targets(patch.value) == {"metadata_service.enabled": "bad_field"}
    assert (await region.get(id))["metadata_service"]["enabled"] is True


# Life cycle


async def test_status_follows_the_node(region: Region) -> None:
    id = (await region.create())["id"]
    seen = [(await region.get(id))["status"]]
    await region.acknowledge()
    seen.append((await region.get(id))["status"])
    for type in ("reboot", "stop", "start"):
        action = await act(region, id, type)
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
    id = await (running if type == "start" else stopped)(region)

    with pytest.raises(Conflict):
        await act(region, id, type)


async def test_force_stops_again(region: Region) -> None:
    id = await stopped(region)

    action = await act(region, id, "stop", force=True)

    assert action["force"] is True


async def test_a_stop_voids_tokens_and_keeps_the_rest(region: Region) -> None:
    """Contract 2.4: stopping loses neither `metadata_service` nor links."""
    id = await running(
        region,
        metadata_service=ON_HTTPS_64,
        default_trusted_profile={"target": {"id": r.PROFILE}},
    )
    before = await epoch(region, id)

    await act(region, id, "reboot")
    rebooted = await epoch(region, id)
    await act(region, id, "stop")

    document = (await region.published())[InstanceId(id)]
    assert rebooted == before
    assert document.tokens_valid_after == before + 1
    assert document.serving is False
    assert (await region.get(id))["metadata_service"] == ON_HTTPS_64
    assert len(await region.links()) == 1


# Placement


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
    assert await epoch(region, id) == 1


async def test_without_a_node_it_stops_and_goes_at_once(database: Database) -> None:
    region = await Region(database, auto_place=False).furnish()
    id = (await region.create())["id"]

    action = await act(region, id, "stop")
    status = (await region.get(id))["status"]
    await region.instances.delete(r.ADMINISTRATOR, id, None)

    assert (action["status"], status) == ("completed", "stopped")
    with pytest.raises(NotFound):
        await region.get(id)


async def test_a_move_voids_tokens_and_tells_both_nodes(region: Region) -> None:
    id = await running(region)

    await region.instances.place(r.ADMINISTRATOR, InstanceId(id), NodeId("node-1"))
    stayed = await epoch(region, id)
    await region.instances.place(r.ADMINISTRATOR, InstanceId(id), NodeId("node-2"))

    async with region.database.read() as connection:
        gone = (await connection.execute(select(tombstones))).all()
    assert stayed == 1
    assert await epoch(region, id) == 2
    assert await region.node_of(id) == "node-2"
    assert [(row.node_id, row.instance_id) for row in gone] == [("node-1", id)]
    assert (await region.get(id))["status"] == "starting"
    assert await region.stale() == []


async def test_placing_is_for_administrators(region: Region) -> None:
    id = await running(region)
    editor = await region.grant("Editor")

    with pytest.raises(NotAuthorized):
        await region.instances.place(editor, InstanceId(id), NodeId("node-2"))


# Reinitialize


async def test_reinitializing_replaces_the_initialization_as_a_whole(region: Region) -> None:
    id = await stopped(
        region,
        keys=[{"id": r.KEY}],
        user_data="old",
        default_trusted_profile={"target": {"id": r.PROFILE}},
    )
    before = await epoch(region, id)
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
    assert await epoch(region, id) == before + 1
    assert (await region.get(id))["status"] == "starting"
    assert await region.stale() == []


async def test_reinitializing_makes_the_new_profile_s_link(region: Region) -> None:
    id = await stopped(region)
    body = {"image": {"id": r.IMAGE}, "default_trusted_profile": {"target": {"id": r.PROFILE}}}

    await region.instances.reinitialize(
        r.ADMINISTRATOR, id, ReinitializePrototype.model_validate(body)
    )

    assert len(await region.links()) == 1


async def test_reinitializing_needs_a_stopped_instance_and_an_image(region: Region) -> None:
    id = await running(region)
    body = ReinitializePrototype.model_validate({"image": {"id": r.IMAGE}})

    with pytest.raises(Conflict):
        await region.instances.reinitialize(r.ADMINISTRATOR, id, body)
    with pytest.raises(Invalid) as error:
        await region.instances.reinitialize(r.ADMINISTRATOR, id, ReinitializePrototype())

    assert targets(error.value) == {"image": "missing_field"}


# Delete


async def test_a_deleted_instance_leaves_nothing_behind(region: Region) -> None:
    """Contract 2.3, 2.4: links of every kind, interfaces, addresses, volumes, floating ips' targets."""
    tables = (
        instances,
        instance_keys,
        network_attachments,
        network_interfaces,
        virtual_network_interfaces,
        interface_security_groups,
        reserved_ips,
        volumes,
        volume_attachments,
        profile_links,
        placements,
        documents,
    )
    before = await region.count(*tables)
    id = await running(
        region,
        keys=[{"id": r.KEY}],
        default_trusted_profile={"target": {"id": r.PROFILE}, "auto_link": False},
        network_attachments=[r.attachment(r.SUBNET_2)],
    )
    instance = await region.get(id)
    vni = instance["primary_network_attachment"]["virtual_network_interface"]["id"]
    async with region.database.transaction() as connection:
        await connection.execute(insert(profile_links).values(**link_by_hand(region, instance)))
        await connection.execute(insert(floating_ips).values(**floating_ip(region, vni)))

    await region.instances.delete(r.ADMINISTRATOR, id, None)

    assert await region.count(*tables) == before
    async with region.database.read() as connection:
        assert (await connection.execute(select(floating_ips.c.target_id))).scalar_one() is None


def link_by_hand(region: Region, instance: dict[str, Any]) -> dict[str, Any]:
    now = region.clock.now()
    return {
        "id": "link-1",
        "profile_id": r.PROFILE,
        "name": "by-hand",
        "cr_type": "VSI",
        "crn": instance["crn"],
        "link": {"crn": instance["crn"]},
        "auto": False,
        "entity_tag": "1",
        "created_at": now,
        "modified_at": now,
    }


def floating_ip(region: Region, target_id: str) -> dict[str, Any]:
    return {
        "id": "r006-fip",
        "account_id": r.ACCOUNT,
        "region": r.NAME,
        "zone": r.ZONE,
        "name": "fip",
        "crn": r.crn(r.ZONE, "floating-ip", "r006-fip"),
        "address": "203.0.113.7",
        "target_id": target_id,
        "resource_group_id": r.GROUP,
        "created_at": region.clock.now(),
    }


async def test_it_reads_as_deleting_until_the_node_knows(region: Region) -> None:
    id = await running(region)
    patch = InstancePatch.model_validate({"name": "late"})

    await region.instances.delete(r.ADMINISTRATOR, id, None)
    deleting = await region.get(id)
    with pytest.raises(NotFound):
        await region.instances.delete(r.ADMINISTRATOR, id, None)
    with pytest.raises(Conflict):
        await region.instances.update(r.ADMINISTRATOR, id, patch, None)
    await region.acknowledge()

    assert (deleting["status"], deleting["lifecycle_state"]) == ("deleting", "deleting")
    assert Instance.from_dict(deleting).health_state == "inapplicable"
    with pytest.raises(NotFound):
        await region.get(id)
    with pytest.raises(NotFound):
        await region.instances.update(r.ADMINISTRATOR, id, patch, None)


async def test_a_silent_node_hides_a_delete_for_30_seconds_only(region: Region) -> None:
    id = await running(region)

    await region.instances.delete(r.ADMINISTRATOR, id, None)
    region.clock.advance(30)
    with pytest.raises(NotFound):
        await region.get(id)
    other = await running(region)
    await region.instances.delete(r.ADMINISTRATOR, other, None)

    assert await region.count(deleted_instances) == {"deleted_instances": 1}


async def test_the_name_is_free_again_at_once(region: Region) -> None:
    first = await region.create(name="web")

    await region.instances.delete(r.ADMINISTRATOR, first["id"], None)

    assert (await region.create(name="web"))["id"] != first["id"]


async def test_a_deleted_image_is_no_longer_shown(region: Region) -> None:
    id = await running(region)

    async with region.database.transaction() as connection:
        await connection.execute(delete(images).where(images.c.id == r.IMAGE))
    instance = await region.get(id)

    assert "image" not in instance
    assert Instance.from_dict(instance).image is None


@pytest.mark.parametrize("id", ["0717_nothing", "", "'", "r006-x" * 20])
async def test_any_id_that_is_not_there_is_not_found(region: Region, id: str) -> None:
    with pytest.raises(NotFound):
        await region.get(id)
    with pytest.raises(NotFound):
        await region.instances.delete(r.ADMINISTRATOR, id, None)
    with pytest.raises(NotFound):
        await act(region, id, "stop")
    with pytest.raises(NotFound):
        await region.instances.initialization(r.ADMINISTRATOR, id)


async def test_a_stranger_changes_nothing(region: Region) -> None:
    id = await running(region)
    patch = InstancePatch.model_validate({"name": "mine"})

    with pytest.raises(NotFound):
        await region.instances.update(r.STRANGER, id, patch, None)
    with pytest.raises(NotFound):
        await region.instances.delete(r.STRANGER, id, None)
    with pytest.raises(NotFound):
        await region.instances.get(r.STRANGER, id)


@pytest.mark.parametrize(
    ("role", "update", "operate"),
    [("Viewer", False, False), ("Operator", False, True), ("Editor", True, True)],
)
async def test_roles(region: Region, role: str, update: bool, operate: bool) -> None:
    """Contract 7.2."""
    id = await running(region)
    caller = await region.grant(role)
    patch = InstancePatch.model_validate({"name": "new"})
    reboot = InstanceActionPrototype(type="reboot")

    assert (await region.instances.get(caller, id))[0]["id"] == id
    for allowed, call in (
        (update, lambda: region.instances.update(caller, id, patch, None)),
        (operate, lambda: region.instances.act(caller, id, reboot)),
        (update, lambda: region.instances.delete(caller, id, None)),
    ):
        if allowed:
            await call()
        else:
            with pytest.raises(NotAuthorized):
                await call()
