"""`/v1/instances` over HTTP: status codes, ETags, targets, and what is empty or absent on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fakes import region as r
from fakes.region import Region, body
from fakes.vpc_api import client_of, errors, pages
from ibm_vpc.vpc_v1 import (
    Instance,
    InstanceAction,
    InstanceClusterNetworkAttachmentCollection,
    InstanceCollection,
    InstanceInitialization,
    InstanceSoftwareAttachment,
    InstanceSoftwareAttachmentCollection,
)
from sqlalchemy import update

from linklocal.store.engine import Database
from linklocal.vpc.instances.routes import instance_routes
from linklocal.vpc.instances.tables import instances

SOFTWARE = {
    "id": "0f8fad5b",
    "name": "brisk-fern",
    "created_at": "2026-09-01T08:15:35.000Z",
    "lifecycle_state": "stable",
    "lifecycle_reasons": [],
    "catalog_offering": {"version": {"crn": "crn:version"}},
    "offering_instance": {"crn": "crn:offering"},
    "entitlement": {"licensed_software": [{"sku": "db-std-4", "key": "LL-7Q2M-XX19"}]},
}


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


@pytest.fixture
async def api(region: Region) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(instance_routes(region.instances), caller=r.ADMINISTRATOR) as client:
        yield client


async def create(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    answer = await api.post("/v1/instances", json=body(**members))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_from_create_to_delete(region: Region, api: httpx.AsyncClient) -> None:
    created = await api.post("/v1/instances", json=body(name="web", keys=[{"id": r.KEY}]))
    url = f"/v1/instances/{created.json()['id']}"
    await region.acknowledge()
    read = await api.get(url)
    patch = {"metadata_service": {"enabled": True}}
    patched = await api.patch(url, json=patch, headers={"If-Match": read.headers["ETag"]})
    stale = await api.patch(url, json=patch, headers={"If-Match": read.headers["ETag"]})
    initialization = await api.get(f"{url}/initialization")
    action = await api.post(f"{url}/actions", json={"type": "stop"})
    again = await api.post(f"{url}/actions", json={"type": "stop"})
    deleted = await api.delete(url)
    deleting = await api.get(url)
    await region.acknowledge()
    gone = await api.get(url)

    assert created.headers["ETag"] == read.headers["ETag"]
    assert created.headers["ETag"].startswith('W/"')
    assert Instance.from_dict(read.json()).href == f"http://api.test:8080{url}"
    assert patched.json()["metadata_service"]["enabled"] is True
    assert patched.headers["ETag"] != read.headers["ETag"]
    assert (stale.status_code, errors(stale)) == (412, [("precondition_failed", "If-Match")])
    assert InstanceInitialization.from_dict(initialization.json()).keys[0].id == r.KEY
    assert action.status_code == 201
    assert InstanceAction.from_dict(action.json()).href.startswith(f"http://api.test:8080{url}/")
    assert (again.status_code, errors(again)) == (409, [("conflict_field", "type")])
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert deleting.json()["status"] == "deleting"
    assert (gone.status_code, errors(gone)) == (404, [("not_found", "id")])


BAD_MEMBERS: list[tuple[str, Any]] = [
    ("enabled", "true"),
    ("enabled", 1),
    ("protocol", "HTTPS"),
    ("protocol", "ftp"),
    ("response_hop_limit", 0),
    ("response_hop_limit", 65),
    ("response_hop_limit", True),
    ("response_hop_limit", "1"),
    ("response_hop_limit", 1.5),
    ("enabld", True),
]


@pytest.mark.parametrize(("member", "value"), BAD_MEMBERS)
async def test_a_bad_setting_is_refused_by_name_on_create_and_patch(
    region: Region, api: httpx.AsyncClient, member: str, value: Any
) -> None:
    url = f"/v1/instances/{(await create(api))['id']}"
    before = (await api.get(url)).json()
    settings = {"metadata_service": {"protocol": "https", member: value}}

    refused = await api.post("/v1/instances", json=body(**settings))
    unpatched = await api.patch(url, json=settings)

    expected = (400, [("bad_field", f"metadata_service.{member}")])
    assert (refused.status_code, errors(refused)) == expected
    assert (unpatched.status_code, errors(unpatched)) == expected
    assert (await api.get(url)).json() == before
    assert await region.count(instances) == {"instances": 1}


@pytest.mark.parametrize("value", [None, {"enabled": None}, [], "on"])
async def test_null_and_other_things_are_no_patch(api: httpx.AsyncClient, value: Any) -> None:
    url = f"/v1/instances/{(await create(api))['id']}"

    refused = await api.patch(url, json={"metadata_service": value})

    assert refused.status_code == 400
    assert errors(refused)[0][1].startswith("metadata_service")


async def test_a_create_only_member_says_what_to_do_instead(api: httpx.AsyncClient) -> None:
    url = f"/v1/instances/{(await create(api))['id']}"
    member = {"default_trusted_profile": {"target": {"id": r.PROFILE}}}

    refused = await api.patch(url, json=member)

    assert (refused.status_code, errors(refused)) == (
        400,
        [("bad_field", "default_trusted_profile")],
    )
    assert "reinitialize" in refused.json()["errors"][0]["message"]


@pytest.mark.differs(
    "VPC API: status of a reinitialize",
    "not published",
    "202",
)
async def test_reinitialize_is_accepted_without_a_body(
    region: Region, api: httpx.AsyncClient
) -> None:
    url = f"/v1/instances/{(await create(api))['id']}"
    await api.post(f"{url}/actions", json={"type": "stop"})
    await region.acknowledge()

    accepted = await api.post(f"{url}/reinitialize", json={"image": {"id": r.IMAGE}})

    assert (accepted.status_code, accepted.content) == (202, b"")
    assert (await api.get(url)).json()["status"] == "starting"


async def test_collections_have_pages(region: Region, api: httpx.AsyncClient) -> None:
    made = []
    for number in range(3):
        region.clock.advance(1)
        made.append((await create(api, name=f"vm-{number}"))["id"])

    found = await pages(api, "/v1/instances", limit="2", **{"vpc.id": r.VPC})

    listed = [instance["id"] for page in found for instance in page["instances"]]
    assert listed == made[::-1]
    assert [page["total_count"] for page in found] == [3, 3]
    assert "vpc.id=" in found[0]["next"]["href"]
    assert len(InstanceCollection.from_dict(found[0]).instances) == 2


ABSENT_KINDS = [
    "cluster_network.id",
    "cluster_network.crn",
    "cluster_network.name",
    "dedicated_host.id",
    "dedicated_host.crn",
    "dedicated_host.name",
    "reservation.id",
    "reservation.crn",
    "reservation.name",
    "instance_group_membership.instance_group.id",
    "instance_group_membership.instance_group.crn",
]


@pytest.mark.parametrize("name", ABSENT_KINDS)
async def test_a_filter_by_what_linklocal_does_not_have_matches_nothing(
    api: httpx.AsyncClient, name: str
) -> None:
    await create(api)

    answer = await api.get("/v1/instances", params={**api.params, name: "x"})

    assert (answer.status_code, answer.json()["total_count"]) == (200, 0)


async def test_a_filter_outside_its_enumeration_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/instances", params={**api.params, "availability.class": "gold"})

    assert (answer.status_code, errors(answer)) == (400, [("bad_field", "availability.class")])


async def test_software_attachments_hide_licence_keys(
    region: Region, api: httpx.AsyncClient
) -> None:
    id = (await create(api))["id"]
    async with region.database.transaction() as connection:
        statement = update(instances).where(instances.c.id == id)
        await connection.execute(statement.values(software_attachments=[SOFTWARE]))
    url = f"/v1/instances/{id}/software_attachments"

    listed, one = await api.get(url), await api.get(f"{url}/{SOFTWARE['id']}")
    missing = await api.get(f"{url}/nothing")

    collection = InstanceSoftwareAttachmentCollection.from_dict(listed.json())
    assert [item.id for item in collection.software_attachments] == [SOFTWARE["id"]]
    assert InstanceSoftwareAttachment.from_dict(one.json()).name == "brisk-fern"
    assert "LL-7Q2M" not in listed.text + one.text
    assert missing.status_code == 404
    assert (await api.get(f"/v1/instances/{id}")).json()["software_attachments"][0]["id"]


@pytest.mark.differs(
    "VPC API: console access tokens of instances",
    "open a serial or VNC console",
    "501: use `linklocal enter`, or your hypervisor's console",
)
async def test_what_is_absent_is_empty_or_says_so(api: httpx.AsyncClient) -> None:
    url = f"/v1/instances/{(await create(api))['id']}"

    disks = await api.get(f"{url}/disks")
    clusters = await api.get(f"{url}/cluster_network_attachments")
    console = await api.post(f"{url}/console_access_token", json={"console_type": "serial"})

    assert disks.json() == {"disks": []}
    parsed = InstanceClusterNetworkAttachmentCollection.from_dict(clusters.json())
    assert parsed.cluster_network_attachments == []
    assert (console.status_code, errors(console)) == (501, [("not_implemented", "console_type")])
    assert "linklocal enter" in console.json()["errors"][0]["message"]
    assert (await api.get(f"{url}/disks/x")).status_code == 404
    assert (await api.get(f"{url}/cluster_network_attachments/x")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/initialization",
        "/disks",
        "/software_attachments",
        "/cluster_network_attachments",
    ],
)
async def test_below_an_instance_that_is_not_there_is_nothing(
    api: httpx.AsyncClient, path: str
) -> None:
    answer = await api.get(f"/v1/instances/0717_nowhere{path}")

    assert (answer.status_code, errors(answer)[0][0]) == (404, "not_found")
