"""Talking to the server: enrol, watch, report, and the decisions that only it can make.

Every request is signed with the node's control key and bound to its method, path and body. Each call has
a bound in time, so that a server that is silent is as good as one that is down. Errors are three:
`ServerUnavailable` (try again), `ServerRefused` (it decided against this request) and `NodeRevoked` (it
decided against this node). It must not retry: `agent.py` decides what is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx

from linklocal.clock import Clock
from linklocal.document import NODE_REVOKED, NODE_UNKNOWN, NodeStatus
from linklocal.events import Event
from linklocal.metadata.wire import (
    Certificates,
    IamToken,
    ProfileSelector,
    UpstreamRefused,
    UpstreamUnavailable,
)
from linklocal.node.identity import Enrolment, NodeKeys
from linklocal.node.server_answers import (
    ClockSkewed,
    NodeRevoked,
    ServerRefused,
    ServerUnavailable,
    date_of,
    json_object,
    lines,
    problem,
    read,
    seconds,
    text,
    texts,
    unavailable,
    understood,
)
from linklocal.node.tally import Timings
from linklocal.tokens import NODE_REQUEST_LIFE, sign_node_request
from linklocal.tracing import Traces, span_of

# Seconds. The server sends a heartbeat every 15 s: after three missed ones the stream is dead.
SILENCE = 45.0
CONNECT = 5.0
ANSWER = (
    10.0  # of enrol, status, events and certificates for listeners; until the stream's first byte
)
DECISION = 5.0  # of what a guest waits for, from its turn to the end
TURN = 30.0  # until its turn, while the server answers others: a thousand guests may boot at once
AT_A_TIME = 16  # at a time: more would only make each of them slower
STREAM_TYPE = "application/x-ndjson"
SKEW_WORTH_TELLING = NODE_REQUEST_LIFE / 2


@dataclass(frozen=True, slots=True)
class ListenerCertificate:
    """Certificates of the listeners' key, leaf first, in PEM."""

    certificates: tuple[str, ...]


