"""`/v1/instances/{instance_id}/volume_attachments`: parses and answers; the service decides."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import no_content, reply, vpc_router
from linklocal.vpc.volumes.instance_attachments.service import VolumeAttachmentService
from linklocal.vpc.volumes.model import (
    VolumeAttachment,
    VolumeAttachmentCollection,
    VolumeAttachmentPatch,
    VolumeAttachmentPrototype,
)

PATH = "/instances/{instance_id}/volume_attachments"


def volume_attachment_routes(service: VolumeAttachmentService) -> APIRouter:
    """Operations `list_`, `create_`, `get_`, `update_` and `delete_instance_volume_attachment(s)`."""
    router = vpc_router("instances")

    @router.get(
        PATH,
        operation_id="list_instance_volume_attachments",
        response_model=VolumeAttachmentCollection,
    )
    async def list_(request: Request, caller: CurrentCaller, instance_id: str) -> JSONResponse:
        found = await service.list(caller, instance_id)
        return reply(request, {"volume_attachments": found})

    @router.post(
        PATH,
        operation_id="create_instance_volume_attachment",
        response_model=VolumeAttachment,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, instance_id: str, body: VolumeAttachmentPrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, instance_id, body), 201)

    @router.get(
        PATH + "/{id}",
        operation_id="get_instance_volume_attachment",
        response_model=VolumeAttachment,
    )
    async def get(
        request: Request, caller: CurrentCaller, instance_id: str, id: str
    ) -> JSONResponse:
        return reply(request, await service.get(caller, instance_id, id))

    @router.patch(
        PATH + "/{id}",
        operation_id="update_instance_volume_attachment",
        response_model=VolumeAttachment,
    )
    async def update(
        request: Request,
        caller: CurrentCaller,
        instance_id: str,
        id: str,
        body: VolumeAttachmentPatch,
    ) -> JSONResponse:
        return reply(request, await service.update(caller, instance_id, id, body))

    @router.delete(
        PATH + "/{id}", operation_id="delete_instance_volume_attachment", status_code=204
    )
    async def delete(caller: CurrentCaller, instance_id: str, id: str) -> Response:
        await service.delete(caller, instance_id, id)
        return no_content()

    return router
