"""The open listeners of a node: takes the steps of `reconcile.py` and collects what goes wrong, by instance.

One instance's fault never keeps another's step from being taken. It must not decide what is wanted nor
when documents are saved: `agent.py` does.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from linklocal.clock import Clock
from linklocal.document import InstanceDocument, MetadataService
from linklocal.ids import InstanceId
from linklocal.metadata.served import Served, Signer
from linklocal.node.attachments import Attachment, Attachments
from linklocal.node.hosts import HostPolicy
from linklocal.node.limits import Usage
from linklocal.node.reconcile import Change, Close, Open, Step
from linklocal.node.sites import (
    InstanceListener,
    Opened,
    Site,
    by_name,
    limit_views,
    served_views,
    unserved_view,
)
from linklocal.node.sockets import NotAttached, set_silent

log = structlog.get_logger(__name__)


class TlsSource(Protocol):
    """Where https listeners get their context; `tls.ListenerTls` is it."""

    def context(self) -> ssl.SSLContext:
        """The one context of all https listeners. Raises NotAttached while there is no certificate."""
        ...


MakeListener = Callable[[Served, HostPolicy], InstanceListener]


class Listeners:
    """All listeners of one node.

    `faults`: instance -> why it is not served. `site_faults`: (instance, attachment) -> why that one is
    not as it should be, which does not keep the instance's others from serving.
    """

    def __init__(
        self,
        attachments: Attachments,
        tls: TlsSource,
        signer: Signer,
        clock: Clock,
        make: MakeListener,
        *,
        nocloud: bool = False,
    ) -> None:
        self._attachments = attachments
        self._tls = tls
        self._signer = signer
        self._clock = clock
        self._make = make
        self._nocloud = nocloud
        self._opened: dict[InstanceId, Opened] = {}
        self.faults: dict[InstanceId, str] = {}
        self.site_faults: dict[tuple[InstanceId, str], str] = {}
        self._ended = Usage()  # of listeners that are closed
        # How far changes by operators are served, and how far they were when this round began.
        self._seen = self._told = attachments.version

    @property
    def documents(self) -> Mapping[InstanceId, InstanceDocument]:
        """What is served right now."""
        return {id: opened.served.document for id, opened in self._opened.items()}

    def addresses(self) -> dict[InstanceId, str]:
        """Instance -> the URL at which it is served; of several, the first."""
        return {
            id: next(iter(opened.sites.values())).attachment.address(
                opened.served.document.metadata_service
            )
            for id, opened in self._opened.items()
        }

    def attached(self) -> list[dict[str, Any]]:
        """All attachments of served instances and of operators, for `GET /v1/attachments`, by name."""
        listed = [view for opened in self._opened.values() for view in served_views(opened)]
        for place in self._attachments.placed():
            opened = self._opened.get(place.instance_id)
            if opened is None or place.id not in opened.sites:
                fault = self.site_faults.get((place.instance_id, place.id))
                name = opened.served.document.name if opened is not None else ""
                listed.append(unserved_view(place, name, fault))
        return by_name(listed)

    def waiting(self) -> dict[InstanceId, str]:
        """Instance -> why it is not answered just now although it is served."""
        return {
            id: fault
            for id, opened in self._opened.items()
            for site in opened.sites.values()
            if (fault := site.listener.fault) is not None
        }

    def usage(self) -> tuple[Usage, list[InstanceId]]:
        """What all listeners did since the node began, and whose calls are not taken for a while."""
        total, paused = self._ended, []
        for instance_id, opened in self._opened.items():
            used = [site.listener.usage() for site in opened.sites.values()]
            for usage in used:
                total = total.plus(usage)
            if any(usage.paused > 0 for usage in used):
                paused.append(instance_id)
        return total, paused

    def limits(self, rate: float) -> list[dict[str, Any]]:
        """How each open listener stands to its limits, for `GET /v1/limits`, by name."""
        return by_name(
            view for opened in self._opened.values() for view in limit_views(opened, rate)
        )

    async def tighten(self, steps: Iterable[Step]) -> None:
        """Take what must not wait for the disk. Returns when it is enforced, or is a fault.

        A listener that cannot be made stricter is closed: refusing less than asked is no option.
        """
        self._told = self._attachments.version
        async with asyncio.TaskGroup() as group:
            for instance_id, opened in self._opened.items():
                for id in opened.sites.keys() - {a.id for a in self._wanted(instance_id, opened)}:
                    group.create_task(self._leave(opened, id))
        for instance_id in [id for id, opened in self._opened.items() if not opened.sites]:
            del self._opened[instance_id]
            self._fault(instance_id, NotAttached("Its last attachment was detached."))
        async with asyncio.TaskGroup() as group:
            for step in steps:
                if isinstance(step, Change) and step.instance_id not in self._opened:
                    continue
                if isinstance(step, Close):
                    group.create_task(self._close(step.instance_id))
                elif isinstance(step, Change) and step.first is not None:
                    group.create_task(self._change(step.first))

    async def loosen(self, steps: Iterable[Step], unsaved: Collection[InstanceId] = ()) -> None:
        """Take the rest, for documents that are saved. Returns when it is enforced, or is a fault."""
        opens = [s for s in steps if isinstance(s, Open) and s.document.instance_id not in unsaved]
        wanted = [step.document.instance_id for step in opens]
        ports = await asyncio.to_thread(self._attachments.assign, wanted) if wanted else {}
        if self._told != self._seen or self.site_faults:
            await self._complete()
        async with asyncio.TaskGroup() as group:
            for step in opens:
                group.create_task(self._open(step.document, ports[step.document.instance_id]))
            for change in (s for s in steps if isinstance(s, Change)):
                ready = change.instance_id in self._opened and change.instance_id not in unsaved
                if ready and change.then is not None:
                    group.create_task(self._change(change.then))

    async def close(self) -> None:
        """Close every listener: requests in flight have a second to finish."""
        async with asyncio.TaskGroup() as group:
            for instance_id in list(self._opened):
                group.create_task(self._close(instance_id))

    def _wanted(self, instance_id: InstanceId, opened: Opened) -> Sequence[Attachment]:
        """Where the instance should be served; cheap while no operator has changed anything."""
        if self._told == self._seen:
            return [site.attachment for site in opened.sites.values()]
        return self._attachments.of(instance_id)

    async def _complete(self) -> None:
        """Open what operators attached since, and what failed before, for instances that are served."""
        self._seen = self._told
        known = {(place.instance_id, place.id) for place in self._attachments.placed()}
        for gone in [key for key in self.site_faults if key not in known]:
            del self.site_faults[gone]
        async with asyncio.TaskGroup() as group:
            for instance_id, opened in self._opened.items():
                for attachment in self._attachments.of(instance_id):
                    if attachment.id not in opened.sites:
                        group.create_task(self._try_to_enter(opened, attachment))

    async def _open(self, document: InstanceDocument, port: Attachment | NotAttached) -> None:
        instance_id = document.instance_id
        attachments: list[Attachment] = list(self._attachments.placed(instance_id))
        if not isinstance(port, NotAttached):
            attachments.insert(0, port)
        elif not attachments:
            self._fault(instance_id, port)
            return
        served = Served(document, self._signer, self._clock, nocloud=self._nocloud)
        opened = Opened(served)
        errors = [await self._try_to_enter(opened, attachment) for attachment in attachments]
        if opened.sites:
            self._opened[instance_id] = opened
            self._done(instance_id)
        else:
            self._fault(instance_id, next(error for error in errors if error is not None))

    async def _try_to_enter(
        self, opened: Opened, attachment: Attachment
    ) -> NotAttached | OSError | None:
        """Begin to serve an instance at one attachment. Returns why it cannot be."""
        key = opened.served.document.instance_id, attachment.id
        try:
            opened.sites[attachment.id] = await self._enter(opened.served, attachment)
        except (NotAttached, OSError) as error:
            await asyncio.to_thread(attachment.close)
            self._site_fault(key, error)
            return error
        self.site_faults.pop(key, None)
        return None

    async def _enter(self, served: Served, attachment: Attachment) -> Site:
        document = served.document
        settings = document.metadata_service
        tls = self._tls_of(document)
        sock = await _listen(attachment, settings)
        try:
            _set_silent_while_disabled(sock, attachment, settings)
            listener = self._make(served, attachment.hosts)
            await listener.open(sock, tls)
        except OSError:
            sock.close()
            raise
        return Site(listener, attachment, sock)

    async def _change(self, document: InstanceDocument) -> None:
        instance_id = document.instance_id
        opened = self._opened[instance_id]
        served = opened.served.updated(document)
        errors: list[NotAttached | OSError] = []
        for id, site in list(opened.sites.items()):
            try:
                await self._change_site(site, opened.served.document, served)
            except (NotAttached, OSError) as error:
                # Whatever it now does is not what was asked for. The next round opens it anew.
                await self._leave(opened, id)
                errors.append(error)
                if site.attachment.kind != "port":
                    self._site_fault((instance_id, id), error)
        opened.served = served
        if not opened.sites:
            del self._opened[instance_id]
            self._fault(instance_id, errors[0])
        elif errors and "port" not in opened.sites and self._attachments.find(instance_id):
            self._site_fault((instance_id, "port"), errors[0])
        else:
            self._done(instance_id)

    async def _change_site(self, site: Site, old: InstanceDocument, served: Served) -> None:
        document, attachment = served.document, site.attachment
        before, settings = old.metadata_service, document.metadata_service
        tls = self._tls_of(document)
        moved: socket.socket | None = None
        if before != settings:
            if attachment.kind != "port":
                await asyncio.to_thread(attachment.apply, settings)
            if attachment.port(before) != attachment.port(settings):
                moved = await _listen(attachment, settings)
            _set_silent_while_disabled(moved or site.sock, attachment, settings)
        if moved is None:
            await site.listener.change(served, tls)
            return
        try:
            await site.listener.change(served, tls, moved)
        except OSError:
            moved.close()
            raise
        site.sock = moved
        attachment.settle(settings)

    async def _close(self, instance_id: InstanceId) -> None:
        opened = self._opened.pop(instance_id, None)
        if opened is not None:
            async with asyncio.TaskGroup() as group:
                for id in list(opened.sites):
                    group.create_task(self._leave(opened, id))
        self._done(instance_id)

    async def _leave(self, opened: Opened, id: str) -> None:
        site = opened.sites.pop(id)
        await site.listener.close()
        self._ended = self._ended.plus(Usage(site.listener.usage().counters))
        if site.attachment.kind != "port":
            await asyncio.to_thread(site.attachment.close)

    def _tls_of(self, document: InstanceDocument) -> ssl.SSLContext | None:
        return self._tls.context() if document.metadata_service.protocol == "https" else None

    def _fault(self, instance_id: InstanceId, error: NotAttached | OSError) -> None:
        reason = error.strerror if isinstance(error, OSError) else None
        text = reason or str(error) or type(error).__name__
        if self.faults.get(instance_id) != text:
            log.warning("Listener at fault", instance=instance_id, fault=text)
        self.faults[instance_id] = text

    def _site_fault(self, key: tuple[InstanceId, str], error: NotAttached | OSError) -> None:
        text = str(error) or type(error).__name__
        if self.site_faults.get(key) != text:
            log.warning("Attachment at fault", instance=key[0], attachment=key[1], fault=text)
        self.site_faults[key] = text

    def _done(self, instance_id: InstanceId) -> None:
        self.faults.pop(instance_id, None)


async def _listen(attachment: Attachment, settings: MetadataService) -> socket.socket:
    """A socket there, made in a thread where that may take a while. Raises NotAttached."""
    if attachment.kind == "port":
        return attachment.listen(settings)
    return await asyncio.to_thread(attachment.listen, settings)


def _set_silent_while_disabled(
    sock: socket.socket, attachment: Attachment, settings: MetadataService
) -> None:
    """Drop instead of refuse, where the attachment says so. Raises OSError."""
    if attachment.silent:
        set_silent(sock, not settings.enabled)
