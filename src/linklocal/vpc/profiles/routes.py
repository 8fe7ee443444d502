"""`/v1/instance/profiles`: the catalogue, for every authenticated caller alike."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from linklocal.errors import NotFound
from linklocal.iam.caller import CurrentCaller
from linklocal.settings import Region
from linklocal.vpc.http import collection, reply, vpc_router
from linklocal.vpc.paging import Page, page_parameters, slice_page
from linklocal.vpc.profiles import model
from linklocal.vpc.profiles.catalog import PROFILES, find
from linklocal.vpc.profiles.views import profile_view

# Clients of earlier dates do not ask for a second page (contract 1.1).
PAGINATED_SINCE = "2026-04-07"


def profile_routes(region: Region) -> APIRouter:
    """Operations `list_instance_profiles`, `get_instance_profile`."""
    router = vpc_router("instance profiles")

    @router.get(
        "/instance/profiles",
        operation_id="list_instance_profiles",
        response_model=model.InstanceProfileCollection,
    )
    async def list_(
        request: Request, caller: CurrentCaller, page: Annotated[Page, Depends(page_parameters)]
    ) -> JSONResponse:
        if request.query_params["version"] < PAGINATED_SINCE:
            page = Page(limit=len(PROFILES))
        shown, total, following = slice_page(PROFILES, lambda profile: profile.name, page)
        views = [profile_view(profile, region) for profile in shown]
        return collection(
            request, "/v1/instance/profiles", "profiles", views, page, total, following
        )

    @router.get(
        "/instance/profiles/{name}",
        operation_id="get_instance_profile",
        response_model=model.InstanceProfile,
    )
    async def get(request: Request, caller: CurrentCaller, name: str) -> JSONResponse:
        profile = find(name)
        if profile is None:
            raise NotFound("name", name)
        return reply(request, profile_view(profile, region))

    return router
