"""Interfaces and their addresses: virtual network interfaces, reserved ips, what instances have of them."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.network import made, network_client, read
from fakes.region import (
    ADMINISTRATOR,
    FAR_SUBNET,
    GROUP,
    OTHER_SUBNET,
    STRANGER,
    SUBNET,
    SUBNET_2,
    Region,
    attachment,
    targets,
)
from fakes.vpc_api import errors
from ibm_vpc import vpc_v1 as sdk
from sqlalchemy import select

from linklocal.errors import Invalid
from linklocal.store.engine import Database
from linklocal.vpc.network.tables import (
    interface_security_groups,
    network_attachments,
    network_interfaces,
    reserved_ips,
    virtual_network_interfaces,
)

# The SDK leaves targets as dicts: it cannot tell their classes.
IP_TARGET = sdk.ReservedIPTargetVirtualNetworkInterfaceReferenceReservedIPTargetContext
_KIND = "VirtualNetworkInterfaceTarget"
ATTACHED = getattr(sdk, f"{_KIND}InstanceNetworkAttachmentReferenceVirtualNetworkInterfaceContext")

VNIS = "/v1/virtual_network_interfaces"
HELD = (
    network_attachments,
    network_interfaces,
    virtual_network_interfaces,
    interface_security_groups,
    reserved_ips,
)


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


def older(subnet: str = SUBNET, **members: Any) -> dict[str, Any]:
    return {
        "primary_network_attachment": None,
        "primary_network_interface": {"subnet": {"id": subnet}, **members},
    }


async def test_an_interface_is_made_read_listed_and_removed(region: Region) -> None:
    before = await region.count(*HELD)
    async with network_client(region) as api:
        answer = await api.post(VNIS, json={"subnet": {"id": SUBNET}, "name": "eth"})
        vni = answer.json()
        got = await api.get(f"{VNIS}/{vni['id']}")
        listed = await read(api, VNIS)
        ips = await read(api, f"{VNIS}/{vni['id']}/ips")
        ip = await read(api, f"{VNIS}/{vni['id']}/ips/{vni['primary_ip']['id']}")
        gone = await api.delete(f"{VNIS}/{vni['id']}", headers={"If-Match": got.headers["etag"]})

    parsed = sdk.VirtualNetworkInterface.from_dict(vni)
    assert answer.status_code == 201
    assert answer.headers["etag"] == got.headers["etag"]
    assert got.json() == vni
    assert (parsed.name, parsed.auto_delete, parsed.enable_infrastructure_nat) == (
        "eth",
        False,
        True,
    )
    assert (parsed.primary_ip.address, parsed.mac_address) == ("10.240.0.4", "02:00:0a:f0:00:04")
    assert parsed.resource_group.id == GROUP
    assert [group.name for group in parsed.security_groups] == ["vpc-sg"]
    assert "target" not in vni
    assert sdk.VirtualNetworkInterfaceCollection.from_dict(listed).total_count == 1
    assert (
        sdk.ReservedIPCollectionVirtualNetworkInterfaceContext.from_dict(ips).ips[0].id == ip["id"]
    )
    assert sdk.ReservedIPReference.from_dict(ip).address == "10.240.0.4"
    assert gone.status_code == 204
    assert await region.count(*HELD) == before


async def test_an_interface_stands_on_the_addresses_asked_for(region: Region) -> None:
    async with network_client(region) as api:
        kept = await made(api, f"/v1/subnets/{SUBNET}/reserved_ips", {"name": "kept"})
        body = {
            "primary_ip": {"id": kept["id"]},
            "ips": [{"address": "10.240.0.9", "name": "nine"}, {}],
            "allow_ip_spoofing": True,
            "protocol_state_filtering_mode": "disabled",
        }
        vni = await made(api, VNIS, body)
        bound = await read(api, f"/v1/subnets/{SUBNET}/reserved_ips/{kept['id']}")
        kept_by_interface = await api.delete(f"/v1/subnets/{SUBNET}/reserved_ips/{kept['id']}")
        await api.delete(f"{VNIS}/{vni['id']}")
        left = await read(api, f"/v1/subnets/{SUBNET}/reserved_ips")

    assert sdk.ReservedIP.from_dict(kept).auto_delete is False
    assert kept["address"] == "10.240.0.4"
    assert [ip["address"] for ip in vni["ips"]] == ["10.240.0.4", "10.240.0.5", "10.240.0.9"]
    assert (vni["allow_ip_spoofing"], vni["protocol_state_filtering_mode"]) == (True, "disabled")
    assert IP_TARGET.from_dict(sdk.ReservedIP.from_dict(bound).target).id == vni["id"]
    assert kept_by_interface.status_code == 409
    names = [ip["name"] for ip in left["reserved_ips"] if ip["owner"] == "user"]
    assert names == ["kept"]  # what the interface brought along went with it


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("missing_field", "subnet")]),
        ({"subnet": {"id": "nope"}}, [("not_found", "subnet.id")]),
        ({"subnet": {"id": SUBNET, "crn": "crn:x"}}, [("not_found", "subnet.crn")]),
        (
            {"subnet": {"id": SUBNET}, "primary_ip": {"address": "10.9.9.9"}},
            [("bad_field", "primary_ip.address")],
        ),
        (
            {"subnet": {"id": SUBNET}, "primary_ip": {"address": "10.240.0.1"}},
            [("bad_field", "primary_ip.address")],
        ),
        (
            {"subnet": {"id": SUBNET}, "primary_ip": {"address": "10.240.0.256"}},
            [("bad_field", "primary_ip.address")],
        ),
        (
            {
                "subnet": {"id": SUBNET},
                "ips": [{"address": "10.240.0.7"}, {"address": "10.240.0.7"}],
            },
            [("bad_field", "ips[1].address")],
        ),
        (
            {"subnet": {"id": SUBNET}, "primary_ip": {"id": "nope"}},
            [("not_found", "primary_ip.id")],
        ),
        (
            {"subnet": {"id": SUBNET}, "primary_ip": {"id": f"{SUBNET}-ibm-default-gateway"}},
            [("bad_field", "primary_ip.id")],
        ),
        (
            {"subnet": {"id": SUBNET_2}, "primary_ip": {"id": f"{SUBNET}-ibm-default-gateway"}},
            [("bad_field", "primary_ip.id")],
        ),
        (
            {"subnet": {"id": SUBNET}, "ips": [{"name": "a"}, {"name": "a"}]},
            [("validation_unique_failed", "ips[1].name")],
        ),
        (
            {
                "subnet": {"id": SUBNET},
                "security_groups": [{"id": "nope"}, {"id": "r006-vpc-2-sg"}],
            },
            [("not_found", "security_groups[0].id"), ("bad_field", "security_groups[1].id")],
        ),
        (
            {"subnet": {"id": SUBNET}, "name": "ibm-x", "enable_infrastructure_nat": False},
            [("bad_field", "name"), ("bad_field", "enable_infrastructure_nat")],
        ),
        (
            {"subnet": {"id": SUBNET}, "resource_group": {"id": "nope"}},
            [("not_found", "resource_group.id")],
        ),
    ],
)
async def test_a_wrong_interface_is_refused(region: Region, body: Any, expected: Any) -> None:
    before = await region.count(*HELD)
    async with network_client(region) as api:
        answer = await api.post(VNIS, json=body)

    assert (answer.status_code, errors(answer)) == (400, expected)
    assert await region.count(*HELD) == before


async def test_an_asked_address_is_not_given_to_another_of_the_same_body(region: Region) -> None:
    async with network_client(region) as api:
        body = {"subnet": {"id": SUBNET}, "ips": [{}, {"address": "10.240.0.4"}]}
        vni = await made(api, VNIS, body)

    assert [ip["address"] for ip in vni["ips"]] == ["10.240.0.5", "10.240.0.4", "10.240.0.6"]


async def test_a_full_subnet_says_so(region: Region) -> None:
    async with network_client(region) as api:
        vpc = await made(api, "/v1/vpcs")
        body = {"vpc": {"id": vpc["id"]}, "ipv4_cidr_block": "10.240.0.0/29"}
        subnet = await made(api, "/v1/subnets", body)
        full = {"subnet": {"id": subnet["id"]}, "ips": [{}, {}, {}]}
        refused = await api.post(VNIS, json=full)
        fits = await api.post(VNIS, json={**full, "ips": [{}, {}]})

    assert errors(refused) == [("bad_field", "ips[2].address")]
    assert "no free address" in refused.json()["errors"][0]["message"]
    assert fits.status_code == 201


async def test_reserved_ips_are_the_addresses_that_are_taken(region: Region) -> None:
    path = f"/v1/subnets/{SUBNET}/reserved_ips"
    async with network_client(region) as api:
        vni = await made(api, VNIS, {"subnet": {"id": SUBNET}, "name": "eth"})
        extra = await made(
            api, path, {"target": {"id": vni["id"]}, "address": "10.240.0.20", "name": "extra"}
        )
        listed = await read(api, path)
        by = {
            key: (await read(api, path, **{f"target.{key}": vni[key]}))["total_count"]
            for key in ("id", "crn", "name", "resource_type")
        }
        renamed = await api.patch(f"{path}/{extra['id']}", json={"name": "more"})
        clash = await api.patch(f"{path}/{extra['id']}", json={"name": vni["primary_ip"]["name"]})
        gateway = await api.patch(f"{path}/{SUBNET}-ibm-default-gateway", json={"name": "mine"})
        unbound = await api.delete(f"{path}/{extra['id']}")
        later = await read(api, f"{VNIS}/{vni['id']}")

    assert sdk.ReservedIPCollection.from_dict(listed).total_count == 7
    assert {ip["owner"] for ip in listed["reserved_ips"]} == {"user", "provider"}
    assert by == {"id": 2, "crn": 2, "name": 2, "resource_type": 2}
    assert extra["auto_delete"] is True
    assert renamed.json()["name"] == "more"
    assert errors(clash) == [("validation_unique_failed", "name")]
    assert (gateway.status_code, unbound.status_code) == (409, 204)
    assert [ip["address"] for ip in later["ips"]] == ["10.240.0.4"]


async def test_addresses_are_bound_and_unbound_below_the_interface(region: Region) -> None:
    async with network_client(region) as api:
        vni = await made(api, VNIS, {"subnet": {"id": SUBNET}})
        kept = await made(api, f"/v1/subnets/{SUBNET}/reserved_ips", {"name": "kept"})
        elsewhere = await made(api, f"/v1/subnets/{SUBNET_2}/reserved_ips")
        path = f"{VNIS}/{vni['id']}/ips"
        added = await api.put(f"{path}/{kept['id']}")
        repeated = await api.put(f"{path}/{kept['id']}")
        wrong = await api.put(f"{path}/{elsewhere['id']}")
        primary = await api.delete(f"{path}/{vni['primary_ip']['id']}")
        removed = await api.delete(f"{path}/{kept['id']}")
        again = await api.delete(f"{path}/{kept['id']}")
        left = await read(api, f"/v1/subnets/{SUBNET}/reserved_ips/{kept['id']}")

    assert (added.status_code, repeated.status_code) == (201, 201)
    assert sdk.ReservedIPReference.from_dict(added.json()).name == "kept"
    assert [wrong.status_code, primary.status_code] == [404, 409]
    assert [removed.status_code, again.status_code] == [204, 404]
    assert "target" not in left


async def test_an_interface_is_changed_with_its_etag(region: Region) -> None:
    async with network_client(region) as api:
        first = await api.post(VNIS, json={"subnet": {"id": SUBNET}})
        path, tag = f"{VNIS}/{first.json()['id']}", first.headers["etag"]
        same = await api.patch(path, json={"allow_ip_spoofing": False})
        changed = await api.patch(path, json={"auto_delete": True}, headers={"If-Match": tag})
        stale = await api.patch(path, json={"name": "x"}, headers={"If-Match": tag})
        unknown = await api.patch(path, json={"subnet": {"id": SUBNET_2}})
        null = await api.patch(path, json={"name": None})

    assert same.headers["etag"] == tag
    assert changed.json()["auto_delete"] is True
    assert changed.headers["etag"] != tag
    assert stale.status_code == 412
    assert errors(unknown) == [("bad_field", "subnet")]
    assert errors(null) == [("bad_field", "name")]


# What instances have


@pytest.mark.parametrize("kind", ["attachment", "interface"])
async def test_nothing_is_left_of_a_deleted_instance(region: Region, kind: str) -> None:
    """No interface, address, group link or attachment without an owner; what was there before stays."""
    before = await region.count(*HELD)
    members: dict[str, Any] = (
        {"network_attachments": [attachment(SUBNET_2, name="eth1")]}
        if kind == "attachment"
        else {**older(), "network_interfaces": [{"subnet": {"id": SUBNET_2}, "name": "eth1"}]}
    )
    instance = await region.create(**members)
    held = await region.count(*HELD)
    async with network_client(region) as api:
        listed = await read(api, f"/v1/instances/{instance['id']}/network_interfaces")
        body = {"target": {"id": instance["primary_network_interface"]["id"]}}
        if kind == "attachment":
            attached = instance["primary_network_attachment"]
            body = {"target": {"id": attached["virtual_network_interface"]["id"]}}
        floating = await made(api, "/v1/floating_ips", body)
        await region.instances.delete(ADMINISTRATOR, instance["id"], None)
        freed = await read(api, f"/v1/floating_ips/{floating['id']}")

    assert sdk.NetworkInterfaceUnpaginatedCollection.from_dict(listed)
    assert [i["type"] for i in listed["network_interfaces"]] == ["primary", "secondary"]
    assert held["reserved_ips"] == before["reserved_ips"] + 2
    assert "target" not in freed
    assert await region.count(*HELD) == before


async def test_an_interface_without_auto_delete_outlives_its_instance(region: Region) -> None:
    async with network_client(region) as api:
        vni = await made(api, VNIS, {"subnet": {"id": SUBNET}, "name": "mine"})
        body = {"virtual_network_interface": {"crn": vni["crn"]}, "name": "eth0"}
        instance = await region.create(primary_network_attachment=body)
        attached = await read(api, f"{VNIS}/{vni['id']}")
        kept = await api.delete(f"{VNIS}/{vni['id']}")
        twice = await api.post(
            f"/v1/instances/{(await region.create())['id']}/network_attachments",
            json={"virtual_network_interface": {"id": vni["id"]}},
        )
        await region.instances.delete(ADMINISTRATOR, instance["id"], None)
        free = await read(api, f"{VNIS}/{vni['id']}")

    target = sdk.VirtualNetworkInterface.from_dict(attached).target
    assert ATTACHED.from_dict(target).id == instance["primary_network_attachment"]["id"]
    assert attached["target"]["resource_type"] == "instance_network_attachment"
    assert kept.status_code == 409
    assert errors(twice) == [("bad_field", "virtual_network_interface.id")]
    assert free == vni


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"primary_network_attachment": attachment(FAR_SUBNET)},
            {"primary_network_attachment.virtual_network_interface.subnet.id": "bad_field"},
        ),
        (
            {"network_attachments": [attachment(OTHER_SUBNET)]},
            {"network_attachments[0].virtual_network_interface.subnet": "bad_field"},
        ),
        (
            {
                "primary_network_attachment": attachment(name="eth0"),
                "network_attachments": [attachment(name="eth0"), attachment("nope", name="eth0")],
            },
            {
                "network_attachments[0].name": "validation_unique_failed",
                "network_attachments[1].name": "validation_unique_failed",
                "network_attachments[1].virtual_network_interface.subnet.id": "not_found",
            },
        ),
        (
            {"network_interfaces": [{"subnet": {"id": SUBNET}}]},
            {"network_interfaces": "bad_field"},
        ),
        (
            {"primary_network_attachment": None},
            {"primary_network_attachment": "missing_field"},
        ),
        (
            {
                "primary_network_attachment": {
                    "virtual_network_interface": {"id": "nope", "subnet": {"id": SUBNET}}
                }
            },
            {
                "primary_network_attachment.virtual_network_interface.id": "not_found",
                "primary_network_attachment.virtual_network_interface.subnet": "bad_field",
            },
        ),
    ],
)
async def test_every_problem_of_a_body_is_told(region: Region, members: Any, expected: Any) -> None:
    with pytest.raises(Invalid) as error:
        await region.create(**members)

    assert targets(error.value) == expected


async def test_children_of_an_instance_pass_the_sdk(region: Region) -> None:
    instance = await region.create(
        primary_network_attachment=attachment(name="eth0"),
        network_attachments=[attachment(SUBNET_2, name="eth1")],
    )
    path = f"/v1/instances/{instance['id']}"
    async with network_client(region) as api:
        attachments = await read(api, f"{path}/network_attachments")
        one = await read(
            api, f"{path}/network_attachments/{attachments['network_attachments'][1]['id']}"
        )
        child_path = f"{path}/network_interfaces/{one['id']}"
        child = await read(api, child_path)
        ips = await read(api, f"{child_path}/ips")
        ip = await read(api, f"{child_path}/ips/{child['primary_ip']['id']}")
        floating = await read(api, f"{child_path}/floating_ips")
        missing = [
            await api.get(f"{path}/network_interfaces/nope"),
            await api.get(f"{path}/network_attachments/nope"),
            await api.get(f"{path}/network_interfaces/nope/ips"),
            await api.get(f"{child_path}/floating_ips/nope"),
            await api.get("/v1/instances/nope/network_interfaces"),
        ]
        refused = await api.patch(child_path, json={"name": "mine"})
    async with network_client(region, STRANGER) as api:
        hidden = await api.get(f"{path}/network_attachments")

    parsed = sdk.InstanceNetworkAttachmentCollection.from_dict(attachments)
    assert [a.type for a in parsed.network_attachments] == ["primary", "secondary"]
    assert sdk.InstanceNetworkAttachment.from_dict(one).name == "eth1"
    assert sdk.NetworkInterface.from_dict(child).id == one["id"]
    assert child["port_speed"] == one["port_speed"] > 0
    assert sdk.ReservedIPCollectionInstanceNetworkInterfaceContext.from_dict(ips).total_count == 1
    assert (
        IP_TARGET.from_dict(sdk.ReservedIP.from_dict(ip).target).id
        == one["virtual_network_interface"]["id"]
    )
    assert floating == {"floating_ips": []}
    assert [errors(answer) for answer in missing] == [
        [("not_found", "id")],
        [("not_found", "id")],
        [("not_found", "network_interface_id")],
        [("not_found", "id")],
        [("not_found", "instance_id")],
    ]
    assert refused.status_code == 409
    assert errors(hidden) == [("not_found", "instance_id")]


async def test_attachments_come_and_go(region: Region) -> None:
    instance = await region.create(primary_network_attachment=attachment(name="eth0"))
    before = await region.count(*HELD)
    path = f"/v1/instances/{instance['id']}/network_attachments"
    async with network_client(region) as api:
        added = await made(api, path, attachment(SUBNET_2, name="eth1"))
        shown = (await region.get(instance["id"]))["network_attachments"]
        clash = await api.post(path, json=attachment(SUBNET_2, name="eth1"))
        far = await api.post(path, json=attachment(FAR_SUBNET))
        other = await api.post(path, json=attachment(OTHER_SUBNET))
        mixed = await api.post(
            f"/v1/instances/{instance['id']}/network_interfaces", json={"subnet": {"id": SUBNET}}
        )
        renamed = await api.patch(f"{path}/{added['id']}", json={"name": "eth2"})
        taken = await api.patch(f"{path}/{added['id']}", json={"name": "eth0"})
        primary = await api.delete(f"{path}/{instance['primary_network_attachment']['id']}")
        removed = await api.delete(f"{path}/{added['id']}")

    assert sdk.InstanceNetworkAttachment.from_dict(added).type == "secondary"
    assert [a["name"] for a in shown] == ["eth0", "eth1"]
    assert errors(clash) == [("validation_unique_failed", "name")]
    assert errors(far) == [("bad_field", "virtual_network_interface.subnet.id")]
    assert errors(other) == [("bad_field", "virtual_network_interface.subnet")]
    assert mixed.status_code == 409
    assert renamed.json()["name"] == "eth2"
    assert errors(taken) == [("validation_unique_failed", "name")]
    assert (primary.status_code, removed.status_code) == (409, 204)
    assert await region.count(*HELD) == before
    assert await region.stale() == []


async def test_older_interfaces_come_and_go(region: Region) -> None:
    instance = await region.create(**older(name="eth0"))
    before = await region.count(*HELD)
    path = f"/v1/instances/{instance['id']}/network_interfaces"
    async with network_client(region) as api:
        added = await made(api, path, {"subnet": {"id": SUBNET_2}, "name": "eth1"})
        changed = await api.patch(f"{path}/{added['id']}", json={"allow_ip_spoofing": True})
        zone = {"zone": {"name": "us-south-1"}}
        floating = await made(api, "/v1/floating_ips", zone)
        where = f"{path}/{added['id']}/floating_ips"
        bound = await api.put(f"{where}/{floating['id']}")
        listed = await read(api, where)
        by_type = await read(
            api, "/v1/floating_ips", **{"target.resource_type": "network_interface"}
        )
        loose = await api.delete(f"{where}/{floating['id']}")
        again = await api.delete(f"{where}/{floating['id']}")
        primary = await api.delete(f"{path}/{instance['primary_network_interface']['id']}")
        removed = await api.delete(f"{path}/{added['id']}")

    assert sdk.NetworkInterface.from_dict(added).type == "secondary"
    assert changed.json()["allow_ip_spoofing"] is True
    target = sdk.FloatingIP.from_dict(bound.json()).target
    assert sdk.FloatingIPTargetNetworkInterfaceReference.from_dict(target).id == added["id"]
    assert (
        sdk.FloatingIPUnpaginatedCollection.from_dict(listed).floating_ips[0].id == floating["id"]
    )
    assert by_type["total_count"] == 1
    assert (loose.status_code, again.status_code) == (204, 404)
    assert (primary.status_code, removed.status_code) == (409, 204)
    assert await region.count(*HELD) == before
    assert await region.stale() == []


async def test_only_as_many_as_the_profile_has_room_for(region: Region) -> None:
    instance = await region.create(
        network_attachments=[attachment(SUBNET_2) for _ in range(4)], profile={"name": "bx2-2x8"}
    )
    async with network_client(region) as api:
        sixth = await api.post(
            f"/v1/instances/{instance['id']}/network_attachments", json=attachment()
        )

    assert sixth.status_code == 409


async def test_no_address_is_without_a_holder(region: Region) -> None:
    """After comings and goings, every bound address has its interface, and every link too."""
    first = await region.create()
    second = await region.create(**older())
    await region.create()
    for instance in (first, second):
        await region.instances.delete(ADMINISTRATOR, instance["id"], None)

    async with region.database.read() as connection:
        bound = set(
            (
                await connection.execute(
                    select(reserved_ips.c.target_id).where(reserved_ips.c.target_id.is_not(None))
                )
            ).scalars()
        )
        links = set(
            (await connection.execute(select(interface_security_groups.c.interface_id))).scalars()
        )
        vnis = set((await connection.execute(select(virtual_network_interfaces.c.id))).scalars())

    assert bound == links == vnis
    assert len(vnis) == 1
