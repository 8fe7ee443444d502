"""A listener on a real loopback socket, and clients for it that never wait longer than a deadline."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fakes.certificates import NAME
from fakes.documents import full_document
from fakes.signer import FakeSigner
from fakes.upstream import FakeUpstream
from unit.node.http_harness import Answer, read_answers

from linklocal.clock import SystemClock
from linklocal.document import InstanceDocument, MetadataService
from linklocal.events import Event
from linklocal.metadata.served import Served
from linklocal.metadata.wire import Upstream
from linklocal.node.hosts import HostPolicy
from linklocal.node.limits import Limits, Totals
from linklocal.node.listener import Listener

HOST = "Host: 169.254.169.254\r\n"
VERSION = "version=2025-08-26"
DEADLINE = 10.0  # seconds; nothing here should take one


class Sink:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)


class Stage:
    """One listener and what it was made of."""

    def __init__(
        self,
        document: InstanceDocument | None = None,
        *,
        upstream: Upstream | None = None,
        totals: Totals | None = None,
        rate: float = 10_000.0,
        loopback: bool = True,
        **limits: Any,
    ) -> None:
        self.sink = Sink()
        self.clock = SystemClock()
        self.document = document or full_document()
        self.served = Served(self.document, FakeSigner(), self.clock)
        self.totals = totals or Totals()
        self.listener = Listener(
            self.served,
            upstream or FakeUpstream(),
            events=self.sink,
            limits=replace(Limits(), **limits),
            clock=self.clock,
            host_policy=HostPolicy(loopback=loopback),
            rate=rate,
            totals=self.totals,
        )
        self.port = 0

    def with_service(self, **settings: Any) -> Served:
        """The same instance with other settings of its metadata service."""
        old = self.listener.served
        service = replace(old.document.metadata_service, **settings)
        return old.updated(replace(old.document, metadata_service=service))

    async def connect(self, tls: ssl.SSLContext | None = None) -> Client:
        name = NAME if tls is not None else None
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=tls, server_hostname=name
            )
        return Client(reader, writer)

    async def ask(
        self, text: str = "GET / HTTP/1.1", *, tls: ssl.SSLContext | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        client = await self.connect(tls)
        try:
            return await client.ask(text)
        finally:
            await client.close()

    async def token(self) -> str:
        text = f"PUT /identity/v1/token?{VERSION} HTTP/1.1\r\nMetadata-Flavor: ibm"
        return str((await self.ask(text)).json()["access_token"])


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        async with asyncio.timeout(DEADLINE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            (empty,) = read_answers(head, whole=False, heads=(0,))
            body = await self.reader.readexactly(int(empty.headers["content-length"]))
        return Answer(empty.status, empty.headers, body)

    async def ask(self, text: str = "GET / HTTP/1.1", body: str = "") -> Answer:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.send(f"{text}\r\n{HOST}{length}\r\n{body}".encode())
        return await self.answer()

    async def ended(self) -> bytes:
        """What still came before the other side closed; a reset counts as closed."""
        try:
            async with asyncio.timeout(DEADLINE):
                return await self.reader.read()
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self.writer.close()
        try:
            async with asyncio.timeout(DEADLINE):
                await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            pass


@asynccontextmanager
async def listening(
    stage: Stage, tls: ssl.SSLContext | None = None, *, address: str = "127.0.0.1"
) -> AsyncIterator[Stage]:
    """The listener open on a port of its own. The socket is made without a protocol number, as most are."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind((address, 0))
    stage.port = sock.getsockname()[1]
    await stage.listener.open(sock, tls)
    try:
        yield stage
    finally:
        await stage.listener.close()


def https(**settings: Any) -> InstanceDocument:
    service = MetadataService(enabled=True, protocol="https", **settings)
    return full_document(metadata_service=service)


async def until(condition: Any) -> None:
    """Return when the condition holds; TimeoutError when it does not within the deadline."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)
