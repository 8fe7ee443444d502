"""HTTP for one connection: answers in order, deadlines, back-pressure, draining. Start here.

`framing.py` makes requests of bytes; this writes the answers. An answer that is ready is written in the
same call in which its request arrived: no task, no await. It must not know instances, documents or
rates: it asks its `Site` (the listener).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from typing import Protocol, cast

from linklocal.clock import Clock
from linklocal.metadata.wire import Request, Response
from linklocal.node.framing import Framed, Framer, Phase, Refusal
from linklocal.node.hosts import HostPolicy
from linklocal.node.limits import Limits
from linklocal.node.sockets import set_hop_limit, syn_ttl
from linklocal.node.turns import Turns

NEVER = float("inf")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Site(Protocol):
    """What a connection asks of the listener that accepted it."""

    @property
    def limits(self) -> Limits: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def hosts(self) -> HostPolicy: ...

    @property
    def heads(self) -> Heads: ...

    @property
    def turns(self) -> Turns: ...

    @property
    def buffer(self) -> memoryview:
        """Where input is read into. Shared by all connections: it is used up within one call."""

    def opened(self, connection: Connection) -> Response | None:
        """A peer is here. An answer means that it cannot stay."""

    def closed(self, connection: Connection) -> None: ...

    def respond(self, request: Request) -> Response | Awaitable[Response]: ...

    def refuse(self, refusal: Refusal) -> Response:
        """The answer to input that is no request."""

    def failed(self, error: BaseException | None) -> Response:
        """An awaited answer raised (or was cancelled, None): what to send instead."""

    def answered(
        self, connection: Connection, asked: Request | Refusal, response: Response
    ) -> None: ...


class Heads:
    """The part of an answer's head that is the same for a second: status, Date, Content-Type."""

    __slots__ = ("_clock", "_date", "_heads", "_until")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = -NEVER
        self._heads: dict[tuple[int, str], bytes] = {}
        self._date = ""

    def get(self, status: int, type: str, monotonic: float) -> bytes:
        """Everything up to the value of `Content-Length`."""
        if monotonic >= self._until:
            now = self._clock.now()
            self._until = monotonic + 1 - now.microsecond / 1e6
            self._date = format_datetime(now, usegmt=True)
            self._heads.clear()
        head = self._heads.get((status, type))
        if head is None:
            head = self._heads[status, type] = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nDate: {self._date}\r\n"
                f"Content-Type: {type}\r\nContent-Length: "
            ).encode()
        return head


class _Gone(asyncio.Transport):
    """Stands for the transport of a connection that is lost. Keeping the real one would close a cycle
    through the loop's TLS layer, and with it 50 KiB of OpenSSL's, until the collector comes round."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is left to close."""

    abort = close


_GONE = _Gone()


