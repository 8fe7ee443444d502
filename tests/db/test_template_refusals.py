"""A template's body is checked as an instance's is (contract 2.5)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fakes.region import (
    ADMINISTRATOR,
    OTHER_SUBNET,
    S390X_IMAGE,
    VPC,
    Region,
    attachment,
    body,
)
from fakes.templates import (
    INTERFACE,
    OFFERING,
    ON,
    PATH,
    made,
    refused,
    template_client,
)
from fakes.vpc_api import errors
from sqlalchemy import select

from linklocal.errors import Invalid
from linklocal.store.engine import Database
from linklocal.vpc.templates.model import TemplatePrototype
from linklocal.vpc.templates.service import TemplateService
from linklocal.vpc.volumes.tables import volumes


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


@pytest.fixture
async def api(region: Region) -> AsyncIterator[httpx.AsyncClient]:
    async with template_client(region) as client:
        yield client


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
