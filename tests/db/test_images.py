"""Images: the seed, lists and what can run one (contract 2.6, 3)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fakes.queries import counted
from fakes.region import ACCOUNT, ADMINISTRATOR, GROUP, NAME, OTHER_ACCOUNT, Region, crn
from fakes.vpc_api import client_of, errors, pages
from ibm_vpc.vpc_v1 import (
    Image,
    ImageCollection,
    ImageInstanceProfileCollection,
    OperatingSystem,
    OperatingSystemCollection,
)
from sqlalchemy import delete, insert

from linklocal.settings import Region as RegionSetting
from linklocal.store.engine import Database
from linklocal.vpc.images.routes import image_routes
from linklocal.vpc.images.service import ImageFilter, ImageService
from linklocal.vpc.images.stock import STOCK_IMAGES, seed_images
from linklocal.vpc.images.tables import images
from linklocal.vpc.paging import Page

SETTING = RegionSetting(NAME)
UBUNTU = "ibm-ubuntu-22-04-1-minimal-amd64-2"
SECURE = "ibm-debian-12-secure-metadata-amd64-1"
MAINFRAME = "ibm-ubuntu-22-04-1-minimal-s390x-2"


@pytest.fixture
async def region(database: Database) -> Region:
    """With the stock images, and no others."""
    region = await Region(database).furnish()
    async with database.transaction() as connection:
        await connection.execute(delete(images))
        await seed_images(connection, SETTING, GROUP, region.clock.now())
    return region


@pytest.fixture
async def api(region: Region) -> AsyncIterator[httpx.AsyncClient]:
    routes = image_routes(ImageService(region.context))
    async with client_of(routes, caller=ADMINISTRATOR) as client:
        yield client


async def add(region: Region, id: str, account_id: str, **members: object) -> None:
    async with region.database.transaction() as connection:
        row = {
            "id": id,
            "account_id": account_id,
            "region": NAME,
            "name": id[5:],
            "crn": crn(NAME, "image", id, account_id),
            "status": "available",
            "visibility": "private",
            "operating_system": "debian-12-amd64",
            "user_data_format": "cloud_init",
            "minimum_provisioned_size": 10,
            "file": {"size": 1, "checksums": {"sha256": "0" * 64}},
            "allowed_use": {
                "api_version": "2026-10-06",
                "instance": "true",
                "bare_metal_server": "true",
            },
            "resource_group_id": GROUP,
            "created_at": region.clock.now(),
        }
        await connection.execute(insert(images).values(**{**row, **members}))


def names(answer: httpx.Response) -> list[str]:
    return [image["name"] for image in answer.json()["images"]]


def by_name(name: str) -> str:
    return next(image.id(SETTING) for image in STOCK_IMAGES if image.name == name)


async def test_the_stock_images_pass_the_sdks_model_in_the_order_of_the_seed(
    api: httpx.AsyncClient,
) -> None:
    answer = await api.get("/v1/images")

    listed = ImageCollection.from_dict(answer.json())
    assert names(answer) == [image.name for image in STOCK_IMAGES]
    assert [image.status for image in listed.images] == ["available"] * len(STOCK_IMAGES)
    assert {image.user_data_format for image in listed.images} == {"cloud_init"}
    assert {len(image.zones) for image in listed.images} == {3}
    assert all("remote" not in image for image in answer.json()["images"])


async def test_seeding_again_changes_nothing(region: Region, api: httpx.AsyncClient) -> None:
    before = (await api.get("/v1/images")).json()
    region.clock.advance(1000)
    async with region.database.transaction() as connection:
        await seed_images(connection, SETTING, GROUP, region.clock.now())

    assert (await api.get("/v1/images")).json() == before


async def test_one_image(api: httpx.AsyncClient) -> None:
    image = (await api.get(f"/v1/images/{by_name(SECURE)}")).json()
    unknown = await api.get("/v1/images/r006-none")

    assert Image.from_dict(image).operating_system.architecture == "amd64"
    assert "metadata_service.protocol == 'https'" in image["allowed_use"]["instance"]
    assert image["id"].startswith("r006-")
    assert (unknown.status_code, errors(unknown)) == (404, [("not_found", "id")])


FILTERS: list[tuple[dict[str, str], set[str]]] = [
    ({"name": UBUNTU}, {UBUNTU}),
    ({"name": "none"}, set()),
    ({"status": "pending"}, {"waiting"}),
    ({"status": "pending,failed"}, {"waiting"}),
    ({"visibility": "private"}, {"own", "waiting"}),
    ({"visibility": "private", "status": "available"}, {"own"}),
    ({"user_data_format": "ipxe"}, {"own"}),
    ({"user_data_format": "ipxe,esxi_kickstart"}, {"own"}),
    ({"resource_group.id": "none"}, set()),
    ({"remote.account.id": ACCOUNT}, set()),
    ({"remote.account.id": "not:null"}, set()),
    ({"remote.account.id": "null", "visibility": "private"}, {"own", "waiting"}),
]


async def test_filters(region: Region, api: httpx.AsyncClient) -> None:
    await add(region, "r006-own", ACCOUNT, user_data_format="ipxe")
    await add(region, "r006-waiting", ACCOUNT, status="pending")
    await add(region, "r006-foreign", OTHER_ACCOUNT)

    found = []
    for query, expected in FILTERS:
        answer = await api.get("/v1/images", params={**api.params, **query})
        assert answer.json()["total_count"] == len(expected)
        found.append((query, set(names(answer))))

    assert found == FILTERS


IMPOSSIBLE: list[dict[str, str]] = [
    {"status": "availabel"},
    {"status": ""},
    {"status": "available,"},
    {"visibility": "all"},
    {"user_data_format": "cloud_init,x"},
    {"limit": "0"},
    {"start": "x"},
]


async def test_filters_that_cannot_be_are_refused_by_name(api: httpx.AsyncClient) -> None:
    found = []
    for query in IMPOSSIBLE:
        answer = await api.get("/v1/images", params={**api.params, **query})
        found.append((answer.status_code, errors(answer)))

    assert found == [(400, [("bad_field", next(iter(query)))]) for query in IMPOSSIBLE]


async def test_a_private_image_of_another_account_does_not_exist(
    region: Region, api: httpx.AsyncClient
) -> None:
    await add(region, "r006-foreign", OTHER_ACCOUNT)

    assert (await api.get("/v1/images/r006-foreign")).status_code == 404
    assert (await api.get("/v1/images/r006-foreign/instance_profiles")).status_code == 404


async def test_an_image_that_is_not_ready_is_in_no_zone(
    region: Region, api: httpx.AsyncClient
) -> None:
    await add(region, "r006-waiting", ACCOUNT, status="pending")

    image = (await api.get("/v1/images/r006-waiting")).json()

    assert (image["zones"], Image.from_dict(image).status) == ([], "pending")


async def test_the_profiles_that_can_run_an_image(api: httpx.AsyncClient) -> None:
    async def fitting(name: str) -> set[str]:
        path = f"/v1/images/{by_name(name)}/instance_profiles"
        found = await pages(api, path, limit="5")
        assert all(ImageInstanceProfileCollection.from_dict(page).limit == 5 for page in found)
        return {profile["name"] for page in found for profile in page["instance_profiles"]}

    assert "bx2-2x8" in await fitting(UBUNTU)
    assert "bz2-2x8" not in await fitting(UBUNTU)
    assert await fitting(SECURE) == await fitting(UBUNTU)
    assert await fitting(MAINFRAME) == {"bz2-2x8", "bz2-4x16"}


async def test_operating_systems(api: httpx.AsyncClient) -> None:
    listed = (await api.get("/v1/operating_systems")).json()
    debian = (await api.get("/v1/operating_systems/debian-12-amd64")).json()
    unknown = await api.get("/v1/operating_systems/plan-9")

    assert OperatingSystemCollection.from_dict(listed).total_count == len(
        listed["operating_systems"]
    )
    assert debian in listed["operating_systems"]
    assert OperatingSystem.from_dict(debian).vendor == "Debian"
    assert (unknown.status_code, errors(unknown)) == (404, [("not_found", "name")])
    assert {image.operating_system for image in STOCK_IMAGES} <= {
        system["name"] for system in listed["operating_systems"]
    }


async def test_a_list_takes_as_many_queries_for_many_images_as_for_one(region: Region) -> None:
    service = ImageService(region.context)
    with counted(region.database) as one:
        await service.list(ADMINISTRATOR, Page(1), ImageFilter())
    with counted(region.database) as many:
        await service.list(ADMINISTRATOR, Page(50), ImageFilter())

    assert len(many) == len(one)
