"""Instance templates: the variants, what they inherit, what cannot be changed (contract 2.5)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import ibm_vpc.vpc_v1 as sdk
import pytest
from fakes.queries import counted
from fakes.region import (
    ADMINISTRATOR,
    GROUP,
    IMAGE,
    KEY,
    NAME,
    OTHER_SUBNET,
    PROFILE,
    S390X_IMAGE,
    STRANGER,
    SUBNET,
    VPC,
    ZONE,
    Region,
    attachment,
    body,
)
from fakes.vpc_api import client_of, errors
from sqlalchemy import select

from linklocal.errors import Invalid, NotAuthorized
from linklocal.iam.tables import profile_links
from linklocal.ids import vpc_crn
from linklocal.store.engine import Database
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.network.tables import virtual_network_interfaces
from linklocal.vpc.templates.model import TemplatePrototype
from linklocal.vpc.templates.routes import template_routes
from linklocal.vpc.templates.service import TemplateService
from linklocal.vpc.volumes.tables import volumes

PATH = "/v1/instance/templates"
OFF = {"enabled": False, "protocol": "http", "response_hop_limit": 1}
ON = {"enabled": True, "protocol": "http", "response_hop_limit": 1}
ON_HTTPS_7 = {"enabled": True, "protocol": "https", "response_hop_limit": 7}
INTERFACE = {"subnet": {"id": SUBNET}}
OFFERING = {
    "version": {"crn": "crn:v1:bluemix:public:globalcatalog-collection:global:a/x::version:y"}
}
OWN = {"id", "crn", "href", "name", "created_at", "resource_group", "metadata_service"}


def sdk_class(variant: str, network: str) -> Any:
    """The class of IBM's SDK: `variant` is Image, CatalogOffering or SourceSnapshot."""
    context = f"InstanceBy{variant}InstanceTemplateContext"
    return getattr(sdk, f"InstanceTemplate{context}{context}InstanceByNetwork{network}")


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


@pytest.fixture
async def api(region: Region) -> AsyncIterator[httpx.AsyncClient]:
    routes = template_routes(TemplateService(region.context))
    async with client_of(routes, caller=ADMINISTRATOR) as client:
        yield client


