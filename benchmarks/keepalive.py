"""A guest on one keep-alive connection: small enough that a thousand of them fit on one core."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self, cast

from servers import TOKEN_PATH

FLAVOR = {"Metadata-Flavor": "ibm"}


class Closed(OSError):
    """The server ended the connection before its answer was complete."""


class Guest(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Connect over loopback. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, guest = await loop.create_connection(cls, "127.0.0.1", port)
        return guest

    async def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any = None,
    ) -> tuple[int, bytes]:
        """Status and body. Raises Closed."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if body is not None:
            lines += f"Content-Length: {len(content)}\r\n"
        if self._transport is None or self._transport.is_closing():
            raise Closed("closed")
        self._answer = asyncio.get_running_loop().create_future()
        head = f"{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n{lines}\r\n"
        self._transport.write(head.encode() + content)
        return await self._answer

    async def token(self) -> str:
        """A fresh identity token. Raises Closed, or OSError when it is refused."""
        status, body = await self.call("PUT", TOKEN_PATH, FLAVOR, {"expires_in": 3600})
        if status != 200:
            raise OSError(f"create token: {status} {body.decode()}")
        return str(json.loads(body)["access_token"])

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    # --- called by the transport ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(received[:end]).lower()
        start = head.index(b"content-length: ") + 16
        length = int(head[start : head.find(b"\r\n", start) if b"\r\n" in head[start:] else None])
        if len(received) >= end + 4 + length:
            body = bytes(received[end + 4 : end + 4 + length])
            del received[: end + 4 + length]
            if self._answer is not None and not self._answer.done():
                self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Closed("closed before the answer"))
