"""Interfaces and attachments below `/v1/instances/{instance_id}`: parses and answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.network.floating_ips.model import FloatingIp
from linklocal.vpc.network.instance_interfaces.attachments import NetworkAttachmentService
from linklocal.vpc.network.instance_interfaces.model import (
    InterfaceFloatingIps,
    InterfaceIps,
    NetworkAttachment,
    NetworkAttachmentCollection,
    NetworkAttachmentPatch,
    NetworkInterface,
    NetworkInterfaceCollection,
    NetworkInterfacePatch,
)
from linklocal.vpc.network.instance_interfaces.service import InstanceInterfaceService
from linklocal.vpc.network.model import NetworkAttachmentPrototype, NetworkInterfacePrototype
from linklocal.vpc.network.reserved_ips.model import ReservedIp
from linklocal.vpc.paging import Page, page_parameters

INTERFACES = "/instances/{instance_id}/network_interfaces"
ATTACHMENTS = "/instances/{instance_id}/network_attachments"
IPS = INTERFACES + "/{network_interface_id}/ips"
FLOATING_IPS = INTERFACES + "/{network_interface_id}/floating_ips"


def instance_interface_routes(
    interfaces: InstanceInterfaceService, attachments: NetworkAttachmentService
) -> APIRouter:
    """Operations on an instance's network interfaces and network attachments."""
    router = vpc_router("instances")
    _interface_routes(router, interfaces)
    _ip_routes(router, interfaces)
    _floating_ip_routes(router, interfaces)
    _attachment_routes(router, attachments)
    return router


def _interface_routes(router: APIRouter, service: InstanceInterfaceService) -> None:
    @router.get(
        INTERFACES,
        operation_id="list_instance_network_interfaces",
        response_model=NetworkInterfaceCollection,
    )
    async def list_(request: Request, caller: CurrentCaller, instance_id: str) -> JSONResponse:
        return reply(request, {"network_interfaces": await service.list(caller, instance_id)})

    @router.post(
        INTERFACES,
        operation_id="create_instance_network_interface",
        response_model=NetworkInterface,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, instance_id: str, body: NetworkInterfacePrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, instance_id, body), 201)

    @router.get(
        INTERFACES + "/{id}",
        operation_id="get_instance_network_interface",
        response_model=NetworkInterface,
    )
    async def get(
        request: Request, caller: CurrentCaller, instance_id: str, id: str
    ) -> JSONResponse:
        return reply(request, await service.get(caller, instance_id, id))

    @router.patch(
        INTERFACES + "/{id}",
        operation_id="update_instance_network_interface",
        response_model=NetworkInterface,
    )
    async def update(
        request: Request,
        caller: CurrentCaller,
        instance_id: str,
        id: str,
        body: NetworkInterfacePatch,
    ) -> JSONResponse:
        return reply(request, await service.update(caller, instance_id, id, body))

    @router.delete(
        INTERFACES + "/{id}", operation_id="delete_instance_network_interface", status_code=204
    )
    async def delete(caller: CurrentCaller, instance_id: str, id: str) -> Response:
        await service.delete(caller, instance_id, id)
        return no_content()


def _ip_routes(router: APIRouter, service: InstanceInterfaceService) -> None:
    @router.get(
        IPS, operation_id="list_instance_network_interface_ips", response_model=InterfaceIps
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        instance_id: str,
        network_interface_id: str,
        page: Annotated[Page, Depends(page_parameters)],
    ) -> JSONResponse:
        found = await service.list_ips(caller, instance_id, network_interface_id, page)
        items, total, following = found
        path = f"/v1/instances/{instance_id}/network_interfaces/{network_interface_id}/ips"
        return collection(request, path, "ips", items, page, total, following)

    @router.get(
        IPS + "/{id}",
        operation_id="get_instance_network_interface_ip",
        response_model=ReservedIp,
    )
    async def get(
        request: Request,
        caller: CurrentCaller,
        instance_id: str,
        network_interface_id: str,
        id: str,
    ) -> JSONResponse:
        view = await service.get_ip(caller, instance_id, network_interface_id, id)
        return reply(request, view)


def _floating_ip_routes(router: APIRouter, service: InstanceInterfaceService) -> None:
    @router.get(
        FLOATING_IPS,
        operation_id="list_instance_network_interface_floating_ips",
        response_model=InterfaceFloatingIps,
    )
    async def list_(
        request: Request, caller: CurrentCaller, instance_id: str, network_interface_id: str
    ) -> JSONResponse:
        found = await service.list_floating_ips(caller, instance_id, network_interface_id)
        return reply(request, {"floating_ips": found})

    @router.get(
        FLOATING_IPS + "/{id}",
        operation_id="get_instance_network_interface_floating_ip",
        response_model=FloatingIp,
    )
    async def get(
        request: Request,
        caller: CurrentCaller,
        instance_id: str,
        network_interface_id: str,
        id: str,
    ) -> JSONResponse:
        view = await service.get_floating_ip(caller, instance_id, network_interface_id, id)
        return reply(request, view)

    @router.put(
        FLOATING_IPS + "/{id}",
        operation_id="add_instance_network_interface_floating_ip",
        response_model=FloatingIp,
        status_code=201,
    )
    async def add(
        request: Request,
        caller: CurrentCaller,
        instance_id: str,
        network_interface_id: str,
        id: str,
    ) -> JSONResponse:
        view = await service.add_floating_ip(caller, instance_id, network_interface_id, id)
        return reply(request, view, 201)

    @router.delete(
        FLOATING_IPS + "/{id}",
        operation_id="remove_instance_network_interface_floating_ip",
        status_code=204,
    )
    async def remove(
        caller: CurrentCaller, instance_id: str, network_interface_id: str, id: str
    ) -> Response:
        await service.remove_floating_ip(caller, instance_id, network_interface_id, id)
        return no_content()


def _attachment_routes(router: APIRouter, service: NetworkAttachmentService) -> None:
    @router.get(
        ATTACHMENTS,
        operation_id="list_instance_network_attachments",
        response_model=NetworkAttachmentCollection,
    )
    async def list_(request: Request, caller: CurrentCaller, instance_id: str) -> JSONResponse:
        return reply(request, {"network_attachments": await service.list(caller, instance_id)})

    @router.post(
        ATTACHMENTS,
        operation_id="create_instance_network_attachment",
        response_model=NetworkAttachment,
        status_code=201,
    )
    async def create(
        request: Request,
        caller: CurrentCaller,
        instance_id: str,
        body: NetworkAttachmentPrototype,
    ) -> JSONResponse:
        return reply(request, await service.create(caller, instance_id, body), 201)

    @router.get(
        ATTACHMENTS + "/{id}",
        operation_id="get_instance_network_attachment",
        response_model=NetworkAttachment,
    )
    async def get(
        request: Request, caller: CurrentCaller, instance_id: str, id: str
    ) -> JSONResponse:
        return reply(request, await service.get(caller, instance_id, id))

    @router.patch(
        ATTACHMENTS + "/{id}",
        operation_id="update_instance_network_attachment",
        response_model=NetworkAttachment,
    )
    async def update(
        request: Request,
        caller: CurrentCaller,
        instance_id: str,
        id: str,
        body: NetworkAttachmentPatch,
    ) -> JSONResponse:
        return reply(request, await service.update(caller, instance_id, id, body))

    @router.delete(
        ATTACHMENTS + "/{id}", operation_id="delete_instance_network_attachment", status_code=204
    )
    async def delete(caller: CurrentCaller, instance_id: str, id: str) -> Response:
        await service.delete(caller, instance_id, id)
        return no_content()