async def made(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    answer = await api.post(PATH, json=body(**members))
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    assert (await api.get(f"{PATH}/{view['id']}")).json() == view
    return view


async def derived(api: httpx.AsyncClient, source: dict[str, Any], **members: Any) -> dict[str, Any]:
    answer = await api.post(PATH, json={"source_template": {"id": source["id"]}, **members})
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def refused(api: httpx.AsyncClient, given: dict[str, Any]) -> list[tuple[str, str]]:
    answer = await api.post(PATH, json=given)
    assert answer.status_code == 400, answer.text
    return errors(answer)


# Variants


FULL: dict[str, Any] = {
    "vpc": {"id": VPC},
    "keys": [{"id": KEY}, {"fingerprint": "SHA256:r006-rsa"}],
    "user_data": "#cloud-config\n",
    "default_trusted_profile": {"auto_link": False, "target": {"id": PROFILE}},
    "availability_policy": {"host_failure": "stop"},
    "availability": {"class": "standard"},
    "resource_group": {"id": GROUP},
    "boot_volume_attachment": {
        "delete_volume_on_instance_delete": True,
        "volume": {"capacity": 120, "profile": {"name": "general-purpose"}},
    },
    "volume_attachments": [{"volume": {"capacity": 10, "profile": {"name": "5iops-tier"}}}],
}


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

    assert view["primary_network_interface"] == INTERFACE
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


# Refusals


REFUSED: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"image": {"id": "x"}}, [("not_found", "image.id")]),
    ({"image": None}, [("missing_field", "image")]),
    ({"zone": None}, [("missing_field", "zone")]),
    ({"zone": {"name": "eu-de-1"}}, [("not_found", "zone.name")]),
    ({"profile": {"name": "x"}}, [("not_found", "profile.name")]),
    ({"keys": [{"id": "x"}]}, [("not_found", "keys[0].id")]),
    ({"vpc": {"id": "x"}}, [("not_found", "vpc.id")]),
    ({"resource_group": {"id": "x"}}, [("not_found", "resource_group.id")]),
    ({"name": "-"}, [("bad_field", "name")]),
    ({"name": "ibm-x"}, [("bad_field", "name")]),
    (
        {"metadata_service": {"response_hop_limit": 65}},
        [("bad_field", "metadata_service.response_hop_limit")],
    ),
    ({"metadata_service": {"enabld": True}}, [("bad_field", "metadata_service.enabld")]),
    (
        {"default_trusted_profile": {"target": {"id": "Profile-x"}}},
        [("not_found", "default_trusted_profile.target.id")],
    ),
    (
        {"primary_network_interface": INTERFACE},
        [("bad_field", "primary_network_interface")],
    ),
    (
        {"boot_volume_attachment": {"volume": {"capacity": 1}}},
        [("bad_field", "boot_volume_attachment.volume.capacity")],
    ),
    (
        {"image": {"id": S390X_IMAGE}, "profile": {"name": "bz2-2x8"}, "metadata_service": ON},
        [("bad_field", "metadata_service.enabled")],
    ),
    ({"catalog_offering": OFFERING}, [("bad_field", "catalog_offering")]),
    ({"image": None, "catalog_offering": {}}, [("bad_field", "catalog_offering")]),
    (
        {"image": None, "catalog_offering": {**OFFERING, "offering": {"crn": "c"}}},
        [("bad_field", "catalog_offering")],
    ),
    (
        {"image": None, "catalog_offering": {"version": {}}},
        [("missing_field", "catalog_offering.version.crn")],
    ),
    (
        {"image": None, "catalog_offering": {"version": {"crn": "a\0b"}}},
        [("bad_field", "catalog_offering.version.crn")],
    ),
    (
        {"image": None, "catalog_offering": OFFERING, "zone": {"name": "x"}},
        [("not_found", "zone.name")],
    ),
    (
        {"primary_network_attachment": attachment(OTHER_SUBNET), "vpc": {"id": VPC}},
        [("bad_field", "vpc")],
    ),
]


async def test_a_body_is_checked_as_an_instances_is(api: httpx.AsyncClient) -> None:
    found = [(changes, await refused(api, body(**changes))) for changes, _ in REFUSED]

    assert found == REFUSED
    assert (await api.get(PATH)).json()["total_count"] == 0


async def test_text_that_cannot_be_stored_is_refused_and_told(api: httpx.AsyncClient) -> None:
    members: dict[str, Any] = {
        "user_data": "X",
        "image.id": {"id": "X"},
        "keys[0].crn": [{"crn": "X"}],
    }
    for target, value in members.items():
        text = json.dumps(body(**{re.split(r"[.\[]", target)[0]: value}))
        for escape in ("\\u0000", "\\ud800"):
            answer = await api.post(
                PATH,
                content=text.replace('"X"', f'"{escape}"'),
                headers={"Content-Type": "application/json"},
            )

            assert (answer.status_code, errors(answer)) == (400, [("bad_field", target)])


async def test_a_template_cannot_start_from_an_existing_volume(
    region: Region, api: httpx.AsyncClient
) -> None:
    await region.create()
    async with region.database.read() as connection:
        id = (await connection.execute(select(volumes.c.id))).scalar_one()

    found = await refused(api, body(image=None, boot_volume_attachment={"volume": {"id": id}}))

    assert ("bad_field", "boot_volume_attachment.volume.id") in found


async def test_every_problem_is_told(api: httpx.AsyncClient) -> None:
    await made(api, name="tpl")

    found = await refused(
        api, body(name="tpl", image={"id": "x"}, keys=[{"id": "y"}], zone={"name": "z"})
    )

    assert set(found) == {
        ("validation_unique_failed", "name"),
        ("not_found", "image.id"),
        ("not_found", "keys[0].id"),
        ("not_found", "zone.name"),
    }


async def test_an_instances_name_is_free_for_a_template(
    region: Region, api: httpx.AsyncClient
) -> None:
    await region.create(name="web")

    assert (await made(api, name="web"))["name"] == "web"


