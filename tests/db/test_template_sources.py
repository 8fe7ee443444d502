"""What templates and instances inherit from a template (contract 2.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fakes.region import (
    IMAGE,
    KEY,
    PROFILE,
    S390X_IMAGE,
    Region,
)
from fakes.templates import (
    FULL,
    INTERFACE,
    OFFERING,
    ON,
    ON_HTTPS_7,
    OWN,
    PATH,
    derived,
    made,
    refused,
    template_client,
)

from linklocal.errors import Invalid
from linklocal.store.engine import Database


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


@pytest.fixture
async def api(region: Region) -> AsyncIterator[httpx.AsyncClient]:
    async with template_client(region) as client:
        yield client


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
