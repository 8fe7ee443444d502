"""How a host becomes a node, and who signed a node's request.

An operator makes a join token; the node sends it once, with the public halves of its two keys. From then
on every request carries a short token of the control key that is bound to this very request.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from sqlalchemy import RowMapping, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal import tokens
from linklocal.clock import Clock
from linklocal.document import NODE_REVOKED, NODE_UNKNOWN
from linklocal.errors import Conflict, Invalid, NotAuthenticated, Problem, Target
from linklocal.fleet.tables import join_tokens, node_requests, nodes
from linklocal.ids import NodeId, new_iam_id
from linklocal.store.engine import Database
from linklocal.store.upsert import insert_new

JOIN_TOKEN_LIFE = timedelta(hours=1)
MARK = "lljoin-"  # begins every join token, so that a leaked one is recognised
UNAUTHENTICATED = "unauthenticated"  # metadata contract 2.3
# Longer than a node request can be accepted: its life and the leeway on both sides.
REQUESTS_KEPT = timedelta(seconds=tokens.NODE_REQUEST_LIFE + 60)
PRUNE_INTERVAL = timedelta(seconds=1)
_PRUNE_AT_MOST = 2000
# Asked at every request, so made once: to build a statement takes longer than to run it.
_NODE = select(nodes).where(nodes.c.control_kid == bindparam("kid"))
_KID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A join token as it is shown, once."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a new node is told. `identity_kid` is the `kid` of the identity tokens that it will sign."""

    node_id: NodeId
    name: str
    region: str
    identity_kid: str


@dataclass(frozen=True, slots=True)
class NodeCaller:
    """The node behind a verified request."""

    node_id: NodeId
    name: str
    region: str


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def create_join_token(
    connection: AsyncConnection,
    *,
    now: datetime,
    node_name: str | None = None,
    life: timedelta = JOIN_TOKEN_LIFE,
) -> JoinToken:
    """A token with which one node can join until it expires; only the one named, if one is named.

    Only its hash is stored. Expired tokens that nobody used are pruned here.
    """
    await connection.execute(
        delete(join_tokens).where(join_tokens.c.expires_at < now, join_tokens.c.used_by.is_(None))
    )
    made = JoinToken(MARK + secrets.token_urlsafe(32), now + life)
    await connection.execute(
        insert(join_tokens).values(
            token_sha256=_sha256(made.token),
            node_name=node_name,
            created_at=now,
            expires_at=made.expires_at,
        )
    )
    return made


def _keys(control_jwk: dict[str, Any], identity_jwk: dict[str, Any]) -> tuple[Any, Any]:
    """Both keys, checked. Raises Invalid with every problem."""
    problems: list[Problem] = []
    keys = []
    given: tuple[tuple[str, dict[str, Any], Literal["ES256", "RS256"]], ...] = (
        ("control_jwk", control_jwk, "ES256"),
        ("identity_jwk", identity_jwk, "RS256"),
    )
    for name, jwk, algorithm in given:
        try:
            keys.append(tokens.public_jwk(jwk, algorithm))
        except ValueError as error:
            problems.append(Problem("invalid_value", f"`{name}`: {error}.", Target(name)))
    if not problems and not _KID.fullmatch(keys[0].get("kid", "")):
        message = "`control_jwk.kid` must have 1 to 64 letters, digits, `.`, `_` or `-`."
        problems.append(Problem("invalid_value", message, Target("control_jwk.kid")))
    if problems:
        raise Invalid(problems)
    return keys[0], keys[1]


