"""Applying what is wanted: the order of enforcing, saving and acknowledging. The heart of the node.

One round, whenever something is due:

    1. tighten     what refuses more than before is enforced at once
    2. save        changed documents, and which instances are gone
    3. loosen      what allows more, for documents that are saved
    4. mark        how far the saved documents are complete
    5. report      the revision up to which everything is enforced, and every fault

A document that cannot be saved is a fault and tried again; it never holds up step 1. Rounds follow one
another, and what arrives meanwhile waits for the next, so bursts become one step.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import structlog

from linklocal.clock import Clock
from linklocal.ids import InstanceId
from linklocal.node.attachments import Attachments
from linklocal.node.desired import Batch, Desired
from linklocal.node.listeners import Listeners
from linklocal.node.reconcile import diff, effective
from linklocal.node.snapshot import Marker, Snapshot
from linklocal.node.status import Status

RETRY_SECONDS = 5.0  # after which what failed is tried again: a taken port, a full disk
RETRIED = {"attachments", "marker"}  # faults of the node that another round may mend
CONTACT_SECONDS = 60.0  # how often the time of the last contact is saved, at most

log = structlog.get_logger(__name__)


class Applier:
    """Brings listeners and disk to what is wanted. `run` is its task; `ring` says that something is due.

    `snapshot` None: documents come from a file and are not saved. `max_age`: seconds without contact
    after which every call is refused. `on_applied` is called after a round that the server should know of.
    """

    def __init__(
        self,
        desired: Desired,
        listeners: Listeners,
        attachments: Attachments,
        snapshot: Snapshot | None,
        marker: Marker,
        status: Status,
        clock: Clock,
        *,
        max_age: float | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._desired = desired
        self._listeners = listeners
        self._attachments = attachments
        self._snapshot = snapshot
        self._marker = marker
        self._status = status
        self._clock = clock
        self._max_age = max_age
        self.on_applied: Callable[[], None] = lambda: None
        self._retry_seconds = retry_seconds
        self._due = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        # The newest revision that was told in full, and the node that counts it.
        self._complete: tuple[str, int] | None = None
        self.served = asyncio.Event()  # after the first round
        self.synced = (
            asyncio.Event()
        )  # after the first round that the server's word was complete for

    def ring(self) -> None:
        """Something is due."""
        self._due.set()

    async def rounded(self) -> None:
        """Ring, and wait until a round that began after that has ended."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self.ring()
        await waiting

    async def run(self) -> None:
        """Rounds until cancelled."""
        while True:
            self._due.clear()
            waiting, self._waiting = self._waiting, []
            await self.round()
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._due.wait()

    async def round(self) -> None:
        """One round. Afterwards everything told so far is enforced, or is a fault."""
        before = self._status.report()
        batch, node_id = self._desired.take(), self._status.node_id
        self._status.refusing = self._is_too_old()
        # A revoked node has forgotten its documents: nothing is wanted, so everything is closed.
        wanted = effective(self._desired.documents, refuse_all=self._status.refusing)
        documents = len(self._desired.documents)
        steps = diff(wanted, self._listeners.documents)
        await self._listeners.tighten(steps)
        unsaved = await self._save(batch)
        await self._listeners.loosen(steps, unsaved.keys())
        await self._clean_up(batch)
        self._forget_faults(wanted.keys())
        self._status.documents = documents
        self._status.save_faults = unsaved
        self._status.listener_faults = {**self._listeners.waiting(), **self._listeners.faults}
        faults = self._listeners.site_faults
        self._status.note(
            "attachments", " ".join(faults[key] for key in sorted(faults)) if faults else None
        )
        self._status.addresses = self._listeners.addresses()
        if batch.synced is not None:
            self._status.applied_revision = batch.synced
            self._complete = (node_id, batch.synced)
        await self._mark()
        self.served.set()
        if batch.synced is not None:
            self.synced.set()
        if batch.synced is not None or self._status.report() != before:
            self.on_applied()

    def _pause(self) -> float | None:
        """Seconds until something is due without being told; None: never."""
        pauses = []
        if (
            self._status.save_faults
            or self._status.listener_faults
            or self._faults.keys() & RETRIED
        ):
            pauses.append(self._retry_seconds)
        if self._max_age is not None and not self._status.refusing:
            # The deadline moves with every contact; looking too early costs an empty round.
            pauses.append(max(0.05, self._max_age - self._age()))
        if self._snapshot is not None:
            pauses.append(self._contact_seconds())
        return min(pauses, default=None)

    @property
    def _faults(self) -> dict[str, str]:
        return self._status.node_faults

    def _age(self) -> float:
        age = self._status.sync_age(self._clock)
        return float("inf") if age is None else age

    def _is_too_old(self) -> bool:
        return self._max_age is not None and self._age() > self._max_age

    def _forget_faults(self, wanted: Collection[InstanceId]) -> None:
        """An instance that should not be served cannot fail to be."""
        faults = self._listeners.faults
        for instance_id in [i for i in faults if i not in wanted]:
            del faults[instance_id]
        sites = self._listeners.site_faults
        for key in [key for key in sites if key[0] not in wanted]:
            del sites[key]

    # --- the disk ------------------------------------------------------------------------------

    async def _save(self, batch: Batch) -> dict[InstanceId, str]:
        if self._snapshot is None or not (batch.changed or batch.gone):
            return {}
        if self._status.revoked:
            # First the marker: a crash must not leave it behind without the documents.
            self._complete = None
            await self._write_marker(Marker(0, self._status.contact, self._status.node_id))
        unsaved = await asyncio.to_thread(self._snapshot.save, batch.changed, batch.gone)
        self._desired.give_back(unsaved)
        for instance_id, reason in unsaved.items():
            if instance_id not in self._status.save_faults:
                log.error("Document not saved", instance=instance_id, error=reason)
        return unsaved

    async def _clean_up(self, batch: Batch) -> None:
        """Free what belonged to instances that are gone, once their listeners are closed."""
        kept = self._desired.documents.keys() | self._status.unreadable.keys()
        gone = {id for id in batch.gone if id not in kept}
        if batch.full:
            gone |= set(self._attachments.assigned()) - kept
        if not gone and not batch.full:
            return
        try:
            await asyncio.to_thread(self._remove, gone, kept if batch.full else None)
            self._status.note("state folder", None)
            if batch.full:
                self._status.skipped = {}
        except OSError as error:
            self._status.note("state folder", f"cannot be cleaned up: {error.strerror}")

    def _remove(self, gone: set[InstanceId], kept: set[InstanceId] | None) -> None:
        self._attachments.release(gone)
        if kept is not None and self._snapshot is not None:
            self._snapshot.prune(kept)

    async def _mark(self) -> None:
        """Save how far the documents are complete, or that the server is still there."""
        if self._snapshot is None or self._status.revoked:
            return
        contact, node_id = self._status.contact, self._status.node_id
        revision = self._marker.revision if self._marker.node_id == node_id else 0
        incomplete = self._status.save_faults or self._status.unreadable
        if self._complete is not None and self._complete[0] == node_id and not incomplete:
            revision = self._complete[1]
        marker = Marker(revision, contact, node_id)
        same = (marker.revision, node_id) == (self._marker.revision, self._marker.node_id)
        if not same or self._is_contact_due(contact):
            await self._write_marker(marker)

    def _contact_seconds(self) -> float:
        return CONTACT_SECONDS if self._max_age is None else min(CONTACT_SECONDS, self._max_age / 4)

    def _is_contact_due(self, contact: datetime | None) -> bool:
        saved = self._marker.contact
        if contact is None:
            return False
        return saved is None or contact - saved >= timedelta(seconds=self._contact_seconds())

    async def _write_marker(self, marker: Marker) -> None:
        assert self._snapshot is not None
        try:
            await asyncio.to_thread(self._snapshot.save_marker, marker)
        except OSError as error:
            self._status.note("marker", f"the revision cannot be saved: {error.strerror}")
        else:
            self._marker = marker
            self._status.note("marker", None)
