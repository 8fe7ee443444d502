"""`/v1/subnets`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.network.subnets.model import (
    Subnet,
    SubnetCollection,
    SubnetPatch,
    SubnetPrototype,
)
from linklocal.vpc.network.subnets.service import SubnetFilter, SubnetService
from linklocal.vpc.paging import Page, page_parameters


def _asked(name: str) -> Any:
    return Query(alias=name)


def subnet_filter(
    resource_group_id: Annotated[str | None, _asked("resource_group.id")] = None,
    zone_name: Annotated[str | None, _asked("zone.name")] = None,
    vpc_id: Annotated[str | None, _asked("vpc.id")] = None,
    vpc_crn: Annotated[str | None, _asked("vpc.crn")] = None,
    vpc_name: Annotated[str | None, _asked("vpc.name")] = None,
    routing_table_id: Annotated[str | None, _asked("routing_table.id")] = None,
    routing_table_name: Annotated[str | None, _asked("routing_table.name")] = None,
) -> SubnetFilter:
    """FastAPI dependency."""
    return SubnetFilter(
        resource_group_id=resource_group_id,
        zone_name=zone_name,
        vpc_id=vpc_id,
        vpc_crn=vpc_crn,
        vpc_name=vpc_name,
        routing_table_id=routing_table_id,
        routing_table_name=routing_table_name,
    )


def subnet_routes(service: SubnetService) -> APIRouter:
    """Operations `create_subnet`, `list_subnets`, `get_subnet`, `update_subnet`, `delete_subnet`."""
    router = vpc_router("subnets")

    @router.post("/subnets", operation_id="create_subnet", response_model=Subnet, status_code=201)
    async def create(
        request: Request, caller: CurrentCaller, body: SubnetPrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, body), 201)

    @router.get("/subnets", operation_id="list_subnets", response_model=SubnetCollection)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        asked: Annotated[SubnetFilter, Depends(subnet_filter)],
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page, asked)
        return collection(request, "/v1/subnets", "subnets", items, page, total, following)

    @router.get("/subnets/{id}", operation_id="get_subnet", response_model=Subnet)
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, id))

    @router.patch("/subnets/{id}", operation_id="update_subnet", response_model=Subnet)
    async def update(
        request: Request, caller: CurrentCaller, id: str, body: SubnetPatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, id, body))

    @router.delete("/subnets/{id}", operation_id="delete_subnet", status_code=204)
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()

    return router