async def enrol(
    connection: AsyncConnection,
    *,
    join_token: str,
    name: str,
    control_jwk: dict[str, Any],
    identity_jwk: dict[str, Any],
    version: str,
    region: str,
    now: datetime,
) -> Enrolled:
    """Register a node. The same token with the same control key again gets the same answer, because
    the first one may have been lost on the way.

    Raises NotAuthenticated (the token), Invalid (the keys), Conflict (`name`, `control_jwk.kid`).
    """
    control, identity = _keys(control_jwk, identity_jwk)
    token = await _join_token(connection, join_token, now)
    if token["used_by"] is not None:
        return await _enrolled_before(connection, token["used_by"], name, control, identity)
    if token["node_name"] not in (None, name):
        raise NotAuthenticated(
            f"The join token is for a node named {token['node_name']}: start the node with this name.",
            code=UNAUTHENTICATED,
        )
    node_id = NodeId(new_iam_id("node"))
    identity["kid"] = tokens.identity_kid(region, uuid.uuid4().hex)
    try:
        async with connection.begin_nested():
            await connection.execute(
                insert(nodes).values(
                    id=node_id,
                    name=name,
                    region=region,
                    control_kid=control["kid"],
                    control_jwk=control,
                    identity_jwk=identity,
                    version=version,
                    created_at=now,
                    last_seen_at=now,
                )
            )
    except IntegrityError as error:
        taken = select(nodes.c.id).where(nodes.c.control_kid == control["kid"])
        if (await connection.execute(taken)).first() is not None:
            raise Conflict(
                "The control key is another node's: make a new one.", "control_jwk.kid"
            ) from error
        raise Conflict(
            f"There is already a node named {name}: start this one with another name, or revoke "
            f"that one with `linklocal node revoke {name}`.",
            "name",
        ) from error
    await connection.execute(
        update(join_tokens)
        .where(join_tokens.c.token_sha256 == token["token_sha256"])
        .values(used_by=node_id)
    )
    return Enrolled(node_id, name, region, identity["kid"])


