"""`POST /identity/token`: who proves what, and the access token they get (control-plane contract 4.1).

Grants: apikey, cr-token, assume, refresh_token; and, for nodes, the exchange on behalf of an instance.
Refusals are IAM's own codes; they never repeat a key or a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.errors import (
    DomainError,
    Invalid,
    NotAuthenticated,
    NotAuthorized,
    Problem,
    Target,
)
from linklocal.iam import access_tokens, problems
from linklocal.iam.api_keys.model import key_hash
from linklocal.iam.caller import caller_of
from linklocal.iam.exchange import By, GrantedProfile, ProfileSelector, exchange
from linklocal.iam.links import find_profile
from linklocal.iam.roles import Roles
from linklocal.iam.secrets import Sealer
from linklocal.iam.signing_keys import TOKEN_LIFE, SigningKeys, expires_at, refused_message
from linklocal.iam.tables import api_keys, users
from linklocal.iam.trusted_profiles.identities import is_identity
from linklocal.settings import Region
from linklocal.store.engine import Database
from linklocal.tokens import TokenRefused

NO_REFRESH_TOKEN = "not_supported"  # noqa: S105 - IBM's word for "none"
REFRESH_LIFE = timedelta(hours=72)
_REFRESH_CONTEXT = "refresh-token"
_SELECTORS: tuple[By, ...] = ("id", "crn", "name")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed access token. `refresh_token` only for clients that can use one."""

    value: str
    issued_at: datetime
    expires_at: datetime
    refresh_token: str | None = None
    profile_id: str | None = None
    iam_id: str | None = None
    api_key_id: str | None = None

    def answer(self) -> dict[str, Any]:
        """The body of `POST /identity/token`."""
        return {
            "access_token": self.value,
            "refresh_token": self.refresh_token or NO_REFRESH_TOKEN,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE,
            "expiration": int(self.expires_at.timestamp()),
            "scope": access_tokens.SCOPE,
        }


