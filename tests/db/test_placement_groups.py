"""Placement groups: the operations, and what instances see of theirs (contract 2.6)."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fakes.queries import counted
from fakes.region import ADMINISTRATOR, GROUP, PLACEMENT_GROUP, STRANGER, Region
from fakes.vpc_api import client_of, errors, pages
from ibm_vpc.vpc_v1 import PlacementGroup, PlacementGroupCollection

from linklocal.errors import DomainError, Invalid, NotAuthorized
from linklocal.iam.caller import Caller
from linklocal.store.engine import Database
from linklocal.vpc.paging import Page
from linklocal.vpc.placement_groups.model import PlacementGroupPrototype
from linklocal.vpc.placement_groups.routes import placement_group_routes
from linklocal.vpc.placement_groups.service import PlacementGroupService

PATH = "/v1/placement_groups"


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


def client(region: Region, caller: Caller = ADMINISTRATOR) -> httpx.AsyncClient:
    routes = placement_group_routes(PlacementGroupService(region.context))
    return client_of(routes, caller=caller)


async def test_a_group_is_made_read_listed_renamed_and_removed(region: Region) -> None:
    async with client(region) as api:
        made = await api.post(PATH, json={"strategy": "power_spread", "name": "power"})
        group = made.json()
        read = (await api.get(f"{PATH}/{group['id']}")).json()
        listed = (await api.get(PATH)).json()
        renamed = (await api.patch(f"{PATH}/{group['id']}", json={"name": "other"})).json()
        gone = await api.delete(f"{PATH}/{group['id']}")
        again = await api.get(f"{PATH}/{group['id']}")

    assert made.status_code == 201
    assert PlacementGroup.from_dict(group).strategy == "power_spread"
    assert group["resource_group"]["id"] == GROUP
    assert group["crn"].endswith(f"::placement-group:{group['id']}")
    assert read == group
    assert PlacementGroupCollection.from_dict(listed).total_count == 2
    assert renamed == {**group, "name": "other"}
    assert gone.status_code == 204
    assert (again.status_code, errors(again)) == (404, [("not_found", "id")])


async def test_bad_bodies_are_refused(region: Region) -> None:
    async with client(region) as api:
        empty = await api.post(PATH, json={})
        wrong = await api.post(PATH, json={"strategy": "spread", "name": "A"})
        taken = await api.post(
            PATH,
            json={"strategy": "host_spread", "name": "spread", "resource_group": {"id": "x"}},
        )
        patch = await api.patch(f"{PATH}/{PLACEMENT_GROUP}", json={"strategy": "power_spread"})

    assert errors(empty) == [("missing_field", "strategy")]
    assert errors(wrong) == [("bad_field", "strategy"), ("bad_field", "name")]
    assert errors(taken) == [
        ("not_found", "resource_group.id"),
        ("validation_unique_failed", "name"),
    ]
    assert errors(patch) == [("bad_field", "strategy")]


async def test_of_requests_at_the_same_time_one_wins(region: Region) -> None:
    service = PlacementGroupService(region.context)
    prototype = PlacementGroupPrototype(strategy="host_spread", name="shared")

    answers = await asyncio.gather(
        *(service.create(ADMINISTRATOR, prototype) for _ in range(5)), return_exceptions=True
    )

    assert sum(isinstance(answer, dict) for answer in answers) == 1
    assert sum(isinstance(answer, Invalid) for answer in answers) == 4


async def test_a_rename_reaches_the_instances_in_the_group(region: Region) -> None:
    member = await region.create(placement_target={"id": PLACEMENT_GROUP})
    other = await region.create()
    before = await region.published()
    async with client(region) as api:
        await api.patch(f"{PATH}/{PLACEMENT_GROUP}", json={"name": "renamed"})
    published = await region.published()

    document = published[member["id"]].metadata
    assert [group["name"] for group in document["placement_groups"]] == ["renamed"]
    assert document["instance"]["placement_target"]["name"] == "renamed"
    assert published[other["id"]] == before[other["id"]]
    assert await region.stale() == []


async def test_a_group_with_instances_stays(region: Region) -> None:
    member = await region.create(placement_target={"id": PLACEMENT_GROUP})
    async with client(region) as api:
        refused = await api.delete(f"{PATH}/{PLACEMENT_GROUP}")
        await region.instances.delete(ADMINISTRATOR, member["id"], None)
        gone = await api.delete(f"{PATH}/{PLACEMENT_GROUP}")

    assert refused.status_code == 409
    assert member["id"] in refused.json()["errors"][0]["message"]
    assert gone.status_code == 204


async def test_a_delete_and_a_create_in_it_at_the_same_time_cannot_both_work(
    region: Region,
) -> None:
    service = PlacementGroupService(region.context)
    for _ in range(5):
        group = await service.create(ADMINISTRATOR, PlacementGroupPrototype(strategy="host_spread"))
        removed, made = await asyncio.gather(
            service.delete(ADMINISTRATOR, group["id"]),
            region.create(placement_target={"id": group["id"]}),
            return_exceptions=True,
        )
        refused = [answer for answer in (removed, made) if isinstance(answer, DomainError)]
        assert len(refused) == 1, (removed, made)


async def test_pages_and_queries(region: Region) -> None:
    service = PlacementGroupService(region.context)
    with counted(region.database) as one:
        await service.list(ADMINISTRATOR, Page(1))
    for _ in range(4):
        await service.create(ADMINISTRATOR, PlacementGroupPrototype(strategy="host_spread"))
    with counted(region.database) as many:
        await service.list(ADMINISTRATOR, Page(50))
    async with client(region) as api:
        found = await pages(api, PATH, limit="2")

    assert len(many) == len(one)
    assert [len(page["placement_groups"]) for page in found] == [2, 2, 1]


async def test_who_may_do_what(region: Region) -> None:
    viewer = await region.grant("Viewer")
    service = PlacementGroupService(region.context)
    async with client(region, STRANGER) as api:
        foreign = await api.delete(f"{PATH}/{PLACEMENT_GROUP}")

    assert foreign.status_code == 404
    assert (await service.get(viewer, PLACEMENT_GROUP))["name"] == "spread"
    with pytest.raises(NotAuthorized):
        await service.create(viewer, PlacementGroupPrototype(strategy="host_spread"))
