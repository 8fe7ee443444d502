"""The order of enforcing, saving and acknowledging, and what happens when one of them fails."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.documents import INSTANCE, full_document
from fakes.signer import FakeSigner

from linklocal.document import Change, InstanceDocument, MetadataService
from linklocal.ids import InstanceId
from linklocal.metadata.served import Served
from linklocal.node.apply import Applier
from linklocal.node.attachments import Attachments
from linklocal.node.desired import Desired
from linklocal.node.hosts import HostPolicy
from linklocal.node.limits import Usage
from linklocal.node.listeners import Listeners
from linklocal.node.snapshot import Marker, Snapshot
from linklocal.node.sockets import NotAttached
from linklocal.node.status import Status

OTHER = InstanceId("0717_other")
NODE = "node-1"


class Disk(Snapshot):
    """A snapshot that tells what it does, and fails when it is told to."""

    def __init__(self, folder: Path, journal: list[str]) -> None:
        super().__init__(folder)
        self.journal = journal
        self.full: set[InstanceId] = set()
        self.marker_fails = False

    def save(self, documents: Any, gone: Any = ()) -> dict[InstanceId, str]:
        documents, gone = list(documents), list(gone)
        for id in [*(d.instance_id for d in documents), *gone]:
            self.journal.append(f"save {id}")
        failed = {d.instance_id: "No space left" for d in documents if d.instance_id in self.full}
        return {
            **super().save([d for d in documents if d.instance_id not in self.full], gone),
            **failed,
        }

    def save_marker(self, marker: Marker) -> None:
        if self.marker_fails:
            raise OSError(28, "No space left on device")
        self.journal.append(f"mark {marker.revision}")
        super().save_marker(marker)


@dataclass
class FakeListener:
    """Says what it serves; refuses to change when told to."""

    served: Served
    journal: list[str]
    refuses: set[str] = field(default_factory=set)

    def _note(self, verb: str) -> None:
        document = self.served.document
        service = document.metadata_service
        self.journal.append(
            f"{verb} {document.instance_id} {service.enabled} {service.response_hop_limit}"
        )

    async def open(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        if "open" in self.refuses:
            raise OSError(24, "Too many open files")
        sock.close()
        self._note("open")

    async def change(
        self, served: Served, tls: ssl.SSLContext | None, sock: socket.socket | None = None
    ) -> None:
        if "change" in self.refuses:
            raise OSError(9, "Bad file descriptor")
        self.served = served
        self._note("change")

    async def close(self) -> None:
        self._note("close")

    @property
    def fault(self) -> str | None:
        return None

    def usage(self) -> Usage:
        return Usage()


class NoTls:
    def context(self) -> ssl.SSLContext:
        raise NotAttached("https needs a certificate.")


class World:
    """An applier with everything around it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.journal: list[str] = []
        self.refuses: set[str] = set()
        self.clock = FakeClock()
        self.disk = Disk(folder, self.journal)
        self.desired = Desired()
        self.desired.begin_stream()
        self.status = Status("test", "http://server", node_id=NODE)
        self.attachments = Attachments(
            folder, loopback_ports=True, port_base=38775, taken=lambda port: False
        )
        self.listeners = Listeners(
            self.attachments,
            NoTls(),
            FakeSigner(),
            self.clock,
            self._make,
        )
        self.applier = Applier(
            self.desired,
            self.listeners,
            self.attachments,
            self.disk,
            Marker(0, None, NODE),
            self.status,
            self.clock,
            **options,
        )
        self.reports = 0
        self.applier.on_applied = self._applied

    def _make(self, served: Served, hosts: HostPolicy) -> FakeListener:
        return FakeListener(served, self.journal, self.refuses)

    def _applied(self) -> None:
        self.reports += 1

    async def tell(self, *changes: Change | InstanceDocument) -> list[str]:
        """Let the stream say this, and apply it; what was done."""
        self.journal.clear()
        revision = self.desired.after
        for change in changes:
            revision += 1
            if isinstance(change, InstanceDocument):
                change = Change("document", revision, change)
            self.desired.apply(replace(change, revision=revision))
        self.desired.apply(Change("synced", revision))
        await self.applier.round()
        return list(self.journal)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def on(instance_id: InstanceId = INSTANCE, **service: Any) -> InstanceDocument:
    settings = MetadataService(**{"enabled": True, "response_hop_limit": 5, **service})
    return full_document(instance_id=instance_id, metadata_service=settings)


async def test_opening_and_loosening_are_saved_first(world: World) -> None:
    assert await world.tell(on()) == [f"save {INSTANCE}", f"open {INSTANCE} True 5", "mark 1"]
    assert await world.tell(on(response_hop_limit=9)) == [
        f"save {INSTANCE}", f"change {INSTANCE} True 9", "mark 2",
    ]  # fmt: skip
    assert world.status.applied_revision == 2
    assert world.reports == 2


async def test_tightening_is_enforced_first(world: World) -> None:
    await world.tell(on())

    assert await world.tell(on(enabled=False)) == [
        f"change {INSTANCE} False 5", f"save {INSTANCE}", "mark 2",
    ]  # fmt: skip
    await world.tell(on())
    assert await world.tell(Change("gone", 0, instance_id=INSTANCE)) == [
        f"close {INSTANCE} True 5", f"save {INSTANCE}", "mark 4",
    ]  # fmt: skip
    assert world.attachments.find(INSTANCE) is None


