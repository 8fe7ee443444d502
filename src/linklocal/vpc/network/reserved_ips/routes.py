"""`/v1/subnets/{subnet_id}/reserved_ips`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.network.reserved_ips.model import (
    ReservedIp,
    ReservedIpCollection,
    ReservedIpPatch,
    ReservedIpPrototype,
)
from linklocal.vpc.network.reserved_ips.service import ReservedIpService
from linklocal.vpc.network.targets import TargetFilter, target_filter
from linklocal.vpc.paging import Page, page_parameters

PATH = "/subnets/{subnet_id}/reserved_ips"


def reserved_ip_routes(service: ReservedIpService) -> APIRouter:
    """Operations `create_`, `list_`, `get_`, `update_` and `delete_subnet_reserved_ip(s)`."""
    router = vpc_router("subnets")

    @router.post(
        PATH, operation_id="create_subnet_reserved_ip", response_model=ReservedIp, status_code=201
    )
    async def create(
        request: Request,
        caller: CurrentCaller,
        subnet_id: str,
        body: ReservedIpPrototype | None = None,
    ) -> JSONResponse:
        view = await service.create(caller, subnet_id, body or ReservedIpPrototype())
        return reply(request, view, 201)

    @router.get(PATH, operation_id="list_subnet_reserved_ips", response_model=ReservedIpCollection)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        subnet_id: str,
        page: Annotated[Page, Depends(page_parameters)],
        target: Annotated[TargetFilter, Depends(target_filter)],
    ) -> JSONResponse:
        items, total, following = await service.list(caller, subnet_id, page, target)
        path = f"/v1/subnets/{subnet_id}/reserved_ips"
        return collection(request, path, "reserved_ips", items, page, total, following)

    @router.get(PATH + "/{id}", operation_id="get_subnet_reserved_ip", response_model=ReservedIp)
    async def get(request: Request, caller: CurrentCaller, subnet_id: str, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, subnet_id, id))

    @router.patch(
        PATH + "/{id}", operation_id="update_subnet_reserved_ip", response_model=ReservedIp
    )
    async def update(
        request: Request, caller: CurrentCaller, subnet_id: str, id: str, body: ReservedIpPatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, subnet_id, id, body))

    @router.delete(PATH + "/{id}", operation_id="delete_subnet_reserved_ip", status_code=204)
    async def delete(caller: CurrentCaller, subnet_id: str, id: str) -> Response:
        await service.delete(caller, subnet_id, id)
        return no_content()

    return router
