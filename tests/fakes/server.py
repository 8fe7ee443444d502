"""A server as a node sees it: a real HTTP server on loopback, with faults that a test switches on.

It keeps the contract of `/internal/v1/...`: signed requests, the watch stream with its revisions, batches
stored once. A fault applies to every request that comes while it is set:

    black_hole  the request is read and never answered
    error       500 without an envelope
    slow        answered after `delay` seconds
    reset       the connection is reset
    garbage     200 with something that is not JSON
    drip        200, and then a byte of the answer now and then, without end
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from linklocal import tokens
from linklocal.document import NODE_REVOKED, NODE_UNKNOWN, Change, InstanceDocument
from linklocal.ids import InstanceId

Fault = Literal["black_hole", "error", "slow", "reset", "garbage", "drip"]
JOIN_TOKEN = "lljoin-fake"
REGION = "us-south"
DEADLINE = 10.0


@dataclass
class Node:
    """A node that joined."""

    id: str
    name: str
    control: dict[str, Any]
    identity: dict[str, Any]


@dataclass
class Refused(Exception):
    """An answer with the envelope."""

    status: int
    code: str
    message: str


@dataclass
class FakeServer:
    """One server. `async with FakeServer() as server`; `stop` and `start` keep port and state."""

    heartbeat: float = 15.0
    fault: Fault | None = None
    delay: float = 1.0
    silent: bool = False  # streams stay open and say nothing, not even heartbeats
    clock_offset: float = 0.0  # seconds that this server's clock is ahead
    revoked: bool = False
    allows_localhost: bool = True
    certificate_life: timedelta = timedelta(days=1)
    refusals: dict[str, Refused] = field(default_factory=dict)  # last part of the path -> answer
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)  # instead of the real ones
    nodes: dict[str, Node] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    batches: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    dropped: int = 0
    asked: list[str] = field(default_factory=list)  # paths with query, in order
    heads: list[dict[str, str]] = field(default_factory=list)  # the headers of each
    revision: int = 0
    pruned: int = 0  # an `after` below it cannot be resumed from
    port: int = 0

    def __post_init__(self) -> None:
        self.changes: dict[InstanceId, Change] = {}
        self._happened = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self._sign(self._ca_key.public_key(), "fake root", None)

    # --- its life ------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections and reset those there are."""
        if self._server is not None:
            self._server.close()
        self._reset(self._writers)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- what happens on it --------------------------------------------------------------------

    async def put(self, *documents: InstanceDocument) -> int:
        """Publish documents, each with its revision; the last revision."""
        for document in documents:
            self.revision += 1
            self.changes[document.instance_id] = Change("document", self.revision, document)
        await self._ring()
        return self.revision

    async def drop(self, instance_id: InstanceId) -> int:
        """The instance leaves the node."""
        self.revision += 1
        self.changes[instance_id] = Change("gone", self.revision, instance_id=instance_id)
        await self._ring()
        return self.revision

    async def send_raw(self, line: bytes) -> None:
        """Send one line of any content on the open streams."""
        for writer in self._streams:
            await self._chunk(writer, line + b"\n")

    def drop_streams(self) -> None:
        """Reset the open watch streams."""
        self._reset(self._streams)

    def drop_connections(self) -> None:
        """Reset every open connection."""
        self._reset(self._writers)

    async def revoke(self) -> None:
        self.revoked = True
        await self._ring()

    async def until(self, what: Callable[[], Any], deadline: float = DEADLINE) -> Any:
        """Wait until something that requests or tests change here is truthy; its value."""
        async with asyncio.timeout(deadline), self._happened:
            while not (value := what()):
                await self._happened.wait()
            return value

    async def applied(self, revision: int) -> dict[str, Any]:
        """Wait until the node reports that it enforces the revision; that report."""
        return await self.until(
            lambda: next((r for r in self.reports if r["applied_revision"] >= revision), None)
        )

    async def _ring(self) -> None:
        async with self._happened:
            self._happened.notify_all()

    def _reset(self, writers: set[asyncio.StreamWriter]) -> None:
        for writer in tuple(writers):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    # --- one connection ------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            self._streams.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.asked.append(target)
        self.heads.append(headers)
        await self._ring()
        if self.fault == "black_hole":
            await asyncio.Event().wait()
        if self.fault == "reset":
            self._reset({writer})
            return False
        if self.fault == "slow":
            await asyncio.sleep(self.delay)
        if self.fault == "drip":
            await self._drip(writer)
        if self.fault in ("error", "garbage"):
            status = 500 if self.fault == "error" else 200
            await self._write(writer, status, b"<html>a proxy's page</html>")
            return True
        url = urlsplit(target)
        try:
            name = url.path.removeprefix("/internal/v1/")
            if refused := self.refusals.get(name):
                raise refused
            if name == "enrol":
                answer = self._enrol(json.loads(body))
            else:
                self._authenticate(headers, method, url.path, body)
                if name == "watch":
                    await self._watch(writer, int(parse_qs(url.query)["after"][0]))
                    return False
                routes = self._routes()
                answer = (
                    self.answers[name]
                    if name in self.answers
                    else await routes[name](json.loads(body))
                )
        except Refused as error:
            envelope = {"errors": [{"code": error.code, "message": error.message}], "trace": "t"}
            await self._write(writer, error.status, json.dumps(envelope).encode())
        else:
            status = 201 if name == "enrol" else 200
            await self._write(writer, status, json.dumps(answer).encode())
        await self._ring()
        return True

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset)

    async def _write(self, writer: asyncio.StreamWriter, status: int, content: bytes) -> None:
        writer.write(
            f"HTTP/1.1 {status} X\r\nDate: {format_datetime(self.now(), usegmt=True)}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        await writer.drain()

    def _authenticate(self, headers: dict[str, str], method: str, path: str, body: bytes) -> None:
        token = headers["authorization"].removeprefix("Node ")
        kid = tokens.unverified_header(token)["kid"]
        node = next((n for n in self.nodes.values() if n.control["kid"] == kid), None)
        if node is None:
            raise Refused(401, NODE_UNKNOWN, "The key is no node's.")
        try:
            claims = tokens.verify_node_request(
                token,
                tokens.PublicKeys([node.control]),
                method=method,
                path=path,
                body=body,
                now=self.now(),
            )
        except tokens.TokenRefused as error:
            raise Refused(401, "unauthenticated", str(error)) from error
        assert claims["iss"] == node.id
        if self.revoked:
            raise Refused(401, NODE_REVOKED, "This node has been revoked.")

    # --- the routes ----------------------------------------------------------------------------

    def _routes(self) -> dict[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]]:
        return {
            "status": self._status,
            "events": self._events,
            "iam_tokens": self._iam_tokens,
            "certificates": self._certificates,
            "tls_certificate": self._tls_certificate,
        }

    def _enrol(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["join_token"] != JOIN_TOKEN:
            raise Refused(401, "unauthenticated", "The join token is unknown or expired.")
        node = Node(
            f"node-{len(self.nodes)}", body["name"], body["control_jwk"], body["identity_jwk"]
        )
        self.nodes[node.id] = node
        self.revoked = False
        kid = tokens.identity_kid(REGION, node.id)
        node.identity = {**node.identity, "kid": kid}
        return {"node_id": node.id, "name": node.name, "region": REGION, "identity_kid": kid}

    async def _status(self, body: dict[str, Any]) -> dict[str, Any]:
        self.reports.append(body)
        return {}

    async def _events(self, body: dict[str, Any]) -> dict[str, Any]:
        if any(event["action"] == "poison" for event in body["events"]):
            raise Refused(400, "invalid_value", "An event is wrong.")
        if body["batch"] not in self.batches:
            self.batches[body["batch"]] = body["events"]
            self.dropped += body["dropped"]
        return {}

    async def _iam_tokens(self, body: dict[str, Any]) -> dict[str, Any]:
        keys = tokens.PublicKeys([node.identity for node in self.nodes.values()])
        try:
            tokens.verify_identity_token(body["identity_token"], keys, self.now())
        except tokens.TokenRefused as error:
            raise Refused(401, "unauthenticated", str(error)) from error
        issued = int(self.now().timestamp())
        profile = (body["profile"] or {"value": "default"})["value"]
        return {
            "access_token": f"token-of-{profile}",
            "issued_at": issued,
            "expires_at": issued + 3600,
            "profile_id": profile,
        }

    async def _certificates(self, body: dict[str, Any]) -> dict[str, Any]:
        issued = int(self.now().timestamp())
        return {
            "certificates": ["leaf\n", "intermediate\n"],
            "issued_at": issued,
            "expires_at": issued + body["expires_in"],
        }

    async def _tls_certificate(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("localhost") and not self.allows_localhost:
            raise Refused(400, "invalid_value", "`localhost` is for development.")
        csr = x509.load_pem_x509_csr(body["csr"].encode())
        names = ["api.metadata.cloud.ibm.com"] + ["localhost"] * bool(body.get("localhost"))
        leaf = self._sign(csr.public_key(), "fake listener", names)
        return {"certificates": [pem(leaf)], "expires_at": leaf.not_valid_after_utc.isoformat()}

    def _sign(self, key: Any, name: str, names: list[str] | None) -> x509.Certificate:
        def subject(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        life = self.certificate_life if names else timedelta(days=30)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject(name))
            .issuer_name(subject("fake root"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now() - timedelta(seconds=1))
            .not_valid_after(self.now() + life)
            .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), True)
        )
        if names:
            sans = x509.SubjectAlternativeName([x509.DNSName(n) for n in names])
            builder = builder.add_extension(sans, False)
        return builder.sign(self._ca_key, hashes.SHA256())

    # --- the stream ----------------------------------------------------------------------------

    async def _watch(self, writer: asyncio.StreamWriter, after: int) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        self._streams.add(writer)
        if after > self.revision or after < self.pruned:
            await self._chunk(writer, Change("reset", 0).to_line())
            after = 0
        synced = idle = False
        while not (self.revoked or writer.is_closing()):
            if not self.silent:
                due = sorted(
                    (c for c in self.changes.values() if c.revision > after),
                    key=lambda change: change.revision,
                )
                for change in due:
                    await self._chunk(writer, change.to_line())
                if due or not synced or after != self.revision:
                    synced, after = True, self.revision
                    await self._chunk(writer, Change("synced", after).to_line())
                elif idle:
                    await self._chunk(writer, Change("heartbeat", after).to_line())
            idle = await self._wait(after)
        await self._chunk(writer, b"")

    async def _wait(self, after: int) -> bool:
        """Until there is something to say; whether that is only a heartbeat."""
        try:
            async with asyncio.timeout(self.heartbeat), self._happened:
                while not self.revoked and (self.silent or self.revision == after):
                    await self._happened.wait()
        except TimeoutError:
            return True
        return False

    async def _chunk(self, writer: asyncio.StreamWriter, content: bytes) -> None:
        writer.write(b"%x\r\n%b\r\n" % (len(content), content))
        await writer.drain()


def pem(certificate: x509.Certificate) -> str:
    """PEM text with a newline at its end."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
