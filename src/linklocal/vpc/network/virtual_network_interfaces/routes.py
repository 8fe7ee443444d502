"""`/v1/virtual_network_interfaces`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import IfMatch, collection, no_content, reply, vpc_router
from linklocal.vpc.network.answers import (
    FloatingIpPage,
    FloatingIpReference,
    ReservedIpPage,
    ReservedIpReference,
)
from linklocal.vpc.network.model import VirtualNetworkInterfacePrototype
from linklocal.vpc.network.virtual_network_interfaces.model import (
    VirtualNetworkInterface,
    VirtualNetworkInterfaceCollection,
    VirtualNetworkInterfacePatch,
)
from linklocal.vpc.network.virtual_network_interfaces.service import VirtualNetworkInterfaceService
from linklocal.vpc.paging import Page, page_parameters

PATH = "/virtual_network_interfaces"
IPS = PATH + "/{virtual_network_interface_id}/ips"
FLOATING_IPS = PATH + "/{virtual_network_interface_id}/floating_ips"


def virtual_network_interface_routes(service: VirtualNetworkInterfaceService) -> APIRouter:
    """Operations on virtual network interfaces, their addresses and floating ips."""
    router = vpc_router("virtual_network_interfaces")

    @router.post(
        PATH,
        operation_id="create_virtual_network_interface",
        response_model=VirtualNetworkInterface,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, body: VirtualNetworkInterfacePrototype
    ) -> JSONResponse:
        view, tag = await service.create(caller, body)
        return reply(request, view, 201, tag=tag)

    @router.get(
        PATH,
        operation_id="list_virtual_network_interfaces",
        response_model=VirtualNetworkInterfaceCollection,
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        resource_group_id: Annotated[str | None, Query(alias="resource_group.id")] = None,
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page, resource_group_id)
        name = "virtual_network_interfaces"
        return collection(request, f"/v1{PATH}", name, items, page, total, following)

    @router.get(
        PATH + "/{id}",
        operation_id="get_virtual_network_interface",
        response_model=VirtualNetworkInterface,
    )
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        view, tag = await service.get(caller, id)
        return reply(request, view, tag=tag)

    @router.patch(
        PATH + "/{id}",
        operation_id="update_virtual_network_interface",
        response_model=VirtualNetworkInterface,
    )
    async def update(
        request: Request,
        caller: CurrentCaller,
        id: str,
        body: VirtualNetworkInterfacePatch,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        view, tag = await service.update(caller, id, body, if_match)
        return reply(request, view, tag=tag)

    @router.delete(
        PATH + "/{id}", operation_id="delete_virtual_network_interfaces", status_code=204
    )
    async def delete(caller: CurrentCaller, id: str, if_match: IfMatch = None) -> Response:
        await service.delete(caller, id, if_match)
        return no_content()

    _ip_routes(router, service)
    _floating_ip_routes(router, service)
    return router


def _ip_routes(router: APIRouter, service: VirtualNetworkInterfaceService) -> None:
    @router.get(
        IPS, operation_id="list_virtual_network_interface_ips", response_model=ReservedIpPage
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        virtual_network_interface_id: str,
        page: Annotated[Page, Depends(page_parameters)],
    ) -> JSONResponse:
        found = await service.list_ips(caller, virtual_network_interface_id, page)
        items, total, following = found
        path = f"/v1{PATH}/{virtual_network_interface_id}/ips"
        return collection(request, path, "ips", items, page, total, following)

    @router.get(
        IPS + "/{id}",
        operation_id="get_virtual_network_interface_ip",
        response_model=ReservedIpReference,
    )
    async def get(
        request: Request, caller: CurrentCaller, virtual_network_interface_id: str, id: str
    ) -> JSONResponse:
        return reply(request, await service.get_ip(caller, virtual_network_interface_id, id))

    @router.put(
        IPS + "/{id}",
        operation_id="add_virtual_network_interface_ip",
        response_model=ReservedIpReference,
        status_code=201,
    )
    async def add(
        request: Request, caller: CurrentCaller, virtual_network_interface_id: str, id: str
    ) -> JSONResponse:
        return reply(request, await service.add_ip(caller, virtual_network_interface_id, id), 201)

    @router.delete(
        IPS + "/{id}", operation_id="remove_virtual_network_interface_ip", status_code=204
    )
    async def remove(caller: CurrentCaller, virtual_network_interface_id: str, id: str) -> Response:
        await service.remove_ip(caller, virtual_network_interface_id, id)
        return no_content()


def _floating_ip_routes(router: APIRouter, service: VirtualNetworkInterfaceService) -> None:
    @router.get(
        FLOATING_IPS,
        operation_id="list_network_interface_floating_ips",
        response_model=FloatingIpPage,
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        virtual_network_interface_id: str,
        page: Annotated[Page, Depends(page_parameters)],
    ) -> JSONResponse:
        found = await service.list_floating_ips(caller, virtual_network_interface_id, page)
        items, total, following = found
        path = f"/v1{PATH}/{virtual_network_interface_id}/floating_ips"
        return collection(request, path, "floating_ips", items, page, total, following)

    @router.get(
        FLOATING_IPS + "/{id}",
        operation_id="get_network_interface_floating_ip",
        response_model=FloatingIpReference,
    )
    async def get(
        request: Request, caller: CurrentCaller, virtual_network_interface_id: str, id: str
    ) -> JSONResponse:
        view = await service.get_floating_ip(caller, virtual_network_interface_id, id)
        return reply(request, view)

    @router.put(
        FLOATING_IPS + "/{id}",
        operation_id="add_network_interface_floating_ip",
        response_model=FloatingIpReference,
        status_code=201,
    )
    async def add(
        request: Request, caller: CurrentCaller, virtual_network_interface_id: str, id: str
    ) -> JSONResponse:
        view = await service.add_floating_ip(caller, virtual_network_interface_id, id)
        return reply(request, view, 201)

    @router.delete(
        FLOATING_IPS + "/{id}",
        operation_id="remove_network_interface_floating_ip",
        status_code=204,
    )
    async def remove(caller: CurrentCaller, virtual_network_interface_id: str, id: str) -> Response:
        await service.remove_floating_ip(caller, virtual_network_interface_id, id)
        return no_content()
