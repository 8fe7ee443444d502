"""`/v1/floating_ips`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.network.floating_ips.model import (
    FloatingIp,
    FloatingIpCollection,
    FloatingIpPatch,
    FloatingIpPrototype,
)
from linklocal.vpc.network.floating_ips.service import FloatingIpService
from linklocal.vpc.network.targets import TargetFilter, target_filter
from linklocal.vpc.paging import Page, page_parameters


def floating_ip_routes(service: FloatingIpService) -> APIRouter:
    """Operations `create_floating_ip`, `list_floating_ips`, `get_`, `update_` and `delete_floating_ip`."""
    router = vpc_router("floating_ips")

    @router.post(
        "/floating_ips",
        operation_id="create_floating_ip",
        response_model=FloatingIp,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, body: FloatingIpPrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, body), 201)

    @router.get(
        "/floating_ips", operation_id="list_floating_ips", response_model=FloatingIpCollection
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        target: Annotated[TargetFilter, Depends(target_filter)],
        resource_group_id: Annotated[str | None, Query(alias="resource_group.id")] = None,
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page, resource_group_id, target)
        path = "/v1/floating_ips"
        return collection(request, path, "floating_ips", items, page, total, following)

    @router.get("/floating_ips/{id}", operation_id="get_floating_ip", response_model=FloatingIp)
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, id))

    @router.patch(
        "/floating_ips/{id}", operation_id="update_floating_ip", response_model=FloatingIp
    )
    async def update(
        request: Request, caller: CurrentCaller, id: str, body: FloatingIpPatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, id, body))

    @router.delete("/floating_ips/{id}", operation_id="delete_floating_ip", status_code=204)
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()

    return router
