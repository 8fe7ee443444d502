"""`/identity/...`: tokens, keys, discovery, introspection. Parses and answers; `grants.py` decides.

Errors have the token endpoint's shape (contract 4.3).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from linklocal.errors import Invalid
from linklocal.iam import access_tokens, problems
from linklocal.iam.grants import Grants
from linklocal.iam.http import Answer, base_url
from linklocal.iam.introspection import Introspector
from linklocal.iam.login import Login, asked
from linklocal.iam.signing_keys import SigningKeys, published_jwks
from linklocal.store.engine import Database

_MAX_FIELDS = 50
_NEVER_CACHED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class TokenAnswer(Answer):
    access_token: str
    refresh_token: str = Field(description="`not_supported` for requests without a client id")
    token_type: Literal["Bearer"]
    expires_in: int
    expiration: int
    scope: str


class JsonWebKey(Answer):
    kty: str
    kid: str
    alg: str
    use: str
    n: str
    e: str


class JsonWebKeySet(Answer):
    keys: list[JsonWebKey]


class Introspection(Answer):
    active: bool


def _form(required: tuple[str, ...], **properties: str) -> dict[str, Any]:
    """The form's description for the OpenAPI document; the body is read by hand."""
    schema = {
        "type": "object",
        "required": list(required),
        "properties": {
            name: {"type": "string", "description": text} for name, text in properties.items()
        },
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a form; of a repeated one the first. Raises Invalid."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        message = "The body is not a form: send `application/x-www-form-urlencoded` fields."
        raise Invalid(problems.invalid("grant_type", message)) from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def client_id_of(authorization: str | None) -> str | None:
    """The client id of HTTP basic authentication; None without a readable one."""
    scheme, _, text = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, _ = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return None
    return user[:64] or None


def token_routes(
    database: Database, grants: Grants, keys: SigningKeys, introspector: Introspector
) -> APIRouter:
    """The token endpoint and what verifiers of its tokens read. No bearer token is needed."""
    router = APIRouter(prefix="/identity", tags=["iam tokens"])

    @router.post(
        "/token",
        operation_id="create_token",
        response_model=TokenAnswer,
        openapi_extra=_form(
            ("grant_type",),
            grant_type="urn:ibm:params:oauth:grant-type:{apikey, cr-token, assume}, refresh_token",
            apikey="for apikey",
            cr_token="for cr-token: an instance identity token",  # noqa: S106 - a description
            access_token="for assume: a user's access token",  # noqa: S106 - a description
            refresh_token="for refresh_token",  # noqa: S106 - a description
            profile_id="for cr-token and assume; or profile_crn, profile_name",
            profile_crn="",
            profile_name="",
            account="for assume with profile_name",
        ),
    )
    async def token(request: Request) -> JSONResponse:
        # A client id in HTTP basic authentication asks for a refresh token; it is never checked.
        client_id = client_id_of(request.headers.get("authorization"))
        form = read_form(await request.body())
        issuer = access_tokens.issuer_of(base_url(request))
        login = request.state.login = asked(form.get("grant_type"))
        made = await grants.grant(form, issuer=issuer, client_id=client_id)
        request.state.login = Login(login.grant, made.iam_id, made.api_key_id, made.profile_id)
        return JSONResponse(made.answer(), headers=_NEVER_CACHED)

    @router.get("/keys", operation_id="get_keys", response_model=JsonWebKeySet)
    async def jwks() -> JSONResponse:
        async with database.read() as connection:
            return JSONResponse(await published_jwks(connection, keys))

    @router.get("/.well-known/openid-configuration", operation_id="get_openid_configuration")
    async def discovery(request: Request) -> dict[str, Any]:
        issuer = access_tokens.issuer_of(base_url(request))
        return {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            "introspection_endpoint": f"{issuer}/introspect",
            "grant_types_supported": [
                access_tokens.GRANT_API_KEY,
                access_tokens.GRANT_COMPUTE_RESOURCE,
                access_tokens.GRANT_ASSUME,
                access_tokens.GRANT_REFRESH,
            ],
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["public"],
            "scopes_supported": access_tokens.SCOPE.split(),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
        }

    @router.post(
        "/introspect",
        operation_id="introspect",
        response_model=Introspection,
        openapi_extra=_form(
            ("token",),
            token="an access token, or an identity token of an instance",  # noqa: S106 - a description
        ),
    )
    async def introspect(request: Request) -> JSONResponse:
        form = read_form(await request.body())
        if not form.get("token"):
            raise Invalid(problems.missing("token"))
        return JSONResponse(await introspector.look_at(form["token"]), headers=_NEVER_CACHED)

    return router
