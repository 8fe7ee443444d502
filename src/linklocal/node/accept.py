"""Taking connections off a listening socket, in the clear or over TLS, so that it can pause.

The kernel's listener belongs to `listener.py` and survives every change of acceptor: a pause or a switch
between http and https loses no connection that the kernel has queued. Knows no HTTP and no instance.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from linklocal.node.limits import Limits

BACKLOG = 1024
_BATCH = 16  # TLS connections accepted in one turn of the loop


def new_context() -> ssl.SSLContext:
    """A context as listeners have it, without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Acceptor(Protocol):
    """`start` and `pause` may alternate; after `stop` neither is called."""

    async def start(self) -> None:
        """Raises OSError when descriptors have run out."""

    def pause(self) -> None: ...

    def stop(self) -> None: ...


class PlainAcceptor:
    """The loop's own server: nothing is cheaper, and curl opens a connection for every call."""

    def __init__(self, sock: socket.socket, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        self._sock = sock
        self._factory = factory
        self._server: asyncio.Server | None = None
        self._wanted = False

    async def start(self) -> None:
        """Serve on a duplicate: closing a server closes its socket."""
        self._wanted = True
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        duplicate = self._sock.dup()
        try:
            server = await loop.create_server(self._factory, sock=duplicate, backlog=BACKLOG)
        except BaseException:
            duplicate.close()
            raise
        if self._wanted and self._server is None:
            self._server = server
        else:
            server.close()

    def pause(self) -> None:
        self._wanted = False
        if self._server is not None:
            self._server.close()
            self._server = None

    stop = pause


class TlsAcceptor:
    """Accepts by itself, because the loop's server tells nobody of connections still in their handshake:
    they could be neither counted nor paced, and a handshake costs as much as fifty reads.

    `admit` is asked before each accept and says whether to go on. `failed` is told of each handshake
    that came to nothing, `stalled` that accepting failed for want of descriptors.
    """

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        limits: Limits,
        *,
        admit: Callable[[], bool],
        failed: Callable[[], None],
        stalled: Callable[[], None],
    ) -> None:
        self.context = context
        self._sock = sock
        self._factory = factory
        self._limits = limits
        self._admit = admit
        self._failed = failed
        self._stalled = stalled
        self._handshakes: set[asyncio.Task[None]] = set()

    @property
    def handshakes(self) -> int:
        """Connections in their handshake."""
        return len(self._handshakes)

    async def start(self) -> None:
        self._sock.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._accept)

    def pause(self) -> None:
        asyncio.get_running_loop().remove_reader(self._sock.fileno())

    def stop(self) -> None:
        self.pause()
        for handshake in self._handshakes:
            handshake.cancel()

    def _accept(self) -> None:
        for _ in range(_BATCH):
            if not self._admit():
                return
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._stalled()
                return
            sock.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._handshake(sock))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _handshake(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._factory,
                sock,
                ssl=self.context,
                ssl_handshake_timeout=self._limits.handshake,
                ssl_shutdown_timeout=self._limits.linger,
            )
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                sock.close()
            raise
        except OSError:  # includes ssl.SSLError, resets and the handshake's time-out
            self._failed()
