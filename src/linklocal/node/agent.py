"""The node: every object is made here, top to bottom, and its life is here. Start reading at `run`.

    settings ─ kept: identity, documents ──────┐
                                               ├─ apply.Applier: rounds of tighten, save, loosen, mark
    link.Link: join, follow, report ───────────┘      │
    control_client.ControlClient                listeners.Listeners ─ attachments, tls, events

What the state folder holds is served before the server is first asked, and for as long as it is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from random import SystemRandom

import structlog

from linklocal import __version__
from linklocal.clock import Clock
from linklocal.errors import OperatorError
from linklocal.files import private_folder, sole_owner
from linklocal.metadata.served import Served
from linklocal.metadata.wire import (
    Certificates,
    IamToken,
    ProfileSelector,
    Upstream,
    UpstreamUnavailable,
)
from linklocal.node import local_api, metrics
from linklocal.node.apply import Applier
from linklocal.node.attaching import Attaching
from linklocal.node.attachments import LOOPBACK, Attachments
from linklocal.node.backoff import Backoff
from linklocal.node.control_client import ControlClient
from linklocal.node.event_buffer import EventBuffer
from linklocal.node.hosts import HostPolicy
from linklocal.node.identity import NodeSigner, signing_key
from linklocal.node.kept import node_name, read_kept
from linklocal.node.limits import Limits, Totals
from linklocal.node.link import Link
from linklocal.node.listener import Listener
from linklocal.node.listeners import Listeners
from linklocal.node.local_users import LocalUsers
from linklocal.node.remote_listener import RemoteListener
from linklocal.node.status import Status
from linklocal.node.tls import ListenerTls
from linklocal.node.workers import Workers, WorkerSettings
from linklocal.settings import NodeSettings
from linklocal.tracing import Traces

CLOSE_SECONDS = 1.8  # what an ending node gives its requests in flight and its last events

log = structlog.get_logger(__name__)


def build(
    settings: NodeSettings,
    clock: Clock,
    traces: Traces | None = None,
    *,
    random: Callable[[], float] | None = None,
    listener: Callable[..., Listener] = Listener,
) -> Agent:
    """A node that is not running yet. `random` spreads retries; numbers in [0, 1).

    `listener` makes the listeners of this process; workers, if there are any, make their own.
    """
    return Agent(settings, clock, traces, random or SystemRandom().random, listener)


class Agent:
    """One node. `ready` is set when what the server wants is served for the first time (or the file's)."""

    def __init__(
        self,
        settings: NodeSettings,
        clock: Clock,
        traces: Traces | None,
        random: Callable[[], float],
        listener: Callable[..., Listener],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._traces = traces
        self._random = random
        self._listener = listener
        self._users = LocalUsers(settings.local_users)
        self.ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; then end within two seconds.

        Raises OperatorError when the node cannot start, or the server does not let it join.
        """
        folder = private_folder(self._settings.state_dir)
        with sole_owner(folder, "linklocal node"):
            async with AsyncExitStack() as stack:
                node = await stack.enter_async_context(self._node())
                await stack.enter_async_context(
                    local_api.serving(
                        folder,
                        node.pages(),
                        node.actions(),
                        users=self._users,
                        shared=self._settings.local_socket,
                    )
                )
                if self._settings.status_port is not None:
                    port = self._settings.status_port
                    pages = node.public_pages()
                    await stack.enter_async_context(local_api.serving_port(LOOPBACK, port, pages))
                await self._live(node, stop)

    async def _live(self, node: _Node, stop: asyncio.Event) -> None:
        tasks = [
            asyncio.create_task(stop.wait(), name="stop"),
            asyncio.create_task(node.applier.run(), name="apply"),
            asyncio.create_task(node.events.run(), name="events"),
            asyncio.create_task(node.tls.run(), name="tls"),
            asyncio.create_task(self._get_ready(node), name="ready"),
        ]
        if node.workers is not None:
            tasks.append(asyncio.create_task(node.workers.run(), name="workers"))
        if node.link is not None:
            tasks.append(asyncio.create_task(node.link.run(), name="link"))
            tasks.append(asyncio.create_task(node.link.report(), name="report"))
        forever = {task for task in tasks if task.get_name() != "ready"}
        try:
            done, _ = await asyncio.wait(forever, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _get_ready(self, node: _Node) -> None:
        await (node.applier.synced if node.link is not None else node.applier.served).wait()
        self.ready.set()

    @asynccontextmanager
    async def _node(self) -> AsyncIterator[_Node]:
        """The parts, made from settings and the state folder; closed at the end of the block."""
        settings, clock = self._settings, self._clock
        folder = settings.state_dir
        alone = settings.snapshot is not None
        kept = await asyncio.to_thread(read_kept, settings)
        status, desired = kept.status, kept.desired
        keys, enrolment = kept.keys, kept.enrolment
        signer = NodeSigner(signing_key(keys, enrolment, status.region), status.region)
        client: ControlClient | None = None
        if not alone:
            client = ControlClient(
                settings.server_url, keys, clock, version=__version__, traces=self._traces
            )
            client.enrolment = enrolment
            status.timings = client.timings
        events = EventBuffer(
            folder, client, self._backoff(), per_instance=settings.metrics_per_instance
        )
        status.tally = events.tally
        tls = ListenerTls(
            folder,
            client,
            clock,
            self._backoff(),
            localhost=settings.loopback_ports,
        )
        status.note("tls", await asyncio.to_thread(tls.load))
        attachments = Attachments(
            folder,
            loopback_ports=settings.loopback_ports,
            port_base=settings.loopback_port_base,
        )
        for name, why in attachments.load().items():
            status.note(f"attachments/{name}", f"cannot be read: {why}")
        upstream: Upstream = client or _NoUpstream()
        limits, totals = Limits(), Totals()

        workers = self._workers(signer, tls, upstream, events)

        def make_listener(served: Served, hosts: HostPolicy) -> Listener | RemoteListener:
            if workers is not None:
                return workers.listener(served, hosts)
            return self._listener(
                served,
                upstream,
                events=events,
                limits=limits,
                clock=clock,
                host_policy=hosts,
                rate=settings.instance_rate,
                totals=totals,
            )

        listeners = Listeners(
            attachments, tls, signer, clock, make_listener, nocloud=settings.nocloud
        )
        applier = Applier(
            desired,
            listeners,
            attachments,
            kept.snapshot,
            kept.marker,
            status,
            clock,
            max_age=None if alone else settings.max_snapshot_age,
        )
        tls.on_change = applier.ring
        if workers is not None:
            signer.on_use, tls.on_load = workers.use_key, workers.use_certificate
            workers.on_change = applier.ring
        link: Link | None = None
        if client is not None:
            link = Link(
                client,
                kept.identity,
                signer,
                desired,
                status,
                clock,
                self._backoff,
                name=node_name(settings),
                join_token=settings.join_token.get_secret_value() if settings.join_token else None,
                ring=applier.ring,
            )
            applier.on_applied = link.report_soon
        attaching = Attaching(
            attachments,
            lambda: desired.documents,
            applier.rounded,
            listeners.attached,
            self._users,
        )
        node = _Node(
            settings, status, clock, listeners, applier, events, tls, link, attaching, workers
        )
        try:
            if workers is not None:
                await _start(workers)
            yield node
        finally:
            await node.close()
            signer.close()
            if client is not None:
                await client.close()

    def _workers(
        self, signer: NodeSigner, tls: ListenerTls, upstream: Upstream, events: EventBuffer
    ) -> Workers | None:
        """The processes that serve, where it is not this one."""
        settings = self._settings
        if settings.workers == 1:
            return None
        told = WorkerSettings(
            settings.instance_rate, settings.log_level, settings.log_format, settings.nocloud
        )
        return Workers(settings.workers, told, signer, lambda: tls.pem, upstream, events)

    def _backoff(self) -> Backoff:
        return Backoff(self._random)


@dataclass(frozen=True, slots=True)
class _Node:
    """The parts of a running node that its life is made of."""

    settings: NodeSettings
    status: Status
    clock: Clock
    listeners: Listeners
    applier: Applier
    events: EventBuffer
    tls: ListenerTls
    link: Link | None
    attaching: Attaching
    workers: Workers | None

    def actions(self) -> local_api.Actions:
        """Of the Unix socket: what operators may change."""
        return {
            "/v1/attach": self.attaching.attach,
            "/v1/detach": self.attaching.detach,
            "/v1/hand_over": self.attaching.hand_over,
        }

    def pages(self) -> local_api.Pages:
        """Of the Unix socket."""
        return {
            "/v1/attachments": lambda: local_api.json_page(self.listeners.attached()),
            "/v1/limits": lambda: local_api.json_page(
                self.listeners.limits(self.settings.instance_rate)
            ),
            "/v1/status": lambda: local_api.json_page(self._current().view(self.clock)),
        }

    def public_pages(self) -> local_api.Pages:
        """Of the status port, which any local user can reach: numbers, no names."""
        return {
            "/healthz": self._health,
            "/metrics": lambda: metrics.page(self._current(), self.clock),
        }

    def _health(self) -> local_api.Page:
        """Whether the node does its work; a server that is away is no fault of the node."""
        well = not self.status.revoked
        return local_api.json_page({"ok": well}, 200 if well else 503)

    def _current(self) -> Status:
        """The status with what is asked for only when somebody looks."""
        status = self.status
        status.events_waiting, status.events_dropped = (
            self.events.waiting,
            self.events.dropped_total,
        )
        status.note("events", self.events.file_fault)
        if self.tls.is_wanted:
            status.note("tls", self.tls.fault)
        status.usage, status.paused = self.listeners.usage()
        status.instance_rate = self.settings.instance_rate
        if self.workers is not None:
            status.workers = [asdict(worker) for worker in self.workers.view()]
        return status

    async def close(self) -> None:
        """Close every listener, then hand over the last events."""
        self.attaching.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.listeners.close()
                await self.events.close()
        except TimeoutError:
            log.warning("Not everything was closed in time")
        if self.workers is not None:
            await self.workers.close()


async def _start(workers: Workers) -> None:
    try:
        await workers.start()
    except OSError as error:
        raise OperatorError(
            f"The worker processes cannot be started: {error.strerror}.",
            "Start fewer with --workers, or raise what this user may have.",
            exit_code=2,
        ) from error


class _NoUpstream:
    """Of a node that serves a file: nobody is there to decide."""

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        raise UpstreamUnavailable("this node serves a file and has no server")

    async def certificate(self, identity_token: str, csr: str, expires_in: int) -> Certificates:
        raise UpstreamUnavailable("this node serves a file and has no server")
