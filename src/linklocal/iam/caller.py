"""Who is calling the control plane: bearer token -> `Caller`. Used by every route above this floor.

Authentication only: what a caller may do is decided in `roles.py`, by the services.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from linklocal.errors import NotAuthenticated
from linklocal.iam.signing_keys import SigningKeys, refused_message
from linklocal.ids import AccountId, is_crn
from linklocal.tokens import TokenRefused, VerifiedAccessToken


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity behind a verified access token.

    `iam_id` is `IBMid-...` or `iam-Profile-...`. `api_key_id` is set when the token came from an API key,
    `instance_crn` when it came from an instance by way of a trusted profile.
    """

    account_id: AccountId
    iam_id: str
    kind: Literal["user", "profile"]
    token_id: str
    email: str | None = None
    api_key_id: str | None = None
    profile_id: str | None = None
    instance_crn: str | None = None


def caller_of(token: VerifiedAccessToken) -> Caller:
    """The caller that an access token of ours speaks for (claims of `access_tokens.py`)."""
    authn = token.get("authn")
    actor = _text(authn.get("sub")) if isinstance(authn, dict) else None
    is_profile = token.get("sub_type") == "Profile"
    return Caller(
        account_id=AccountId(token["account"]["bss"]),
        iam_id=str(token["iam_id"]),
        kind="profile" if is_profile else "user",
        token_id=str(token["jti"]),
        email=_text(token.get("email")),
        api_key_id=_text(token.get("apikey_id")),
        profile_id=_text(token.get("sub")) if is_profile else None,
        instance_crn=actor if is_profile and actor is not None and is_crn(actor) else None,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class Authenticator(Protocol):
    """Turns the value of an `Authorization` header into a Caller. Raises NotAuthenticated."""

    async def authenticate(self, authorization: str | None) -> Caller: ...


class BearerAuthenticator:
    """`Authenticator` for access tokens of this server's IAM. No I/O while its keys are in memory."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller. Raises NotAuthenticated (401, contract 1.2); Unavailable before the first read."""
        if not authorization or not authorization.strip():
            raise NotAuthenticated(
                "The `Authorization` header is missing: send `Authorization: Bearer <access_token>`."
            )
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise NotAuthenticated(
                "The `Authorization` header must be `Bearer <access_token>`: the word Bearer, a "
                "space, the token."
            )
        try:
            return caller_of(await self._keys.verify(token))
        except TokenRefused as error:
            raise NotAuthenticated(refused_message(error)) from error


_bearer = HTTPBearer(
    scheme_name="iam",
    bearerFormat="JWT",
    description="IAM access token: `POST /identity/token` gives one for an API key.",
    auto_error=False,  # the authenticator says precisely what is wrong, in the API's own envelope
)


async def current_caller(
    request: Request,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """FastAPI dependency: the caller of this request. Raises NotAuthenticated."""
    authenticator: Authenticator = request.app.state.authenticator
    caller = await authenticator.authenticate(request.headers.get("authorization"))
    request.state.caller = caller  # for the audit of this call
    return caller


# How routes ask for it: `caller: CurrentCaller`.
CurrentCaller = Annotated[Caller, Depends(current_caller)]
