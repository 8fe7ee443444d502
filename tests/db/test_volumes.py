"""Volumes and their attachments: the operations, through HTTP and IBM's models (contract 2.4, 2.6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.network import made, network_client, read
from fakes.region import (
    ADMINISTRATOR,
    ALLOWED,
    GROUP,
    IMAGE,
    STRANGER,
    Region,
    targets,
)
from fakes.vpc_api import errors, pages
from ibm_vpc import vpc_v1 as sdk

from linklocal.errors import Invalid, NotAuthorized
from linklocal.store.engine import Database
from linklocal.vpc.volumes.tables import volume_attachments, volumes

VOLUMES = "/v1/volumes"
HELD = (volumes, volume_attachments)


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


def body(**members: Any) -> dict[str, Any]:
    zone, profile = {"name": "us-south-1"}, {"name": "general-purpose"}
    return {"zone": zone, "profile": profile, "capacity": 100, **members}


def data(**members: Any) -> dict[str, Any]:
    return {"volume": {"profile": {"name": "5iops-tier"}, "capacity": 50}, **members}


async def test_a_volume_is_made_read_listed_changed_and_removed(region: Region) -> None:
    async with network_client(region) as api:
        answer = await api.post(VOLUMES, json=body(name="disk", user_tags=["env:test", "env:test"]))
        volume, tag = answer.json(), answer.headers["etag"]
        path = f"{VOLUMES}/{volume['id']}"
        got = await read(api, path)
        listed = await read(api, VOLUMES)
        grown = await api.patch(path, json={"capacity": 2000}, headers={"If-Match": tag})
        stale = await api.patch(path, json={"name": "x"}, headers={"If-Match": tag})
        gone = await api.delete(path, headers={"If-Match": grown.headers["etag"]})
        missing = await api.get(path)

    parsed = sdk.Volume.from_dict(volume)
    assert (answer.status_code, got) == (201, volume)
    assert (parsed.capacity, parsed.iops, parsed.bandwidth) == (100, 3000, 393)
    assert (parsed.attachment_state, parsed.active, parsed.user_tags) == (
        "unattached",
        False,
        ["env:test"],
    )
    assert parsed.crn.split(":")[5] == "us-south-1"  # the zone, though the id is regional
    assert parsed.id.startswith("r006-")
    assert parsed.resource_group.id == GROUP
    assert sdk.VolumeCollection.from_dict(listed).total_count == 1
    assert (grown.json()["capacity"], grown.json()["iops"]) == (2000, 6000)
    assert (stale.status_code, gone.status_code, missing.status_code) == (412, 204, 404)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"zone": {"name": "mars"}}, [("not_found", "zone.name")]),
        ({"profile": {"name": "fast"}}, [("not_found", "profile.name")]),
        ({"capacity": 9}, [("bad_field", "capacity")]),
        ({"capacity": 9_601, "profile": {"name": "5iops-tier"}}, [("bad_field", "capacity")]),
        ({"iops": 4000}, [("bad_field", "iops")]),
        ({"iops": 6001, "profile": {"name": "custom"}}, [("bad_field", "iops")]),
        ({"bandwidth": 1000}, [("bad_field", "bandwidth")]),
        ({"encryption_key": {"crn": "crn:x"}}, [("bad_field", "encryption_key")]),
        ({"source_snapshot": {"id": "x"}}, [("bad_field", "source_snapshot")]),
        ({"allowed_use": {"instance": "true"}}, [("bad_field", "allowed_use")]),
        ({"resource_group": {"id": "x"}}, [("not_found", "resource_group.id")]),
        (
            {"name": "ibm-disk", "zone": {"name": "mars"}},
            [("not_found", "zone.name"), ("bad_field", "name")],
        ),
    ],
)
async def test_a_wrong_volume_is_refused(region: Region, members: Any, expected: Any) -> None:
    async with network_client(region) as api:
        answer = await api.post(VOLUMES, json=body(**members))

    assert (answer.status_code, errors(answer)) == (400, expected)
    assert (await region.count(volumes))["volumes"] == 0


async def test_a_volume_grows_and_keeps_its_family(region: Region) -> None:
    async with network_client(region) as api:
        path = f"{VOLUMES}/{(await made(api, VOLUMES, body()))['id']}"
        shrunk = await api.patch(path, json={"capacity": 50})
        other = await api.patch(path, json={"profile": {"name": "custom"}})
        faster = await api.patch(path, json={"profile": {"name": "10iops-tier"}, "capacity": 500})
        custom = await made(api, VOLUMES, body(profile={"name": "custom"}, iops=500))
        tuned = await api.patch(f"{VOLUMES}/{custom['id']}", json={"iops": 5000})

    assert errors(shrunk) == [("bad_field", "capacity")]
    assert errors(other) == [("bad_field", "profile")]
    assert (faster.json()["iops"], faster.json()["profile"]["name"]) == (5000, "10iops-tier")
    assert (custom["iops"], tuned.json()["iops"]) == (500, 5000)


async def test_one_of_two_concurrent_creates_gets_the_name(region: Region) -> None:
    async with network_client(region) as api:
        answers = await asyncio.gather(
            *(api.post(VOLUMES, json=body(name="twin")) for _ in range(3))
        )

    assert sorted(answer.status_code for answer in answers) == [201, 400, 400]
    lost = next(answer for answer in answers if answer.status_code == 400)
    assert errors(lost) == [("validation_unique_failed", "name")]


async def test_lists_are_paged_and_filtered(region: Region) -> None:
    await region.create()
    async with network_client(region) as api:
        await made(api, VOLUMES, body(name="one"))
        await made(api, VOLUMES, body(name="two", zone={"name": "us-south-2"}))
        every = await pages(api, VOLUMES, limit="2")
        attached = await read(api, VOLUMES, attachment_state="attached")
        unattached = await read(api, VOLUMES, attachment_state="unattached")
        named = await read(api, VOLUMES, name="two")
        in_zone = await read(api, VOLUMES, **{"zone.name": "us-south-2"})
        encrypted = await read(api, VOLUMES, encryption="user_managed")
        profiles = await pages(api, "/v1/volume/profiles", limit="3")
        profile = await read(api, "/v1/volume/profiles/custom")
        no_profile = await api.get("/v1/volume/profiles/fast")
    async with network_client(region, STRANGER) as api:
        hidden = await read(api, VOLUMES)

    assert [len(page["volumes"]) for page in every] == [2, 1]
    assert [v["attachment_state"] for v in attached["volumes"]] == ["attached"]
    assert unattached["total_count"] == 2
    assert (
        [v["name"] for v in named["volumes"]] == [v["name"] for v in in_zone["volumes"]] == ["two"]
    )
    assert encrypted["total_count"] == hidden["total_count"] == 0
    assert [len(sdk.VolumeProfileCollection.from_dict(p).profiles) for p in profiles] == [3, 1]
    assert sdk.VolumeProfile.from_dict(profile).family == "custom"
    assert errors(no_profile) == [("not_found", "name")]


async def test_a_boot_volume_is_the_images(region: Region) -> None:
    """Contract 2.4: 100 GB, a copy of the image's `allowed_use`, gone with the instance."""
    instance = await region.create()
    boot = instance["boot_volume_attachment"]
    async with network_client(region) as api:
        volume = await read(api, f"{VOLUMES}/{boot['volume']['id']}")
        path = f"/v1/instances/{instance['id']}/volume_attachments"
        listed = await read(api, path)
        one = await read(api, f"{path}/{boot['id']}")
        kept = await api.delete(f"{VOLUMES}/{volume['id']}")
        detached = await api.delete(f"{path}/{boot['id']}")
        await region.instances.delete(ADMINISTRATOR, instance["id"], None)
        missing = await api.get(f"{VOLUMES}/{volume['id']}")

    parsed = sdk.Volume.from_dict(volume)
    assert (parsed.capacity, parsed.allowed_use.to_dict()) == (100, ALLOWED)
    assert parsed.source_image.id == IMAGE
    assert parsed.operating_system.architecture == "amd64"
    assert (parsed.active, parsed.attachment_state) == (True, "attached")
    assert parsed.volume_attachments[0].instance.id == instance["id"]
    [attachment] = sdk.VolumeAttachmentCollection.from_dict(listed).volume_attachments
    assert (attachment.type, attachment.status) == ("boot", "attached")
    assert attachment.delete_volume_on_instance_delete is True
    assert sdk.VolumeAttachment.from_dict(one).device.id.startswith(f"{boot['id']}-")
    assert (kept.status_code, detached.status_code, missing.status_code) == (409, 409, 404)
    assert await region.count(*HELD) == {"volumes": 0, "volume_attachments": 0}


