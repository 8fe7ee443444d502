"""Calls between two processes over a pair of Unix sockets: JSON in frames, with descriptors beside it.

Both sides may call and tell. What one side sends, the other begins to handle in that order. It must not
know what is said: `workers.py` and `worker.py` do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from array import array
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

FRAME_MOST = 64 * 2**20  # bytes of one frame; a document with the largest user data has 0.2 MiB
DESCRIPTORS_MOST = 8  # of one frame
_HEAD = struct.Struct("!IB")  # length of the JSON, number of descriptors
_READ = 262_144

Body = dict[str, Any]
# Called in the order of arrival. What it returns is run as a task, whose result is a call's answer; None:
# it was only told. Sockets are the handler's from then on.
Handler = Callable[[Body, list[socket.socket]], Coroutine[Any, Any, Body] | None]


class ChannelClosed(Exception):
    """The other process has ended before it answered."""


class CallFailed(OSError):
    """The other process could not do it; the message is its reason."""


def frame(message: Body, descriptors: int = 0) -> bytes:
    """One message as it is sent. Raises ValueError when it is too large."""
    content = json.dumps(message, separators=(",", ":")).encode()
    if len(content) > FRAME_MOST or descriptors > DESCRIPTORS_MOST:
        raise ValueError(f"a message of {len(content)} bytes is too large")
    return _HEAD.pack(len(content), descriptors) + content


class Unframer:
    """Messages from a stream of bytes and, beside it, of descriptors, wherever reads end."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()

    def feed(self, data: bytes, descriptors: list[int]) -> list[tuple[Body, list[int]]]:
        """What is complete now. Raises ValueError on anything that `frame` does not make."""
        self._buffer += data
        self._descriptors.extend(descriptors)
        complete = []
        at = 0
        while len(self._buffer) - at >= _HEAD.size:
            length, count = _HEAD.unpack_from(self._buffer, at)
            if length > FRAME_MOST or count > DESCRIPTORS_MOST:
                raise ValueError("this is not a frame")
            end = at + _HEAD.size + length
            if len(self._buffer) < end:
                break
            message = json.loads(self._buffer[at + _HEAD.size : end])
            # The kernel hands descriptors over with the first byte of their frame, never later.
            if not isinstance(message, dict) or count > len(self._descriptors):
                raise ValueError("this is not a message")
            complete.append((message, [self._descriptors.popleft() for _ in range(count)]))
            at = end
        del self._buffer[:at]
        return complete

    def close(self) -> None:
        """Close descriptors of frames that never were complete."""
        while self._descriptors:
            os.close(self._descriptors.popleft())


class Channel:
    """One end. Made in a running event loop; `ended` is set when the other process is gone.

    Calls wait until they are answered or `close` is called, so that whoever started the other process can
    first make sure that it does nothing any more.
    """

    def __init__(self, sock: socket.socket, handlers: Mapping[str, Handler]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._handlers = handlers
        self._loop = asyncio.get_running_loop()
        self._in = Unframer()
        self._out: deque[tuple[memoryview, list[int]]] = deque()
        self._calls: dict[int, asyncio.Future[Body]] = {}
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.unsent = 0  # bytes
        self.ended = asyncio.Event()
        self._loop.add_reader(sock.fileno(), self._readable)

    def call(self, op: str, body: Body, sock: socket.socket | None = None) -> asyncio.Future[Body]:
        """Send at once; the future is the answer. `sock` stays the caller's.

        The future raises CallFailed with the other side's reason, or ChannelClosed.
        """
        self._number += 1
        answer: asyncio.Future[Body] = self._loop.create_future()
        if self._closed:
            answer.set_exception(ChannelClosed())
            return answer
        self._calls[self._number] = answer
        number = self._number
        answer.add_done_callback(lambda _: self._calls.pop(number, None))
        self._send({"op": op, "n": number, "body": body}, sock)
        return answer

    def tell(self, op: str, body: Body) -> None:
        """Send without an answer."""
        self._send({"op": op, "body": body})

    def close(self) -> None:
        """Give up: whoever waits is told so."""
        self._end()
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for answer in list(self._calls.values()):
            if not answer.done():
                answer.set_exception(ChannelClosed())
        self._sock.close()

    def _send(self, message: Body, sock: socket.socket | None = None) -> None:
        if self.ended.is_set():
            return
        # A duplicate: the caller may close its own before this one is on its way.
        descriptors = [os.dup(sock.fileno())] if sock is not None else []
        data = frame(message, len(descriptors))
        self.unsent += len(data)
        self._out.append((memoryview(data), descriptors))
        if len(self._out) == 1:
            self._writable()

    def _writable(self) -> None:
        while self._out:
            view, descriptors = self._out[0]
            ancillary = (
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
                if descriptors
                else []
            )
            try:
                sent = self._sock.sendmsg([view], ancillary)
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._sock.fileno(), self._writable)
                return
            except OSError:
                self._end()
                return
            for descriptor in descriptors:
                os.close(descriptor)
            self.unsent -= sent
            if sent < len(view):
                self._out[0] = (view[sent:], [])
            else:
                self._out.popleft()
        self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        space = socket.CMSG_SPACE(DESCRIPTORS_MOST * 4)
        try:
            data, ancillary, flags, _ = self._sock.recvmsg(_READ, space, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end()
            return
        descriptors = array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content[: len(content) - len(content) % 4])
        try:
            messages = self._in.feed(data, list(descriptors))
        except ValueError:
            messages, data = [], b""
        for message, handed in messages:
            self._handle(message, [socket.socket(fileno=number) for number in handed])
        if not data or flags & socket.MSG_CTRUNC:
            self._end()

    def _handle(self, message: Body, sockets: list[socket.socket]) -> None:
        number, body = message.get("n"), message.get("body", {})
        if "op" not in message:
            answer = self._calls.get(message.get("re", 0))
            if answer is not None and not answer.done():
                if "error" in message:
                    answer.set_exception(CallFailed(message["error"]))
                else:
                    answer.set_result(body)
            return
        work = self._handlers[message["op"]](body, sockets)
        if work is not None:
            task = self._loop.create_task(self._answer(number, work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: int | None, work: Coroutine[Any, Any, Body]) -> None:
        answer: Body = {"re": number}
        try:
            answer["body"] = await work
        except (OSError, ValueError) as error:
            answer["error"] = getattr(error, "strerror", None) or str(error) or repr(error)
        if number is not None:
            self._send(answer)

    def _end(self) -> None:
        if self.ended.is_set():
            return
        self.ended.set()
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
        for _, descriptors in self._out:
            for descriptor in descriptors:
                os.close(descriptor)
        self._out.clear()
        self._in.close()
