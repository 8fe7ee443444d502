"""`POST /identity/introspect`: does a token count *now*? For third parties that were shown one.

A signature says who was given a token, not what became of them. A token that came from an instance counts
only while that instance runs where it ran, in the same start, on a node that is not revoked; a user's
only while the API key counts; a profile's only while the profile exists. Instance identity tokens are
looked at as the exchange does. What does not count is only that: nothing tells why.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.errors import NotAuthenticated, NotAuthorized
from linklocal.fleet.tables import nodes, placements
from linklocal.iam.caller import Caller, caller_of
from linklocal.iam.exchange import identify
from linklocal.iam.signing_keys import SigningKeys
from linklocal.iam.tables import api_keys, trusted_profiles
from linklocal.settings import Region
from linklocal.store.engine import Database
from linklocal.tokens import TokenRefused

INACTIVE: dict[str, Any] = {"active": False}


class Introspector:
    """One per server; only reads."""

    def __init__(self, database: Database, keys: SigningKeys, clock: Clock, region: Region) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._region = region.name

    async def look_at(self, token: str) -> dict[str, Any]:
        """`{"active": true}` with the token's claims, or `{"active": false}`."""
        try:
            claims = await self._keys.verify(token)
        except TokenRefused:
            return await self._identity_token(token)
        caller = caller_of(claims)
        async with self._database.read() as connection:
            counts = await self._counts(connection, caller, claims.get("authn"))
        return {"active": True, **claims} if counts else INACTIVE

    async def _identity_token(self, token: str) -> dict[str, Any]:
        try:
            async with self._database.read() as connection:
                resource = await identify(
                    connection, token, region=self._region, now=self._clock.now()
                )
        except (NotAuthenticated, NotAuthorized):
            return INACTIVE
        return {"active": True, **resource.token}

    async def _counts(self, connection: AsyncConnection, caller: Caller, authn: Any) -> bool:
        if caller.profile_id is not None:
            profile = select(trusted_profiles.c.id).where(
                trusted_profiles.c.id == caller.profile_id
            )
            if await connection.scalar(profile) is None:
                return False
            return caller.instance_crn is None or await self._still_placed(connection, authn)
        if caller.api_key_id is None:
            return True
        key = (
            await connection.execute(select(api_keys).where(api_keys.c.id == caller.api_key_id))
        ).one_or_none()
        if key is None or key.disabled:
            return False
        return key.expires_at is None or bool(key.expires_at > self._clock.now())

    @staticmethod
    async def _still_placed(connection: AsyncConnection, authn: dict[str, Any]) -> bool:
        """Whether the instance is where it was when it got the token, in the same start (`as_actor`)."""
        p = placements.c
        placed = (
            await connection.execute(
                select(p.serving, p.tokens_valid_after)
                .join_from(placements, nodes, p.node_id == nodes.c.id)
                .where(
                    p.instance_id == authn.get("name"),
                    p.node_id == authn.get("node"),
                    nodes.c.revoked_at.is_(None),
                )
            )
        ).one_or_none()
        if placed is None or not placed.serving:
            return False
        return bool(authn.get("epoch", -1) >= placed.tokens_valid_after)
