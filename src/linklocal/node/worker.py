"""One worker process of a node: the listeners of its shard of the instances, and nothing else.

`python -m linklocal.node.worker`, started by `workers.py` with one end of a socket pair as its standard
input. It is told keys, certificate, documents and sockets, and asks for what only the server can decide.
It keeps nothing, reads no setting and no file, and ends when its parent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from dataclasses import astuple
from pathlib import Path
from typing import Any

import structlog
import uvloop

from linklocal.clock import Clock, SystemClock
from linklocal.document import InstanceDocument
from linklocal.events import Event
from linklocal.files import raise_file_limit
from linklocal.metadata.served import Served
from linklocal.node.accept import new_context
from linklocal.node.channel import Body, Channel
from linklocal.node.hosts import HostPolicy
from linklocal.node.identity import NodeSigner
from linklocal.node.limits import Limits, Totals, Usage
from linklocal.node.listener import Listener
from linklocal.node.upstream_channel import AskParent
from linklocal.observability import configure_logging
from linklocal.tokens import SigningKey

EVENTS_SECONDS = 0.1  # how often events are sent that found the parent busy
EVENTS_MOST = 20_000  # waiting here, at most
EVENTS_AT_ONCE = 500
UNSENT_MOST = 4 * 2**20  # bytes of a parent that does not read, beyond which events wait here
USAGE_SECONDS = 0.5


class Worker:
    """The listeners of one shard. `run` ends with the parent."""

    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self._clock = clock
        self._listeners: dict[int, Listener] = {}
        self._told: dict[int, Usage] = {}
        self._tls: ssl.SSLContext | None = None
        self._signer: NodeSigner | None = None
        self._rate = 1.0
        self._nocloud = False
        self._totals = Totals()
        self._channel = Channel(
            sock,
            {
                "setup": self._setup,
                "key": self._use_key,
                "certificate": self._use_certificate,
                "open": self._open,
                "change": self._change,
                "close": self._close,
            },
        )
        self._events = _Outbox(self._channel)
        self._upstream = AskParent(self._channel)

    async def run(self) -> None:
        """Serve until the parent's end of the channel is closed. Connections end with the process."""
        tasks = [asyncio.create_task(self._events.run()), asyncio.create_task(self._tell_usage())]
        try:
            await self._channel.ended.wait()
        finally:
            for task in tasks:
                task.cancel()
            if self._signer is not None:
                self._signer.close()
            self._channel.close()

    # --- what the parent says ------------------------------------------------------------------

    def _setup(self, body: Body, sockets: list[socket.socket]) -> None:
        configure_logging(body["log_level"], body["log_format"])
        structlog.contextvars.bind_contextvars(worker=body["number"])
        self._rate = body["rate"]
        self._nocloud = body["nocloud"]
        self._totals = Totals(connections_max=body["connections_max"])

    def _use_key(self, body: Body, sockets: list[socket.socket]) -> None:
        key = SigningKey(body["kid"], body["pem"].encode())
        if self._signer is None:
            self._signer = NodeSigner(key, body["region"])
        else:
            self._signer.use(key, body["region"])

    def _use_certificate(self, body: Body, sockets: list[socket.socket]) -> None:
        """The parent has loaded the same before: it fits."""
        if self._tls is None:
            self._tls = new_context()
        # OpenSSL reads files only; this one is in memory and gone with its descriptor.
        file = os.memfd_create("listener.pem", os.MFD_CLOEXEC)
        try:
            os.write(file, body["pem"].encode())
            self._tls.load_cert_chain(f"/proc/self/fd/{file}")
        finally:
            os.close(file)

    async def _opened(self, site: int, listener: Listener, sock: socket.socket) -> Body:
        try:
            await listener.open(sock, self._context(listener.served))
        except (OSError, ValueError):
            sock.close()
            self._listeners.pop(site, None)
            raise
        return {}

    def _open(self, body: Body, sockets: list[socket.socket]) -> Any:
        if self._signer is None:
            raise RuntimeError("a key is told before the first listener")
        document = InstanceDocument.from_json(body["document"])
        served = Served(document, self._signer, self._clock, nocloud=self._nocloud)
        listener = Listener(
            served,
            self._upstream,
            events=self._events,
            limits=Limits(),
            clock=self._clock,
            host_policy=HostPolicy(loopback=body["loopback"]),
            rate=self._rate,
            totals=self._totals,
        )
        # At once, so that a change that comes behind finds it; the listener keeps their order.
        self._listeners[body["site"]] = listener
        return self._opened(body["site"], listener, sockets[0])

    async def _change(self, body: Body, sockets: list[socket.socket]) -> Body:
        listener = self._listeners.get(body["site"])
        if listener is None:
            raise ValueError("it could not be opened")
        served = listener.served.updated(InstanceDocument.from_json(body["document"]))
        sock = sockets[0] if sockets else None
        try:
            await listener.change(served, self._context(served), sock)
        except (OSError, ValueError):
            if sock is not None:
                sock.close()
            raise
        return {}

    async def _close(self, body: Body, sockets: list[socket.socket]) -> Body:
        listener = self._listeners.pop(body["site"], None)
        if listener is None:
            return {}
        await listener.close()
        self._events.flush()
        self._told.pop(body["site"], None)
        return {"usage": _told(Usage(listener.usage().counters))}

    def _context(self, served: Served) -> ssl.SSLContext | None:
        return self._tls if served.document.metadata_service.protocol == "https" else None

    # --- what the parent is told ---------------------------------------------------------------

    async def _tell_usage(self) -> None:
        """Of listeners that did something; also without any, so that the parent hears this process."""
        while True:
            await asyncio.sleep(USAGE_SECONDS)
            changed = {}
            for site, listener in self._listeners.items():
                before, counters = self._told.get(site), listener.counters
                if before is not None and before.counters == counters and not before.connections:
                    continue  # nobody is there and nobody was
                usage = self._told[site] = listener.usage()
                if usage != before:
                    changed[str(site)] = _told(usage)
            self._channel.tell("usage", changed)


def _told(usage: Usage) -> list[Any]:
    return [list(astuple(usage.counters)), usage.connections, round(usage.paused, 1)]


class _Outbox:
    """Events on their way to the parent, which keeps and sends them. Never blocks a read."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._events: list[Event] = []
        self._dropped = 0
        self._soon: asyncio.Handle | None = None

    def record(self, event: Event) -> None:
        if len(self._events) < EVENTS_MOST:
            self._events.append(event)
        else:
            self._dropped += 1
        if self._soon is None:
            # Behind what else happens in this turn of the loop: a killed worker takes no more with it.
            self._soon = asyncio.get_running_loop().call_soon(self.flush)

    async def run(self) -> None:
        """Send what found the parent busy, until cancelled."""
        while True:
            await asyncio.sleep(EVENTS_SECONDS)
            self.flush()

    def flush(self) -> None:
        self._soon = None
        while (self._events or self._dropped) and self._channel.unsent < UNSENT_MOST:
            some, self._events = self._events[:EVENTS_AT_ONCE], self._events[EVENTS_AT_ONCE:]
            dropped, self._dropped = self._dropped, 0
            events = [event.to_json() for event in some]
            self._channel.tell("events", {"events": events, "dropped": dropped})


def main() -> None:
    """The process. What its parent does not tell it is not its business, signals included."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the terminal and systemd send them to all processes
    sock = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    raise_file_limit()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_run(sock))


async def _run(sock: socket.socket) -> None:
    await Worker(sock, SystemClock()).run()


if __name__ == "__main__":
    main()
