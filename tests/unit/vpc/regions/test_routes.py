"""`/v1/regions` through the models of IBM's SDK."""

from __future__ import annotations

from fakes.vpc_api import client_of, errors
from ibm_vpc.vpc_v1 import Region as SdkRegion
from ibm_vpc.vpc_v1 import RegionCollection, Zone, ZoneCollection

from linklocal.settings import Region
from linklocal.vpc.regions.routes import region_routes

ROUTES = region_routes(Region("eu-de"))


async def test_the_region_is_this_server() -> None:
    async with client_of(ROUTES) as client:
        listed = (await client.get("/v1/regions")).json()
        region = (await client.get("/v1/regions/eu-de")).json()

    assert listed == {"regions": [region]}
    assert region == {
        "endpoint": "http://api.test:8080",
        "href": "http://api.test:8080/v1/regions/eu-de",
        "name": "eu-de",
        "status": "available",
    }
    assert SdkRegion.from_dict(region).endpoint == "http://api.test:8080"
    assert RegionCollection.from_dict(listed).regions[0].name == "eu-de"


async def test_it_has_three_zones() -> None:
    async with client_of(ROUTES) as client:
        listed = (await client.get("/v1/regions/eu-de/zones")).json()
        zone = (await client.get("/v1/regions/eu-de/zones/eu-de-2")).json()

    assert [z.name for z in ZoneCollection.from_dict(listed).zones] == [
        "eu-de-1",
        "eu-de-2",
        "eu-de-3",
    ]
    assert listed["zones"][1] == zone
    assert Zone.from_dict(zone).region.href == "http://api.test:8080/v1/regions/eu-de"


async def test_other_regions_and_zones_do_not_exist() -> None:
    async with client_of(ROUTES) as client:
        answers = {
            path: await client.get(f"/v1/regions/{path}")
            for path in ("us-south", "us-south/zones", "us-south/zones/eu-de-1", "eu-de/zones/x")
        }

    assert {path: (a.status_code, errors(a)) for path, a in answers.items()} == {
        "us-south": (404, [("not_found", "name")]),
        "us-south/zones": (404, [("not_found", "region_name")]),
        "us-south/zones/eu-de-1": (404, [("not_found", "region_name")]),
        "eu-de/zones/x": (404, [("not_found", "name")]),
    }


async def test_who_is_not_logged_in_sees_nothing() -> None:
    async with client_of(ROUTES) as client:
        del client.headers["Authorization"]
        answer = await client.get("/v1/regions")

    assert answer.status_code == 401
