"""`/v1/policies`, a subset of IamPolicyManagementV1: parses and answers; `service.py` decides.

Errors have the identity API's shape (contract 4.3).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.accounts import same_account
from linklocal.iam.caller import CurrentCaller
from linklocal.iam.http import IfMatch, base_url, no_content
from linklocal.iam.policies.model import Policy, PolicyCollection, PolicyPrototype
from linklocal.iam.policies.service import PolicyService


def policy_routes(service: PolicyService) -> APIRouter:
    """`create_policy`, `list_policies`, `get_policy`, `replace_policy`, `delete_policy`."""
    router = APIRouter(prefix="/v1/policies", tags=["iam policies"])

    def absolute(request: Request, view: dict[str, Any]) -> dict[str, Any]:
        return {**view, "href": base_url(request) + view["href"]}

    def answer(request: Request, found: tuple[dict[str, Any], str], status: int) -> JSONResponse:
        view, tag = found
        return JSONResponse(absolute(request, view), status, {"ETag": tag})

    @router.post("", operation_id="create_policy", response_model=Policy, status_code=201)
    async def create(request: Request, caller: CurrentCaller, body: PolicyPrototype) -> Response:
        return answer(request, await service.create(caller, body), 201)

    @router.get("", operation_id="list_policies", response_model=PolicyCollection)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        account_id: Annotated[str, Query()],
        iam_id: Annotated[
            str | None, Query(description="only of this subject; also takes the id of an API key")
        ] = None,
    ) -> JSONResponse:
        same_account(caller, account_id, "iam.policy.list")
        found = await service.list(caller, subject=iam_id)
        return JSONResponse({"policies": [absolute(request, view) for view in found]})

    @router.get("/{policy_id}", operation_id="get_policy", response_model=Policy)
    async def get(request: Request, caller: CurrentCaller, policy_id: str) -> Response:
        return answer(request, await service.get(caller, policy_id), 200)

    @router.put("/{policy_id}", operation_id="replace_policy", response_model=Policy)
    async def replace(
        request: Request,
        caller: CurrentCaller,
        policy_id: str,
        body: PolicyPrototype,
        if_match: IfMatch,
    ) -> Response:
        return answer(request, await service.replace(caller, policy_id, body, if_match), 200)

    @router.delete("/{policy_id}", operation_id="delete_policy", status_code=204)
    async def delete(caller: CurrentCaller, policy_id: str) -> Response:
        await service.delete(caller, policy_id)
        return no_content()

    return router
