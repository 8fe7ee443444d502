"""Deleting instances, and who may do what to one. Contract 2.3, 2.4, 7.2."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import region as r
from fakes.region import Region
from ibm_vpc.vpc_v1 import Instance
from sqlalchemy import delete, insert, select

from linklocal.errors import Conflict, NotAuthorized, NotFound
from linklocal.fleet.tables import documents, placements
from linklocal.iam.tables import profile_links
from linklocal.store.engine import Database
from linklocal.vpc.images.tables import images
from linklocal.vpc.instances.model import (
    InstanceActionPrototype,
    InstancePatch,
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


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


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
    id = await region.running(
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


@pytest.mark.differs(
    "VPC API: DELETE of a running instance",
    "two pages want it stopped first, the API does not",
    "taken in any state",
)
async def test_it_reads_as_deleting_until_the_node_knows(region: Region) -> None:
    id = await region.running()
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
    id = await region.running()

    await region.instances.delete(r.ADMINISTRATOR, id, None)
    region.clock.advance(30)
    with pytest.raises(NotFound):
        await region.get(id)
    other = await region.running()
    await region.instances.delete(r.ADMINISTRATOR, other, None)

    assert await region.count(deleted_instances) == {"deleted_instances": 1}


async def test_the_name_is_free_again_at_once(region: Region) -> None:
    first = await region.create(name="web")

    await region.instances.delete(r.ADMINISTRATOR, first["id"], None)

    assert (await region.create(name="web"))["id"] != first["id"]


async def test_a_deleted_image_is_no_longer_shown(region: Region) -> None:
    id = await region.running()

    async with region.database.transaction() as connection:
        await connection.execute(delete(images).where(images.c.id == r.IMAGE))
    instance = await region.get(id)

    assert "image" not in instance
    assert Instance.from_dict(instance).image is None


# Rights


@pytest.mark.parametrize("id", ["0717_nothing", "", "'", "r006-x" * 20])
async def test_any_id_that_is_not_there_is_not_found(region: Region, id: str) -> None:
    with pytest.raises(NotFound):
        await region.get(id)
    with pytest.raises(NotFound):
        await region.instances.delete(r.ADMINISTRATOR, id, None)
    with pytest.raises(NotFound):
        await region.act(id, "stop")
    with pytest.raises(NotFound):
        await region.instances.initialization(r.ADMINISTRATOR, id)


async def test_a_stranger_changes_nothing(region: Region) -> None:
    id = await region.running()
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
    id = await region.running()
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
