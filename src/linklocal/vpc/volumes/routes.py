"""`/v1/volumes` and `/v1/volume/profiles`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.errors import NotFound
from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import IfMatch, collection, no_content, reply, vpc_router
from linklocal.vpc.paging import Page, page_parameters, slice_page
from linklocal.vpc.volumes.model import (
    Volume,
    VolumeCollection,
    VolumePatch,
    VolumeProfile,
    VolumeProfileCollection,
    VolumePrototype,
)
from linklocal.vpc.volumes.profiles import VOLUME_PROFILES
from linklocal.vpc.volumes.service import VolumeFilter, VolumeService


def volume_filter(
    name: str | None = None,
    zone_name: Annotated[str | None, Query(alias="zone.name")] = None,
    attachment_state: Literal["attached", "unattached", "unusable"] | None = None,
    encryption: Literal["provider_managed", "user_managed"] | None = None,
) -> VolumeFilter:
    """FastAPI dependency."""
    return VolumeFilter(name, zone_name, attachment_state, encryption)


def volume_routes(service: VolumeService) -> APIRouter:
    """Operations on volumes, and the constant list of volume profiles."""
    router = vpc_router("volumes")

    @router.post("/volumes", operation_id="create_volume", response_model=Volume, status_code=201)
    async def create(
        request: Request, caller: CurrentCaller, body: VolumePrototype
    ) -> JSONResponse:
        view, tag = await service.create(caller, body)
        return reply(request, view, 201, tag=tag)

    @router.get("/volumes", operation_id="list_volumes", response_model=VolumeCollection)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        asked: Annotated[VolumeFilter, Depends(volume_filter)],
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page, asked)
        return collection(request, "/v1/volumes", "volumes", items, page, total, following)

    @router.get("/volumes/{id}", operation_id="get_volume", response_model=Volume)
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        view, tag = await service.get(caller, id)
        return reply(request, view, tag=tag)

    @router.patch("/volumes/{id}", operation_id="update_volume", response_model=Volume)
    async def update(
        request: Request,
        caller: CurrentCaller,
        id: str,
        body: VolumePatch,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        view, tag = await service.update(caller, id, body, if_match)
        return reply(request, view, tag=tag)

    @router.delete("/volumes/{id}", operation_id="delete_volume", status_code=204)
    async def delete(caller: CurrentCaller, id: str, if_match: IfMatch = None) -> Response:
        await service.delete(caller, id, if_match)
        return no_content()

    @router.get(
        "/volume/profiles",
        operation_id="list_volume_profiles",
        response_model=VolumeProfileCollection,
    )
    async def profiles(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
    ) -> JSONResponse:
        known = list(VOLUME_PROFILES.values())
        shown, total, following = slice_page(known, lambda profile: profile.name, page)
        views = [profile.view() for profile in shown]
        return collection(request, "/v1/volume/profiles", "profiles", views, page, total, following)

    @router.get(
        "/volume/profiles/{name}",
        operation_id="get_volume_profile",
        response_model=VolumeProfile,
    )
    async def profile(request: Request, caller: CurrentCaller, name: str) -> JSONResponse:
        if name not in VOLUME_PROFILES:
            raise NotFound("name", name)
        return reply(request, VOLUME_PROFILES[name].view())

    return router
