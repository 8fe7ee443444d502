"""`/v1/instance/templates`: parses and answers; `service.py` decides."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.paging import DEFAULT_LIMIT, Page
from linklocal.vpc.templates.model import (
    InstanceTemplate,
    InstanceTemplateCollection,
    TemplatePatch,
    TemplatePrototype,
)
from linklocal.vpc.templates.service import TemplateService


def template_routes(service: TemplateService) -> APIRouter:
    """Operations `list_instance_templates`, `create_`, `get_`, `update_`, `delete_instance_template`."""
    router = vpc_router("instance templates")

    @router.post(
        "/instance/templates",
        operation_id="create_instance_template",
        response_model=InstanceTemplate,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, body: TemplatePrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, body), 201)

    @router.get(
        "/instance/templates",
        operation_id="list_instance_templates",
        response_model=InstanceTemplateCollection,
    )
    async def list_(request: Request, caller: CurrentCaller) -> JSONResponse:
        views = await service.list(caller)
        page = Page(limit=max(DEFAULT_LIMIT, len(views)))
        path = "/v1/instance/templates"
        return collection(request, path, "templates", views, page, len(views), None)

    @router.get(
        "/instance/templates/{id}",
        operation_id="get_instance_template",
        response_model=InstanceTemplate,
    )
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, id))

    @router.patch(
        "/instance/templates/{id}",
        operation_id="update_instance_template",
        response_model=InstanceTemplate,
    )
    async def update(
        request: Request, caller: CurrentCaller, id: str, body: TemplatePatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, id, body))

    @router.delete(
        "/instance/templates/{id}", operation_id="delete_instance_template", status_code=204
    )
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()

    return router
