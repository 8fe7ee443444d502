"""`/v1/keys`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.keys.model import Key, KeyCollection, KeyPatch, KeyPrototype
from linklocal.vpc.keys.service import KeyService
from linklocal.vpc.paging import Page, page_parameters


def key_routes(service: KeyService) -> APIRouter:
    """Operations `list_keys`, `create_key`, `get_key`, `update_key`, `delete_key`."""
    router = vpc_router("keys")

    @router.post("/keys", operation_id="create_key", response_model=Key, status_code=201)
    async def create(request: Request, caller: CurrentCaller, body: KeyPrototype) -> JSONResponse:
        return reply(request, await service.create(caller, body), 201)

    @router.get("/keys", operation_id="list_keys", response_model=KeyCollection)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        resource_group_id: Annotated[str | None, Query(alias="resource_group.id")] = None,
    ) -> JSONResponse:
        items, total, following = await service.list(caller, page, resource_group_id)
        return collection(request, "/v1/keys", "keys", items, page, total, following)

    @router.get("/keys/{id}", operation_id="get_key", response_model=Key)
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, id))

    @router.patch("/keys/{id}", operation_id="update_key", response_model=Key)
    async def update(
        request: Request, caller: CurrentCaller, id: str, body: KeyPatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, id, body))

    @router.delete("/keys/{id}", operation_id="delete_key", status_code=204)
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()

    return router
