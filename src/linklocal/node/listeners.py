"""The open listeners of a node: takes the steps of `reconcile.py` and collects what goes wrong, by instance.

One instance's fault never keeps another's step from being taken. It must not decide what is wanted nor
when documents are saved: `agent.py` does.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from linklocal.clock import Clock
from linklocal.document import InstanceDocument
from linklocal.ids import InstanceId
from linklocal.metadata.served import Served, Signer
from linklocal.node.attachments import Attachment, Attachments, NotAttached
from linklocal.node.hosts import HostPolicy
from linklocal.node.reconcile import Change, Close, Open, Step

log = structlog.get_logger(__name__)


class InstanceListener(Protocol):
    """One instance's server; `listener.Listener` is it."""

    async def open(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None: ...

    async def change(self, served: Served, tls: ssl.SSLContext | None) -> None: ...

    async def close(self) -> None: ...


class TlsSource(Protocol):
    """Where https listeners get their context; `tls.ListenerTls` is it."""

    def context(self) -> ssl.SSLContext:
        """The one context of all https listeners. Raises NotAttached while there is no certificate."""
        ...


MakeListener = Callable[[Served, HostPolicy], InstanceListener]


@dataclass(slots=True)
class _Opened:
    listener: InstanceListener
    served: Served
    attachment: Attachment


class Listeners:
    """All listeners of one node. `faults`: instance -> why its listener is not as it should be."""

    def __init__(
        self,
        attachments: Attachments,
        tls: TlsSource,
        signer: Signer,
        clock: Clock,
        make: MakeListener,
    ) -> None:
        self._attachments = attachments
        self._tls = tls
        self._signer = signer
        self._clock = clock
        self._make = make
        self._opened: dict[InstanceId, _Opened] = {}
        self.faults: dict[InstanceId, str] = {}

    @property
    def documents(self) -> Mapping[InstanceId, InstanceDocument]:
        """What is served right now."""
        return {id: opened.served.document for id, opened in self._opened.items()}

    def addresses(self) -> dict[InstanceId, str]:
        """Instance -> the URL at which it is served."""
        return {
            id: opened.attachment.address(opened.served.document.metadata_service)
            for id, opened in self._opened.items()
        }

    def attached(self) -> list[dict[str, Any]]:
        """The open listeners for `GET /v1/attachments`, by name."""
        listed = []
        for opened in self._opened.values():
            document = opened.served.document
            settings = document.metadata_service
            listed.append(
                {
                    "instance": document.instance_id,
                    "name": document.name,
                    "kind": opened.attachment.kind,
                    "address": opened.attachment.address(settings),
                    "protocol": settings.protocol,
                    "enabled": settings.enabled,
                    "response_hop_limit": settings.response_hop_limit,
                }
            )
        return sorted(listed, key=lambda item: (item["name"], item["instance"]))

    async def tighten(self, steps: Iterable[Step]) -> None:
        """Take what must not wait for the disk. Returns when it is enforced, or is a fault.

        A listener that cannot be made stricter is closed: refusing less than asked is no option.
        """
        async with asyncio.TaskGroup() as group:
            for step in steps:
                if isinstance(step, Close):
                    group.create_task(self._close(step.instance_id))
                elif isinstance(step, Change) and step.first is not None:
                    group.create_task(self._change(step.first))

    async def loosen(self, steps: Iterable[Step], unsaved: Collection[InstanceId] = ()) -> None:
        """Take the rest, for documents that are saved. Returns when it is enforced, or is a fault."""
        opens = [s for s in steps if isinstance(s, Open) and s.document.instance_id not in unsaved]
        wanted = [step.document.instance_id for step in opens]
        attachments = await asyncio.to_thread(self._attachments.assign, wanted) if wanted else {}
        async with asyncio.TaskGroup() as group:
            for step in opens:
                attachment = attachments[step.document.instance_id]
                group.create_task(self._open(step.document, attachment))
            for change in (s for s in steps if isinstance(s, Change)):
                ready = change.instance_id in self._opened and change.instance_id not in unsaved
                if ready and change.then is not None:
                    group.create_task(self._change(change.then))

    async def close(self) -> None:
        """Close every listener: requests in flight have a second to finish."""
        async with asyncio.TaskGroup() as group:
            for instance_id in list(self._opened):
                group.create_task(self._close(instance_id))

    async def _open(self, document: InstanceDocument, attachment: Attachment | NotAttached) -> None:
        if isinstance(attachment, NotAttached):
            self._fault(document.instance_id, attachment)
            return
        served = Served(document, self._signer, self._clock)
        try:
            tls = self._tls_of(document)
            sock = attachment.listen(document.metadata_service)
        except NotAttached as error:
            self._fault(document.instance_id, error)
            return
        listener = self._make(served, attachment.hosts)
        try:
            await listener.open(sock, tls)
        except OSError as error:
            sock.close()
            self._fault(document.instance_id, error)
            return
        self._opened[document.instance_id] = _Opened(listener, served, attachment)
        self._done(document.instance_id)

    async def _change(self, document: InstanceDocument) -> None:
        instance_id = document.instance_id
        opened = self._opened[instance_id]
        served = opened.served.updated(document)
        try:
            tls = self._tls_of(document)
            await opened.listener.change(served, tls)
        except (NotAttached, OSError) as error:
            # Whatever it now does is not what was asked for. The next round opens it anew.
            await self._close(instance_id)
            self._fault(instance_id, error)
            return
        opened.served = served
        self._done(instance_id)

    async def _close(self, instance_id: InstanceId) -> None:
        opened = self._opened.pop(instance_id, None)
        if opened is not None:
            await opened.listener.close()
        self._done(instance_id)

    def _tls_of(self, document: InstanceDocument) -> ssl.SSLContext | None:
        return self._tls.context() if document.metadata_service.protocol == "https" else None

    def _fault(self, instance_id: InstanceId, error: NotAttached | OSError) -> None:
        reason = error.strerror if isinstance(error, OSError) else None
        text = reason or str(error) or type(error).__name__
        if self.faults.get(instance_id) != text:
            log.warning("Listener at fault", instance=instance_id, fault=text)
        self.faults[instance_id] = text

    def _done(self, instance_id: InstanceId) -> None:
        self.faults.pop(instance_id, None)