async def test_data_volumes_stay_or_go_as_asked(region: Region) -> None:
    async with network_client(region) as api:
        there = await made(api, VOLUMES, body(name="there"))
        instance = await region.create(
            volume_attachments=[
                data(name="goes", delete_volume_on_instance_delete=True),
                data(name="stays"),
                {"volume": {"id": there["id"]}, "name": "there"},
            ]
        )
        busy = await api.delete(f"{VOLUMES}/{there['id']}")
        await region.instances.delete(ADMINISTRATOR, instance["id"], None)
        left = await read(api, VOLUMES)

    names = [a["name"] for a in instance["volume_attachments"]]
    assert names[1:] == ["goes", "stays", "there"]
    assert busy.status_code == 409
    assert left["total_count"] == 2
    assert all(v["attachment_state"] == "unattached" for v in left["volumes"])


async def test_an_instance_starts_from_a_boot_volume_that_was_kept(region: Region) -> None:
    first = await region.create(
        boot_volume_attachment={
            "delete_volume_on_instance_delete": False,
            "volume": {"name": "root", "profile": {"name": "general-purpose"}, "capacity": 120},
        }
    )
    await region.instances.delete(ADMINISTRATOR, first["id"], None)
    async with network_client(region) as api:
        [volume] = (await read(api, VOLUMES))["volumes"]
        disk = await made(api, VOLUMES, body(name="disk"))
    again = await region.create(image=None, boot_volume_attachment={"volume": {"id": volume["id"]}})
    with pytest.raises(Invalid) as blank:
        await region.create(image=None, boot_volume_attachment={"volume": {"id": disk["id"]}})
    with pytest.raises(Invalid) as busy:
        await region.create(image=None, boot_volume_attachment={"volume": {"id": volume["id"]}})

    assert (volume["name"], volume["capacity"]) == ("root", 120)
    assert again["boot_volume_attachment"]["volume"]["id"] == volume["id"]
    assert targets(blank.value) == {"boot_volume_attachment.volume.id": "bad_field"}
    assert targets(busy.value) == {"boot_volume_attachment.volume.id": "bad_field"}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"boot_volume_attachment": {"volume": {"capacity": 251}}},
            {"boot_volume_attachment.volume.capacity": "bad_field"},
        ),
        (
            {"boot_volume_attachment": {"volume": {"allowed_use": {"bare_metal_server": "&&"}}}},
            {"boot_volume_attachment.volume.allowed_use.bare_metal_server": "bad_field"},
        ),
        (
            {"volume_attachments": [data(name="a"), data(name="a"), {"volume": {"id": "nope"}}]},
            {
                "volume_attachments[1].name": "validation_unique_failed",
                "volume_attachments[2].volume.id": "not_found",
            },
        ),
        (
            {"volume_attachments": [data()] * 13},
            {"volume_attachments": "bad_field"},
        ),
        (
            {
                "boot_volume_attachment": {"volume": {"name": "same"}},
                "volume_attachments": [{"volume": {"name": "same", "capacity": 10}}],
            },
            {"volume_attachments[0].volume.name": "validation_unique_failed"},
        ),
    ],
)
async def test_every_problem_of_the_volumes_is_told(
    region: Region, members: Any, expected: Any
) -> None:
    with pytest.raises(Invalid) as error:
        await region.create(**members)

    assert targets(error.value) == expected
    assert await region.count(*HELD) == {"volumes": 0, "volume_attachments": 0}


