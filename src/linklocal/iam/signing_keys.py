"""The keys that sign access tokens: kept sealed in `secrets`, shared by all replicas, rotated here.

Verifying needs no I/O: public keys are in memory. They are read again when a token names an unknown key
(another replica has rotated), at most once a second, and once a minute in any case, so that a revoked
key ends everywhere. Access tokens are verified with these keys only; the nodes' identity keys are
published beside them but never accepted here, or a node could make itself a user.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.errors import OperatorError, Unavailable
from linklocal.fleet.nodes import identity_keys
from linklocal.iam.secrets import Sealer
from linklocal.iam.tables import secrets
from linklocal.store.engine import Database
from linklocal.tokens import (
    PublicKeys,
    SigningKey,
    TokenRefused,
    VerifiedAccessToken,
    unverified_header,
    verify_access_token,
)

KIND = "access-token-key"
TOKEN_LIFE = 3600  # seconds that an access token lives
# A retired key stays published until the last token that it signed has expired; the margin covers
# replicas whose clocks differ.
RETIRED_LIFE = timedelta(seconds=TOKEN_LIFE + 300)
UNKNOWN_KEY_INTERVAL = 1.0  # seconds between two reads caused by unknown keys
REFRESH_INTERVAL = 60.0  # seconds after which the keys are read again in any case
# Asked at every signature, so made once: to build a statement takes longer than to run it.
_CURRENT = (
    select(secrets.c.id)
    .where(secrets.c.kind == KIND, secrets.c.retired_at.is_(None))
    .order_by(secrets.c.created_at.desc(), secrets.c.id)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class _Loaded:
    keys: PublicKeys
    at: float  # monotonic


class SigningKeys:
    """The access-token keys of one server process."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._loaded: _Loaded | None = None
        self._signer: SigningKey | None = None
        self._reading = asyncio.Lock()

    # --- signing ---------------------------------------------------------------------------------

    async def signer(self, connection: AsyncConnection) -> SigningKey:
        """The key that signs now: asked of the database, since another replica may have rotated.

        Raises OperatorError when there is none (the database is not set up) or it cannot be unsealed.
        """
        kid = await connection.scalar(_CURRENT)
        if kid is None:
            raise OperatorError(
                "The database holds no key that signs access tokens.",
                "Start `linklocal server` once: it sets the database up.",
            )
        signer = self._signer
        if signer is None or signer.kid != kid:
            row = (await connection.execute(select(secrets).where(secrets.c.id == kid))).one()
            signer = self._unseal(row)
            self._signer = signer
        return signer

    def _unseal(self, row: Row[Any]) -> SigningKey:
        return SigningKey(row.id, self._sealer.unseal(row.sealed, _context(row.id)))

    async def ensure(self, connection: AsyncConnection) -> None:
        """Make the first key, if there is none; otherwise prove that the key file opens it.

        Raises OperatorError when it does not.
        """
        row = (
            await connection.execute(
                select(secrets).where(secrets.c.id == _CURRENT.scalar_subquery())
            )
        ).one_or_none()
        if row is None:
            await self._insert(connection)
        else:
            self._unseal(row)

    async def rotate(self, *, revoke: bool = False) -> str:
        """A new key signs from now on; returns its `kid`. One unit of work.

        The old one stays published for `RETIRED_LIFE`, until its last token has expired. With `revoke` all
        earlier keys are withdrawn at once: every token that they signed ends, on other replicas within a
        minute.
        """
        now = self._clock.now()
        gone_at = now if revoke else now + RETIRED_LIFE
        of_kind = secrets.c.kind == KIND
        async with self._database.transaction() as connection:
            await connection.execute(
                update(secrets)
                .where(of_kind, secrets.c.retired_at.is_(None))
                .values(retired_at=now, expires_at=gone_at)
            )
            if revoke:
                published = update(secrets).where(of_kind, secrets.c.expires_at > now)
                await connection.execute(published.values(expires_at=now))
            await connection.execute(delete(secrets).where(of_kind, secrets.c.expires_at < now))
            kid = await self._insert(connection)
        await self.refresh()
        return kid

    async def _insert(self, connection: AsyncConnection) -> str:
        # 2048-bit keys take some 100 ms to make: not on the event loop.
        key = await asyncio.to_thread(SigningKey.generate_rsa)
        await connection.execute(
            insert(secrets).values(
                id=key.kid,
                kind=KIND,
                public=key.public_jwk(),
                sealed=self._sealer.seal(key.private_pem(), _context(key.kid)),
                created_at=self._clock.now(),
            )
        )
        return key.kid

    # --- verifying -------------------------------------------------------------------------------

    async def verify(self, token: str) -> VerifiedAccessToken:
        """Check an access token with the keys in memory. Raises TokenRefused.

        `iss` is not compared: a server may be reached under several URLs, and only keys of this
        database are accepted.
        """
        kid = unverified_header(token)["kid"]
        loaded = self._loaded
        if loaded is None or self._clock.monotonic() - loaded.at >= REFRESH_INTERVAL:
            loaded = await self._read_again(REFRESH_INTERVAL)
        if kid not in loaded.keys:
            loaded = await self._read_again(UNKNOWN_KEY_INTERVAL)
        return verify_access_token(token, loaded.keys, self._clock.now())

    async def _read_again(self, interval: float) -> _Loaded:
        """The keys, not older than `interval`; one reader at a time, the others use what it found.

        While the database is away the keys in memory go on: a good token must not be called a bad one.
        """
        async with self._reading:
            loaded = self._loaded
            if loaded is not None and self._clock.monotonic() - loaded.at < interval:
                return loaded
            try:
                return await self.refresh()
            except Unavailable:
                if loaded is None:
                    raise
                return loaded

    async def refresh(self) -> _Loaded:
        """Read the public keys now. Raises Unavailable."""
        async with self._database.read() as connection:
            loaded = _Loaded(
                PublicKeys(await self.public_jwks(connection)), self._clock.monotonic()
            )
        self._loaded = loaded
        return loaded

    async def public_jwks(self, connection: AsyncConnection) -> list[dict[str, Any]]:
        """Public halves of the keys whose tokens may still be valid, the current one first."""
        published = (
            select(secrets.c.public)
            .where(
                secrets.c.kind == KIND,
                or_(secrets.c.expires_at.is_(None), secrets.c.expires_at > self._clock.now()),
            )
            .order_by(secrets.c.retired_at.is_(None).desc(), secrets.c.created_at.desc())
        )
        return list((await connection.execute(published)).scalars())


async def published_jwks(
    connection: AsyncConnection, signing_keys: SigningKeys
) -> dict[str, list[dict[str, Any]]]:
    """`GET /identity/keys`: IAM's keys, then the identity key of every node that is not revoked.

    With the latter a third party can check an identity token and the nonce in it.
    """
    own = await signing_keys.public_jwks(connection)
    return {"keys": own + await identity_keys(connection)}


def expires_at(now: datetime) -> datetime:
    """When an access token that is signed now ends."""
    return now + timedelta(seconds=TOKEN_LIFE)


def refused_message(error: TokenRefused) -> str:
    """What to tell somebody whose access token was refused."""
    match error.reason:
        case "expired":
            return "The access token has expired: get a new one at /identity/token."
        case "early":
            return (
                f"The access token is {error.detail}: compare the clocks of the servers, or get a "
                "new token."
            )
        case "malformed" | "claims":
            return (
                "The access token is malformed: send `Authorization: Bearer <access_token>` with the "
                "`access_token` that /identity/token gave."
            )
        case _:
            return (
                "The access token was not issued by this server, or its key was withdrawn: get a new "
                "one at this server's /identity/token."
            )


def _context(kid: str) -> str:
    return f"{KIND}/{kid}"
