"""`/v1/apikeys`: parses and answers; `service.py` decides. Errors have the identity API's shape (4.3)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.accounts import same_account
from linklocal.iam.api_keys.model import ApiKey, ApiKeyList, ApiKeyPrototype, ApiKeyUpdate
from linklocal.iam.api_keys.service import ApiKeyService
from linklocal.iam.caller import CurrentCaller
from linklocal.iam.http import IfMatch, Page, listing, no_content, page_parameters, tagged

Flag = Literal["true", "false"]


def api_key_routes(service: ApiKeyService) -> APIRouter:
    """Operations of IamIdentityV1: `create_api_key`, `list_api_keys`, `get_api_keys_details`, ..."""
    router = APIRouter(prefix="/v1/apikeys", tags=["iam api keys"])

    @router.post("", operation_id="create_api_key", response_model=ApiKey, status_code=201)
    async def create(
        caller: CurrentCaller,
        body: ApiKeyPrototype,
        entity_lock: Annotated[Flag, Header()] = "false",
        entity_disable: Annotated[Flag, Header()] = "false",
    ) -> JSONResponse:
        made = await service.create(
            caller, body, lock=entity_lock == "true", disable=entity_disable == "true"
        )
        return tagged(made, 201)

    @router.get("", operation_id="list_api_keys", response_model=ApiKeyList)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        account_id: Annotated[str | None, Query()] = None,
        iam_id: Annotated[str | None, Query()] = None,
        scope: Annotated[Literal["entity", "account"], Query()] = "entity",
        type: Annotated[Literal["user", "serviceid"], Query()] = "user",
    ) -> JSONResponse:
        same_account(caller, account_id, "iam-identity.user-apikey.list")
        found = await service.list(caller, page, scope=scope, kind=type, iam_id=iam_id)
        return listing(request, "apikeys", found)

    @router.get("/details", operation_id="get_api_keys_details", response_model=ApiKey)
    async def details(
        caller: CurrentCaller, iam_apikey: Annotated[str | None, Header(alias="IAM-ApiKey")] = None
    ) -> JSONResponse:
        return tagged(await service.details(caller, iam_apikey))

    @router.get("/{id}", operation_id="get_api_key", response_model=ApiKey)
    async def get(caller: CurrentCaller, id: str) -> JSONResponse:
        return tagged(await service.get(caller, id))

    @router.put("/{id}", operation_id="update_api_key", response_model=ApiKey)
    async def update(
        caller: CurrentCaller, id: str, body: ApiKeyUpdate, if_match: IfMatch
    ) -> JSONResponse:
        return tagged(await service.update(caller, id, body, if_match))

    @router.delete("/{id}", operation_id="delete_api_key", status_code=204)
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()

    @router.post("/{id}/lock", operation_id="lock_api_key", status_code=204)
    async def lock(caller: CurrentCaller, id: str) -> Response:
        await service.set_locked(caller, id, True)
        return no_content()

    @router.delete("/{id}/lock", operation_id="unlock_api_key", status_code=204)
    async def unlock(caller: CurrentCaller, id: str) -> Response:
        await service.set_locked(caller, id, False)
        return no_content()

    @router.post("/{id}/disable", operation_id="disable_api_key", status_code=204)
    async def disable(caller: CurrentCaller, id: str) -> Response:
        await service.set_disabled(caller, id, True)
        return no_content()

    @router.delete("/{id}/disable", operation_id="enable_api_key", status_code=204)
    async def enable(caller: CurrentCaller, id: str) -> Response:
        await service.set_disabled(caller, id, False)
        return no_content()

    return router
