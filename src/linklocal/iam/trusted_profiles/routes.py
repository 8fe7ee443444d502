"""`/v1/profiles`, their links, claim rules and identities: parses and answers; the services decide.

Errors have the identity API's shape (contract 4.3).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from linklocal.iam.accounts import same_account
from linklocal.iam.caller import CurrentCaller
from linklocal.iam.http import IfMatch, Page, listing, no_content, page_parameters, tagged
from linklocal.iam.trusted_profiles.claim_rules import RuleService
from linklocal.iam.trusted_profiles.identities import (
    IdentitiesPrototype,
    IdentityPrototype,
    IdentityService,
    IdentityType,
    ProfileIdentities,
    ProfileIdentity,
)
from linklocal.iam.trusted_profiles.linking import LinkService
from linklocal.iam.trusted_profiles.model import (
    CrType,
    LinkPrototype,
    ProfileClaimRule,
    ProfileClaimRuleList,
    ProfileLink,
    ProfileLinkList,
    ProfilePrototype,
    ProfileUpdate,
    RulePrototype,
    TrustedProfile,
    TrustedProfilesList,
)
from linklocal.iam.trusted_profiles.service import ProfileService


def profile_routes(profiles: ProfileService) -> APIRouter:
    """`create_profile`, `list_profiles`, `get_profile`, `update_profile`, `delete_profile`."""
    router = APIRouter(prefix="/v1/profiles", tags=["iam trusted profiles"])

    @router.post("", operation_id="create_profile", response_model=TrustedProfile, status_code=201)
    async def create(caller: CurrentCaller, body: ProfilePrototype) -> JSONResponse:
        return tagged(await profiles.create(caller, body), 201)

    @router.get("", operation_id="list_profiles", response_model=TrustedProfilesList)
    async def list_(
        request: Request,
        caller: CurrentCaller,
        page: Annotated[Page, Depends(page_parameters)],
        account_id: Annotated[str | None, Query()] = None,
        name: Annotated[str | None, Query()] = None,
    ) -> JSONResponse:
        same_account(caller, account_id, "iam-identity.profile.list")
        return listing(request, "profiles", await profiles.list(caller, page, name))

    @router.get("/{profile_id}", operation_id="get_profile", response_model=TrustedProfile)
    async def get(caller: CurrentCaller, profile_id: str) -> JSONResponse:
        return tagged(await profiles.get(caller, profile_id))

    @router.put("/{profile_id}", operation_id="update_profile", response_model=TrustedProfile)
    async def update(
        caller: CurrentCaller, profile_id: str, body: ProfileUpdate, if_match: IfMatch
    ) -> JSONResponse:
        return tagged(await profiles.update(caller, profile_id, body, if_match))

    @router.delete("/{profile_id}", operation_id="delete_profile", status_code=204)
    async def delete(caller: CurrentCaller, profile_id: str) -> Response:
        await profiles.delete(caller, profile_id)
        return no_content()

    return router


def link_routes(links: LinkService) -> APIRouter:
    """`create_link`, `list_links`, `get_link`, `delete_link`, `delete_link_by_parameters`."""
    router = APIRouter(prefix="/v1/profiles/{profile_id}/links", tags=["iam trusted profiles"])

    @router.post("", operation_id="create_link", response_model=ProfileLink, status_code=201)
    async def create(caller: CurrentCaller, profile_id: str, body: LinkPrototype) -> JSONResponse:
        return tagged(await links.create(caller, profile_id, body), 201)

    @router.get("", operation_id="list_links", response_model=ProfileLinkList)
    async def list_(caller: CurrentCaller, profile_id: str) -> JSONResponse:
        return JSONResponse({"links": await links.list(caller, profile_id)})

    @router.delete("", operation_id="delete_link_by_parameters", status_code=204)
    async def delete_by_parameters(
        caller: CurrentCaller,
        profile_id: str,
        type: Annotated[CrType, Query()],
        crn: Annotated[str | None, Query()] = None,
        namespace: Annotated[str | None, Query()] = None,
        name: Annotated[str | None, Query()] = None,
        component_type: Annotated[str | None, Query()] = None,
        component_name: Annotated[str | None, Query()] = None,
    ) -> Response:
        members = {
            "crn": crn,
            "namespace": namespace,
            "name": name,
            "component_type": component_type,
            "component_name": component_name,
        }
        given = {member: value for member, value in members.items() if value is not None}
        await links.delete_matching(caller, profile_id, type, given)
        return no_content()

    @router.get("/{link_id}", operation_id="get_link", response_model=ProfileLink)
    async def get(caller: CurrentCaller, profile_id: str, link_id: str) -> JSONResponse:
        return tagged(await links.get(caller, profile_id, link_id))

    @router.delete("/{link_id}", operation_id="delete_link", status_code=204)
    async def delete(caller: CurrentCaller, profile_id: str, link_id: str) -> Response:
        await links.delete(caller, profile_id, link_id)
        return no_content()

    return router


def rule_routes(rules: RuleService) -> APIRouter:
    """`create_claim_rule`, `list_claim_rules`, `get_...`, `update_...`, `delete_claim_rule`."""
    router = APIRouter(prefix="/v1/profiles/{profile_id}/rules", tags=["iam trusted profiles"])

    @router.post(
        "", operation_id="create_claim_rule", response_model=ProfileClaimRule, status_code=201
    )
    async def create(caller: CurrentCaller, profile_id: str, body: RulePrototype) -> JSONResponse:
        return tagged(await rules.create(caller, profile_id, body), 201)

    @router.get("", operation_id="list_claim_rules", response_model=ProfileClaimRuleList)
    async def list_(caller: CurrentCaller, profile_id: str) -> JSONResponse:
        return JSONResponse({"rules": await rules.list(caller, profile_id)})

    @router.get("/{rule_id}", operation_id="get_claim_rule", response_model=ProfileClaimRule)
    async def get(caller: CurrentCaller, profile_id: str, rule_id: str) -> JSONResponse:
        return tagged(await rules.get(caller, profile_id, rule_id))

    @router.put("/{rule_id}", operation_id="update_claim_rule", response_model=ProfileClaimRule)
    async def update(
        caller: CurrentCaller,
        profile_id: str,
        rule_id: str,
        body: RulePrototype,
        if_match: IfMatch,
    ) -> JSONResponse:
        return tagged(await rules.update(caller, profile_id, rule_id, body, if_match))

    @router.delete("/{rule_id}", operation_id="delete_claim_rule", status_code=204)
    async def delete(caller: CurrentCaller, profile_id: str, rule_id: str) -> Response:
        await rules.delete(caller, profile_id, rule_id)
        return no_content()

    return router


def identity_routes(identities: IdentityService) -> APIRouter:
    """`get_profile_identities`, `set_...`, and of one identity `set_`, `get_`, `delete_...`."""
    router = APIRouter(prefix="/v1/profiles/{profile_id}/identities", tags=["iam trusted profiles"])

    @router.get("", operation_id="get_profile_identities", response_model=ProfileIdentities)
    async def list_(caller: CurrentCaller, profile_id: str) -> JSONResponse:
        return tagged(await identities.every(caller, profile_id))

    @router.put("", operation_id="set_profile_identities", response_model=ProfileIdentities)
    async def replace(
        caller: CurrentCaller, profile_id: str, body: IdentitiesPrototype, if_match: IfMatch
    ) -> JSONResponse:
        return tagged(await identities.replace(caller, profile_id, body, if_match))

    @router.post(
        "/{identity_type}", operation_id="set_profile_identity", response_model=ProfileIdentity
    )
    async def add(
        caller: CurrentCaller,
        profile_id: str,
        identity_type: IdentityType,
        body: IdentityPrototype,
    ) -> JSONResponse:
        return JSONResponse(await identities.add(caller, profile_id, identity_type, body))

    @router.get(
        "/{identity_type}/{identifier_id}",
        operation_id="get_profile_identity",
        response_model=ProfileIdentity,
    )
    async def get(
        caller: CurrentCaller, profile_id: str, identity_type: IdentityType, identifier_id: str
    ) -> JSONResponse:
        return JSONResponse(await identities.get(caller, profile_id, identity_type, identifier_id))

    @router.delete(
        "/{identity_type}/{identifier_id}", operation_id="delete_profile_identity", status_code=204
    )
    async def delete(
        caller: CurrentCaller, profile_id: str, identity_type: IdentityType, identifier_id: str
    ) -> Response:
        await identities.delete(caller, profile_id, identity_type, identifier_id)
        return no_content()

    return router
