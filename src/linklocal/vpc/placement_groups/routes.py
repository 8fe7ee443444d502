"""`/v1/placement_groups`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.paging import Page, page_parameters
from linklocal.vpc.placement_groups.model import (
    PlacementGroup,
    PlacementGroupCollection,
    PlacementGroupPatch,
    PlacementGroupPrototype,
)
from linklocal.vpc.placement_groups.service import PlacementGroupService


def placement_group_routes(service: PlacementGroupService) -> APIRouter:
    """Operations `list_placement_groups`, `create_`, `get_`, `update_`, `delete_placement_group`."""
    router = vpc_router("placement groups")

    @router.post(
        "/placement_groups",
        operation_id="create_placement_group",
        response_model=PlacementGroup,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, body: PlacementGroupPrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, body), 201)

    @router.get(
        "/placement_groups",
        operation_id="list_placement_groups",
        response_model=PlacementGroupCollection,
    )
    async def list_(
        request: Request, caller: CurrentCaller, page: Annotated[Page, Depends(page_parameters)]
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page)
        path = "/v1/placement_groups"
        return collection(request, path, "placement_groups", items, page, total, following)

    @router.get(
        "/placement_groups/{id}", operation_id="get_placement_group", response_model=PlacementGroup
    )
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, id))

    @router.patch(
        "/placement_groups/{id}",
        operation_id="update_placement_group",
        response_model=PlacementGroup,
    )
    async def update(
        request: Request, caller: CurrentCaller, id: str, body: PlacementGroupPatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, id, body))

    @router.delete("/placement_groups/{id}", operation_id="delete_placement_group", status_code=204)
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()

    return router
