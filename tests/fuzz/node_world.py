"""A node made of its real parts, on sockets of loopback addresses, and a stream in memory that tells it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any

from fakes.certificates import NAME, client_context, server_context
from fakes.signer import FakeSigner
from fakes.upstream import FakeUpstream
from fuzz.node_model import Answer, Model, Owner, Token

from linklocal.clock import SystemClock
from linklocal.document import Change, MetadataService, Protocol
from linklocal.events import Event
from linklocal.ids import InstanceId
from linklocal.metadata.served import Served
from linklocal.node.apply import Applier
from linklocal.node.attachments import Attachments
from linklocal.node.desired import Desired
from linklocal.node.hosts import ADDRESS, HostPolicy
from linklocal.node.limits import Limits, Totals
from linklocal.node.listener import Listener
from linklocal.node.listeners import Listeners
from linklocal.node.places import AddressPlace
from linklocal.node.snapshot import Snapshot
from linklocal.node.sockets import NotAttached, hop_limit, hops, listening_socket
from linklocal.node.status import Status
from linklocal.tokens import identity_epoch, identity_instance, verify_identity_token

NODE = "node-1"
PORTS: dict[Protocol, int] = {"http": 20_080, "https": 20_443}
ADDRESSES = 4
DEADLINE = 30.0
SILENCE = 0.05  # after which a listener that must be silent is
VERSION = "version=2025-08-26"


def address(number: int) -> str:
    """One of this process's own; there is room for some on every Linux host."""
    return f"127.{64 + os.getpid() // 250 % 128}.{os.getpid() % 250 + 1}.{number + 1}"


class LoopbackPlace(AddressPlace):
    """An operator's attachment at a loopback address, which no other instance has meanwhile."""

    kind = "loopback"

    def __init__(self, number: int, owner: Owner) -> None:
        super().__init__(f"place-{number}", owner.instance, silent=owner.silent)
        self.number = number
        self.sock: socket.socket | None = None

    @property
    def where(self) -> str:
        return address(self.number)

    def record(self) -> dict[str, Any] | None:
        return None

    def port(self, settings: MetadataService) -> int:
        return PORTS[settings.protocol]

    def listen(self, settings: MetadataService) -> socket.socket:
        try:
            sock = listening_socket(self.where, self.port(settings), settings)
        except OSError as error:
            raise NotAttached(f"{self.where}: {error.strerror}") from error
        self.sock = sock
        return sock

    def apply(self, settings: MetadataService) -> None:
        """Nothing: the host's default TTL is everybody's."""

    def close(self) -> None:
        self.sock = None


class _Sink:
    def record(self, event: Event) -> None:
        """Events are not what this is about."""


class _Tls:
    def __init__(self) -> None:
        self._context = server_context()

    def context(self) -> ssl.SSLContext:
        return self._context


