"""What is renamed or bound is told to the nodes, and what many ask for at once is given once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.network import made, network_client, read
from fakes.queries import counted
from fakes.region import ADMINISTRATOR, FAR_SUBNET, SUBNET, VPC, Region, attachment
from fakes.vpc_api import errors
from ibm_vpc import vpc_v1 as sdk
from sqlalchemy import func, select

from linklocal.store.engine import Database
from linklocal.vpc.network.interfaces import load_interfaces
from linklocal.vpc.network.tables import reserved_ips
from linklocal.vpc.volumes.attach import load_volume_attachments

FLOATING_IPS = "/v1/floating_ips"
ZONE = {"zone": {"name": "us-south-1"}}


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


async def metadata(region: Region, id: str) -> dict[str, Any]:
    """What the node was told of an instance."""
    return (await region.published())[id].metadata  # type: ignore[index]  # ids are plain text here


# Floating ips


async def test_a_floating_ip_is_reserved_bound_renamed_and_released(region: Region) -> None:
    instance = await region.create()
    vni_id = instance["primary_network_attachment"]["virtual_network_interface"]["id"]
    async with network_client(region) as api:
        ip = await made(api, FLOATING_IPS, {**ZONE, "name": "front"})
        path = f"{FLOATING_IPS}/{ip['id']}"
        bound = await api.patch(path, json={"target": {"id": vni_id}})
        seen_bound = (await metadata(region, instance["id"]))["network_interfaces"][0]
        renamed = await api.patch(path, json={"name": "back"})
        seen_renamed = (await metadata(region, instance["id"]))["network_interfaces"][0]
        by = await read(api, FLOATING_IPS, **{"target.id": vni_id})
        under = f"/v1/virtual_network_interfaces/{vni_id}/floating_ips"
        listed = await read(api, under)
        one = await read(api, f"{under}/{ip['id']}")
        loose = await api.patch(path, json={"target": None})
        seen_loose = (await metadata(region, instance["id"]))["network_interfaces"][0]
        put = await api.put(f"{under}/{ip['id']}")
        removed = await api.delete(f"{under}/{ip['id']}")
        await api.patch(path, json={"target": {"id": vni_id}})
        gone = await api.delete(path)

    assert sdk.FloatingIP.from_dict(ip).address == "203.0.113.1"
    target = sdk.FloatingIP.from_dict(bound.json()).target
    assert sdk.FloatingIPTargetVirtualNetworkInterfaceReference.from_dict(target).id == vni_id
    assert [f["name"] for f in seen_bound["floating_ips"]] == ["front"]
    assert renamed.json()["name"] == "back"
    assert [f["name"] for f in seen_renamed["floating_ips"]] == ["back"]
    assert sdk.FloatingIPCollection.from_dict(by).total_count == 1
    assert sdk.FloatingIPCollectionVirtualNetworkInterfaceContext.from_dict(listed).total_count == 1
    assert sdk.FloatingIPReference.from_dict(one).id == ip["id"]
    assert "target" not in loose.json()
    assert seen_loose["floating_ips"] == []
    assert [put.status_code, removed.status_code, gone.status_code] == [201, 204, 204]
    assert (await metadata(region, instance["id"]))["network_interfaces"][0]["floating_ips"] == []
    assert await region.stale() == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("missing_field", "zone")]),
        ({**ZONE, "target": {"id": "x"}}, [("bad_field", "zone")]),
        ({"zone": {"name": "mars"}}, [("not_found", "zone.name")]),
        ({"target": {"id": "nope"}}, [("not_found", "target.id")]),
        ({"target": {"crn": "crn:nope"}}, [("not_found", "target.crn")]),
        ({**ZONE, "name": "taken"}, [("validation_unique_failed", "name")]),
    ],
)
async def test_a_wrong_floating_ip_is_refused(region: Region, body: Any, expected: Any) -> None:
    async with network_client(region) as api:
        await made(api, FLOATING_IPS, {**ZONE, "name": "taken"})
        answer = await api.post(FLOATING_IPS, json=body)

    assert (answer.status_code, errors(answer)) == (400, expected)


async def test_an_interface_has_one_floating_ip_of_its_zone(region: Region) -> None:
    async with network_client(region) as api:
        near = await made(api, "/v1/virtual_network_interfaces", {"subnet": {"id": SUBNET}})
        far = await made(api, "/v1/virtual_network_interfaces", {"subnet": {"id": FAR_SUBNET}})
        held = await made(api, FLOATING_IPS, {"target": {"id": near["id"]}})
        second = await made(api, FLOATING_IPS, ZONE)
        taken = await api.patch(
            f"{FLOATING_IPS}/{second['id']}", json={"target": {"id": near["id"]}}
        )
        other_zone = await api.patch(
            f"{FLOATING_IPS}/{second['id']}", json={"target": {"id": far["id"]}}
        )
        by_path = await api.put(
            f"/v1/virtual_network_interfaces/{near['id']}/floating_ips/{second['id']}"
        )

    assert held["zone"]["name"] == "us-south-1"
    assert errors(taken) == errors(other_zone) == [("bad_field", "target")]
    assert by_path.status_code == 409


async def test_concurrent_floating_ips_have_different_addresses(region: Region) -> None:
    async with network_client(region) as api:
        answers = await asyncio.gather(*(api.post(FLOATING_IPS, json=ZONE) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["address"] for answer in answers}) == 8


# Addresses


async def test_concurrent_creates_never_share_an_address(region: Region) -> None:
    """Instances and interfaces of one subnet, made at the same time."""
    async with network_client(region) as api:
        body = {"subnet": {"id": SUBNET}}
        answers = await asyncio.gather(
            *(region.create() for _ in range(5)),
            *(api.post("/v1/virtual_network_interfaces", json=body) for _ in range(5)),
            *(api.post(f"/v1/subnets/{SUBNET}/reserved_ips", json={}) for _ in range(2)),
        )

    assert all(not hasattr(a, "status_code") or a.status_code == 201 for a in answers)
    async with region.database.read() as connection:
        counts = select(func.count(), func.count(reserved_ips.c.address.distinct())).where(
            reserved_ips.c.subnet_id == SUBNET
        )
        rows, addresses = (await connection.execute(counts)).one()
    assert rows == addresses == 5 + 12


async def test_one_of_many_gets_a_specific_address(region: Region) -> None:
    async with network_client(region) as api:
        body = {"subnet": {"id": SUBNET}, "primary_ip": {"address": "10.240.0.77"}}
        answers = await asyncio.gather(
            *(api.post("/v1/virtual_network_interfaces", json=body) for _ in range(4))
        )

    assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400]
    lost = next(answer for answer in answers if answer.status_code == 400)
    assert errors(lost) == [("bad_field", "primary_ip.address")]


async def test_one_of_many_gets_an_interface_or_its_name(region: Region) -> None:
    async with network_client(region) as api:
        path = "/v1/virtual_network_interfaces"
        named = {"subnet": {"id": SUBNET}, "name": "eth"}
        answers = await asyncio.gather(*(api.post(path, json=named) for _ in range(3)))
        vni = next(answer.json() for answer in answers if answer.status_code == 201)
        instances = [await region.create() for _ in range(3)]
        body = {"virtual_network_interface": {"id": vni["id"]}}
        attached = await asyncio.gather(
            *(
                api.post(f"/v1/instances/{i['id']}/network_attachments", json=body)
                for i in instances
            )
        )

    assert sorted(answer.status_code for answer in answers) == [201, 400, 400]
    assert sorted(answer.status_code for answer in attached) == [201, 400, 400]


async def test_changes_and_deletes_at_once_end_well(region: Region) -> None:
    """Renames of all that an instance shows, while it is deleted: no deadlock, nothing left stale."""
    gone = await region.create(name="gone")
    kept = await region.create(name="kept")
    vni_id = gone["primary_network_attachment"]["virtual_network_interface"]["id"]
    volume_id = gone["boot_volume_attachment"]["volume"]["id"]
    async with network_client(region) as api:
        ip = await made(api, FLOATING_IPS, {"target": {"id": vni_id}})
        answers = await asyncio.gather(
            api.patch(f"/v1/vpcs/{VPC}", json={"name": "renamed"}),
            api.patch(f"/v1/virtual_network_interfaces/{vni_id}", json={"name": "renamed"}),
            api.patch(f"/v1/subnets/{SUBNET}", json={"name": "renamed"}),
            region.instances.delete(ADMINISTRATOR, gone["id"], None),
            api.patch(f"{FLOATING_IPS}/{ip['id']}", json={"name": "renamed"}),
            api.patch("/v1/security_groups/r006-vpc-sg", json={"name": "renamed"}),
            api.patch(f"/v1/volumes/{volume_id}", json={"name": "renamed"}),
            region.create(name="new"),
        )

    codes = {answer.status_code for answer in answers if hasattr(answer, "status_code")}
    assert codes <= {200, 404, 409}
    assert await region.stale() == []
    document = (await region.published())[kept["id"]]
    assert document.metadata["instance"]["vpc"]["name"] == "renamed"


# Renames


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/vpcs/{VPC}",
        f"/v1/subnets/{SUBNET}",
        "/v1/security_groups/r006-vpc-sg",
        "/v1/virtual_network_interfaces/{vni}",
        "/v1/subnets/" + SUBNET + "/reserved_ips/{ip}",
        "/v1/volumes/{volume}",
        "/v1/instances/{instance}/network_attachments/{attachment}",
        "/v1/instances/{instance}/volume_attachments/{boot}",
    ],
)
async def test_a_rename_reaches_the_instances_that_show_it(region: Region, path: str) -> None:
    instance = await region.create(name="web")
    await region.create(name="other", primary_network_attachment=attachment(SUBNET))
    attached = instance["primary_network_attachment"]
    where = path.format(
        instance=instance["id"],
        attachment=attached["id"],
        vni=attached["virtual_network_interface"]["id"],
        ip=attached["primary_ip"]["id"],
        volume=instance["boot_volume_attachment"]["volume"]["id"],
        boot=instance["boot_volume_attachment"]["id"],
    )
    before = await metadata(region, instance["id"])
    async with network_client(region) as api:
        answer = await api.patch(where, json={"name": "a-new-name"})

    after = await metadata(region, instance["id"])
    assert answer.json()["name"] == "a-new-name"
    assert "a-new-name" in str(after)
    assert "a-new-name" not in str(before)
    assert await region.stale() == []


async def test_loading_takes_the_same_queries_for_any_number(region: Region) -> None:
    ids = [(await region.create())["id"] for _ in range(3)]
    counts = []
    async with region.database.read() as connection:
        await connection.execute(select(1))  # which begins the transaction
        for some in ([], ids[:1], ids):
            with counted(region.database) as statements:
                interfaces = await load_interfaces(connection, some)
                volumes = await load_volume_attachments(connection, some)
            counts.append(len(statements))

    assert counts == [6, 6, 6]
    assert list(interfaces) == sorted(ids)
    assert all(volumes[id][0].type == "boot" for id in ids)