class Connection(asyncio.BufferedProtocol):
    """One accepted connection. `read_deadline` and `write_deadline` are monotonic seconds or NEVER."""

    __slots__ = (
        "_draining",
        "_ended",
        "_framer",
        "_held",
        "_limits",
        "_linger_left",
        "_peer_ttl",
        "_pending",
        "_pumping",
        "_queued",
        "_reading",
        "_site",
        "_tls",
        "_transport",
        "_write_paused",
        "answers",
        "read_deadline",
        "write_deadline",
    )

    def __init__(self, site: Site, *, tls: bool) -> None:
        self._site = site
        self._limits = site.limits
        self._tls = tls
        self._transport: asyncio.Transport = _GONE
        self._framer = Framer(site.limits, site.hosts, "https" if tls else "http")
        self._pending: asyncio.Future[Response] | None = None
        self._linger_left: int | None = None
        self._pumping = self._write_paused = self._held = self._draining = self._ended = False
        self._queued = False
        self._reading = True
        self._peer_ttl: tuple[int | None, ...] = ()  # empty until it was read
        self.answers = 0
        self.read_deadline = self.write_deadline = NEVER

    # --- for the listener ----------------------------------------------------------------------

    def drain(self) -> None:
        """Finish the request in flight, then close. A peer that has not yet spoken may still ask once."""
        self._draining = True
        idle = self._framer.phase is Phase.BETWEEN and self._pending is None
        if idle and not self._framer.items and self.answers and self._linger_left is None:
            self._close()

    def abort(self) -> None:
        """Close at once and drop what is not sent."""
        self._transport.abort()

    def hold(self, held: bool) -> None:
        """Stop reading and answering, or go on."""
        self._held = held
        if not self._transport.is_closing():
            self._pump()

    def go_on(self) -> None:
        """Its turn has come: answer what waits."""
        self._queued = False
        if not self._transport.is_closing():
            self._pump()

    def check(self, now: float, *, crowded: bool = False) -> bool:
        """End the connection if a deadline has passed; says whether the peer was at fault."""
        deadline = self.read_deadline
        if crowded and self.answers and self._framer.phase is Phase.BETWEEN:
            deadline -= self._limits.idle - self._limits.idle_in_crowd
        if now >= self.write_deadline:
            self.abort()
        elif now < deadline:
            return False
        elif self._framer.phase is Phase.BETWEEN or self._framer.over:
            self._close()
            return self.answers == 0
        else:
            part = "headers" if self._framer.phase is Phase.HEAD else "body"
            seconds = self._limits.head if part == "headers" else self._limits.body
            self.read_deadline = NEVER
            self._framer.refuse(
                408, f"The {part} of the request did not arrive within {seconds:g} s.", "deadline"
            )
            self._pump()
        return True

    def limit_hops(self, hops: int) -> None:
        """Set TTL or hop limit of what this connection sends. Raises OSError when it is gone."""
        sock = self._transport.get_extra_info("socket")
        if sock is None:
            raise OSError(errno.ENOTCONN, "the connection is gone")
        set_hop_limit(sock, hops)

    @property
    def tls(self) -> bool:
        """Whether the peer speaks TLS."""
        return self._tls

    def peer_ttl(self) -> int | None:
        """TTL or hop limit with which the peer's SYN arrived; None when the kernel did not keep it."""
        if not self._peer_ttl:
            sock = self._transport.get_extra_info("socket")
            self._peer_ttl = (None if sock is None else syn_ttl(sock),)
        return self._peer_ttl[0]

    # --- called by the transport ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)
        self.read_deadline = self._site.clock.monotonic() + self._limits.first_byte
        refused = self._site.opened(self)
        if refused is not None:
            self._framer.stop()
            self._write(refused, close=True)
            self._linger()

    def connection_lost(self, exc: Exception | None) -> None:
        self._framer.release()
        if self._pending is not None:
            self._pending.cancel()
        self._site.closed(self)
        self._transport = _GONE

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._site.buffer

    def buffer_updated(self, nbytes: int) -> None:
        framer = self._framer
        if framer.over:
            self._discard(nbytes)
            return
        steps = framer.steps
        framer.feed(self._site.buffer[:nbytes])
        if framer.steps != steps:
            limit = self._limits.head if framer.phase is Phase.HEAD else self._limits.body
            self.read_deadline = self._site.clock.monotonic() + limit
        self._pump()

    def eof_received(self) -> bool:
        self._ended = True
        self._framer.stop()
        waiting = self._pending is not None or bool(self._framer.items)
        return waiting and not self._tls  # TLS has no half-closed connections

    def pause_writing(self) -> None:
        self._write_paused = True
        self.write_deadline = self._site.clock.monotonic() + self._limits.write

    def resume_writing(self) -> None:
        self._write_paused = False
        self.write_deadline = NEVER
        if not self._transport.is_closing():
            self._pump()

    # --- answers -------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Answer what is complete, in order, until an answer must be waited for or is not taken."""
        if self._pumping:
            return
        self._pumping = True
        items = self._framer.items
        try:
            while items and self._pending is None and not (self._write_paused or self._held):
                self._queued = self._queued or not self._site.turns.take(self)
                if self._queued:
                    break
                item = items.popleft()
                if isinstance(item, Refusal):
                    self._write_refusal(item)
                    break
                answer = self._site.respond(item.request)
                if isinstance(answer, Response):
                    self._write_answer(item, answer)
                else:
                    self._pending = asyncio.ensure_future(answer)
                    self._pending.add_done_callback(partial(self._finish, item))
        finally:
            self._pumping = False
        if not self._transport.is_closing():
            self._settle()

    def _finish(self, item: Framed, future: asyncio.Future[Response]) -> None:
        self._pending = None
        if self._transport.is_closing():
            if not future.cancelled():
                future.exception()  # nobody is there to be told; mark it as seen
            return
        error = None if future.cancelled() else future.exception()
        failed = future.cancelled() or error is not None
        self._write_answer(item, self._site.failed(error) if failed else future.result())
        self._pump()

    def _settle(self) -> None:
        """After anything changed: what is read next, and until when."""
        framer = self._framer
        if self._linger_left is not None:
            return
        waiting = self._pending is not None or bool(framer.items)
        if framer.over and not waiting:
            self._close()
            return
        # A request whose turn comes at once is no reason to stop reading, which costs two system calls.
        soon = self._queued and len(framer.items) == 1
        reading = (soon or not framer.items) and not self._held
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
        if framer.wants_continue and not waiting and not self._write_paused:
            framer.wants_continue = False
            self._transport.write(_CONTINUE)
        if waiting and (framer.over or framer.phase is Phase.BETWEEN):
            self.read_deadline = NEVER  # the delay is ours
        elif framer.phase is Phase.BETWEEN and self.answers:
            self.read_deadline = self._site.clock.monotonic() + self._limits.idle

    def _write_answer(self, item: Framed, response: Response) -> None:
        ended = self._ended and not self._framer.items
        close = self._draining or ended or not item.keep_alive
        extra = b"" if close or not item.old else b"Connection: keep-alive\r\n"
        self._write(response, close=close, extra=extra, head_only=item.request.method == "HEAD")
        self._site.answered(self, item.request, response)
        if close:
            self._framer.stop()
            self._framer.items.clear()

    def _write_refusal(self, refusal: Refusal) -> None:
        response = self._site.refuse(refusal)
        self._write(response, close=True)
        self._site.answered(self, refusal, response)
        self._linger()

    def _write(
        self, response: Response, *, close: bool, extra: bytes = b"", head_only: bool = False
    ) -> None:
        if close:
            extra = b"Connection: close\r\n"
        for name, value in response.headers:
            extra += f"{name}: {value}\r\n".encode("latin-1")
        now = self._site.clock.monotonic()
        head = b"%b%d\r\nX-Request-Id: %b\r\n%b\r\n" % (
            self._site.heads.get(response.status, response.type, now),
            len(response.body),
            response.trace.encode("latin-1"),
            extra,
        )
        self.answers += 1
        self._transport.write(head if head_only else head + response.body)

    # --- the end -------------------------------------------------------------------------------

    def _linger(self) -> None:
        """A close with unread input resets the connection, and the reset may overtake the refusal."""
        if self._ended:
            self._close()
            return
        self._linger_left = self._limits.linger_bytes
        self.read_deadline = self._site.clock.monotonic() + self._limits.linger
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _discard(self, nbytes: int) -> None:
        if self._linger_left is not None:
            self._linger_left -= nbytes
            if self._linger_left < 0:
                self._close()

    def _close(self) -> None:
        self.read_deadline = NEVER
        self.write_deadline = self._site.clock.monotonic() + self._limits.write
        self._transport.close()
