"""`/v1/security_groups`: parses and answers; `service.py` decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.caller import CurrentCaller
from linklocal.vpc.http import collection, no_content, reply, vpc_router
from linklocal.vpc.network.answers import TypedReference
from linklocal.vpc.network.security_groups.model import (
    SecurityGroup,
    SecurityGroupCollection,
    SecurityGroupPatch,
    SecurityGroupPrototype,
    SecurityGroupRule,
    SecurityGroupRuleCollection,
    SecurityGroupTargetCollection,
)
from linklocal.vpc.network.security_groups.rules import RulePatch, RulePrototype
from linklocal.vpc.network.security_groups.service import SecurityGroupService
from linklocal.vpc.paging import Page, page_parameters

RULES = "/security_groups/{security_group_id}/rules"
TARGETS = "/security_groups/{security_group_id}/targets"


def security_group_routes(service: SecurityGroupService) -> APIRouter:
    """Operations on security groups, their rules and their targets."""
    router = vpc_router("security_groups")

    @router.post(
        "/security_groups",
        operation_id="create_security_group",
        response_model=SecurityGroup,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, body: SecurityGroupPrototype
    ) -> JSONResponse:
        return reply(request, await service.create(caller, body), 201)

    @router.get(
        "/security_groups",
        operation_id="list_security_groups",
        response_model=SecurityGroupCollection,
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        resource_group_id: Annotated[str | None, Query(alias="resource_group.id")] = None,
        vpc_id: Annotated[str | None, Query(alias="vpc.id")] = None,
        vpc_crn: Annotated[str | None, Query(alias="vpc.crn")] = None,
        vpc_name: Annotated[str | None, Query(alias="vpc.name")] = None,
    ) -> JSONResponse:
        items, total, following = await service.list(
            caller,
            page,
            resource_group_id=resource_group_id,
            vpc_id=vpc_id,
            vpc_crn=vpc_crn,
            vpc_name=vpc_name,
        )
        path, name = "/v1/security_groups", "security_groups"
        return collection(request, path, name, items, page, total, following)

    @router.get(
        "/security_groups/{id}", operation_id="get_security_group", response_model=SecurityGroup
    )
    async def get(request: Request, caller: CurrentCaller, id: str) -> JSONResponse:
        return reply(request, await service.get(caller, id))

    @router.patch(
        "/security_groups/{id}", operation_id="update_security_group", response_model=SecurityGroup
    )
    async def update(
        request: Request, caller: CurrentCaller, id: str, body: SecurityGroupPatch
    ) -> JSONResponse:
        return reply(request, await service.update(caller, id, body))

    @router.delete("/security_groups/{id}", operation_id="delete_security_group", status_code=204)
    async def delete(caller: CurrentCaller, id: str) -> Response:
        await service.delete(caller, id)
        return no_content()

    _rule_routes(router, service)
    _target_routes(router, service)
    return router


def _rule_routes(router: APIRouter, service: SecurityGroupService) -> None:
    @router.get(
        RULES,
        operation_id="list_security_group_rules",
        response_model=SecurityGroupRuleCollection,
    )
    async def list_(
        request: Request, caller: CurrentCaller, security_group_id: str
    ) -> JSONResponse:
        return reply(request, {"rules": await service.list_rules(caller, security_group_id)})

    @router.post(
        RULES,
        operation_id="create_security_group_rule",
        response_model=SecurityGroupRule,
        status_code=201,
    )
    async def create(
        request: Request, caller: CurrentCaller, security_group_id: str, body: RulePrototype
    ) -> JSONResponse:
        return reply(request, await service.create_rule(caller, security_group_id, body), 201)

    @router.get(
        RULES + "/{id}", operation_id="get_security_group_rule", response_model=SecurityGroupRule
    )
    async def get(
        request: Request, caller: CurrentCaller, security_group_id: str, id: str
    ) -> JSONResponse:
        return reply(request, await service.get_rule(caller, security_group_id, id))

    @router.patch(
        RULES + "/{id}", operation_id="update_security_group_rule", response_model=SecurityGroupRule
    )
    async def update(
        request: Request, caller: CurrentCaller, security_group_id: str, id: str, body: RulePatch
    ) -> JSONResponse:
        return reply(request, await service.update_rule(caller, security_group_id, id, body))

    @router.delete(RULES + "/{id}", operation_id="delete_security_group_rule", status_code=204)
    async def delete(caller: CurrentCaller, security_group_id: str, id: str) -> Response:
        await service.delete_rule(caller, security_group_id, id)
        return no_content()


def _target_routes(router: APIRouter, service: SecurityGroupService) -> None:
    @router.get(
        TARGETS,
        operation_id="list_security_group_targets",
        response_model=SecurityGroupTargetCollection,
    )
    async def list_(
        request: Request,
        caller: CurrentCaller,
        security_group_id: str,
        page: Annotated[Page, Depends(page_parameters)],
    ) -> JSONResponse:
        found = await service.list_targets(caller, security_group_id, page)
        items, total, following = found
        path = f"/v1/security_groups/{security_group_id}/targets"
        return collection(request, path, "targets", items, page, total, following)

    @router.get(
        TARGETS + "/{id}", operation_id="get_security_group_target", response_model=TypedReference
    )
    async def get(
        request: Request, caller: CurrentCaller, security_group_id: str, id: str
    ) -> JSONResponse:
        return reply(request, await service.get_target(caller, security_group_id, id))

    @router.put(
        TARGETS + "/{id}",
        operation_id="create_security_group_target_binding",
        response_model=TypedReference,
        status_code=201,
    )
    async def bind(
        request: Request, caller: CurrentCaller, security_group_id: str, id: str
    ) -> JSONResponse:
        return reply(request, await service.bind(caller, security_group_id, id), 201)

    @router.delete(
        TARGETS + "/{id}", operation_id="delete_security_group_target_binding", status_code=204
    )
    async def unbind(caller: CurrentCaller, security_group_id: str, id: str) -> Response:
        await service.unbind(caller, security_group_id, id)
        return no_content()
