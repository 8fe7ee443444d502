"""Who is calling the control plane: bearer token -> `Caller`. Used by every route above this floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

from fastapi import Depends, Request

from linklocal.ids import AccountId


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


class Authenticator(Protocol):
    """Turns the value of an `Authorization` header into a Caller. Raises NotAuthenticated."""

    async def authenticate(self, authorization: str | None) -> Caller: ...


async def current_caller(request: Request) -> Caller:
    """FastAPI dependency: the caller of this request. Raises NotAuthenticated."""
    authenticator: Authenticator = request.app.state.authenticator
    return await authenticator.authenticate(request.headers.get("authorization"))


# How routes ask for it: `caller: CurrentCaller`.
CurrentCaller = Annotated[Caller, Depends(current_caller)]
