"""One instance's listener that answers in a worker process: what its parent knows and keeps of it.

As `listener.Listener` to the reconciler. The socket stays open here, and what is served is known here, so
that another worker can go on. It must not know processes: `workers.py` does.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, Protocol

from linklocal.metadata.served import Served
from linklocal.node.channel import Body
from linklocal.node.hosts import LOOPBACK, HostPolicy
from linklocal.node.limits import Counters, Usage
from linklocal.node.sockets import hops, prepare_listener, set_hop_limit


class Shard(Protocol):
    """The worker that answers, whichever process that is; `workers.py` has it."""

    fault: str | None
    sites: dict[int, RemoteListener]

    def new_site(self) -> int: ...

    async def call(self, op: str, body: Body, sock: socket.socket | None = None) -> Body | None:
        """The worker's answer; None: there is none, and the next one begins with what is known here."""
        ...


class RemoteListener:
    """A listener in a worker process. As `listener.Listener`; the socket stays open here, too."""

    def __init__(self, shard: Shard, served: Served, hosts: HostPolicy) -> None:
        self._shard = shard
        self._site = shard.new_site()
        self._hosts = hosts
        self._before = Counters()  # of workers that ended
        self._usage = Usage()
        self.served = served
        self.sock: socket.socket | None = None

    @property
    def fault(self) -> str | None:
        """Why nobody is answered although the socket listens."""
        return self._shard.fault

    def usage(self) -> Usage:
        """What it did, as of a second ago."""
        used = self._usage
        return Usage(self._before.plus(used.counters), used.connections, used.paused)

    def opening(self) -> Body:
        """What a worker is told to begin."""
        return {
            "site": self._site,
            "document": self.served.document.to_json(),
            "loopback": bool(self._hosts.names.intersection(LOOPBACK)),
        }

    async def open(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve on a listening socket, which is the listener's from here on.

        Raises OSError when it cannot be; the socket is then still the caller's.
        """
        prepare_listener(sock)
        set_hop_limit(sock, hops(self.served.document.metadata_service))
        self.sock = sock
        self._shard.sites[self._site] = self
        try:
            await self._shard.call("open", self.opening(), sock)
        except OSError:
            self.sock = None
            del self._shard.sites[self._site]
            raise

    async def change(
        self, served: Served, tls: ssl.SSLContext | None, sock: socket.socket | None = None
    ) -> None:
        """Serve a new document; returns when nobody is answered under the old one any more.

        `sock` takes the place of the socket there was; it is the caller's when this raises OSError.
        """
        old, limit = self.served, hops(served.document.metadata_service)
        if sock is not None:
            prepare_listener(sock)
            set_hop_limit(sock, limit)
        # First: a worker that begins meanwhile begins with this.
        self.served = served
        body = {"site": self._site, "document": served.document.to_json()}
        try:
            answer = await self._shard.call("change", body, sock)
        except OSError:
            self.served = old
            raise
        if answer is None and self.sock is not None:
            set_hop_limit(self.sock, limit)  # of what the kernel answers by itself
        if sock is not None:
            if self.sock is not None:
                self.sock.close()
            self.sock = sock

    async def close(self) -> None:
        """Accept nothing more; requests in flight may finish."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None
        try:
            answer = await self._shard.call("close", {"site": self._site})
        except OSError:
            answer = None
        if answer is not None and "usage" in answer:
            self.told(answer["usage"])
        self._shard.sites.pop(self._site, None)

    def told(self, usage: list[Any]) -> None:
        """The worker says how this listener is used."""
        counters, connections, paused = usage
        self._usage = Usage(Counters(*counters), connections, paused)

    def lost(self) -> None:
        """The worker has ended, and its connections with it."""
        self._before = self._before.plus(self._usage.counters)
        self._usage = Usage()
