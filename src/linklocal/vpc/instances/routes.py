"""`/v1/instances`: parses and answers; `service.py` decides.

Interfaces, attachments and volume attachments of an instance have their routes in their own slices.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from linklocal.errors import NotFound, Target, Unsupported
from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import IfMatch, collection, no_content, reply, vpc_router
from linklocal.vpc.instances.answers import (
    ClusterNetworkAttachmentCollection,
    DiskCollection,
    Instance,
    InstanceAction,
    InstanceCollection,
    InstanceInitialization,
    SoftwareAttachment,
    SoftwareAttachmentCollection,
)
from linklocal.vpc.instances.model import (
    ConsoleAccessTokenPrototype,
    InstanceActionPrototype,
    InstancePatch,
    InstancePrototype,
    ReinitializePrototype,
)
from linklocal.vpc.instances.queries import InstanceFilter, instance_filter
from linklocal.vpc.instances.service import InstanceService
from linklocal.vpc.paging import Page, page_parameters

PageOf = Annotated[Page, Depends(page_parameters)]


def instance_routes(service: InstanceService) -> APIRouter:
    """Operations on instances, and what hangs below an instance without a slice of its own."""
    router = vpc_router("instances")
    _add_instances(router, service)
    _add_life_cycle(router, service)
    _add_children(router, service)
    return router


def _add_instances(router: APIRouter, service: InstanceService) -> None:
    @router.post(
        "/instances", operation_id="create_instance", response_model=Instance, status_code=201
    )
    async def create(
        request: Request, caller: CurrentCaller, body: InstancePrototype
    ) -> JSONResponse:
        view, tag = await service.create(caller, body)
        return reply(request, view, 201, tag=tag)

    @router.get("/instances", operation_id="list_instances", response_model=InstanceCollection)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: PageOf,
        asked: Annotated[InstanceFilter, Depends(instance_filter)],
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page, asked)
        return collection(request, "/v1/instances", "instances", items, page, total, following)

    @router.get("/instances/{id}", operation_id="get_instance", response_model=Instance)
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        view, tag = await service.get(caller, id)
        return reply(request, view, tag=tag)

    @router.patch("/instances/{id}", operation_id="update_instance", response_model=Instance)
    async def update(
        request: Request,
        caller: CurrentCaller,
        id: str,
        body: InstancePatch,
        if_match: IfMatch = None,
    ) -> JSONResponse:
        view, tag = await service.update(caller, id, body, if_match)
        return reply(request, view, tag=tag)

    @router.delete("/instances/{id}", operation_id="delete_instance", status_code=204)
    async def delete(caller: CurrentCaller, id: str, if_match: IfMatch = None) -> Response:
        await service.delete(caller, id, if_match)
        return no_content()


def _add_life_cycle(router: APIRouter, service: InstanceService) -> None:
    @router.get(
        "/instances/{id}/initialization",
        operation_id="get_instance_initialization",
        response_model=InstanceInitialization,
    )
    async def initialization(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.initialization(caller, id))

    @router.post(
        "/instances/{id}/reinitialize",
        operation_id="create_instance_reinitialization",
        status_code=202,
    )
    async def reinitialize(caller: CurrentCaller, id: str, body: ReinitializePrototype) -> Response:
        await service.reinitialize(caller, id, body)
        return Response(status_code=202)

    @router.post(
        "/instances/{instance_id}/actions",
        operation_id="create_instance_action",
        response_model=InstanceAction,
        status_code=201,
    )
    async def act(
        request: Request, caller: CurrentCaller, instance_id: str, body: InstanceActionPrototype
    ) -> JSONResponse:
        return reply(request, await service.act(caller, instance_id, body), 201)

    @router.post(
        "/instances/{instance_id}/console_access_token",
        operation_id="create_instance_console_access_token",
        status_code=501,
    )
    async def console_access_token(
        caller: CurrentCaller, instance_id: str, body: ConsoleAccessTokenPrototype
    ) -> Response:
        await service.initialization(caller, instance_id)
        raise Unsupported(
            "linklocal runs no consoles: use `linklocal enter`, or your hypervisor's console.",
            Target("console_type", value=body.console_type),
        )


def _add_children(router: APIRouter, service: InstanceService) -> None:
    below = "/instances/{instance_id}"

    @router.get(f"{below}/disks", operation_id="list_instance_disks", response_model=DiskCollection)
    async def disks(request: Request, caller: CurrentCaller, instance_id: str) -> JSONResponse:
        await service.initialization(caller, instance_id)
        return reply(request, {"disks": []})

    @router.get(f"{below}/disks/{{id}}", operation_id="get_instance_disk")
    async def disk(caller: CurrentCaller, instance_id: str, id: str) -> Response:
        await service.initialization(caller, instance_id)
        raise NotFound("id", id)

    @router.get(
        f"{below}/software_attachments",
        operation_id="list_instance_software_attachments",
        response_model=SoftwareAttachmentCollection,
    )
    async def software_attachments(
        request: Request, caller: CurrentCaller, instance_id: str
    ) -> JSONResponse:
        found = await service.software_attachments(caller, instance_id)
        return reply(request, {"software_attachments": found})

    @router.get(
        f"{below}/software_attachments/{{id}}",
        operation_id="get_instance_software_attachment",
        response_model=SoftwareAttachment,
    )
    async def software_attachment(
        request: Request, caller: CurrentCaller, instance_id: str, id: str
    ) -> JSONResponse:
        for found in await service.software_attachments(caller, instance_id):
            if found["id"] == id:
                return reply(request, found)
        raise NotFound("id", id)

    @router.get(
        f"{below}/cluster_network_attachments",
        operation_id="list_instance_cluster_network_attachments",
        response_model=ClusterNetworkAttachmentCollection,
    )
    async def cluster_network_attachments(
        request: Request, caller: CurrentCaller, instance_id: str, page: PageOf
    ) -> JSONResponse:
        await service.initialization(caller, instance_id)
        path = f"/v1/instances/{instance_id}/cluster_network_attachments"
        return collection(request, path, "cluster_network_attachments", [], page, 0, None)

    @router.get(
        f"{below}/cluster_network_attachments/{{id}}",
        operation_id="get_instance_cluster_network_attachment",
    )
    async def cluster_network_attachment(
        caller: CurrentCaller, instance_id: str, id: str
    ) -> Response:
        await service.initialization(caller, instance_id)
        raise NotFound("id", id)
