"""The node's worker processes, seen from their parent: which serves what, and what becomes of one that ends.

The parent makes and keeps every listening socket, and knows what each serves. A worker has a duplicate, so
when it ends the kernel goes on to queue connections, and the next one takes them up where they are:

    listeners.Listeners ── RemoteListener ── _Shard ═ channel ═ worker.Worker ── listener.Listener
                           (one a socket)    (one a process)

A change is done when the worker says so. A worker that is down answers nobody, and begins anew with what
the parent knows then: while it is down, nothing is answered under older settings. One that does not
say anything in time is ended, for the same reason. It must not decide what is served.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

import structlog

from linklocal.events import Event
from linklocal.ids import InstanceId
from linklocal.metadata.served import Served
from linklocal.metadata.wire import Upstream
from linklocal.node.channel import Body, Channel, ChannelClosed
from linklocal.node.hosts import HostPolicy
from linklocal.node.identity import NodeSigner
from linklocal.node.limits import Totals
from linklocal.node.remote_listener import RemoteListener
from linklocal.node.upstream_channel import decisions

PATIENCE_SECONDS = 20.0  # for a worker's answer, and for any sign of it; then it is ended
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # before a worker is started again
WELL_SECONDS = 30.0  # after which a worker counts as well, and the pauses begin anew
END_SECONDS = 1.0  # for a worker to end when its channel is closed

log = structlog.get_logger(__name__)


class EventSink(Protocol):
    """Where the workers' events go; `event_buffer.EventBuffer` is it."""

    def record(self, event: Event) -> None: ...

    def lost(self, count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What each worker is told of the node's settings. `rate`: calls a second of each instance. `nocloud`:
    whether it serves seeds for cloud-init.

    `patience`: seconds after which one that does not answer, or says nothing, is ended.
    """

    rate: float
    log_level: str = "info"
    log_format: str = "auto"
    nocloud: bool = False
    command: tuple[str, ...] = (sys.executable, "-m", "linklocal.node.worker")
    patience: float = PATIENCE_SECONDS


@dataclass(slots=True)
class WorkerView:
    """One worker, for `GET /v1/status`."""

    number: int
    pid: int | None
    instances: int
    restarts: int
    fault: str | None


class Workers:
    """A fixed number of worker processes. `start` them, then `run` until cancelled, then `close`.

    An instance's listeners are all in one worker, and always in the same one. `pem` gives key and chain
    of the https listeners, if there are any yet. `on_change` is called when a worker ends or is back.
    """

    def __init__(
        self,
        number: int,
        settings: WorkerSettings,
        signer: NodeSigner,
        pem: Callable[[], bytes | None],
        upstream: Upstream,
        events: EventSink,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        common = _Common(settings, signer, pem, upstream, events, number, lambda: self.on_change())
        self._shards = [_Shard(index + 1, common) for index in range(number)]

    async def start(self) -> None:
        """Start all processes. Raises OSError when one cannot be."""
        await asyncio.gather(*(shard.start() for shard in self._shards))

    async def run(self) -> None:
        """Watch over them until cancelled: one that ends is started again."""
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(shard.watch())

    def listener(self, served: Served, hosts: HostPolicy) -> RemoteListener:
        """A listener that is not open yet."""
        instance_id = served.document.instance_id
        return RemoteListener(self._shards[shard_of(instance_id, len(self._shards))], served, hosts)

    def use_key(self) -> None:
        """The signer has another key."""
        for shard in self._shards:
            shard.tell_key()

    def use_certificate(self, pem: bytes) -> None:
        """The https listeners have another certificate; it has been loaded in this process."""
        for shard in self._shards:
            shard.tell_certificate(pem)

    def view(self) -> list[WorkerView]:
        """How they are."""
        return [shard.view() for shard in self._shards]

    async def close(self) -> None:
        """End all processes, with force if they do not end by themselves. Listeners should be closed."""
        await asyncio.gather(*(shard.end() for shard in self._shards))


def shard_of(instance_id: InstanceId, shards: int) -> int:
    """Which of so many shards an instance is in: the same in every run."""
    return zlib.crc32(instance_id.encode()) % shards


@dataclass(frozen=True, slots=True)
class _Common:
    """What all shards share."""

    settings: WorkerSettings
    signer: NodeSigner
    pem: Callable[[], bytes | None]
    upstream: Upstream
    events: EventSink
    shards: int
    changed: Callable[[], None]
    numbers: count[int] = field(default_factory=count)


class _Shard:
    """One worker process after the other, and the listeners that it should have."""

    def __init__(self, number: int, common: _Common) -> None:
        self._number = number
        self._common = common
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = (
            None  # None: no worker, and none of it still answers anybody
        )
        self._heard = 0.0
        self._restarts = 0
        self.sites: dict[int, RemoteListener] = {}
        self.fault: str | None = None

    def new_site(self) -> int:
        return next(self._common.numbers)

    async def start(self) -> None:
        """Start a process and hand it what is served. Raises OSError when it cannot be."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._common.settings.command, stdin=theirs.fileno()
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        channel = self._channel = Channel(
            ours,
            {
                "usage": self._usage,
                "events": self._events,
                **decisions(self._common.upstream),
            },
        )
        self._heard = asyncio.get_running_loop().time()
        settings = self._common.settings
        channel.tell(
            "setup",
            {
                "number": self._number,
                "rate": settings.rate,
                "connections_max": max(1, Totals().connections_max // self._common.shards),
                "log_level": settings.log_level,
                "log_format": settings.log_format,
                "nocloud": settings.nocloud,
            },
        )
        self.tell_key()
        if (pem := self._common.pem()) is not None:
            self.tell_certificate(pem)
        # All are sent before anything else can be: a change that comes now is behind them.
        opening = [
            channel.call("open", site.opening(), site.sock)
            for site in self.sites.values()
            if site.sock is not None
        ]
        results = await asyncio.gather(*opening, return_exceptions=True)
        for error in results:
            if isinstance(error, OSError):
                # Not as it should be: another try after a pause, with none of them half served.
                self.fault = f"Its worker process {self._number} could not go on: {error}."
                self._kill()
                return
        self.fault = None

    async def watch(self) -> None:
        """Start another process whenever one ends, until cancelled."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            if self._channel is not None:
                await self._end_of(self._channel)
                await self._reap()
            if loop.time() - began > WELL_SECONDS:
                pause = FIRST_PAUSE
            self._common.changed()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                await self.start()
            except OSError as error:
                self.fault = f"Its worker process {self._number} cannot start: {error.strerror}."
                log.warning("Worker cannot start", worker=self._number, error=error.strerror)
                continue
            self._restarts += 1
            if self.fault is None:
                log.info("Worker is back", worker=self._number, listeners=len(self.sites))
            self._common.changed()

    async def _end_of(self, channel: Channel) -> None:
        loop, patience = asyncio.get_running_loop(), self._common.settings.patience
        while not channel.ended.is_set():
            try:
                async with asyncio.timeout(patience / 4):
                    await channel.ended.wait()
            except TimeoutError:
                if loop.time() - self._heard > patience:
                    log.warning("Worker says nothing and is ended", worker=self._number)
                    self._kill()

    async def _reap(self) -> None:
        """The worker has ended, or will now. Only then are its callers told: nobody is answered any more."""
        process, channel = self._process, self._channel
        assert process is not None
        assert channel is not None
        self._kill()
        code = await process.wait()
        why = f"signal {-code}" if code < 0 else f"status {code}"
        if self.fault is None:
            self.fault = (
                f"Its worker process {self._number} ended ({why}) and is started again; until then "
                "calls wait."
            )
        log.error("Worker ended", worker=self._number, why=why, listeners=len(self.sites))
        for site in self.sites.values():
            site.lost()
        self._channel = self._process = None
        channel.close()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                self._process.kill()
            except ProcessLookupError:
                return  # it has ended by itself

    async def call(self, op: str, body: Body, sock: socket.socket | None = None) -> Body | None:
        """The worker's answer, or None: there is no worker, and what it would do is done by the next one.

        Raises CallFailed (an OSError) with the worker's reason.
        """
        if self._channel is None:
            return None
        answer = self._channel.call(op, body, sock)
        try:
            done, _ = await asyncio.wait({answer}, timeout=self._common.settings.patience)
            if not done:
                log.error("Worker does not answer and is ended", worker=self._number, asked=op)
                self._kill()
            return await answer
        except ChannelClosed:
            return None

    async def end(self) -> None:
        """End the process: it does so by itself when the channel is closed, or is made to."""
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if channel is not None:
            channel.close()
        if process is not None:
            try:
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def view(self) -> WorkerView:
        return WorkerView(
            number=self._number,
            pid=self._process.pid if self._process is not None else None,
            instances=len({site.served.document.instance_id for site in self.sites.values()}),
            restarts=self._restarts,
            fault=self.fault,
        )

    # --- what the worker is told, and says -----------------------------------------------------

    def tell_key(self) -> None:
        if self._channel is not None:
            key = self._common.signer.key
            body = {"kid": key.kid, "pem": key.private_pem().decode()}
            self._channel.tell("key", {**body, "region": self._common.signer.region})

    def tell_certificate(self, pem: bytes) -> None:
        if self._channel is not None:
            self._channel.tell("certificate", {"pem": pem.decode()})

    def _usage(self, body: Body, sockets: list[socket.socket]) -> None:
        self._heard = asyncio.get_running_loop().time()
        for number, told in body.items():
            if (site := self.sites.get(int(number))) is not None:
                site.told(told)

    def _events(self, body: Body, sockets: list[socket.socket]) -> None:
        for event in body["events"]:
            self._common.events.record(Event.from_json(event))
        if body["dropped"]:
            self._common.events.lost(body["dropped"])
