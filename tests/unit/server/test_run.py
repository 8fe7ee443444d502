"""The end of a server: streams are ended, not waited for and cut off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from linklocal.server.run import listening_socket, serving


async def test_an_endless_answer_ends_whole_with_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FastAPI()

    @app.get("/watch")
    async def watch() -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            yield b"one\n"
            await asyncio.Event().wait()

        return StreamingResponse(lines())

    async def follow(url: str) -> bytes:
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            received = b""
            async for chunk in answer.aiter_bytes():
                received += chunk
                begun.set()
            return received  # httpx raises when an answer is cut off

    begun = asyncio.Event()
    caplog.set_level(logging.INFO)
    with listening_socket("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        async with asyncio.timeout(20), serving(app, sock):
            following = asyncio.create_task(follow(f"http://127.0.0.1:{port}/watch"))
            await begun.wait()

    assert await following == b"one\n"
    assert "exceeded" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
