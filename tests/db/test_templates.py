"""Instance templates: the variants, reading, renaming, deleting (contract 2.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import ibm_vpc.vpc_v1 as sdk
import pytest
from fakes.queries import counted
from fakes.region import (
    ADMINISTRATOR,
    NAME,
    PROFILE,
    STRANGER,
    ZONE,
    Region,
    body,
)
from fakes.templates import (
    FULL,
    INTERFACE,
    OFF,
    OFFERING,
    ON,
    ON_HTTPS_7,
    OWN,
    PATH,
    made,
    sdk_class,
    template_client,
)
from fakes.vpc_api import client_of, errors

from linklocal.errors import NotAuthorized
from linklocal.iam.tables import profile_links
from linklocal.ids import vpc_crn
from linklocal.store.engine import Database
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.network.tables import virtual_network_interfaces
from linklocal.vpc.templates.model import TemplatePrototype
from linklocal.vpc.templates.routes import template_routes
from linklocal.vpc.templates.service import TemplateService
from linklocal.vpc.volumes.tables import volumes


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


@pytest.fixture
async def api(region: Region) -> AsyncIterator[httpx.AsyncClient]:
    async with template_client(region) as client:
        yield client


async def test_by_image_the_answer_repeats_the_body_as_given(api: httpx.AsyncClient) -> None:
    given = body(name="tpl", metadata_service=ON_HTTPS_7, **FULL)

    view = await made(api, name="tpl", metadata_service=ON_HTTPS_7, **FULL)

    repeated = {name: value for name, value in view.items() if name not in OWN}
    assert repeated == {name: value for name, value in given.items() if name not in OWN}
    assert view["name"] == "tpl"
    assert view["metadata_service"] == ON_HTTPS_7
    assert view["resource_group"]["name"] == "Default"
    assert view["href"] == f"http://api.test:8080{PATH}/{view['id']}"
    assert view["id"].startswith("0717-")
    assert view["crn"] == vpc_crn(ZONE, ADMINISTRATOR.account_id, "instance-template", view["id"])
    parsed = sdk_class("Image", "Attachment").from_dict(view)
    assert parsed.metadata_service.response_hop_limit == 7
    assert parsed.default_trusted_profile.auto_link is False


async def test_with_the_older_interfaces(api: httpx.AsyncClient) -> None:
    view = await made(
        api,
        primary_network_attachment=None,
        primary_network_interface=INTERFACE,
        network_interfaces=[INTERFACE],
    )

    interfaces = [view["primary_network_interface"], *view["network_interfaces"]]
    assert [{**each, "name": ""} for each in interfaces] == [{**INTERFACE, "name": ""}] * 2
    assert all(each["name"] for each in interfaces), "Terraform's provider takes names for granted"
    assert "primary_network_attachment" not in view
    assert sdk_class("Image", "Interface").from_dict(view).name == view["name"]


@pytest.mark.parametrize("network", ["Attachment", "Interface"])
async def test_by_catalog_offering_and_by_snapshot(api: httpx.AsyncClient, network: str) -> None:
    ways: dict[str, Any] = {"image": None}
    if network == "Interface":
        ways |= {"primary_network_attachment": None, "primary_network_interface": INTERFACE}

    offering = await made(api, catalog_offering=OFFERING, **ways)
    snapshot = await made(
        api, boot_volume_attachment={"volume": {"source_snapshot": {"id": "r006-s"}}}, **ways
    )

    assert offering["catalog_offering"] == OFFERING
    sdk_class("CatalogOffering", network).from_dict(offering)
    assert snapshot["boot_volume_attachment"]["delete_volume_on_instance_delete"] is True
    assert snapshot["boot_volume_attachment"]["volume"] == {
        "profile": {"name": "general-purpose"},
        "source_snapshot": {"id": "r006-s"},
    }
    sdk_class("SourceSnapshot", network).from_dict(snapshot)


@pytest.mark.parametrize("volume", [{}, {"volume": {"capacity": 120}}])
async def test_a_boot_volume_passes_the_sdks_model_whatever_was_given(
    api: httpx.AsyncClient, volume: dict[str, Any]
) -> None:
    view = await made(api, boot_volume_attachment=volume)

    sdk_class("Image", "Attachment").from_dict(view)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, OFF),
        ({"metadata_service": None}, OFF),
        ({"metadata_service": {}}, OFF),
        ({"metadata_service": {"enabled": True}}, ON),
        ({"metadata_service": {"protocol": "https"}}, {**OFF, "protocol": "https"}),
    ],
)
async def test_metadata_service_is_always_answered_whole(
    api: httpx.AsyncClient, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    answer = await api.post(PATH, json={**body(), **given})

    assert answer.json()["metadata_service"] == expected


async def test_nothing_is_made_for_a_template(region: Region, api: httpx.AsyncClient) -> None:
    await made(api, default_trusted_profile={"target": {"id": PROFILE}})

    nothing = await region.count(instances, volumes, virtual_network_interfaces, profile_links)
    assert set(nothing.values()) == {0}


async def test_the_list_has_one_page_newest_first(region: Region, api: httpx.AsyncClient) -> None:
    names = []
    for number in range(3):
        region.clock.advance(1)
        names.append((await made(api, name=f"tpl-{number}"))["name"])

    listed = (await api.get(PATH, params={**api.params, "limit": "1", "start": "x"})).json()

    assert [template["name"] for template in listed["templates"]] == names[::-1]
    assert sdk.InstanceTemplateCollection.from_dict(listed).total_count == 3
    assert listed["first"]["href"].endswith("limit=50")
    assert "next" not in listed


async def test_the_list_takes_as_many_queries_for_many_as_for_one(
    region: Region, api: httpx.AsyncClient
) -> None:
    service = TemplateService(region.context)
    await made(api)
    with counted(region.database) as one:
        await service.list(ADMINISTRATOR)
    await made(api)
    await made(api)
    with counted(region.database) as many:
        await service.list(ADMINISTRATOR)

    assert len(one) == len(many)


@pytest.mark.differs(
    "VPC API: PATCH of a template beyond its `name`",
    "the answer is not published",
    "400 `bad_field` that names the member",
)
async def test_a_template_takes_a_new_name_and_nothing_else(api: httpx.AsyncClient) -> None:
    view = await made(api, name="tpl", metadata_service=ON)
    await made(api, name="other")
    path = f"{PATH}/{view['id']}"

    immutable = await api.patch(path, json={"metadata_service": {"enabled": False}, "x": 1})
    with_name = await api.patch(path, json={"name": "new", "keys": []})
    taken = await api.patch(path, json={"name": "other"})
    same = await api.patch(path, json={"name": "tpl"})
    renamed = await api.patch(path, json={"name": "new"})

    assert errors(immutable) == [("bad_field", "metadata_service"), ("bad_field", "x")]
    assert "source_template" in immutable.json()["errors"][0]["message"]
    assert errors(with_name) == [("bad_field", "keys")]
    assert errors(taken) == [("validation_unique_failed", "name")]
    assert same.json() == view
    assert (renamed.status_code, renamed.json()) == (200, {**view, "name": "new"})


async def test_a_deleted_template_is_gone_and_its_instances_stay(
    region: Region, api: httpx.AsyncClient
) -> None:
    view = await made(api)
    nothing_else = dict.fromkeys(("image", "zone", "profile", "primary_network_attachment"))
    instance = await region.create(**nothing_else, source_template={"id": view["id"]})

    gone = await api.delete(f"{PATH}/{view['id']}")
    again = [
        await api.delete(f"{PATH}/{view['id']}"),
        await api.get(f"{PATH}/{view['id']}"),
        await api.patch(f"{PATH}/{view['id']}", json={"name": "x"}),
    ]

    assert gone.status_code == 204
    assert {answer.status_code for answer in again} == {404}
    assert (await region.get(instance["id"]))["id"] == instance["id"]


async def test_who_may_do_what(region: Region, api: httpx.AsyncClient) -> None:
    view = await made(api)
    viewer = await region.grant("Viewer")
    service = TemplateService(region.context)
    routes = template_routes(service)
    async with client_of(routes, caller=STRANGER) as stranger:
        foreign = await stranger.get(f"{PATH}/{view['id']}")
        listed = (await stranger.get(PATH)).json()

    assert foreign.status_code == 404
    assert listed["templates"] == []
    assert len(await service.list(viewer)) == 1
    with pytest.raises(NotAuthorized):
        await service.create(viewer, TemplatePrototype.model_validate(body()))
    assert region.context.region.name == NAME