class ControlClient:
    """One server as one node sees it. Implements `metadata.wire.Upstream`.

    `clock_skew`: this node's clock minus the server's at its last answer, in seconds, or None.
    """

    def __init__(
        self,
        server_url: str,
        keys: NodeKeys,
        clock: Clock,
        *,
        version: str = "",
        decision_seconds: float = DECISION,
        answer_seconds: float = ANSWER,
        silence_seconds: float = SILENCE,
        traces: Traces | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._version = version
        self._decision_seconds = decision_seconds
        self._answer_seconds = answer_seconds
        self._silence_seconds = silence_seconds
        self._traces = traces
        self.enrolment: Enrolment | None = None
        self.clock_skew: float | None = None
        # Proxies and the like are not taken from the environment: settings are the one list of settings.
        tls = ssl.create_default_context() if server_url.startswith("https") else False
        url = server_url.rstrip("/")
        headers = {"user-agent": f"linklocal-node/{version}", "accept-encoding": "identity"}
        self._control = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            verify=tls,
            trust_env=False,
            timeout=httpx.Timeout(answer_seconds, connect=CONNECT),
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
        )
        # Guests can make these wait; they must not take connections from what the node itself needs.
        self._decisions = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            verify=tls,
            trust_env=False,
            timeout=httpx.Timeout(decision_seconds),
            limits=httpx.Limits(max_connections=AT_A_TIME, max_keepalive_connections=AT_A_TIME),
        )
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._decided = 0  # answers so far
        self.timings = Timings()

    def use_keys(self, keys: NodeKeys) -> None:
        """Sign with other keys from now on, as another node."""
        self._keys = keys
        self.enrolment = None

    async def close(self) -> None:
        """Drop all connections."""
        await self._control.aclose()
        await self._decisions.aclose()

    # --- the node's own business ---------------------------------------------------------------

    async def enrol(self, join_token: str, name: str) -> Enrolment:
        """Register this node's public keys. Raises ServerUnavailable or ServerRefused."""
        answer = await self._post(
            "enrol",
            {
                "join_token": join_token,
                "name": name,
                "control_jwk": self._keys.control.public_jwk(),
                "identity_jwk": self._keys.identity.public_jwk(),
                "version": self._version,
            },
            signed=False,
        )
        with understood("enrol"):
            return Enrolment.from_json(answer)

    async def report(self, status: NodeStatus) -> None:
        """Tell what is applied. Raises ServerUnavailable, ServerRefused or NodeRevoked."""
        await self._post("status", status.to_json())

    async def send_events(self, batch: str, dropped: int, events: list[Event]) -> None:
        """Hand over one batch; the same batch id again is stored once.

        Raises ServerUnavailable, ServerRefused or NodeRevoked.
        """
        listed = [event.to_json() for event in events]
        await self._post("events", {"batch": batch, "dropped": dropped, "events": listed})

    async def tls_certificate(self, csr: str, *, localhost: bool) -> ListenerCertificate:
        """A certificate for the https listeners. Raises ServerUnavailable, ServerRefused, NodeRevoked."""
        body: dict[str, Any] = {"csr": csr}
        if localhost:
            body["localhost"] = True
        answer = await self._post("tls_certificate", body)
        with understood("tls_certificate"):
            return ListenerCertificate(texts(answer["certificates"]))

    @contextlib.asynccontextmanager
    async def watch(self, after: int) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The changes after revision `after`, as lines of document.Change, while the block runs.

        The stream ends when the server ends it. Entering and reading raise ServerUnavailable,
        ServerRefused or NodeRevoked; reading also when nothing came for 45 s.
        """
        path = "/internal/v1/watch"
        try:
            with span_of(
                self._traces, "GET watch", "client", http__request__method="GET", url__path=path
            ) as span:
                headers = self._signed("GET", path, b"")
                if span is not None:
                    span.pass_on(headers)
                request = self._control.build_request(
                    "GET",
                    path,
                    params={"after": after},
                    headers=headers,
                    timeout=httpx.Timeout(self._silence_seconds, connect=CONNECT),
                )
                async with asyncio.timeout(self._answer_seconds):
                    response = await self._control.send(request, stream=True)
        except (httpx.HTTPError, TimeoutError) as error:
            raise unavailable(error) from error
        try:
            self._note_date(response)
            if response.status_code != 200:
                await self._read_refusal(response)
            if response.headers.get("content-type", "").partition(";")[0] != STREAM_TYPE:
                # A proxy's page, say. Taking it for the server would count as having heard from it.
                raise ServerUnavailable("what answers there is not the server: no watch stream")
            async with contextlib.aclosing(lines(response)) as stream:
                yield stream
        finally:
            await response.aclose()

    # --- decisions for guests (metadata.wire.Upstream) -------------------------------------------

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        """An IAM token for an instance. Raises UpstreamRefused or UpstreamUnavailable.

        A silent server takes 10 s at most; one that many guests ask takes what it needs, 35 s at most.
        """
        selector = None if profile is None else {"by": profile.by, "value": profile.value}
        answer = await self._decide(
            "iam_tokens", {"identity_token": identity_token, "profile": selector}
        )
        with understood("iam_tokens", UpstreamUnavailable):
            return IamToken(
                text(answer["access_token"]),
                seconds(answer["issued_at"]),
                seconds(answer["expires_at"]),
                text(answer["profile_id"]),
            )

    async def certificate(self, identity_token: str, csr: str, expires_in: int) -> Certificates:
        """An instance identity certificate. Raises and waits as `exchange`."""
        body = {"identity_token": identity_token, "csr": csr, "expires_in": expires_in}
        answer = await self._decide("certificates", body)
        with understood("certificates", UpstreamUnavailable):
            return Certificates(
                texts(answer["certificates"]),
                seconds(answer["issued_at"]),
                seconds(answer["expires_at"]),
            )

    async def _decide(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        with span_of(self._traces, f"decide {name}", "internal"):  # the wait for a turn included
            return await self._decided_in_turn(name, body)

    async def _decided_in_turn(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            await self._turn()
            try:
                async with asyncio.timeout(self._decision_seconds):
                    answer = await self._post(name, body, client=self._decisions)
            finally:
                self._turns.release()
            self._decided += 1
            return answer
        except TimeoutError as error:
            raise UpstreamUnavailable(
                f"the server did not answer within {self._decision_seconds:g} s"
            ) from error
        except ServerUnavailable as error:
            raise UpstreamUnavailable(str(error)) from error
        except NodeRevoked as error:
            raise UpstreamUnavailable("the server has revoked this node") from error
        except ServerRefused as error:
            self._decided += 1
            if error.problem.code == NODE_UNKNOWN or error.status not in (400, 401, 403):
                raise UpstreamUnavailable(str(error)) from error
            raise UpstreamRefused(error.problem, error.status) from error

    async def _turn(self) -> None:
        """Wait for one of `AT_A_TIME` turns. Raises TimeoutError when the server answers nobody meanwhile."""
        async with asyncio.timeout(TURN):
            while True:
                before = self._decided
                try:
                    async with asyncio.timeout(self._decision_seconds):
                        await self._turns.acquire()
                        return
                except TimeoutError:
                    if self._decided == before:
                        raise

    # --- one request -----------------------------------------------------------------------------

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        if self.enrolment is None:
            raise ServerUnavailable("the node is not enrolled yet")
        token = sign_node_request(
            self._keys.control,
            node_id=self.enrolment.node_id,
            method=method,
            path=path,
            body=body,
            now=self._clock.now(),
        )
        return {"authorization": f"Node {token}"}

    async def _post(
        self,
        name: str,
        body: dict[str, Any],
        *,
        signed: bool = True,
        client: httpx.AsyncClient | None = None,
    ) -> dict[str, Any]:
        path = f"/internal/v1/{name}"
        content = json.dumps(body, separators=(",", ":")).encode()
        headers = {"content-type": "application/json"}
        if signed:
            headers |= self._signed("POST", path, content)
        begun = self._clock.monotonic()
        try:
            with span_of(
                self._traces, f"POST {name}", "client", http__request__method="POST", url__path=path
            ) as span:
                if span is not None:
                    span.pass_on(headers)
                async with (
                    asyncio.timeout(self._answer_seconds),
                    (client or self._control).stream(
                        "POST", path, content=content, headers=headers
                    ) as response,
                ):
                    if span is not None:
                        span.set(http__response__status_code=response.status_code)
                    self._note_date(response)
                    if not response.is_success:
                        await self._read_refusal(response)
                    answer = json_object(await read(response))
        except (httpx.HTTPError, TimeoutError) as error:
            raise unavailable(error) from error
        finally:
            self.timings.add(name, self._clock.monotonic() - begun)
        if answer is None:
            raise ServerUnavailable(f"{path} answered something that is not a JSON object")
        return answer

    def _note_date(self, response: httpx.Response) -> None:
        """Compare clocks, where the server says what time it has."""
        theirs = date_of(response)
        if theirs is not None:
            # `Date` has whole seconds, cut off: on average it is half of one behind.
            self.clock_skew = (self._clock.now() - theirs).total_seconds() - 0.5

    async def _read_refusal(self, response: httpx.Response) -> NoReturn:
        try:
            content = await read(response)
        except httpx.HTTPError as error:
            raise unavailable(error) from error
        status = response.status_code
        refused = problem(json_object(content))
        if refused is None or status >= 500 or status == 429:
            said = f": {refused.message}" if refused else ""
            raise ServerUnavailable(f"the server answered {status}{said}")
        if status in (401, 403) and refused.code == NODE_REVOKED:
            raise NodeRevoked(status, refused)
        skew = self.clock_skew
        if status == 401 and skew is not None and abs(skew) >= SKEW_WORTH_TELLING:
            direction = "ahead of" if skew > 0 else "behind"
            raise ClockSkewed(
                f"this node's clock is about {abs(skew):.0f} s {direction} the server's: set it right"
            )
        raise ServerRefused(status, refused)