class Grants:
    """One per server; every method is one unit of work that only reads."""

    def __init__(
        self,
        database: Database,
        keys: SigningKeys,
        roles: Roles,
        sealer: Sealer,
        clock: Clock,
        region: Region,
    ) -> None:
        self._database = database
        self._keys = keys
        self._roles = roles
        self._sealer = sealer
        self._clock = clock
        self._region = region.name

    async def grant(
        self, form: Mapping[str, str], *, issuer: str, client_id: str | None = None
    ) -> AccessToken:
        """What the form asks for. Raises Invalid with one of IAM's codes."""
        match _required(form, "grant_type"):
            case access_tokens.GRANT_API_KEY:
                return await self._api_key(_required(form, "apikey"), issuer, client_id)
            case access_tokens.GRANT_COMPUTE_RESOURCE:
                return await self._compute_resource(form, issuer)
            case access_tokens.GRANT_ASSUME:
                return await self._assume(form, issuer)
            case access_tokens.GRANT_REFRESH:
                return await self._refresh(_required(form, "refresh_token"), issuer, client_id)
            case other:
                raise Invalid(
                    Problem(
                        problems.GRANT_UNSUPPORTED,
                        "The grant type is not supported.",
                        Target("grant_type", value=other[:200]),
                        more_info=f"grant_type {other[:200]!r} is not one of "
                        "urn:ibm:params:oauth:grant-type:{apikey, cr-token, assume}, refresh_token.",
                    )
                )

    # --- users -----------------------------------------------------------------------------------

    async def _api_key(self, value: str, issuer: str, client_id: str | None) -> AccessToken:
        async with self._database.read() as connection:
            found = api_keys.c.key_sha256 == key_hash(value)
            return await self._for_key(connection, found, issuer, client_id)

    async def _refresh(self, sealed: str, issuer: str, client_id: str | None) -> AccessToken:
        plain = self._sealer.open(sealed, _REFRESH_CONTEXT)
        kept = json.loads(plain) if plain is not None else None
        if kept is None or kept["exp"] <= self._clock.now().timestamp():
            raise Invalid(
                Problem(
                    problems.TOKEN_EXPIRED,
                    "The refresh token is not valid: log in again.",
                    Target("refresh_token"),
                )
            )
        async with self._database.read() as connection:
            found = api_keys.c.id == kept["apikey_id"]
            return await self._for_key(connection, found, issuer, client_id or kept["client_id"])

    async def _for_key(
        self,
        connection: AsyncConnection,
        which: ColumnElement[bool],
        issuer: str,
        client_id: str | None,
    ) -> AccessToken:
        """A token of the user whose key this is, if the key still counts."""
        now = self._clock.now()
        statement = (
            select(api_keys, users.c.email)
            .join_from(api_keys, users, api_keys.c.iam_id == users.c.iam_id)
            .where(which)
        )
        key: Row[Any] | None = (await connection.execute(statement)).one_or_none()
        if key is None or key.disabled or (key.expires_at is not None and key.expires_at <= now):
            raise problems.api_key_not_found()
        claims = access_tokens.user_claims(
            issuer=issuer,
            account_id=key.account_id,
            iam_id=key.iam_id,
            email=key.email,
            api_key_id=key.id,
            client_id=client_id or access_tokens.DEFAULT_CLIENT,
            now=now,
        )
        refresh_token = None
        if client_id is not None:
            kept = {
                "apikey_id": key.id,
                "client_id": client_id,
                "exp": int((now + REFRESH_LIFE).timestamp()),
            }
            refresh_token = self._sealer.seal(json.dumps(kept).encode(), _REFRESH_CONTEXT)
        return await self._sign(connection, claims, now, refresh_token=refresh_token)

    # --- trusted profiles ------------------------------------------------------------------------

    async def for_instance(
        self, identity_token: str, selector: ProfileSelector | None, *, node_id: str, issuer: str
    ) -> AccessToken:
        """The token that a node fetches for an instance on it.

        Raises what `exchange` raises: codes of metadata contract 3.2.
        """
        now = self._clock.now()
        async with self._database.read() as connection:
            granted = await exchange(
                connection, identity_token, selector, region=self._region, now=now, node_id=node_id
            )
            return await self._for_profile(connection, granted, issuer, now)

    async def _compute_resource(self, form: Mapping[str, str], issuer: str) -> AccessToken:
        now = self._clock.now()
        identity_token = _required(form, "cr_token")
        selectors = _selectors(form)
        try:
            async with self._database.read() as connection:
                granted = [
                    await exchange(
                        connection, identity_token, selector, region=self._region, now=now
                    )
                    for selector in selectors
                ]
                if len({one.profile_id for one in granted}) > 1:
                    raise _selectors_disagree()
                return await self._for_profile(connection, granted[0], issuer, now)
        except (Invalid, NotAuthenticated, NotAuthorized) as error:
            raise _in_iams_words(error) from error

    async def _for_profile(
        self, connection: AsyncConnection, granted: GrantedProfile, issuer: str, now: datetime
    ) -> AccessToken:
        claims = access_tokens.profile_claims(
            issuer=issuer,
            account_id=granted.account_id,
            profile_id=granted.profile_id,
            grant_type=access_tokens.GRANT_COMPUTE_RESOURCE,
            now=now,
            actor=granted.resource.as_actor(),
        )
        return await self._sign(connection, claims, now, profile_id=granted.profile_id)

    async def _assume(self, form: Mapping[str, str], issuer: str) -> AccessToken:
        """A user takes on a profile of the account: as Administrator of all services, or as one of
        the profile's identities."""
        now = self._clock.now()
        try:
            caller = caller_of(await self._keys.verify(_required(form, "access_token")))
        except TokenRefused as error:
            code = problems.TOKEN_EXPIRED if error.reason == "expired" else problems.TOKEN_MALFORMED
            target = Target("access_token")
            raise Invalid(Problem(code, refused_message(error), target)) from error
        selectors = {selector.by: selector.value for selector in _selectors(form)}
        async with self._database.read() as connection:
            if caller.kind != "user":
                message = "Only a user can assume a trusted profile, not another profile."
                raise Invalid(Problem(problems.NOT_AUTHORIZED, message, Target("access_token")))
            profile = None
            if form.get("account", caller.account_id) == caller.account_id:
                profile = await find_profile(
                    connection,
                    caller.account_id,
                    id=selectors.get("id"),
                    crn=selectors.get("crn"),
                    name=selectors.get("name"),
                )
            if profile is None or not await is_identity(connection, profile.id, caller.iam_id):
                try:
                    await self._roles.require(connection, caller, "iam-identity.profile.assume")
                except NotAuthorized as error:
                    raise _in_iams_words(error) from error
            if profile is None:
                message = "There is no such trusted profile in the account."
                target = Target(f"profile_{next(iter(selectors))}")
                raise Invalid(Problem(problems.PROFILE_NOT_FOUND, message, target))
            claims = access_tokens.profile_claims(
                issuer=issuer,
                account_id=caller.account_id,
                profile_id=profile.id,
                grant_type=access_tokens.GRANT_ASSUME,
                now=now,
                actor={"sub": caller.email or caller.iam_id, "iam_id": caller.iam_id},
            )
            return await self._sign(connection, claims, now, profile_id=profile.id)

    async def _sign(
        self,
        connection: AsyncConnection,
        claims: dict[str, Any],
        now: datetime,
        *,
        refresh_token: str | None = None,
        profile_id: str | None = None,
    ) -> AccessToken:
        signer = await self._keys.signer(connection)
        return AccessToken(
            signer.sign(claims),
            now,
            expires_at(now),
            refresh_token,
            profile_id,
            iam_id=claims["iam_id"],
            api_key_id=claims.get("apikey_id"),
        )


def _required(form: Mapping[str, str], name: str) -> str:
    if not (value := form.get(name, "")):
        raise Invalid(problems.missing(name))
    return value


def _selectors(form: Mapping[str, str]) -> list[ProfileSelector]:
    """`profile_id`, `profile_crn`, `profile_name`: at least one."""
    found = [
        ProfileSelector(by, value) for by in _SELECTORS if (value := form.get(f"profile_{by}"))
    ]
    if not found:
        raise Invalid(problems.missing("profile_id"))
    return found


def _selectors_disagree() -> Invalid:
    message = "The members name different trusted profiles: send only one of them."
    return Invalid(problems.invalid("profile_id", message))


_IAM_CODES = {
    "profile_not_linked": problems.PROFILE_NOT_LINKED,
    "not_found": problems.PROFILE_NOT_FOUND,
    "not_authorized": problems.NOT_AUTHORIZED,
}


def _in_iams_words(error: DomainError) -> Invalid:
    """A refusal of the exchange with a code of the token endpoint: all are 400 there."""
    problem = error.problems[0]
    if isinstance(error, NotAuthenticated):
        cause = error.__cause__
        expired = isinstance(cause, TokenRefused) and cause.reason == "expired"
        code = problems.TOKEN_EXPIRED if expired else problems.TOKEN_MALFORMED
        return Invalid(Problem(code, problem.message, Target("cr_token")))
    return Invalid(
        Problem(_IAM_CODES.get(problem.code, problem.code), problem.message, problem.target)
    )
