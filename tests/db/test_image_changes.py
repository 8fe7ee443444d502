"""Images of an account: made, renamed, allowed and deleted (contract 2.1, 2.6, 8)."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.network import network_client
from fakes.region import (
    ADMINISTRATOR,
    IMAGE,
    Region,
    targets,
)
from fakes.vpc_api import client_of, errors
from ibm_vpc import vpc_v1 as sdk

from linklocal.errors import Invalid, NotAuthorized
from linklocal.store.engine import Database
from linklocal.vpc.images.model import ImagePatch
from linklocal.vpc.images.routes import image_routes
from linklocal.vpc.images.service import ImageService

NEEDS_METADATA = "metadata_service.enabled == true"
NEEDS_HTTPS = f"{NEEDS_METADATA} && metadata_service.protocol == 'https'"


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


@pytest.fixture
def service(region: Region) -> ImageService:
    return ImageService(region.context)


def by_file(**members: Any) -> dict[str, Any]:
    return {
        "file": {"href": "cos://us-south/bucket/golden.qcow2"},
        "operating_system": {"name": "debian-12-amd64"},
        **members,
    }


@pytest.mark.differs(
    "VPC API: a new image",
    "imports the file, and is `available` after that",
    "a record that is `available` at once; no file is read",
)
async def test_an_image_is_made_of_a_file_changed_and_removed(
    region: Region, service: ImageService
) -> None:
    async with client_of(image_routes(service), caller=ADMINISTRATOR) as api:
        answer = await api.post(
            "/v1/images", json=by_file(name="golden", allowed_use={"instance": NEEDS_METADATA})
        )
        path = f"/v1/images/{answer.json()['id']}"
        got = (await api.get(path)).json()
        changed = await api.patch(path, json={"name": "gold", "allowed_use": {"instance": "true"}})
        twice = await api.post("/v1/images", json=by_file(name="gold"))
        gone, missing = await api.delete(path), await api.get(path)
        again = await api.delete(path)

    image = sdk.Image.from_dict(answer.json())
    assert (answer.status_code, got) == (201, answer.json())
    assert (image.visibility, image.status, image.name) == ("private", "available", "golden")
    assert (image.allowed_use.instance, image.allowed_use.bare_metal_server) == (
        NEEDS_METADATA,
        "true",
    )
    assert image.allowed_use.api_version == "2026-10-06"  # the version of the request
    assert (changed.json()["name"], changed.json()["allowed_use"]["instance"]) == ("gold", "true")
    assert (twice.status_code, errors(twice)) == (400, [("validation_unique_failed", "name")])
    assert [answer.status_code for answer in (gone, missing, again)] == [204, 404, 404]


async def test_an_image_is_deprecated_and_then_made_obsolete(
    region: Region, service: ImageService
) -> None:
    async with client_of(image_routes(service), caller=ADMINISTRATOR) as api:
        path = f"/v1/images/{(await api.post('/v1/images', json=by_file())).json()['id']}"
        id = path.rpartition("/")[2]
        answers = [await api.post(f"{path}/deprecate") for _ in range(2)]
        instance = await region.create(image={"id": id}, name="late")
        answers += [await api.post(f"{path}/obsolete") for _ in range(2)]
        answers.append(await api.post(f"{path}/deprecate"))
        image = (await api.get(path)).json()
        with pytest.raises(Invalid) as refused:
            await region.create(image={"id": id}, name="too-late")
        missing = await api.post("/v1/images/nope/obsolete")
        foreign = await api.post(f"/v1/images/{IMAGE}/deprecate")

    assert [answer.status_code for answer in answers] == [204, 409, 204, 409, 409]
    assert errors(answers[1]) == [("conflict_field", "id")]
    assert (instance["image"]["id"], image["status"]) == (id, "obsolete")
    assert image["deprecation_at"] <= image["obsolescence_at"]
    assert targets(refused.value) == {"image.id": "bad_field"}
    assert (missing.status_code, foreign.status_code) == (404, 403)


@pytest.mark.differs(
    "VPC API: `deprecation_at`, `obsolescence_at` and encryption keys of a new image",
    "kept",
    "400: POST /v1/images/{id}/deprecate does it at once; nothing is encrypted",
)
async def test_every_problem_of_a_body_is_named(region: Region, service: ImageService) -> None:
    bad_use = {"instance": "metadata.enabled", "api_version": "2999-01-01"}
    async with client_of(image_routes(service), caller=ADMINISTRATOR) as api:
        answers = [
            await api.post("/v1/images", json=body)
            for body in (
                {},
                by_file(deprecation_at="2027-01-01T00:00:00Z", name="ibm-mine"),
                by_file(operating_system={"name": "plan-9"}, allowed_use=bad_use),
                by_file(source_volume={"id": "r006-none"}),
                {"source_volume": {"id": "r006-none"}},
                by_file(file={"href": "cos://x/golden.iso"}),
            )
        ]

    assert {answer.status_code for answer in answers} == {400}
    assert [{target for _, target in errors(answer)} for answer in answers] == [
        {"file", "operating_system"},
        {"deprecation_at", "name"},
        {"operating_system.name", "allowed_use.instance", "allowed_use.api_version"},
        {"source_volume"},
        {"source_volume.id"},
        {"file.href"},
    ]


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("metadata_service.enabld == true", "no variable"),
        ("vcpu.count == '2'", "cannot be compared"),
        ("true || nothing", "no variable"),
        ("vcpu.count", "needed"),
        ("size(x) == 1", "needed"),
    ],
)
async def test_an_expression_that_can_never_be_evaluated_is_refused_at_once(
    region: Region, service: ImageService, expression: str, word: str
) -> None:
    async with client_of(image_routes(service), caller=ADMINISTRATOR) as api:
        image = (await api.post("/v1/images", json=by_file())).json()
        path = f"/v1/images/{image['id']}"
        answer = await api.patch(path, json={"allowed_use": {"instance": expression}})
        after = (await api.get(path)).json()

    assert (answer.status_code, errors(answer)) == (400, [("bad_field", "allowed_use.instance")])
    assert word in answer.json()["errors"][0]["message"]
    assert after == image


async def test_the_providers_images_and_those_without_the_right_stay_as_they_are(
    region: Region, service: ImageService
) -> None:
    viewer = await region.grant("Viewer")
    async with client_of(image_routes(service), caller=ADMINISTRATOR) as api:
        patch = await api.patch(f"/v1/images/{IMAGE}", json={"name": "mine"})
        gone = await api.delete(f"/v1/images/{IMAGE}")
        own = (await api.post("/v1/images", json=by_file())).json()["id"]
    for refused in (
        service.update(viewer, own, ImagePatch(name="x")),
        service.delete(viewer, own),
    ):
        with pytest.raises(NotAuthorized):
            await refused

    assert [
        (answer.status_code, answer.json()["errors"][0]["code"]) for answer in (patch, gone)
    ] == [(403, "not_authorized")] * 2


async def test_a_new_rule_is_asked_at_create_and_the_volumes_copy_at_patch(
    region: Region, service: ImageService
) -> None:
    """What exists keeps the rule it was made under; what is made afterwards has the new one."""
    async with client_of(image_routes(service), caller=ADMINISTRATOR) as api:
        image = (await api.post("/v1/images", json=by_file())).json()["id"]
        before = await region.running(image={"id": image})
        rule = {"allowed_use": {"instance": NEEDS_HTTPS}}
        assert (await api.patch(f"/v1/images/{image}", json=rule)).status_code == 200
    await region.update(before, {"metadata_service": {"enabled": False}})

    with pytest.raises(Invalid) as off:
        await region.create(image={"id": image})
    secure = {"enabled": True, "protocol": "https"}
    after = await region.running(image={"id": image}, metadata_service=secure)
    found = []
    for change in ({"enabled": False}, {"protocol": "http"}, {"response_hop_limit": 3}):
        try:
            await region.update(after, {"metadata_service": change})
            found.append({})
        except Invalid as error:
            found.append(targets(error))

    refused = {"metadata_service.enabled": "bad_field", "metadata_service.protocol": "bad_field"}
    assert targets(off.value) == refused
    assert found == [
        {"metadata_service.enabled": "bad_field"},
        {"metadata_service.protocol": "bad_field"},
        {},
    ]
    assert (await region.get(after))["metadata_service"] == {**secure, "response_hop_limit": 3}


async def test_instances_show_a_renamed_image_and_one_that_is_gone(
    region: Region, service: ImageService
) -> None:
    """Also in the document that the node serves, and in the boot volume's `source_image`."""
    async with client_of(image_routes(service), caller=ADMINISTRATOR) as api:
        image = (await api.post("/v1/images", json=by_file(name="golden"))).json()["id"]
        id = await region.stopped(image={"id": image})
        await api.patch(f"/v1/images/{image}", json={"name": "gold"})
        renamed = (await region.published())[id].metadata["instance"]["image"]
        assert (await api.delete(f"/v1/images/{image}")).status_code == 204
    shown = await region.get(id)
    document = (await region.published())[id].metadata["instance"]["image"]
    async with network_client(region) as api:
        volume_id = shown["boot_volume_attachment"]["volume"]["id"]
        volume = (await api.get(f"/v1/volumes/{volume_id}")).json()

    assert (renamed["name"], "deleted" in renamed) == ("gold", False)
    assert sdk.Instance.from_dict(shown).image.deleted.more_info
    assert (document["name"], document["id"], "more_info" in document["deleted"]) == (
        "gold",
        image,
        True,
    )
    assert sdk.Volume.from_dict(volume).source_image.deleted.more_info
    assert volume["operating_system"]["name"] == "debian-12-amd64"
    assert await region.stale() == []
    with pytest.raises(Invalid) as error:
        await region.create(image={"id": image})
    assert targets(error.value) == {"image.id": "not_found"}


async def test_an_image_of_a_boot_volume_that_nobody_runs(
    region: Region, service: ImageService
) -> None:
    id = await region.running()
    volume = (await region.get(id))["boot_volume_attachment"]["volume"]["id"]
    async with client_of(image_routes(service), caller=ADMINISTRATOR) as api:
        source = {"source_volume": {"id": volume}}
        busy = await api.post("/v1/images", json=source)
        await region.act(id, "stop")
        await region.acknowledge()
        made = await api.post("/v1/images", json=source)

    assert (busy.status_code, errors(busy)) == (409, [("conflict_field", "source_volume")])
    assert (made.status_code, made.json()["operating_system"]["name"]) == (201, "debian-12-amd64")
    assert made.json()["minimum_provisioned_size"] == 100