async def test_of_requests_at_the_same_time_one_wins(region: Region) -> None:
    service = TemplateService(region.context)
    prototype = TemplatePrototype.model_validate(body(name="shared"))

    answers = await asyncio.gather(
        *(service.create(ADMINISTRATOR, prototype) for _ in range(4)), return_exceptions=True
    )

    assert sum(isinstance(answer, dict) for answer in answers) == 1
    assert sum(isinstance(answer, Invalid) for answer in answers) == 3


# Templates and instances made from templates


async def test_a_template_of_a_template_of_a_template(api: httpx.AsyncClient) -> None:
    first = await made(api, name="first", metadata_service=ON_HTTPS_7, **FULL)
    second = await derived(api, first, metadata_service={"enabled": True}, user_data="2")
    third = await derived(api, second, metadata_service={"enabled": False}, keys=[])

    inherited = {name for name in first if name not in OWN}
    assert {n: second[n] for n in inherited} == {n: first[n] for n in inherited} | {
        "user_data": "2"
    }
    assert {n: third[n] for n in inherited} == {n: second[n] for n in inherited} | {"keys": []}
    assert second["metadata_service"] == ON_HTTPS_7
    assert third["metadata_service"] == {**ON_HTTPS_7, "enabled": False}
    assert len({first["name"], second["name"], third["name"]}) == 3
    assert "source_template" not in third
    assert (await api.get(f"{PATH}/{first['id']}")).json() == first


async def test_a_source_can_be_named_by_crn_and_href_and_be_deleted(
    api: httpx.AsyncClient,
) -> None:
    source = await made(api)
    copies = []
    for member in ("crn", "href"):
        answer = await api.post(PATH, json={"source_template": {member: source[member]}})
        copies.append(answer.json())

    await api.delete(f"{PATH}/{source['id']}")

    assert [copy["image"] for copy in copies] == [{"id": IMAGE}] * 2
    assert (await api.get(f"{PATH}/{copies[0]['id']}")).json() == copies[0]
    assert await refused(api, {"source_template": {"id": source["id"]}}) == [
        ("not_found", "source_template.id")
    ]


async def test_an_override_is_checked_together_with_what_is_inherited(
    api: httpx.AsyncClient,
) -> None:
    source = await made(api, metadata_service=ON)
    template = {"source_template": {"id": source["id"]}}

    found = await refused(
        api, {**template, "image": {"id": S390X_IMAGE}, "profile": {"name": "bz2-2x8"}}
    )
    mixed = await refused(
        api, {**template, "name": "ibm-x", "primary_network_interface": INTERFACE}
    )

    assert found == [("bad_field", "metadata_service.enabled")]
    assert mixed == [("bad_field", "primary_network_interface"), ("bad_field", "name")]


async def test_an_image_takes_the_place_of_a_catalog_offering(
    region: Region, api: httpx.AsyncClient
) -> None:
    source = await made(api, image=None, catalog_offering=OFFERING)
    template = {"source_template": {"id": source["id"]}}

    view = await derived(api, source, image={"id": IMAGE})
    with pytest.raises(Invalid) as no_catalog:
        await region.create(
            image=None, zone=None, profile=None, primary_network_attachment=None, **template
        )

    assert "catalog_offering" not in view
    assert [p.target and p.target.name for p in no_catalog.value.problems] == ["catalog_offering"]


async def test_an_instance_inherits_everything_but_the_name(
    region: Region, api: httpx.AsyncClient
) -> None:
    source = await made(api, name="tpl", metadata_service=ON_HTTPS_7, **FULL)
    nothing_else = dict.fromkeys(("image", "zone", "profile", "primary_network_attachment"))

    made_of_it = await region.create(**nothing_else, source_template={"id": source["id"]})

    document = (await region.published())[made_of_it["id"]]
    assert made_of_it["metadata_service"] == ON_HTTPS_7
    assert made_of_it["name"] != "tpl"
    assert document.metadata["initialization"]["user_data"] == FULL["user_data"]
    assert [key["id"] for key in document.metadata["keys"]] == [KEY, "r006-rsa"]
    profile = document.metadata["initialization"]["default_trusted_profile"]
    assert (profile["auto_link"], profile["target"]["id"]) == (False, PROFILE)


# Reading, renaming, deleting


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
