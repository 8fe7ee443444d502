"""Answering calls as the faults in force say: what `linklocal dev` gives its listeners in place of
`metadata.routes.handle`.

Everything that can be is left to the real code: another clock, another key, another answer of the server
are handed to it. A fault is told from the real thing by its `rule` in the audit (`fault-429`) only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from linklocal.clock import Clock
from linklocal.errors import Problem, Target
from linklocal.metadata import routes
from linklocal.metadata.errors import Refusal, response_to
from linklocal.metadata.served import Served, Signer
from linklocal.metadata.wire import (
    Certificates,
    IamToken,
    ProfileSelector,
    Request,
    Response,
    Upstream,
    UpstreamRefused,
)
from linklocal.node.http import Connection
from linklocal.testing.faults import CREATE_TOKEN, PREFIX, Fault, Faults
from linklocal.tokens import PublicKeys, SigningKey, verify_identity_token

# Longer than any identity token lives.
LIFETIME = timedelta(hours=1, minutes=1)

Sleep = Callable[[float], Awaitable[None]]


class OffsetClock:
    """Another clock, ahead of it by `offset`. Intervals are the same."""

    def __init__(self, clock: Clock, offset: timedelta) -> None:
        self._clock = clock
        self._offset = offset

    def now(self) -> datetime:
        return self._clock.now() + self._offset

    def monotonic(self) -> float:
        return self._clock.monotonic()


class RotatedSigner:
    """A node's signer that has gone over to another key. `Signer`."""

    def __init__(self, key: SigningKey, region: str) -> None:
        self._key = key
        self._region = region
        self._keys = PublicKeys([key.public_jwk()])

    @property
    def region(self) -> str:
        return self._region

    @property
    def keys(self) -> PublicKeys:
        return self._keys

    async def sign(self, claims: dict[str, Any]) -> str:
        return await asyncio.to_thread(self._key.sign, claims)


class _Translating:
    """`Upstream` of a rotated signer: the server knows the node's own key, so what the other key signed
    is passed on signed with that."""

    def __init__(self, upstream: Upstream, rotated: Signer, own: Signer, clock: Clock) -> None:
        self._upstream = upstream
        self._rotated = rotated
        self._own = own
        self._clock = clock

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        return await self._upstream.exchange(await self._own_token(identity_token), profile)

    async def certificate(self, identity_token: str, csr: str, expires_in: int) -> Certificates:
        own = await self._own_token(identity_token)
        return await self._upstream.certificate(own, csr, expires_in)

    async def _own_token(self, token: str) -> str:
        # The gate has let it pass, so it verifies.
        claims = verify_identity_token(token, self._rotated.keys, self._clock.now())
        return await self._own.sign(dict(claims))


class _Unlinked:
    """`Upstream` of an instance to which no trusted profile is linked."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        target = None
        if profile is not None:
            target = Target(f"trusted_profile.{profile.by}", "field", profile.value[:200])
        message = (
            "The trusted profile is not linked to this instance: add a link, or a claim rule that it "
            "meets. (A fault says so: `linklocal fault list`.)"
        )
        raise UpstreamRefused(
            Problem("profile_not_linked", message, target, rule="fault-profile-unlinked")
        )

    async def certificate(self, identity_token: str, csr: str, expires_in: int) -> Certificates:
        return await self._upstream.certificate(identity_token, csr, expires_in)


@dataclass(slots=True)
class Truncated(Response):
    """An answer of which `CuttingConnection` sends half the body."""


class CuttingConnection(Connection):
    """A connection that promises the whole of a truncated answer, sends half of it and ends."""

    def _write(
        self, response: Response, *, close: bool, extra: bytes = b"", head_only: bool = False
    ) -> None:
        if not isinstance(response, Truncated):
            super()._write(response, close=close, extra=extra, head_only=head_only)
            return
        super()._write(response, close=True, head_only=True)
        self._transport.write(response.body[: len(response.body) // 2])
        self._close()


class Injection:
    """Answers the calls of a node with the faults in force. `sleep` waits for `latency`."""

    def __init__(self, faults: Faults, sleep: Sleep = asyncio.sleep) -> None:
        self._faults = faults
        self._sleep = sleep

    def answer(
        self, request: Request, served: Served, upstream: Upstream
    ) -> Response | Awaitable[Response]:
        """`metadata.routes.handle`, with what the call meets."""
        operation = _operation(request)
        met = self._faults.take(served.document.instance_id, operation)
        if not met:
            return routes.handle(request, served, upstream)
        return self._answer(request, served, upstream, operation, met)

    async def _answer(
        self,
        request: Request,
        served: Served,
        upstream: Upstream,
        operation: str,
        met: list[Fault],
    ) -> Response:
        truncated = False
        refused: Response | None = None
        for fault in met:
            match fault.kind:
                case "latency":
                    await self._sleep(fault.seconds)
                case "429" | "500" if refused is None:
                    refused = response_to(_refusal(fault), operation=_action(operation))
                case "truncated-body":
                    truncated = True
                case "expired-token":
                    # A token that is made is as old as one that is shown seems.
                    past = operation == CREATE_TOKEN
                    served = _at(served, -LIFETIME if past else LIFETIME)
                case "clock-offset":
                    served = _at(served, timedelta(seconds=fault.seconds))
                case "profile-unlinked":
                    upstream = _Unlinked(upstream)
                case "key-rotated":
                    assert fault.key is not None
                    rotated = RotatedSigner(fault.key, served.signer.region)
                    upstream = _Translating(upstream, rotated, served.signer, served.clock)
                    served = _with(served, signer=rotated)
        if refused is not None:
            answer = refused
        else:
            made = routes.handle(request, served, upstream)
            answer = made if isinstance(made, Response) else await made
        return _truncated(answer) if truncated else answer


def _operation(request: Request) -> str:
    """The operation of the request as faults name it, "" for a path or method that is none."""
    route = routes.find(request.path)[0].get(request.method)
    return "" if route is None else route.operation.removeprefix(PREFIX)


def _action(operation: str) -> str:
    return f"{PREFIX}{operation}" if operation else ""


def _with(served: Served, *, clock: Clock | None = None, signer: Signer | None = None) -> Served:
    """The same instance with another clock or key; it remembers no token."""
    return Served(
        served.document,
        signer or served.signer,
        clock or served.clock,
        nocloud=served.nocloud,
    )


def _at(served: Served, offset: timedelta) -> Served:
    return _with(served, clock=OffsetClock(served.clock, offset))


def _refusal(fault: Fault) -> Refusal:
    if fault.kind == "429":
        message = (
            "The instance makes too many calls to the metadata service. (A fault says so: "
            "`linklocal fault list`.)"
        )
        headers = (("Retry-After", str(fault.retry_after)),)
        return Refusal(429, Problem("rate_limit_exceeded", message), "fault-429", headers)
    message = "The metadata service failed. (A fault says so: `linklocal fault list`.)"
    return Refusal(500, Problem("service_error", message), "fault-500")


def _truncated(answer: Response) -> Truncated:
    return Truncated(
        answer.status,
        answer.body,
        answer.trace,
        answer.operation,
        answer.reason,
        answer.message,
        answer.rule,
        answer.headers,
        answer.detail,
        answer.type,
    )