async def test_a_full_disk_does_not_keep_a_door_open_nor_opens_one(world: World) -> None:
    await world.tell(on(), on(OTHER))
    world.disk.full = {INSTANCE}
    tightened = await world.tell(on(enabled=False))

    assert tightened == [f"change {INSTANCE} False 5", f"save {INSTANCE}"]
    assert "cannot be saved (No space left)" in world.status.report().faults[INSTANCE]
    # Enforced, hence acknowledged; but a restart must be told again, hence not marked.
    assert world.status.applied_revision == 3
    assert world.disk.load(NODE).marker.revision == 2

    assert await world.tell(on(), on(OTHER, response_hop_limit=6)) == [
        f"save {INSTANCE}", f"save {OTHER}", f"change {OTHER} True 6",
    ]  # fmt: skip

    world.disk.full = set()
    assert await world.tell() == [f"save {INSTANCE}", f"change {INSTANCE} True 5", "mark 5"]
    assert world.status.report().faults == {}


async def test_a_marker_that_cannot_be_saved_is_a_fault_of_the_node(world: World) -> None:
    world.disk.marker_fails = True
    await world.tell(on())

    assert "No space" in world.status.node_faults["marker"]
    world.disk.marker_fails = False
    assert await world.tell() == ["mark 1"]
    assert world.status.node_faults == {}


async def test_one_listeners_fault_is_its_own_and_is_mended(world: World) -> None:
    world.refuses.add("open")
    await world.tell(on())
    assert world.status.report().faults == {INSTANCE: "Too many open files"}
    assert world.status.report().addresses == {}

    world.refuses.clear()
    assert await world.tell() == [f"open {INSTANCE} True 5"]
    assert world.status.report().faults == {}


async def test_a_listener_that_cannot_be_tightened_is_closed(world: World) -> None:
    await world.tell(on())
    world.refuses.add("change")
    done = await world.tell(on(enabled=False))

    assert done == [f"close {INSTANCE} True 5", f"save {INSTANCE}", "mark 2"]
    assert world.status.report().faults == {INSTANCE: "Bad file descriptor"}
    assert await world.tell() == [f"open {INSTANCE} False 5"]


async def test_https_without_a_certificate_closes(world: World) -> None:
    await world.tell(on())
    await world.tell(on(protocol="https"))

    assert world.listeners.attached() == []
    assert world.status.report().faults == {INSTANCE: "https needs a certificate."}
    # Stopped, it can fail no more.
    await world.tell(replace(on(protocol="https"), serving=False))
    assert world.status.report().faults == {}


async def test_both_directions_at_once_take_two_steps(world: World) -> None:
    await world.tell(on())
    changed = replace(on(response_hop_limit=9), tokens_valid_after=99)

    assert await world.tell(changed) == [
        f"change {INSTANCE} True 5", f"save {INSTANCE}", f"change {INSTANCE} True 9", "mark 2",
    ]  # fmt: skip


async def test_nothing_new_does_nothing(world: World) -> None:
    await world.tell(on())
    world.journal.clear()
    world.reports = 0
    await world.applier.round()

    assert world.journal == []
    assert world.reports == 0


async def test_without_contact_everything_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, max_age=60)
    world.status.contact = world.clock.now()
    await world.tell(on())
    world.clock.advance(61)
    world.journal.clear()
    await world.applier.round()

    assert world.journal == [f"change {INSTANCE} False 5"]
    assert world.status.refusing
    assert world.desired.documents[INSTANCE] == on()  # what is kept is what the server said

    world.status.contact = world.clock.now()
    world.journal.clear()
    await world.applier.round()
    assert world.journal[0] == f"change {INSTANCE} True 5"


async def test_never_heard_is_too_old_as_well(tmp_path: Path) -> None:
    world = World(tmp_path, max_age=60)

    assert (await world.tell(on()))[1] == f"open {INSTANCE} False 5"


async def test_a_revoked_nodes_documents_go_after_the_marker(world: World) -> None:
    await world.tell(on())
    world.status.revoked = True
    world.desired.forget()
    world.journal.clear()
    await world.applier.round()

    assert world.journal == [f"close {INSTANCE} True 5", "mark 0", f"save {INSTANCE}"]
    loaded = world.disk.load(NODE)
    assert (loaded.documents, loaded.marker.revision) == ({}, 0)


async def test_a_revision_of_the_node_it_was_is_not_marked_for_the_node_it_is(
    world: World,
) -> None:
    await world.tell(on())
    world.status.node_id = "node-2"
    world.desired.restart()
    world.journal.clear()
    await world.applier.round()

    assert world.journal == ["mark 0"]
    assert world.disk.load("node-2").marker.revision == 0


async def test_a_file_of_an_unknown_instance_goes_when_the_full_set_is_here(
    world: World, tmp_path: Path
) -> None:
    torn = tmp_path / "documents" / "0717_torn.json"
    torn.write_bytes(b"{")
    world.attachments.assign([OTHER])
    await world.tell(on())

    assert not torn.exists()
    assert set(world.attachments.assigned()) == {INSTANCE}
