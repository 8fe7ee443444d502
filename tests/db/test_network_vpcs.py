"""VPCs and subnets: the operations, through HTTP and IBM's models (contract 2.6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.network import made, network_client, read
from fakes.region import GROUP, STRANGER, SUBNET, VPC, Region
from fakes.vpc_api import errors, pages
from ibm_vpc import vpc_v1 as sdk

from linklocal.store.engine import Database
from linklocal.vpc.network.tables import reserved_ips, security_groups, subnets, vpcs


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


async def test_a_vpc_comes_with_all_that_belongs_to_one(region: Region) -> None:
    async with network_client(region) as api:
        vpc = await made(api, "/v1/vpcs", {"name": "shop"})
        path = f"/v1/vpcs/{vpc['id']}"
        group = await read(api, f"{path}/default_security_group")
        acl = await read(api, f"{path}/default_network_acl")
        table = await read(api, f"{path}/default_routing_table")
        prefixes = await read(api, f"{path}/address_prefixes")
        one = await read(api, f"{path}/address_prefixes/{prefixes['address_prefixes'][0]['id']}")

    parsed = sdk.VPC.from_dict(vpc)
    assert (parsed.name, parsed.status, parsed.resource_group.id) == ("shop", "available", GROUP)
    assert [server["address"] for server in vpc["dns"]["resolver"]["servers"]] == [
        "161.26.0.10",
        "161.26.0.11",
    ]
    assert sdk.VPCDNSResolverTypeSystem.from_dict(vpc["dns"]["resolver"])
    assert sdk.DefaultSecurityGroup.from_dict(group).id == vpc["default_security_group"]["id"]
    assert sdk.DefaultNetworkACL.from_dict(acl).name == vpc["default_network_acl"]["name"]
    assert sdk.DefaultRoutingTable.from_dict(table).id == vpc["default_routing_table"]["id"]
    parsed_prefixes = sdk.AddressPrefixCollection.from_dict(prefixes).address_prefixes
    assert sorted((prefix.cidr, prefix.zone.name) for prefix in parsed_prefixes) == [
        ("10.240.0.0/18", "us-south-1"),
        ("10.240.128.0/18", "us-south-3"),
        ("10.240.64.0/18", "us-south-2"),
    ]
    assert one in prefixes["address_prefixes"]
    assert [rule["remote"].get("id") for rule in group["rules"]] == [group["id"], None]


async def test_a_vpc_needs_no_body(region: Region) -> None:
    async with network_client(region) as api:
        answer = await api.post("/v1/vpcs")

    assert answer.status_code == 201
    assert len(answer.json()["name"].split("-")) == 4


async def test_an_etag_guards_a_vpc(region: Region) -> None:
    async with network_client(region) as api:
        first = await api.post("/v1/vpcs", json={"name": "shop"})
        path, tag = f"/v1/vpcs/{first.json()['id']}", first.headers["etag"]
        renamed = await api.patch(path, json={"name": "store"}, headers={"If-Match": tag})
        stale = await api.patch(path, json={"name": "mall"}, headers={"If-Match": tag})
        kept = await api.delete(path, headers={"If-Match": tag})
        again = await api.get(path)
        gone = await api.delete(path, headers={"If-Match": again.headers["etag"]})
        missing = await api.get(path)

    assert renamed.json()["name"] == "store"
    assert renamed.headers["etag"] == again.headers["etag"] != tag
    assert [stale.status_code, kept.status_code] == [412, 412]
    assert (gone.status_code, missing.status_code) == (204, 404)
    assert (await region.count(vpcs))["vpcs"] == 2
    assert (await region.count(security_groups))["security_groups"] == 2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "vpc"}, [("validation_unique_failed", "name")]),
        ({"name": "ibm-vpc"}, [("bad_field", "name")]),
        ({"name": "Vpc"}, [("bad_field", "name")]),
        ({"resource_group": {"id": "x"}}, [("not_found", "resource_group.id")]),
        (
            {"name": "vpc", "resource_group": {"id": "x"}},
            [("not_found", "resource_group.id"), ("validation_unique_failed", "name")],
        ),
        ({"classic_access": "yes"}, [("bad_field", "classic_access")]),
    ],
)
async def test_a_wrong_vpc_is_refused(region: Region, body: Any, expected: Any) -> None:
    async with network_client(region) as api:
        answer = await api.post("/v1/vpcs", json=body)

    assert (answer.status_code, errors(answer)) == (400, expected)


async def test_one_of_two_concurrent_creates_gets_the_name(region: Region) -> None:
    async with network_client(region) as api:
        answers = await asyncio.gather(
            *(api.post("/v1/vpcs", json={"name": "twin"}) for _ in range(4))
        )

    assert sorted(answer.status_code for answer in answers) == [201, 400, 400, 400]
    lost = next(answer for answer in answers if answer.status_code == 400)
    assert errors(lost) == [("validation_unique_failed", "name")]


async def test_a_vpc_stays_while_it_has_subnets(region: Region) -> None:
    async with network_client(region) as api:
        vpc = await made(api, "/v1/vpcs")
        body = {"vpc": {"id": vpc["id"]}, "ipv4_cidr_block": "10.240.0.0/28"}
        subnet = await made(api, "/v1/subnets", body)
        kept = await api.delete(f"/v1/vpcs/{vpc['id']}")
        await api.delete(f"/v1/subnets/{subnet['id']}")
        gone = await api.delete(f"/v1/vpcs/{vpc['id']}")

    assert (kept.status_code, errors(kept)) == (409, [("conflict_field", "id")])
    assert gone.status_code == 204
    assert (await region.count(reserved_ips))["reserved_ips"] == 4 * 5


async def test_address_prefixes_are_added_and_removed(region: Region) -> None:
    async with network_client(region) as api:
        vpc = await made(api, "/v1/vpcs", {"address_prefix_management": "manual"})
        path = f"/v1/vpcs/{vpc['id']}/address_prefixes"
        empty = await read(api, path)
        body = {"cidr": "10.9.0.0/24", "zone": {"name": "us-south-2"}, "name": "nine"}
        prefix = await made(api, path, body)
        overlap = await api.post(path, json={**body, "cidr": "10.9.0.0/28"})
        subnet_body = {"vpc": {"id": vpc["id"]}, "ipv4_cidr_block": "10.9.0.0/28"}
        subnet = await made(api, "/v1/subnets", subnet_body)
        used = await read(api, f"{path}/{prefix['id']}")
        kept = await api.delete(f"{path}/{prefix['id']}")
        await api.delete(f"/v1/subnets/{subnet['id']}")
        gone = await api.delete(f"{path}/{prefix['id']}")

    assert empty["address_prefixes"] == []
    assert sdk.AddressPrefix.from_dict(prefix).has_subnets is False
    assert errors(overlap) == [("bad_field", "cidr"), ("validation_unique_failed", "name")]
    assert subnet["zone"]["name"] == "us-south-2"
    assert used["has_subnets"] is True
    assert (kept.status_code, gone.status_code) == (409, 204)


async def test_an_address_prefix_is_renamed_and_made_the_default_of_its_zone(
    region: Region,
) -> None:
    async with network_client(region) as api:
        vpc = await made(api, "/v1/vpcs", {"address_prefix_management": "manual"})
        path = f"/v1/vpcs/{vpc['id']}/address_prefixes"
        zone = {"zone": {"name": "us-south-2"}}
        nine = await made(api, path, {"cidr": "10.9.0.0/24", "name": "nine", **zone})
        ten = await made(api, path, {"cidr": "10.10.0.0/24", "is_default": True, **zone})
        third = await api.post(path, json={"cidr": "10.11.0.0/24", "is_default": True, **zone})
        clash = await api.patch(f"{path}/{ten['id']}", json={"name": "nine"})
        held = await api.patch(f"{path}/{nine['id']}", json={"is_default": True})
        freed = await api.patch(f"{path}/{ten['id']}", json={"is_default": False, "name": "ten"})
        given = await api.patch(f"{path}/{nine['id']}", json={"is_default": True})
        missing = await api.patch(f"{path}/nope", json={})
        listed = (await read(api, path))["address_prefixes"]

    for answer in (third, held):
        assert (answer.status_code, errors(answer)) == (409, [("conflict_field", "is_default")])
    assert errors(clash) == [("validation_unique_failed", "name")]
    assert freed.json() == {**ten, "name": "ten", "is_default": False}
    assert given.json() == {**nine, "is_default": True}
    assert listed == [given.json(), freed.json()]
    assert (missing.status_code, errors(missing)) == (404, [("not_found", "id")])


async def test_lists_are_paged_and_filtered(region: Region) -> None:
    async with network_client(region) as api:
        vpc = await made(api, "/v1/vpcs", {"name": "shop", "classic_access": True})
        for zone in ("us-south-1", "us-south-2"):
            body = {
                "vpc": {"id": vpc["id"]},
                "zone": {"name": zone},
                "total_ipv4_address_count": 16,
            }
            await made(api, "/v1/subnets", body)
        all_vpcs = await pages(api, "/v1/vpcs", limit="2")
        classic = await read(api, "/v1/vpcs", classic_access="true")
        of_vpc = {
            key: (await read(api, "/v1/subnets", **{f"vpc.{key}": vpc[key]}))["subnets"]
            for key in ("id", "crn", "name")
        }
        in_zone = await read(api, "/v1/subnets", **{"vpc.id": vpc["id"], "zone.name": "us-south-2"})
        table = vpc["default_routing_table"]
        by_table = await read(api, "/v1/subnets", **{"routing_table.id": table["id"]})
        by_table_name = await read(api, "/v1/subnets", **{"routing_table.name": "other"})

    assert [len(page["vpcs"]) for page in all_vpcs] == [2, 1]
    assert sdk.VPCCollection.from_dict(all_vpcs[0]).total_count == 3
    assert [found["name"] for found in classic["vpcs"]] == ["shop"]
    assert {len(found) for found in of_vpc.values()} == {2}
    assert sdk.SubnetCollection.from_dict(in_zone).total_count == 1
    assert by_table["total_count"] == 2
    assert by_table_name["total_count"] == 0


async def test_a_subnet_says_how_many_addresses_are_free(region: Region) -> None:
    async with network_client(region) as api:
        vpc = await made(api, "/v1/vpcs")
        body = {"vpc": {"crn": vpc["crn"]}, "ipv4_cidr_block": "10.240.64.0/28", "name": "front"}
        subnet = await made(api, "/v1/subnets", body)
        path = f"/v1/subnets/{subnet['id']}"
        await made(api, f"{path}/reserved_ips")
        later = await read(api, path)

    assert sdk.Subnet.from_dict(subnet).zone.name == "us-south-2"
    assert (subnet["total_ipv4_address_count"], subnet["available_ipv4_address_count"]) == (16, 11)
    assert later["available_ipv4_address_count"] == 10
    assert subnet["network_acl"] == vpc["default_network_acl"] | {
        "href": subnet["network_acl"]["href"]
    }


async def test_subnets_of_one_vpc_do_not_overlap_whoever_is_first(region: Region) -> None:
    """Concurrent creates by number of addresses get different networks."""
    async with network_client(region) as api:
        vpc = await made(api, "/v1/vpcs")
        body = {
            "vpc": {"id": vpc["id"]},
            "zone": {"name": "us-south-1"},
            "total_ipv4_address_count": 64,
        }
        answers = await asyncio.gather(*(api.post("/v1/subnets", json=body) for _ in range(6)))
        clash = await api.post(
            "/v1/subnets", json={"vpc": {"id": vpc["id"]}, "ipv4_cidr_block": "10.240.0.128/25"}
        )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["ipv4_cidr_block"] for answer in answers}) == 6
    assert errors(clash) == [("bad_field", "ipv4_cidr_block")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"vpc": {"id": "nope"}}, [("not_found", "vpc.id")]),
        ({"vpc": {}}, [("missing_field", "vpc.id")]),
        ({}, [("missing_field", "vpc")]),
        ({"vpc": {"id": VPC}, "zone": {"name": "mars"}, "name": "subnet-0717-sub"}, None),
    ],
)
async def test_a_wrong_subnet_is_refused(region: Region, body: Any, expected: Any) -> None:
    async with network_client(region) as api:
        answer = await api.post("/v1/subnets", json=body)

    assert answer.status_code == 400
    assert errors(answer) == expected or {name for _, name in errors(answer)} == {
        "zone.name",
        "name",
        "ipv4_cidr_block",
    }
    assert (await region.count(subnets))["subnets"] == 4


async def test_a_stranger_sees_nothing(region: Region) -> None:
    async with network_client(region, STRANGER) as api:
        vpc = await api.get(f"/v1/vpcs/{VPC}")
        subnet = await api.get(f"/v1/subnets/{SUBNET}")
        ips = await api.get(f"/v1/subnets/{SUBNET}/reserved_ips")
        listed = await read(api, "/v1/subnets")
        body = {"vpc": {"id": VPC}, "ipv4_cidr_block": "10.240.9.0/24"}
        made_in = await api.post("/v1/subnets", json=body)

    assert [vpc.status_code, subnet.status_code, ips.status_code] == [404, 404, 404]
    assert errors(ips) == [("not_found", "subnet_id")]
    assert listed["total_count"] == 0
    assert errors(made_in) == [("not_found", "vpc.id")]


async def test_a_reader_changes_nothing(region: Region) -> None:
    viewer = await region.grant("Viewer")
    async with network_client(region, viewer) as api:
        seen = await api.get(f"/v1/vpcs/{VPC}")
        answers = [
            await api.post("/v1/vpcs", json={}),
            await api.patch(f"/v1/vpcs/{VPC}", json={"name": "mine"}),
            await api.delete(f"/v1/subnets/{SUBNET}"),
            await api.post(f"/v1/subnets/{SUBNET}/reserved_ips", json={}),
            await api.post("/v1/floating_ips", json={"zone": {"name": "us-south-1"}}),
            await api.post("/v1/security_groups", json={"vpc": {"id": VPC}}),
            await api.post("/v1/virtual_network_interfaces", json={"subnet": {"id": SUBNET}}),
        ]

    assert seen.status_code == 200
    assert {answer.status_code for answer in answers} == {403}
