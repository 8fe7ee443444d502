"""Every form of a template and of what is made from one: taken, or refused and how (contract 2.4, 2.5).

The tables are about decisions in Python, so they run on one database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from fakes.region import ADMINISTRATOR, IMAGE, S390X_IMAGE, SUBNET, ZONE, Region, attachment
from fakes.templates import INTERFACE, OFFERING, ON, PATH, template_client
from fakes.vpc_api import errors
from sqlalchemy import select

from linklocal.errors import Invalid
from linklocal.store.engine import Database
from linklocal.vpc.volumes.tables import volumes

Problems = list[tuple[str, str]]


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


@pytest.fixture
async def api(region: Region) -> AsyncIterator[httpx.AsyncClient]:
    async with template_client(region) as client:
        yield client


BY_IMAGE: dict[str, Any] = {"image": {"id": IMAGE}}
BY_OFFERING: dict[str, Any] = {"catalog_offering": OFFERING}
BY_SNAPSHOT: dict[str, Any] = {
    "boot_volume_attachment": {
        "name": "boot",
        "volume": {"capacity": 120, "source_snapshot": {"id": "r006-s"}},
    }
}
ATTACHMENTS: dict[str, Any] = {"primary_network_attachment": attachment()}
INTERFACES: dict[str, Any] = {"primary_network_interface": INTERFACE}
PLACE: dict[str, Any] = {"zone": {"name": ZONE}, "profile": {"name": "bx2-2x8"}}

# What a body starts from; of a template, and of an instance made at once.
STARTS: list[tuple[str, dict[str, Any], Problems, Problems]] = [
    ("image", BY_IMAGE, [], []),
    ("offering", BY_OFFERING, [], [("bad_field", "catalog_offering")]),
    (
        "snapshot",
        BY_SNAPSHOT,
        [],
        [("bad_field", "boot_volume_attachment.volume.source_snapshot")],
    ),
    (
        "volume",
        {"boot_volume_attachment": {"volume": {"id": "VOLUME"}}},
        [("bad_field", "boot_volume_attachment.volume.id")],
        [],
    ),
    ("nothing", {}, [("missing_field", "image")], [("missing_field", "image")]),
    (
        "image and offering",
        {**BY_IMAGE, **BY_OFFERING},
        [("bad_field", "catalog_offering")],
        [("bad_field", "catalog_offering")],
    ),
    (
        "image and snapshot",
        {**BY_IMAGE, **BY_SNAPSHOT},
        [("bad_field", "image")],
        [("bad_field", "boot_volume_attachment.volume.source_snapshot"), ("bad_field", "image")],
    ),
    (
        "offering and snapshot",
        {**BY_OFFERING, **BY_SNAPSHOT},
        [("bad_field", "catalog_offering")],
        [
            ("bad_field", "boot_volume_attachment.volume.source_snapshot"),
            ("bad_field", "catalog_offering"),
        ],
    ),
]
# The network members of a body. The two kinds go with each start; mistakes are the same with all.
KINDS: list[tuple[dict[str, Any], Problems]] = [(ATTACHMENTS, []), (INTERFACES, [])]
NETWORKS: list[tuple[dict[str, Any], Problems]] = [
    *KINDS,
    ({**ATTACHMENTS, "network_attachments": [attachment()]}, []),
    ({**INTERFACES, "network_interfaces": [INTERFACE]}, []),
    ({}, [("missing_field", "primary_network_attachment")]),
    ({**ATTACHMENTS, **INTERFACES}, [("bad_field", "primary_network_interface")]),
    ({**ATTACHMENTS, "network_interfaces": [INTERFACE]}, [("bad_field", "network_interfaces")]),
    ({**INTERFACES, "network_attachments": [attachment()]}, [("bad_field", "network_attachments")]),
]


async def free_volume(region: Region) -> str:
    """A boot volume that its instance has left behind."""
    made = await region.create(
        boot_volume_attachment={"delete_volume_on_instance_delete": False}, name="donor"
    )
    await region.instances.delete(ADMINISTRATOR, made["id"], None)
    async with region.database.read() as connection:
        return str((await connection.execute(select(volumes.c.id))).scalar_one())


async def template(api: httpx.AsyncClient, body: Mapping[str, Any]) -> Problems:
    """What is wrong with a template of this body; [] when it was made."""
    answer = await api.post(PATH, json=dict(body))
    assert answer.status_code in (201, 400), answer.text
    return [] if answer.status_code == 201 else errors(answer)


async def instance(region: Region, body: Mapping[str, Any]) -> Problems:
    """What is wrong with an instance of this body; it is deleted again when it was made."""
    nothing = dict.fromkeys(("image", "zone", "profile", "primary_network_attachment"))
    try:
        made = await region.create(**{**nothing, **body})
    except Invalid as error:
        return [
            (problem.code, problem.target.name if problem.target else "")
            for problem in error.problems
        ]
    await region.instances.delete(ADMINISTRATOR, made["id"], None)
    return []


ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ONE_DATABASE
async def test_every_form_of_a_body(region: Region, api: httpx.AsyncClient) -> None:
    """Each start with each network; for a template, and for an instance where volumes can be had."""
    volume = await free_volume(region)
    expected, found = [], []
    for name, start, of_template, of_instance in STARTS:
        if name == "volume":
            start = {
                "boot_volume_attachment": {
                    "volume": {"id": volume},
                    "delete_volume_on_instance_delete": False,
                }
            }
        for network, wrong in NETWORKS if name == "image" else KINDS:
            body = {**PLACE, **start, **network}
            label = (name, *sorted(network))
            expected.append((label, sorted({*of_template, *wrong}), sorted({*of_instance, *wrong})))
            found.append(
                (
                    label,
                    sorted(set(await template(api, body))),
                    sorted(set(await instance(region, body))),
                )
            )

    assert found == expected


# A template's start, what a request that names the template says, and how that ends.
REPLACED: list[tuple[dict[str, Any], dict[str, Any], Problems, Problems]] = [
    (BY_IMAGE, {}, [], []),
    (BY_IMAGE, {"image": {"id": S390X_IMAGE}, "profile": {"name": "bz2-2x8"}}, [], []),
    (BY_IMAGE, BY_OFFERING, [], [("bad_field", "catalog_offering")]),
    (BY_IMAGE, BY_SNAPSHOT, [], [("bad_field", "boot_volume_attachment.volume.source_snapshot")]),
    (BY_OFFERING, {}, [], [("bad_field", "catalog_offering")]),
    (BY_OFFERING, BY_IMAGE, [], []),
    (BY_SNAPSHOT, {}, [], [("bad_field", "boot_volume_attachment.volume.source_snapshot")]),
    (BY_SNAPSHOT, BY_IMAGE, [], []),
    (BY_SNAPSHOT, BY_OFFERING, [], [("bad_field", "catalog_offering")]),
    (
        BY_SNAPSHOT,
        {"boot_volume_attachment": {"volume": {"capacity": 150}}},
        [("missing_field", "image")],
        [("missing_field", "image")],
    ),
    (
        BY_IMAGE,
        {"boot_volume_attachment": {"volume": {"id": "VOLUME"}}},
        [("bad_field", "boot_volume_attachment.volume.id")],
        [],
    ),
    (BY_IMAGE, {"zone": {"name": "us-south-2"}}, [("bad_field", "SUBNET")], [("bad_field", "SUBNET")]),
    (BY_IMAGE, {"primary_network_interface": INTERFACE}, [("bad_field", "primary_network_interface")],
     [("bad_field", "primary_network_interface")]),
]  # fmt: skip


@ONE_DATABASE
async def test_a_request_names_a_template_and_another_start(
    region: Region, api: httpx.AsyncClient
) -> None:
    """What an instance starts from is one thing: the request's takes the place of the template's."""
    volume = await free_volume(region)
    subnet = "primary_network_attachment.virtual_network_interface.subnet.id"
    for start, override, of_template, of_instance in REPLACED:
        answer = await api.post(PATH, json={**PLACE, **ATTACHMENTS, **start, "name": "source"})
        assert answer.status_code == 201, answer.text
        source = answer.json()
        given = {"source_template": {"id": source["id"]}, **override}
        boot = override.get("boot_volume_attachment", {})
        if boot.get("volume", {}).get("id"):
            kept = {"delete_volume_on_instance_delete": False, "volume": {"id": volume}}
            given["boot_volume_attachment"] = kept

        found = (await template(api, given), await instance(region, given))

        wanted = [
            [(c, n.replace("SUBNET", subnet)) for c, n in w] for w in (of_template, of_instance)
        ]
        assert [sorted(each) for each in found] == wanted, (start, override)
        assert (await api.get(f"{PATH}/{source['id']}")).json() == source
        await api.delete(f"{PATH}/{source['id']}")


async def test_a_snapshots_boot_volume_keeps_the_rest_under_an_image(
    api: httpx.AsyncClient,
) -> None:
    """Three templates deep: a snapshot, an image in its place, and then another setting."""
    first = (await api.post(PATH, json={**PLACE, **ATTACHMENTS, **BY_SNAPSHOT})).json()
    second = (
        await api.post(PATH, json={"source_template": {"id": first["id"]}, **BY_IMAGE})
    ).json()
    third = (
        await api.post(PATH, json={"source_template": {"id": second["id"]}, "metadata_service": ON})
    ).json()

    assert third["boot_volume_attachment"]["name"] == "boot"
    assert third["boot_volume_attachment"]["volume"] == {
        "capacity": 120,
        "profile": {"name": "general-purpose"},
    }
    assert (third["image"], third["metadata_service"]) == ({"id": IMAGE}, ON)
    assert third["primary_network_attachment"]["virtual_network_interface"] == {
        "subnet": {"id": SUBNET}
    }