async def _join_token(connection: AsyncConnection, join_token: str, now: datetime) -> RowMapping:
    """The token's row, locked, so that of two nodes with one token one finds it used."""
    statement = (
        select(join_tokens)
        .where(join_tokens.c.token_sha256 == _sha256(join_token))
        .with_for_update()
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None or (row["used_by"] is None and row["expires_at"] <= now):
        raise NotAuthenticated(
            "The join token is unknown or expired: make a new one with `linklocal node join-token`.",
            code=UNAUTHENTICATED,
        )
    return row


async def _enrolled_before(
    connection: AsyncConnection, node_id: str, name: str, control: Any, identity: Any
) -> Enrolled:
    statement = select(nodes).where(nodes.c.id == node_id)
    node = (await connection.execute(statement)).mappings().one()
    same_identity = {**identity, "kid": node["identity_jwk"]["kid"]} == node["identity_jwk"]
    same = node["control_jwk"] == control and same_identity and node["name"] == name
    if not same or node["revoked_at"] is not None:
        raise NotAuthenticated(
            "The join token is used: make a new one with `linklocal node join-token`.",
            code=UNAUTHENTICATED,
        )
    return Enrolled(NodeId(node["id"]), name, node["region"], node["identity_jwk"]["kid"])


@dataclass(frozen=True, slots=True)
class _Key:
    """A node's control key, as it was in the database, and parsed."""

    node_id: str
    jwk: dict[str, Any]
    keys: tokens.PublicKeys


class NodeAuthenticator:
    """Verifies nodes' requests. One per server; `app.state.node_authenticator`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # The key that each node signed with last, by `kid`. Used once the database says that it still counts.
        self._known: dict[str, _Key] = {}
        self._pruned_at: datetime | None = None

    async def authenticate(
        self, authorization: str | None, *, method: str, path: str, body: bytes
    ) -> NodeCaller:
        """The node that signed exactly this request, and never accepted before.

        `path` without query. Raises NotAuthenticated (`unauthenticated`); a wrong clock is named with
        its skew in seconds.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "node" or not token:
            raise _refused(
                "Send `Authorization: Node <token>`, signed with the node's control key."
            )
        now = self._clock.now()
        try:
            kid = tokens.unverified_header(token)["kid"]
        except tokens.TokenRefused as error:
            raise _refused("The node's request token is malformed.") from error
        if not _KID.fullmatch(kid):
            raise _refused("The `kid` of the node's request token is malformed.")
        key = self._known.get(kid) or await self._look_up(kid)
        try:
            claims = tokens.verify_node_request(
                token, key.keys, method=method, path=path, body=body, now=now
            )
        except tokens.TokenRefused as error:
            self._known.pop(
                kid, None
            )  # should the database hold another key by now, it is read next
            raise _refused(_explain(error, now)) from error
        if claims["iss"] != key.node_id:
            raise _refused("The request names another node than the one that signed it.")
        # Who holds no key gets no further: looking is all that a stranger makes the database do.
        async with self._database.transaction() as connection:
            node = await _node_of(connection, kid)
            if node is None or (node["id"], node["control_jwk"]) != (key.node_id, key.jwk):
                self._known.pop(kid, None)
                raise _unknown()
            if node["revoked_at"] is not None:
                raise NotAuthenticated(
                    "This node has been revoked: start it again with a join token of "
                    "`linklocal node join-token` (`linklocal dev`: just start it again), then place its "
                    "instances.",
                    code=NODE_REVOKED,
                )
            if not await self._is_first(connection, node["id"], claims["jti"], now):
                raise _refused("This request was accepted before: sign a new one.")
        return NodeCaller(NodeId(node["id"]), node["name"], node["region"])

    async def _look_up(self, kid: str) -> _Key:
        async with self._database.read() as connection:
            node = await _node_of(connection, kid)
        if node is None:
            raise _unknown()
        jwk = node["control_jwk"]
        key = self._known[kid] = _Key(node["id"], jwk, tokens.PublicKeys([jwk]))
        return key

    def _is_prune_due(self, now: datetime) -> bool:
        """At most once a second; a clock that was set back does not stop it."""
        last = self._pruned_at
        if last is not None and timedelta() <= now - last < PRUNE_INTERVAL:
            return False
        self._pruned_at = now
        return True

    async def _is_first(
        self, connection: AsyncConnection, node_id: str, jti: Any, now: datetime
    ) -> bool:
        """Remember the request. Whether it had not been remembered before."""
        if self._is_prune_due(now):
            r = node_requests.c
            # Skipping what another transaction prunes: two of them must not wait for each other.
            stale = (
                select(r.id)
                .where(r.expires_at < now)
                .order_by(r.expires_at)
                .limit(_PRUNE_AT_MOST)
                .with_for_update(skip_locked=True)
            )
            await connection.execute(delete(node_requests).where(r.id.in_(stale)))
        row = {"id": _sha256(json.dumps([node_id, jti])), "expires_at": now + REQUESTS_KEPT}
        new = await connection.execute(insert_new(connection, node_requests), row)
        return new.first() is not None


async def _node_of(connection: AsyncConnection, kid: str) -> RowMapping | None:
    """The node whose control key has this `kid`."""
    return (await connection.execute(_NODE, {"kid": kid})).mappings().one_or_none()


def _unknown() -> NotAuthenticated:
    return NotAuthenticated(
        "The key that signed this request is no node's: enrol the node.", code=NODE_UNKNOWN
    )


def _refused(message: str) -> NotAuthenticated:
    return NotAuthenticated(message, code=UNAUTHENTICATED)


def _explain(error: tokens.TokenRefused, now: datetime) -> str:
    """A sentence that tells an operator what to change."""
    if error.age is not None:
        direction = "behind" if error.age > 0 else "ahead of"
        return (
            f"The node's clock is about {abs(error.age):.0f} s {direction} the server's "
            f"({now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}), or the request was that long on its way: "
            "set the node's clock."
        )
    return f"The node's request token is not valid for this request ({error})."


async def node_caller(request: Request) -> NodeCaller:
    """FastAPI dependency: the node that signed this request. Raises NotAuthenticated."""
    authenticator: NodeAuthenticator = request.app.state.node_authenticator
    return await authenticator.authenticate(
        request.headers.get("authorization"),
        method=request.method,
        path=request.scope["path"],
        body=await request.body(),
    )


# How routes ask for it: `node: CurrentNode`.
CurrentNode = Annotated[NodeCaller, Depends(node_caller)]
