"""A watch stream ends with its reader, and takes nothing with it that it held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from linklocal.fleet.routes import WatchResponse

SCOPE: dict[str, Any] = {"type": "http", "asgi": {"spec_version": "2.3"}}


class Source:
    """Lines without end, and whether they were closed."""

    def __init__(self, end: int | None = None) -> None:
        self.end = end
        self.sent = 0
        self.closed = asyncio.Event()

    async def lines(self) -> AsyncGenerator[bytes, None]:
        try:
            while self.end is None or self.sent < self.end:
                self.sent += 1
                yield b"line\n"
        finally:
            self.closed.set()


async def silent() -> Any:
    """A client that neither says anything nor goes."""
    await asyncio.Event().wait()


async def test_sends_each_line_and_the_end() -> None:
    source, messages = Source(2), []

    async def send(message: Any) -> None:
        messages.append(message)

    await WatchResponse(source.lines())(SCOPE, silent, send)

    assert [message.get("body") for message in messages] == [None, b"line\n", b"line\n", b""]
    assert [message.get("more_body") for message in messages] == [None, True, True, False]
    assert source.closed.is_set()


async def test_a_reader_that_does_not_read_is_given_up() -> None:
    source, messages = Source(), []

    async def send(message: Any) -> None:
        messages.append(message)
        if len(messages) == 3:
            await asyncio.Event().wait()

    async with asyncio.timeout(10):
        await WatchResponse(source.lines(), patience=0.02)(SCOPE, silent, send)

    assert len(messages) == 3
    assert messages[-1]["more_body"]
    assert source.closed.is_set()


async def test_a_reader_that_goes_ends_the_stream() -> None:
    source, gone = Source(), asyncio.Event()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if source.sent == 3:
            gone.set()
        await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await WatchResponse(source.lines())(SCOPE, receive, send)

    assert source.closed.is_set()
