"""Security groups: the operations, their rules and what they guard (contract 2.6)."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.network import made, network_client, read
from fakes.region import OTHER_SUBNET, SUBNET, VPC, Region
from fakes.vpc_api import errors
from ibm_vpc import vpc_v1 as sdk

from linklocal.store.engine import Database

GROUPS = "/v1/security_groups"


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


async def test_a_group_is_made_read_listed_renamed_and_removed(region: Region) -> None:
    rules = [
        {"direction": "inbound", "protocol": "tcp", "port_min": 22, "port_max": 22, "name": "ssh"},
        {"direction": "inbound", "protocol": "icmp", "type": 8, "code": 0},
        {"direction": "outbound", "protocol": "any", "remote": {"id": "r006-vpc-sg"}},
        {"direction": "outbound", "protocol": "udp", "remote": {"cidr_block": "10.0.0.0/8"}},
    ]
    async with network_client(region) as api:
        group = await made(api, GROUPS, {"vpc": {"id": VPC}, "name": "web", "rules": rules})
        path = f"{GROUPS}/{group['id']}"
        got = await read(api, path)
        listed = await read(api, GROUPS, **{"vpc.name": "vpc"})
        listed_rules = await read(api, f"{path}/rules")
        rule = await read(api, f"{path}/rules/{group['rules'][0]['id']}")
        renamed = await api.patch(path, json={"name": "www"})
        gone = await api.delete(path)
        missing = await api.get(path)

    parsed = sdk.SecurityGroup.from_dict(group)
    assert got == group
    assert parsed.vpc.id == VPC
    assert [r.protocol for r in parsed.rules] == ["tcp", "icmp", "any", "udp"]
    assert group["rules"][2]["remote"]["name"] == "vpc-sg"
    assert sdk.SecurityGroupCollection.from_dict(listed).total_count == 2
    assert len(sdk.SecurityGroupRuleCollection.from_dict(listed_rules).rules) == 4
    assert sdk.SecurityGroupRule.from_dict(rule).port_min == 22
    assert renamed.json()["name"] == "www"
    assert (gone.status_code, missing.status_code) == (204, 404)


async def test_rules_are_added_and_removed(region: Region) -> None:
    async with network_client(region) as api:
        group = await made(api, GROUPS, {"vpc": {"id": VPC}})
        other = await made(api, GROUPS, {"vpc": {"id": VPC}, "name": "other"})
        path = f"{GROUPS}/{group['id']}/rules"
        body = {"direction": "inbound", "protocol": "tcp", "name": "all-tcp"}
        rule = await made(api, path, {**body, "remote": {"crn": other["crn"]}})
        clash = await api.post(path, json=body)
        unknown = await api.post(path, json={**body, "name": "x", "remote": {"id": "nope"}})
        kept = await api.delete(f"{GROUPS}/{other['id']}")
        await api.patch(f"{GROUPS}/{other['id']}", json={"name": "renamed"})
        shown = await read(api, f"{path}/{rule['id']}")
        removed = await api.delete(f"{path}/{rule['id']}")
        again = await api.delete(f"{path}/{rule['id']}")
        gone = await api.delete(f"{GROUPS}/{other['id']}")

    assert sdk.SecurityGroupRule.from_dict(rule).name == "all-tcp"
    assert errors(clash) == [("validation_unique_failed", "name")]
    assert errors(unknown) == [("not_found", "remote.id")]
    assert kept.status_code == 409
    assert shown["remote"]["name"] == "renamed"
    assert [removed.status_code, again.status_code, gone.status_code] == [204, 404, 204]


async def test_a_rule_is_changed_member_by_member(region: Region) -> None:
    async with network_client(region) as api:
        group = await made(api, GROUPS, {"vpc": {"id": VPC}})
        other = await made(api, GROUPS, {"vpc": {"id": VPC}, "name": "other"})
        path = f"{GROUPS}/{group['id']}/rules"
        ports = {"port_min": 22, "port_max": 22}
        body = {"direction": "inbound", "protocol": "tcp", "name": "ssh", **ports}
        rule = await made(api, path, body)
        ping = await made(api, path, {"direction": "inbound", "protocol": "icmp", "type": 8})
        one = f"{path}/{rule['id']}"
        changed = await api.patch(one, json={"port_max": 23, "remote": {"id": other["id"]}})
        narrowed = await api.patch(one, json={"name": "ssh", "remote": {"address": "10.0.0.1"}})
        opened = await api.patch(one, json={"port_min": None, "port_max": None})
        refused = [
            await api.patch(one, json={"name": ping["name"], "port_min": 5, "code": 1}),
            await api.patch(one, json={"port_min": "22"}),
            await api.patch(one, json={"remote": {"id": "nope"}}),
            await api.patch(f"{path}/{ping['id']}", json={"type": None, "code": 1}),
        ]
        missing = await api.patch(f"{path}/nope", json={})
        listed = (await read(api, path))["rules"]

    assert changed.json() == {
        **rule,
        "port_max": 23,
        "remote": {member: other[member] for member in ("crn", "href", "id", "name")},
    }
    assert narrowed.json()["remote"] == {"address": "10.0.0.1"}
    assert opened.json().keys() == rule.keys() - ports.keys()
    assert listed == [opened.json(), ping]
    assert [errors(answer) for answer in refused] == [
        [
            ("bad_field", "code"),
            ("missing_field", "port_max"),
            ("validation_unique_failed", "name"),
        ],
        [("bad_field", "port_min")],
        [("not_found", "remote.id")],
        [("missing_field", "type")],
    ]
    assert (missing.status_code, errors(missing)) == (404, [("not_found", "id")])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [("missing_field", "vpc")]),
        ({"vpc": {"id": "nope"}, "name": "vpc-sg"}, None),
        (
            {
                "vpc": {"id": VPC},
                "rules": [
                    {"direction": "inbound", "protocol": "tcp", "port_min": 2, "port_max": 1},
                    {"direction": "inbound", "protocol": "any", "remote": {"id": "r006-vpc-2-sg"}},
                ],
            },
            [("bad_field", "rules[0].port_min"), ("bad_field", "rules[1].remote")],
        ),
        (
            {"vpc": {"id": VPC}, "rules": [{"direction": "up", "protocol": "any"}]},
            [("bad_field", "rules[0].direction")],
        ),
    ],
)
async def test_a_wrong_group_is_refused(region: Region, body: Any, expected: Any) -> None:
    async with network_client(region) as api:
        answer = await api.post(GROUPS, json=body)

    assert answer.status_code == 400
    assert errors(answer) == (
        expected or [("not_found", "vpc.id"), ("validation_unique_failed", "name")]
    )


@pytest.mark.differs(
    "VPC API: rules of security groups",
    "enforced",
    "kept and shown: linklocal moves no packets",
)
async def test_a_group_guards_what_is_bound_to_it(region: Region) -> None:
    instance = await region.create()
    vni_id = instance["primary_network_attachment"]["virtual_network_interface"]["id"]
    async with network_client(region) as api:
        group = await made(api, GROUPS, {"vpc": {"id": VPC}, "name": "web"})
        path = f"{GROUPS}/{group['id']}/targets"
        empty = await read(api, path)
        foreign = await made(
            api, "/v1/virtual_network_interfaces", {"subnet": {"id": OTHER_SUBNET}}
        )
        elsewhere = await api.put(f"{path}/{foreign['id']}")
        nothing = await api.put(f"{path}/nope")
        bound = await api.put(f"{path}/{vni_id}")
        again = await api.put(f"{path}/{vni_id}")
        listed = await read(api, path)
        one = await read(api, f"{path}/{vni_id}")
        shown = await read(api, f"/v1/virtual_network_interfaces/{vni_id}")
        kept = await api.delete(f"{GROUPS}/{group['id']}")
        published = (await region.published())[instance["id"]]
        fresh = await region.stale()
        loose = await api.delete(f"{GROUPS}/r006-vpc-sg/targets/{vni_id}")
        last = await api.delete(f"{path}/{vni_id}")

    reference = sdk.SecurityGroupTargetReferenceVirtualNetworkInterfaceReference
    assert empty["targets"] == []
    assert (elsewhere.status_code, nothing.status_code) == (409, 404)
    assert (bound.status_code, again.status_code) == (201, 201)
    assert reference.from_dict(bound.json()).id == vni_id
    assert sdk.SecurityGroupTargetCollection.from_dict(listed).total_count == 1
    assert one == listed["targets"][0]
    assert [g["name"] for g in shown["security_groups"]] == ["vpc-sg", "web"]
    groups = published.metadata["network_interfaces"][0]["security_groups"]
    assert [g["name"] for g in groups] == ["vpc-sg", "web"]
    assert fresh == []
    assert kept.status_code == 409
    assert (loose.status_code, last.status_code) == (204, 409)
    assert await region.stale() == []


async def test_a_default_group_stays_with_its_vpc(region: Region) -> None:
    async with network_client(region) as api:
        answer = await api.delete(f"{GROUPS}/r006-vpc-sg")

    assert (answer.status_code, errors(answer)) == (409, [("conflict_field", "id")])


async def test_an_older_interface_is_guarded_too(region: Region) -> None:
    instance = await region.create(
        primary_network_attachment=None, primary_network_interface={"subnet": {"id": SUBNET}}
    )
    interface_id = instance["primary_network_interface"]["id"]
    async with network_client(region) as api:
        listed = await read(api, f"{GROUPS}/r006-vpc-sg/targets")
        group = await made(api, GROUPS, {"vpc": {"id": VPC}})
        bound = await api.put(f"{GROUPS}/{group['id']}/targets/{interface_id}")

    reference = sdk.SecurityGroupTargetReferenceNetworkInterfaceReferenceTargetContext
    assert reference.from_dict(listed["targets"][0]).id == interface_id
    assert bound.status_code == 201
    assert await region.stale() == []
