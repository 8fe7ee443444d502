"""`/v1/regions`: the one region of this server and its zones, for every authenticated caller alike."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from linklocal.errors import NotFound
from linklocal.iam.caller import CurrentCaller
from linklocal.settings import Region
from linklocal.vpc.http import base_url, reply, vpc_router
from linklocal.vpc.regions import model
from linklocal.vpc.regions.views import region_reference, zone_reference


def region_routes(region: Region) -> APIRouter:
    """Operations `list_regions`, `get_region`, `list_region_zones`, `get_region_zone`."""
    router = vpc_router("regions")

    def region_view(request: Request) -> dict[str, Any]:
        # The command line sends what it asks of a region to this URL: it must be the server's own.
        endpoint = base_url(request)
        return {**region_reference(region), "endpoint": endpoint, "status": "available"}

    def zone_view(zone: str) -> dict[str, Any]:
        return {
            **zone_reference(region.name, zone),
            "region": region_reference(region),
            "status": "available",
        }

    @router.get("/regions", operation_id="list_regions", response_model=model.RegionCollection)
    async def list_(request: Request, caller: CurrentCaller) -> JSONResponse:
        return reply(request, {"regions": [region_view(request)]})

    @router.get("/regions/{name}", operation_id="get_region", response_model=model.Region)
    async def get(request: Request, caller: CurrentCaller, name: str) -> JSONResponse:
        if name != region.name:
            raise NotFound("name", name)
        return reply(request, region_view(request))

    @router.get(
        "/regions/{region_name}/zones",
        operation_id="list_region_zones",
        response_model=model.ZoneCollection,
    )
    async def list_zones(request: Request, caller: CurrentCaller, region_name: str) -> JSONResponse:
        if region_name != region.name:
            raise NotFound("region_name", region_name)
        return reply(request, {"zones": [zone_view(zone) for zone in region.zones]})

    @router.get(
        "/regions/{region_name}/zones/{name}",
        operation_id="get_region_zone",
        response_model=model.Zone,
    )
    async def get_zone(
        request: Request, caller: CurrentCaller, region_name: str, name: str
    ) -> JSONResponse:
        if region_name != region.name:
            raise NotFound("region_name", region_name)
        if name not in region.zones:
            raise NotFound("name", name)
        return reply(request, zone_view(name))

    return router
