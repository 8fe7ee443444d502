"""Who is signed in to the console: a sealed cookie, so that every replica can read it and none keeps it.

A session holds what an API client would hold, an access token, and the refresh token to renew it with;
so a console user has the rights that the API key has, and loses them with the key. Knows no pages.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from linklocal.clock import Clock
from linklocal.errors import Invalid, NotAuthenticated, Problem
from linklocal.iam.access_tokens import GRANT_API_KEY, GRANT_REFRESH
from linklocal.iam.caller import Authenticator, Caller
from linklocal.iam.grants import AccessToken, Grants
from linklocal.iam.login import Login
from linklocal.iam.secrets import Sealer

COOKIE = "linklocal_console"
CLIENT = "console"  # client id of the console's grants: asks for a refresh token
LONGEST = timedelta(hours=12)  # after that the API key is asked for again
REMEMBERED = timedelta(days=3)  # so long an ended session is told from none
CODE_LIFE = timedelta(hours=1)
_CONTEXT = "console-session"


@dataclass(frozen=True, slots=True)
class Session:
    """What the cookie holds. `csrf` must come back with every change, `ends` is a Unix time."""

    access: str
    refresh: str
    csrf: str
    ends: int
    iam_id: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session and who it speaks for. `renewed`: the login that renewed it; set the cookie again."""

    session: Session
    caller: Caller
    renewed: Login | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Nobody is signed in. `session`: whose time is over; `refused`: why it could not be renewed."""

    session: Session | None = None
    refused: tuple[Problem, ...] = ()


class Sessions:
    """One per server; keeps nothing."""

    def __init__(
        self, grants: Grants, authenticator: Authenticator, sealer: Sealer, clock: Clock
    ) -> None:
        self._grants = grants
        self._authenticator = authenticator
        self._sealer = sealer
        self._clock = clock

    async def sign_in(
        self, api_key: str, issuer: str, *, before: Session | None = None
    ) -> tuple[Session, Login]:
        """A new session for the owner of the key, and what to record. Raises Invalid when it is none.

        `before`: an ended session, whose open pages go on when its user is back.
        """
        form = {"grant_type": GRANT_API_KEY, "apikey": api_key}
        token = await self._grants.grant(form, issuer=issuer, client_id=CLIENT)
        iam_id = token.iam_id or ""
        same = before is not None and before.iam_id == iam_id
        csrf = before.csrf if before is not None and same else secrets.token_urlsafe(24)
        ends = int((self._clock.now() + LONGEST).timestamp())
        session = Session(token.value, token.refresh_token or "", csrf, ends, iam_id)
        return session, _login(GRANT_API_KEY, token)

    def cookie(self, session: Session) -> str:
        """The value of the cookie: nobody but this server can read or make it."""
        return self._sealer.seal(json.dumps(asdict(session)).encode(), _CONTEXT)

    async def read(self, cookie: str | None, issuer: str) -> SignedIn | Ended:
        """Who is signed in; the session is renewed when its access token has expired."""
        session = self.opened(cookie)
        if session is None or session.ends <= self._clock.now().timestamp():
            return Ended(session)
        try:
            return SignedIn(session, await self._caller(session))
        except NotAuthenticated:
            return await self._renewed(session, issuer)

    async def current(self, cookie: str | None) -> Caller | None:
        """Who is signed in and needs no renewal: for what cannot set a cookie any more."""
        session = self.opened(cookie)
        if session is None or session.ends <= self._clock.now().timestamp():
            return None
        try:
            return await self._caller(session)
        except NotAuthenticated:
            return None

    def opened(self, cookie: str | None) -> Session | None:
        """What the cookie holds, whether its time is over or not."""
        plain = self._sealer.open(cookie, _CONTEXT) if cookie else None
        if plain is None:
            return None
        kept: dict[str, Any] = json.loads(plain)
        if kept.keys() != set(Session.__slots__):  # of another version of this server
            return None
        return Session(**kept)

    async def _renewed(self, session: Session, issuer: str) -> SignedIn | Ended:
        """The session with a fresh access token, unless the API key has been disabled or deleted."""
        form = {"grant_type": GRANT_REFRESH, "refresh_token": session.refresh}
        try:
            token = await self._grants.grant(form, issuer=issuer, client_id=CLIENT)
            fresh = replace(session, access=token.value, refresh=token.refresh_token or "")
            return SignedIn(fresh, await self._caller(fresh), _login(GRANT_REFRESH, token))
        except (Invalid, NotAuthenticated) as error:
            return Ended(session, error.problems)

    async def _caller(self, session: Session) -> Caller:
        return await self._authenticator.authenticate(f"Bearer {session.access}")


class SignInCodes:
    """One-time codes that stand for an API key, for the URL that `linklocal dev` prints.

    In the memory of one process, which is all that `dev` has.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._codes: dict[str, tuple[str, float]] = {}

    def new(self, api_key: str) -> str:
        """A code that signs in once as the owner of the key, within the hour."""
        code = secrets.token_urlsafe(24)
        self._codes[_hash(code)] = (api_key, self._clock.monotonic() + CODE_LIFE.total_seconds())
        return code

    def take(self, code: str) -> str | None:
        """The API key that the code stands for; None if it was used, has expired or never was."""
        api_key, until = self._codes.pop(_hash(code), (None, 0.0))
        return api_key if self._clock.monotonic() < until else None


def _login(grant: str, token: AccessToken) -> Login:
    return Login(grant, token.iam_id, token.api_key_id, token.profile_id)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
