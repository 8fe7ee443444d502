"""`/v1/vpcs`: parses and answers; `service.py` and `prefixes.py` decide."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import IfMatch, collection, no_content, reply, vpc_router
from linklocal.vpc.network.security_groups.model import SecurityGroup
from linklocal.vpc.network.vpcs.model import (
    AddressPrefix,
    AddressPrefixCollection,
    AddressPrefixPatch,
    AddressPrefixPrototype,
    DefaultNetworkAcl,
    DefaultRoutingTable,
    Vpc,
    VpcCollection,
    VpcPatch,
    VpcPrototype,
)
from linklocal.vpc.network.vpcs.prefixes import AddressPrefixService
from linklocal.vpc.network.vpcs.service import VpcService
from linklocal.vpc.paging import Page, page_parameters


def vpc_routes(service: VpcService, prefixes: AddressPrefixService) -> APIRouter:
    """Operations on VPCs, their defaults and their address prefixes."""
    router = vpc_router("vpcs")

    @router.post("/vpcs", operation_id="create_vpc", response_model=Vpc, status_code=201)
    async def create(
        request: Request, caller: CurrentCaller, body: VpcPrototype | None = None
    ) -> JSONResponse:
        view, tag = await service.create(caller, body or VpcPrototype())
        return reply(request, view, 201, tag=tag)

    @router.get("/vpcs", operation_id="list_vpcs", response_model=VpcCollection)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        resource_group_id: Annotated[str | None, Query(alias="resource_group.id")] = None,
        classic_access: bool | None = None,
    ) -> JSONResponse:
        found = await service.list(caller, page, resource_group_id, classic_access)
        items, total, following = found
        return collection(request, "/v1/vpcs", "vpcs", items, page, total, following)

    @router.get("/vpcs/{id}", operation_id="get_vpc", response_model=Vpc)
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        view, tag = await service.get(caller, id)
        return reply(request, view, tag=tag)

    @router.patch("/vpcs/{id}", operation_id="update_vpc", response_model=Vpc)
    async def update(
        request: Request,
        caller: CurrentCaller,
        id: str,
        body: VpcPatch,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        view, tag = await service.update(caller, id, body, if_match)
        return reply(request, view, tag=tag)

    @router.delete("/vpcs/{id}", operation_id="delete_vpc", status_code=204)
    async def delete(caller: CurrentCaller, id: str, if_match: IfMatch = None) -> Response:
        await service.delete(caller, id, if_match)
        return no_content()

    @router.get(
        "/vpcs/{id}/default_security_group",
        operation_id="get_vpc_default_security_group",
        response_model=SecurityGroup,
    )
    async def security_group(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.default_security_group(caller, id))

    @router.get(
        "/vpcs/{id}/default_network_acl",
        operation_id="get_vpc_default_network_acl",
        response_model=DefaultNetworkAcl,
    )
    async def network_acl(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.default_network_acl(caller, id))

    @router.get(
        "/vpcs/{id}/default_routing_table",
        operation_id="get_vpc_default_routing_table",
        response_model=DefaultRoutingTable,
    )
    async def routing_table(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.default_routing_table(caller, id))

    _prefix_routes(router, prefixes)
    return router


def _prefix_routes(router: APIRouter, service: AddressPrefixService) -> None:
    path = "/vpcs/{vpc_id}/address_prefixes"

    @router.post(
        path,
        operation_id="create_vpc_address_prefix",
        response_model=AddressPrefix,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, vpc_id: str, body: AddressPrefixPrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, vpc_id, body), 201)

    @router.get(
        path, operation_id="list_vpc_address_prefixes", response_model=AddressPrefixCollection
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        vpc_id: str,
        page: Annotated[Page, Depends(page_parameters)],
    ) -> JSONResponse:
        items, total, following = await service.list(caller, vpc_id, page)
        where = f"/v1/vpcs/{vpc_id}/address_prefixes"
        return collection(request, where, "address_prefixes", items, page, total, following)

    @router.get(path + "/{id}", operation_id="get_vpc_address_prefix", response_model=AddressPrefix)
    async def get(request: Request, caller: CurrentCaller, vpc_id: str, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, vpc_id, id))

    @router.patch(
        path + "/{id}", operation_id="update_vpc_address_prefix", response_model=AddressPrefix
    )
    async def update(
        request: Request, caller: CurrentCaller, vpc_id: str, id: str, body: AddressPrefixPatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, vpc_id, id, body))

    @router.delete(path + "/{id}", operation_id="delete_vpc_address_prefix", status_code=204)
    async def delete(caller: CurrentCaller, vpc_id: str, id: str) -> Response:
        await service.delete(caller, vpc_id, id)
        return no_content()
