"""What only the server can decide, asked by a worker process of its parent. Both sides, so that they fit.

The parent asks the server: the node's key to it, and what the server said of the node, stay in one process.
It must not decide anything itself.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Mapping
from dataclasses import asdict

from linklocal.errors import Problem, Target
from linklocal.metadata.wire import (
    Certificates,
    IamToken,
    ProfileSelector,
    Upstream,
    UpstreamRefused,
    UpstreamUnavailable,
)
from linklocal.node.channel import Body, CallFailed, Channel, ChannelClosed, Handler


def decisions(upstream: Upstream) -> Mapping[str, Handler]:
    """The parent's side: what its end of the channel handles."""

    async def exchange(body: Body, sockets: list[socket.socket]) -> Body:
        profile = ProfileSelector(*body["profile"]) if body["profile"] is not None else None
        return await _decided(upstream.exchange(body["identity_token"], profile))

    async def certify(body: Body, sockets: list[socket.socket]) -> Body:
        return await _decided(upstream.certificate(**body))

    return {"exchange": exchange, "certify": certify}


async def _decided(decision: Awaitable[IamToken | Certificates]) -> Body:
    try:
        return {"made": asdict(await decision)}
    except UpstreamRefused as error:
        return {"problem": asdict(error.problem), "status": error.status}
    except UpstreamUnavailable as error:
        return {"unavailable": str(error)}


class AskParent:
    """The worker's side. Implements `metadata.wire.Upstream`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        selector = None if profile is None else [profile.by, profile.value]
        return IamToken(
            **await self._ask("exchange", {"identity_token": identity_token, "profile": selector})
        )

    async def certificate(self, identity_token: str, csr: str, expires_in: int) -> Certificates:
        body = {"identity_token": identity_token, "csr": csr, "expires_in": expires_in}
        made = await self._ask("certify", body)
        return Certificates(**{**made, "certificates": tuple(made["certificates"])})

    async def _ask(self, op: str, body: Body) -> Body:
        try:
            answer = await self._channel.call(op, body)
        except (ChannelClosed, CallFailed) as error:
            raise UpstreamUnavailable("the node is ending") from error
        if "unavailable" in answer:
            raise UpstreamUnavailable(answer["unavailable"])
        if "problem" in answer:
            problem = answer["problem"]
            target = Target(**problem["target"]) if problem["target"] is not None else None
            raise UpstreamRefused(Problem(**{**problem, "target": target}), answer["status"])
        made: Body = answer["made"]
        return made
