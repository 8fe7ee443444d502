"""Patching instances: merge, all or nothing, If-Match, what needs a stopped one. Contract 2.2-2.4, 8."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import region as r
from fakes.region import Region, targets
from sqlalchemy import update

from linklocal.errors import Conflict, Invalid, PreconditionFailed
from linklocal.ids import InstanceId
from linklocal.store.engine import Database
from linklocal.vpc.images.tables import images
from linklocal.vpc.instances.model import (
    InstancePatch,
)

OFF = {"enabled": False, "protocol": "http", "response_hop_limit": 1}
ON_HTTPS_64 = {"enabled": True, "protocol": "https", "response_hop_limit": 64}


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


# Patches


async def test_a_patch_merges_and_reaches_the_node(region: Region) -> None:
    id = await region.running()

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
    id = await region.running()
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


@pytest.mark.differs(
    "VPC API: `default_trusted_profile` in PATCH of an instance",
    "the answer is not published",
    "400 `bad_field`: reinitialize changes it",
)
@pytest.mark.parametrize(
    "member", ["image", "keys", "user_data", "zone", "vpc", "default_trusted_profile", "xyzzy"]
)
def test_what_only_a_create_body_may_have_is_refused(member: str) -> None:
    with pytest.raises(ValueError, match=member):
        InstancePatch.model_validate({member: {"id": "x"}})


async def test_if_match_guards_a_change(region: Region) -> None:
    id = await region.running()
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
    id = await region.running()
    _, before = await region.instances.get(r.ADMINISTRATOR, id)

    await region.update(id, {"metadata_service": OFF})
    await region.update(id, {})

    _, after = await region.instances.get(r.ADMINISTRATOR, id)
    assert after == before


async def test_a_list_in_the_body_needs_if_match(region: Region) -> None:
    id = await region.running()
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
    id = await region.running()

    with pytest.raises(Conflict) as error:
        await region.update(id, body)
    await region.act(id, "stop")
    await region.update(id, body)

    assert list(targets(error.value)) == list(body)
    assert await region.stale() == []


async def test_a_new_profile_brings_its_own_defaults(region: Region) -> None:
    id = await region.stopped()
    kept = await region.stopped(total_volume_bandwidth=600)

    changed = await region.update(id, {"profile": {"name": "bx2-8x32"}})
    kept_view = await region.update(kept, {"profile": {"name": "bx2-8x32"}})

    assert (changed["vcpu"]["count"], changed["memory"]) == (8, 32)
    assert changed["total_volume_bandwidth"] == changed["bandwidth"] // 4
    assert kept_view["total_volume_bandwidth"] == 600


async def test_a_profile_of_another_architecture_is_refused(region: Region) -> None:
    id = await region.stopped(metadata_service={"enabled": True})

    with pytest.raises(Invalid) as error:
        await region.update(id, {"profile": {"name": "bz2-2x8"}})

    assert set(targets(error.value)) == {"profile.name", "metadata_service.enabled"}


# The image's word on how it may be used


@pytest.mark.differs(
    "VPC API: a setting that `allowed_use` forbids",
    "the code is not published",
    "400 `bad_field` that quotes the expression",
)
async def test_a_boot_volume_keeps_its_image_s_demands(region: Region) -> None:
    """Contract 8: evaluated on create and on patch, against the boot volume's copy."""
    demand = {**r.ALLOWED, "instance": "metadata_service.enabled == true"}
    async with region.database.transaction() as connection:
        await connection.execute(
            update(images).where(images.c.id == r.IMAGE).values(allowed_use=demand)
        )
    with pytest.raises(Invalid) as create:
        await region.create()
    id = await region.running(metadata_service={"enabled": True})

    with pytest.raises(Invalid) as patch:
        await region.update(id, {"metadata_service": {"enabled": False}})

    assert targets(create.value) == {"metadata_service.enabled": "bad_field"}
    assert targets(patch.value) == {"metadata_service.enabled": "bad_field"}
    assert (await region.get(id))["metadata_service"]["enabled"] is True