class World:
    """The node, the stream, and what the model needs to know of both.

    `owners`: by address, whom it is attached to; several while that changes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = Model()
        self.owners: dict[int, list[Owner | None]] = {n: [None] for n in range(ADDRESSES)}
        self.tokens: list[Token] = []
        self.connected = True
        self.problems: list[str] = []
        self._clock, self._signer, self._tls = SystemClock(), FakeSigner(), _Tls()
        self._trusted = client_context()
        self.acknowledged = 0

    # --- its life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """From what the folder holds, as `agent.py` does; places come back as an operator's do."""
        snapshot = Snapshot(self.folder)
        loaded = snapshot.load(NODE)
        assert not loaded.skipped
        self.status = Status("test", "http://server", node_id=NODE)
        self.status.applied_revision = loaded.marker.revision
        assert loaded.marker.revision >= self.acknowledged, "a restart forgot what was acknowledged"
        self.desired = Desired(loaded.documents, loaded.marker.revision)
        self.attachments = Attachments(self.folder, loopback_ports=False, port_base=1)
        assert not self.attachments.load()
        for number, owners in self.owners.items():
            for owner in owners:
                if owner is not None:
                    self.attachments.add(LoopbackPlace(number, owner))
        self.listeners = Listeners(
            self.attachments, self._tls, self._signer, self._clock, self._listener
        )
        self.applier = Applier(
            self.desired, self.listeners, self.attachments, snapshot, loaded.marker, self.status,
            self._clock, retry_seconds=DEADLINE,
        )  # fmt: skip
        self.applier.on_applied = self._applied
        self._running = asyncio.create_task(self.applier.run())
        await self.applier.served.wait()

    async def stop(self) -> None:
        """End the node; what it knows is on the disk."""
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        await self.listeners.close()

    def _listener(self, served: Served, hosts: HostPolicy) -> Listener:
        return Listener(
            served, FakeUpstream(), events=_Sink(), limits=Limits(), clock=self._clock,
            host_policy=hosts, rate=1e6, totals=Totals(),
        )  # fmt: skip

    def _applied(self) -> None:
        self.acknowledged = max(self.acknowledged, self.status.applied_revision)

    # --- the stream ----------------------------------------------------------------------------

    def flow(self) -> None:
        """Tell what was published, if the stream is open."""
        if not self.connected:
            return
        for change in self.model.since(self.desired.after):
            self.tell(change)
        self.tell(Change("synced", self.model.revision))

    def tell(self, change: Change) -> None:
        """One line, through its bytes."""
        if self.desired.apply(Change.from_line(change.to_line())):
            self.applier.ring()

    def reconnect(self, *, reset: bool, lines: int | None = None) -> None:
        """A new stream; it breaks off again after some lines, if that is said."""
        self.connected = lines is None
        after = self.desired.after
        self.desired.begin_stream()
        if reset:
            after = 0
            self.tell(Change("reset", self.model.revision))
        due = self.model.since(after)
        # A set from the beginning names only what there is.
        due = [c for c in due if after or c.type == "document"]
        for change in due[:lines]:
            self.tell(change)
        if lines is None:
            self.tell(Change("synced", self.model.revision))

    async def settled(self) -> None:
        """The stream is open, and the node has acknowledged all of it."""
        if not self.connected:
            self.reconnect(reset=False)
        async with asyncio.timeout(DEADLINE):
            while self.acknowledged < self.model.revision:
                await self.applier.rounded()
            await self.applier.rounded()
        self._see_who_left()
        for owners in self.owners.values():
            for owner in owners:
                gone = owner is not None and not self.model.now(owner.instance).exists
                assert not gone, f"{owner} is gone and kept its attachment"

    async def rounded(self) -> None:
        """The node has applied what it was told so far."""
        await self.applier.rounded()
        self._see_who_left()

    def _see_who_left(self) -> None:
        """An instance that leaves takes its attachments along, unless the node saw only that it came back."""
        placed = {place.id for place in self.attachments.placed()}
        for number, owners in self.owners.items():
            owner = owners[-1]
            if owner is not None and f"place-{number}" not in placed:
                assert self._was_gone(owner.instance), f"{owner} lost its attachment"
                self.owners[number] = [None]

    def _was_gone(self, instance_id: InstanceId) -> bool:
        return any(not state.exists for state in self.model.history[instance_id])

    # --- operators -----------------------------------------------------------------------------

    async def attach(self, number: int, owner: Owner) -> None:
        self.owners[number] = [None, owner]
        self.attachments.add(LoopbackPlace(number, owner))
        await self.applier.rounded()
        self.owners[number] = [owner]

    async def detach(self, number: int) -> None:
        self.owners[number] = [*self.owners[number], None]
        self.attachments.remove([f"place-{number}"])
        await self.applier.rounded()
        self.owners[number] = [None]

    # --- guests --------------------------------------------------------------------------------

    async def probe(self, number: int, protocol: Protocol, old: Token | None) -> None:
        """Ask for a token and use it, and an old one, at one address; every answer is judged."""
        made: list[Token] = []
        await self._judged(number, protocol, None, made)
        for token in [*made, *([old] if old is not None else [])]:
            await self._judged(number, protocol, token, made)
        self.tokens.extend(made[:1])
        del self.tokens[:-16]

    async def _judged(
        self, number: int, protocol: Protocol, token: Token | None, made: list[Token]
    ) -> None:
        acknowledged, owners = self.acknowledged, list(self.owners[number])
        answer = await self._ask(number, protocol, token, made)
        seen = [*owners, *(o for o in self.owners[number] if o not in owners)]
        why = self.model.judge(answer, protocol, seen, acknowledged, token)
        if why is not None:
            self.problems.append(
                f"{why}: {answer} at {address(number)} over {protocol} with {token}; {seen}, "
                f"acknowledged {acknowledged}, published {self.model.revision}"
            )

    async def _ask(
        self, number: int, protocol: Protocol, token: Token | None, made: list[Token]
    ) -> Answer:
        silent = any(
            owner is not None and owner.silent and not state.settings.enabled
            for owner in self.owners[number]
            if owner is not None
            for state in self.model.window(owner.instance, self.acknowledged)
        )
        try:
            async with asyncio.timeout(SILENCE if silent else DEADLINE):
                status, body = await self._call(number, protocol, token)
        except TimeoutError:
            return Answer("silence")
        except (OSError, asyncio.IncompleteReadError):
            return Answer("closed")
        if status == 403:
            return Answer("refused")
        if status == 401:
            return Answer("unauthorized")
        assert status == 200, (status, body)
        if token is None:
            text = str(body["access_token"])
            verified = verify_identity_token(text, self._signer.keys, self._clock.now())
            made.append(Token(identity_instance(verified), identity_epoch(verified), text))
            return Answer("read", made[-1].instance)
        assert body["id"] == body["name"].partition(".")[0]
        return Answer("read", body["id"], int(body["name"].partition(".")[2]))

    async def _call(
        self, number: int, protocol: Protocol, token: Token | None
    ) -> tuple[int, dict[str, Any]]:
        secure = self._trusted if protocol == "https" else None
        reader, writer = await asyncio.open_connection(
            address(number), PORTS[protocol],
            ssl=secure, server_hostname=NAME if secure is not None else None,
        )  # fmt: skip
        first = (
            f"GET /metadata/v1/instance?{VERSION}",
            f"Authorization: Bearer {token and token.text}",
        )
        if token is None:
            first = f"PUT /identity/v1/token?{VERSION}", "Metadata-Flavor: ibm"
        try:
            writer.write(
                f"{first[0]} HTTP/1.1\r\nHost: {ADDRESS}\r\n{first[1]}\r\nConnection: close\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            return int(head[9:12]), json.loads(await reader.readexactly(length))
        finally:
            writer.transport.abort()

    def limits(self) -> None:
        """Every listener has the hop limit of its instance; called when the node is settled."""
        for place in self.attachments.placed():
            assert isinstance(place, LoopbackPlace)
            state = self.model.now(place.instance_id)
            assert (place.sock is not None and place.sock.fileno() >= 0) == state.open
            if place.sock is not None and state.open:
                assert hop_limit(place.sock) == hops(state.settings)
