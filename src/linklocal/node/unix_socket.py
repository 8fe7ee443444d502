"""Byte streams of the node's local sockets, with what comes beside the bytes: descriptors, and who sent them.

asyncio's streams drop descriptors, so these read for themselves. It knows no HTTP: `local_api.py` does.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

DESCRIPTORS_MOST = 8  # of one connection
_READ = 65_536  # more than any request: unread bytes would reset the answer
_ACCEPT_SECONDS = 0.2  # before accepting again when descriptors have run out
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


class TooLong(Exception):
    """The peer sent more than was asked for."""


@dataclass(slots=True)
class Caller:
    """Who is at the other end, by the kernel's word, and what it handed over.

    `descriptors` are open until the request is answered: whoever wants to keep one duplicates it.
    `truncated`: the kernel dropped some (MSG_CTRUNC).
    """

    uid: int
    pid: int
    descriptors: list[int] = field(default_factory=list)
    truncated: bool = False

    def close(self) -> None:
        """Close what was handed over."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


class Stream:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self.caller = Caller(*_peer(sock))

    async def read_until(self, mark: bytes, most: int) -> bytes:
        """Up to and with the mark. Raises EOFError before it, TooLong when it does not come, OSError."""
        while (end := self._buffer.find(mark, 0, most)) < 0:
            if len(self._buffer) >= most:
                raise TooLong
            await self._fill()
        return self._take(end + len(mark))

    async def read_exactly(self, length: int) -> bytes:
        """So many bytes. Raises EOFError when the peer ends before, OSError."""
        while len(self._buffer) < length:
            await self._fill()
        return self._take(length)

    async def write(self, data: bytes) -> None:
        """Raises OSError when the peer is gone."""
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    async def _fill(self) -> None:
        space = socket.CMSG_SPACE(DESCRIPTORS_MOST * array.array("i").itemsize)
        while True:
            try:
                data, ancillary, flags, _ = self._sock.recvmsg(
                    _READ, space, socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                await _readable(self._sock)
                continue
            break
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found = array.array("i")
                found.frombytes(content[: len(content) - len(content) % found.itemsize])
                self.caller.descriptors.extend(found)
        if flags & socket.MSG_CTRUNC or len(self.caller.descriptors) > DESCRIPTORS_MOST:
            self.caller.truncated = True
        if not data:
            raise EOFError
        self._buffer += data


@asynccontextmanager
async def accepting(
    sock: socket.socket, serve: Callable[[Stream], Awaitable[None]], seconds: float
) -> AsyncIterator[None]:
    """Listen inside the block; each connection is served for so many seconds at most, then closed.

    `serve` may raise OSError, EOFError and TimeoutError: they end the connection. A connection that is
    open at the end of the block does not hold it up.
    """
    sock.setblocking(False)
    sock.listen(64)
    tasks: set[asyncio.Task[None]] = set()

    async def serve_one(connection: socket.socket) -> None:
        with connection:
            stream = Stream(connection)
            try:
                async with asyncio.timeout(seconds):
                    await serve(stream)
            except (OSError, EOFError, TimeoutError):
                return
            finally:
                stream.caller.close()

    async def accept() -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(sock)
            except OSError:
                await asyncio.sleep(_ACCEPT_SECONDS)
                continue
            connection.setblocking(False)
            task = loop.create_task(serve_one(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    accepting = asyncio.get_running_loop().create_task(accept())
    try:
        yield
    finally:
        for task in (accepting, *tasks):
            task.cancel()
        await asyncio.gather(accepting, *tasks, return_exceptions=True)
        sock.close()


def _peer(sock: socket.socket) -> tuple[int, int]:
    """User and process at the other end; of TCP nobody knows them: -1, 0."""
    if sock.family != socket.AF_UNIX:
        return -1, 0
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(found)
    return uid, pid


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not waiting.done():
            waiting.set_result(None)

    loop.add_reader(sock.fileno(), ready)
    try:
        await waiting
    finally:
        loop.remove_reader(sock.fileno())