async def test_an_allowed_use_of_ones_own_needs_the_right(region: Region) -> None:
    own = {"volume": {"allowed_use": {"instance": "metadata_service.enabled == false"}}}
    made_by_editor = await region.create(await region.grant("Editor"), boot_volume_attachment=own)
    operator = await region.grant("Operator")
    async with network_client(region) as api:
        volume_id = made_by_editor["boot_volume_attachment"]["volume"]["id"]
        volume = await read(api, f"{VOLUMES}/{volume_id}")
    with pytest.raises(NotAuthorized):
        await region.create(operator, boot_volume_attachment=own)

    assert volume["allowed_use"] == {**ALLOWED, **own["volume"]["allowed_use"]}


async def test_volumes_are_attached_and_detached(region: Region) -> None:
    instance = await region.create()
    before = await region.count(*HELD)
    path = f"/v1/instances/{instance['id']}/volume_attachments"
    async with network_client(region) as api:
        far = await made(api, VOLUMES, body(zone={"name": "us-south-2"}))
        added = await made(api, path, data(name="data"))
        clash = await api.post(path, json=data(name="data"))
        elsewhere = await api.post(path, json={"volume": {"id": far["id"]}})
        mixed = await api.post(path, json={"volume": {"id": far["id"], "capacity": 10}})
        seen = (await region.published())[instance["id"]].metadata["volume_attachments"]
        changed = await api.patch(
            f"{path}/{added['id']}",
            json={"name": "more", "delete_volume_on_instance_delete": True},
        )
        fresh = await region.stale()
        removed = await api.delete(f"{path}/{added['id']}")
        again = await api.delete(f"{path}/{added['id']}")
        await api.delete(f"{VOLUMES}/{added['volume']['id']}")
        await api.delete(f"{VOLUMES}/{far['id']}")
        nowhere = await api.get("/v1/instances/nope/volume_attachments")

    assert sdk.VolumeAttachment.from_dict(added).type == "data"
    assert errors(clash) == [("validation_unique_failed", "name")]
    assert errors(elsewhere) == [("bad_field", "volume.id")]
    assert ("bad_field", "volume.capacity") in errors(mixed)
    assert [a["name"] for a in seen][1:] == ["data"]
    assert (changed.json()["name"], changed.json()["delete_volume_on_instance_delete"]) == (
        "more",
        True,
    )
    assert fresh == []
    assert [removed.status_code, again.status_code] == [204, 404]
    assert errors(nowhere) == [("not_found", "instance_id")]
    assert await region.count(*HELD) == before
    assert await region.stale() == []


async def test_one_of_many_instances_gets_a_volume(region: Region) -> None:
    ids = [(await region.create())["id"] for _ in range(3)]
    async with network_client(region) as api:
        volume = await made(api, VOLUMES, body())
        answers = await asyncio.gather(
            *(
                api.post(
                    f"/v1/instances/{id}/volume_attachments", json={"volume": {"id": volume["id"]}}
                )
                for id in ids
            )
        )

    assert sorted(answer.status_code for answer in answers) == [201, 400, 400]
