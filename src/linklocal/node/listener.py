"""One instance's server: its socket, its settings, its live connections. Start here, then `http.py`.

The socket is the identity: whoever reaches it is the instance, and nothing in a request is asked who it
is. Settings live at the socket too: a change is applied to the kernel's listener first, then to the
connections there are. It must not decide what is listened on (attachments) or when (the reconciler).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

import structlog

from linklocal.clock import Clock
from linklocal.document import MetadataService
from linklocal.metadata import routes
from linklocal.metadata.served import Served
from linklocal.metadata.wire import Request, Response, Upstream
from linklocal.node import refusals
from linklocal.node.accept import Acceptor, PlainAcceptor, TlsAcceptor
from linklocal.node.access_events import AccessEvents, EventSink
from linklocal.node.framing import Refusal
from linklocal.node.hosts import HostPolicy
from linklocal.node.http import Connection, Heads
from linklocal.node.intake import Intake
from linklocal.node.limits import Counters, Limits, TokenBucket, Totals, Usage
from linklocal.node.sockets import hops, prepare_listener, set_hop_limit
from linklocal.node.turns import Turns

__all__ = ["Answer", "EventSink", "Listener"]

# What a call is answered with: `metadata.routes.handle`, or what a test double has in its place.
Answer = Callable[[Request, Served, Upstream], Response | Awaitable[Response]]

# What a defect in an answer raises. It is logged and answered 500, and the connection lives on.
_DEFECTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Listener:
    """Serves one instance. Made once, opened once, changed with every document, closed once.

    `rate`: calls a second before 429; a second's worth may come at once. `totals` is shared by all
    listeners of the node. `answer` and `connection` are a test double's place to differ. Methods must be
    called in the event loop's thread.
    """

    def __init__(
        self,
        served: Served,
        upstream: Upstream,
        *,
        events: EventSink,
        limits: Limits,
        clock: Clock,
        host_policy: HostPolicy,
        rate: float,
        totals: Totals,
        answer: Answer = routes.handle,
        connection: type[Connection] = Connection,
    ) -> None:
        self.limits = limits
        self.clock = clock
        self.hosts = host_policy
        self.heads = Heads(clock)
        self.buffer = totals.buffer
        self.turns = Turns(limits.turn)
        self.counters = Counters()
        self.sock: socket.socket | None = None
        self._served = served
        self._upstream = upstream
        self._events = AccessEvents(served.document.instance_id, events, clock)
        self._totals = totals
        self._answer = answer
        self._connection = connection
        now = clock.monotonic()
        self._bucket = TokenBucket(rate, max(1.0, rate, limits.handshake_cost), now)
        share = max(1.0, rate * limits.refusals)
        self._refusals = TokenBucket(share, share, now)
        self._log = structlog.get_logger().bind(instance_id=served.document.instance_id)
        self._connections: set[Connection] = set()
        self._changing = asyncio.Lock()
        self._intake = Intake(self._changing, lambda: self._hold(False), limits.pause, self._log)
        self._emptied: asyncio.Event | None = None  # while somebody waits for it
        self._sweeper: asyncio.TimerHandle | None = None
        self._held = False
        self._fresh_until = -math.inf

    @property
    def served(self) -> Served:
        """What the next request is answered from."""
        return self._served

    @property
    def connections(self) -> int:
        """Live connections."""
        return len(self._connections)

    @property
    def fault(self) -> str | None:
        """Why nobody is answered although it is open: nothing, where the listener is in this process."""
        return None

    def usage(self) -> Usage:
        """What it did, and whether it takes calls now."""
        paused = self._intake.remaining if self._held else 0.0
        return Usage(replace(self.counters), len(self._connections), paused)

    # --- for the reconciler --------------------------------------------------------------------

    async def open(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve on a bound TCP socket, which is the listener's from here on.

        `tls` is used while the document's protocol is https. Raises OSError when the kernel refuses,
        ValueError when https lacks `tls`; the socket is then still the caller's.
        """
        async with self._changing:
            if self.sock is not None:
                raise RuntimeError("a listener is opened once")
            service = self._served.document.metadata_service
            prepare_listener(sock)
            set_hop_limit(sock, hops(service))
            acceptor = self._make_acceptor(sock, service, tls)
            await acceptor.start()
            self.sock = sock
            self._intake.use(acceptor)

    async def change(
        self, served: Served, tls: ssl.SSLContext | None, sock: socket.socket | None = None
    ) -> None:
        """Serve a new document, and the listener's settings in it.

        `sock` takes the place of the socket there was, where the new protocol has another port; it is
        the listener's when this returns, and the caller's when it raises.

        When it returns, every request from then on is answered under the new settings. If they differ,
        connections made under the old ones finish the request in flight, with the smaller of both hop
        limits, and are gone `Limits.drain` later; this does not wait for them. Otherwise connections
        stay and see the new document.
        Raises OSError or ValueError as `open` does, with the old document still served; it may be
        called again.
        """
        async with self._changing:
            old, new = self._served.document.metadata_service, served.document.metadata_service
            if self.sock is None:
                self._served = served
                return
            if new.protocol == "https" and tls is None:
                raise ValueError("https needs a TLS context")
            if sock is not None:
                prepare_listener(sock)
                set_hop_limit(sock, hops(new))
            set_hop_limit(self.sock, hops(new))
            self._served = served
            if old == new:
                acceptor = self._intake.acceptor
                if isinstance(acceptor, TlsAcceptor) and tls is not None:
                    acceptor.context = tls
                return
            # The kernel may hold accepted connections, and there may be handshakes, with the old TTL.
            window = self.limits.handshake + self.limits.pause
            self._fresh_until = self.clock.monotonic() + window
            self._retire(min(hops(old), hops(new)))
            acceptor = self._intake.acceptor
            if old.protocol != new.protocol and acceptor is not None:
                acceptor.stop()
                if sock is not None:
                    self.sock.close()
                    self.sock = sock
                await self._intake.exchange(self._make_acceptor(self.sock, new, tls))

    async def close(self) -> None:
        """Accept nothing more; let requests in flight finish for `Limits.drain`; abort the rest."""
        async with self._changing:
            self._intake.end()
            if self.sock is not None:
                self.sock.close()
            self._hold(False)
            for connection in tuple(self._connections):
                connection.drain()
            for _ in range(2):
                await self._until_empty()
                self._abort(tuple(self._connections))
            self._events.flush()

    async def _until_empty(self) -> None:
        """Until no connection is left, for `Limits.drain` at most."""
        if self._connections:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.limits.drain):
                    await self._emptied.wait()

    def _make_acceptor(
        self, sock: socket.socket, service: MetadataService, tls: ssl.SSLContext | None
    ) -> Acceptor:
        if service.protocol == "http":
            return PlainAcceptor(sock, lambda: self._connection(self, tls=False))
        if tls is None:
            raise ValueError("https needs a TLS context")
        return TlsAcceptor(
            sock,
            lambda: self._connection(self, tls=True),
            tls,
            self.limits,
            admit=self._admit,
            failed=self._handshake_failed,
            stalled=self._exhausted,
        )

    def _retire(self, hop_limit: int) -> None:
        """End the connections there are: gracefully now, with force after `Limits.drain`."""
        retired = tuple(self._connections)
        for connection in retired:
            try:
                connection.limit_hops(hop_limit)
            except OSError:
                connection.abort()
            else:
                connection.drain()
        if self._connections:
            asyncio.get_running_loop().call_later(self.limits.drain, self._abort, retired)

    def _abort(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            if connection in self._connections:
                connection.abort()

    # --- the connections' site (http.Site) -----------------------------------------------------

    def opened(self, connection: Connection) -> Response | None:
        self.counters.connections += 1
        self._totals.connections += 1
        self._connections.add(connection)
        if self._sweeper is None:
            self._schedule_sweep()
        if self.clock.monotonic() < self._fresh_until:
            try:
                connection.limit_hops(hops(self._served.document.metadata_service))
            except OSError:
                connection.abort()
                return None
        if self._held:
            connection.hold(True)
        beyond = self._beyond_cap()
        if beyond <= 0:
            return None
        self.counters.over_cap += 1
        if beyond > self.limits.over_cap:
            connection.abort()
            return None
        response = self._too_many()
        self.counters.refused += 1
        self._events.other(None, "", response, **self._facts(connection))
        return response

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._totals.connections -= 1
        if not self._connections:
            if self._emptied is not None:
                self._emptied.set()
            if self._sweeper is not None:
                self._sweeper.cancel()
                self._sweeper = None
        if not connection.answers:
            self._charge()

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        now = self.clock.monotonic()
        if not self._bucket.take(now):
            return self._too_fast(now)
        try:
            return self._answer(request, self._served, self._upstream)
        except _DEFECTS as error:
            return self.failed(error)

    def refuse(self, refusal: Refusal) -> Response:
        self.counters.framing += 1
        self._charge()
        return refusals.malformed(refusal)

    def failed(self, error: BaseException | None) -> Response:
        if error is not None:
            self._log.error("answer failed", exc_info=error)
        return refusals.defect()

    def answered(
        self, connection: Connection, asked: Request | Refusal, response: Response
    ) -> None:
        counters = self.counters
        if response.status >= 400:
            counters.refused += 1
        if isinstance(asked, Refusal):
            self._events.other(None, asked.path, response, **self._facts(connection))
            return
        counters.requests += 1
        if response.status < 400 and asked.method == "GET":
            self._events.read(asked.path, response, lambda: self._facts(connection))
        else:
            self._events.other(asked, asked.path, response, **self._facts(connection))

    # --- rates and caps ------------------------------------------------------------------------

    def _beyond_cap(self) -> int:
        """How many connections there are too many, of this instance or of the node; may be negative."""
        instance = len(self._connections) - self.limits.connections
        return max(instance, self._totals.connections - self._totals.connections_max)

    def _too_many(self) -> Response:
        if len(self._connections) > self.limits.connections:
            return refusals.too_many_connections(self.limits.connections)
        return refusals.node_full()

    def _too_fast(self, now: float) -> Response:
        self.counters.limited += 1
        if not self._refusals.take(now):
            self._pause()
        return refusals.too_fast(self._bucket.wait(now))

    def _charge(self) -> None:
        """A connection without a request costs about what a request does."""
        now = self.clock.monotonic()
        if not self._bucket.take(now) and not self._refusals.take(now):
            self._pause()

    def _pause(self) -> None:
        """Stop reading and accepting for `Limits.pause`: even refusing costs time of other instances."""
        if not self._held and self._intake.acceptor is not None:
            self.counters.pauses += 1
            self._hold(True)
            self._intake.rest(self.limits.pause)

    def _hold(self, held: bool) -> None:
        if held is not self._held:
            self._held = held
            for connection in tuple(self._connections):
                connection.hold(held)

    # --- TLS -----------------------------------------------------------------------------------

    def _admit(self) -> bool:
        """Whether another handshake may begin now; if not, accepting goes on by itself later."""
        now = self.clock.monotonic()
        cost = self.limits.handshake_cost
        if self._beyond_cap() + self._intake.handshakes >= self.limits.over_cap:
            self._intake.rest(self.limits.pause)
        elif not self._bucket.take(now, cost):
            self._intake.rest(self._bucket.wait(now, cost))
        else:
            return True
        return False

    def _handshake_failed(self) -> None:
        self.counters.handshakes_failed += 1

    def _exhausted(self) -> None:
        self._log.warning("cannot accept connections", error="no file descriptors left")
        self._intake.rest(self.limits.pause)

    # --- deadlines -----------------------------------------------------------------------------

    def _schedule_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(self.limits.sweep, self._sweep)

    def _sweep(self) -> None:
        now, crowded = self.clock.monotonic(), len(self._connections) > self.limits.crowd
        for connection in tuple(self._connections):
            if connection.check(now, crowded=crowded):
                self.counters.deadlines += 1
        self._sweeper = None
        if self._connections:
            self._schedule_sweep()

    @staticmethod
    def _facts(connection: Connection) -> dict[str, Any]:
        facts: dict[str, Any] = {"protocol": "https" if connection.tls else "http"}
        if (ttl := connection.peer_ttl()) is not None:
            facts["peer_ttl"] = ttl
        return facts
