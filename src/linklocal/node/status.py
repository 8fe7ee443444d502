"""What the node knows about itself: how far it is, how old that is, and what is wrong. No I/O.

One object, written by the parts of the node and read by the local API, the metrics and the reports to
the server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from linklocal.clock import Clock, rfc3339_ms
from linklocal.document import NodeStatus
from linklocal.ids import InstanceId
from linklocal.node.limits import Usage
from linklocal.node.tally import Tally, Timings

FAULT_MOST = 2000  # characters of a fault that are reported; the server takes 2048


@dataclass(slots=True)
class Status:
    """The state of one node.

    `applied_revision`: every change up to it is enforced, or is a fault. `contact`: when the server was
    last heard. `server_fault`: why it is not heard now. `listener_faults`, `save_faults` and `unreadable`
    are by instance; `node_faults` by what they are about (`tls`, `events`, a file of the state folder).
    `skipped` are the files of documents that could not be read at the start, until the full set is here.
    """

    version: str
    server_url: str | None
    name: str = ""
    node_id: str = ""
    region: str = ""
    applied_revision: int = 0
    contact: datetime | None = None
    connected: bool = False
    revoked: bool = False
    refusing: bool = False
    clock_skew: float | None = None
    server_fault: str | None = None
    documents: int = 0
    addresses: dict[InstanceId, str] = field(default_factory=dict)
    listener_faults: dict[InstanceId, str] = field(default_factory=dict)
    save_faults: dict[InstanceId, str] = field(default_factory=dict)
    unreadable: dict[InstanceId, str] = field(default_factory=dict)
    node_faults: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    events_waiting: int = 0
    events_dropped: int = 0
    tally: Tally = field(default_factory=Tally)
    timings: Timings = field(default_factory=Timings)
    # Asked for only when somebody looks.
    instance_rate: float = 0.0
    usage: Usage = field(default_factory=Usage)
    paused: list[InstanceId] = field(default_factory=list)
    workers: list[dict[str, Any]] = field(default_factory=list)

    def faults(self) -> dict[InstanceId, str]:
        """Instance -> everything that is wrong with it, in sentences."""
        said: dict[InstanceId, list[str]] = {}
        for instance_id, text in self.listener_faults.items():
            said.setdefault(instance_id, []).append(text)
        for instance_id, text in self.save_faults.items():
            said.setdefault(instance_id, []).append(
                f"Its document cannot be saved ({text}): a restart would bring the old one back."
            )
        for instance_id, text in self.unreadable.items():
            said.setdefault(instance_id, []).append(
                f"Its new document cannot be read, the old one is served: {text}"
            )
        return {id: " ".join(texts)[:FAULT_MOST] for id, texts in sorted(said.items())}

    def own_faults(self) -> dict[str, str]:
        """What is wrong with the node itself: what it is about -> why."""
        skipped = {name: f"cannot be read: {why}" for name, why in self.skipped.items()}
        return dict(sorted({**skipped, **self.node_faults}.items()))

    def report(self) -> NodeStatus:
        """What the server is told."""
        return NodeStatus(
            applied_revision=self.applied_revision,
            faults={str(id): text for id, text in self.faults().items()},
            addresses={str(id): address for id, address in self.addresses.items()},
            version=self.version,
        )

    def note(self, about: str, fault: str | None) -> None:
        """Set or clear a fault of the node itself."""
        if fault is None:
            self.node_faults.pop(about, None)
        else:
            self.node_faults[about] = fault

    def sync_age(self, clock: Clock) -> float | None:
        """Seconds since the server was last heard; None: never."""
        if self.contact is None:
            return None
        return max(0.0, (clock.now() - self.contact).total_seconds())

    def view(self, clock: Clock) -> dict[str, Any]:
        """`GET /v1/status`."""
        age, used = self.sync_age(clock), self.usage.counters
        server: dict[str, Any] | None = None
        if self.server_url is not None:
            server = {
                "url": self.server_url,
                "connected": self.connected,
                "last_contact": rfc3339_ms(self.contact) if self.contact else None,
                "fault": self.server_fault,
                "revoked": self.revoked,
                "clock_skew_seconds": _rounded(self.clock_skew),
            }
        return {
            "name": self.name,
            "node_id": self.node_id,
            "region": self.region,
            "version": self.version,
            "server": server,
            "applied_revision": self.applied_revision,
            "sync_age_seconds": _rounded(age),
            "refusing_because_of_age": self.refusing,
            "documents": self.documents,
            "listening": len(self.addresses),
            "instance_faults": {str(id): text for id, text in self.faults().items()},
            "node_faults": self.own_faults(),
            "events": {"waiting": self.events_waiting, "dropped": self.events_dropped},
            "limits": {
                "instance_rate": self.instance_rate,
                "connections": self.usage.connections,
                "requests": used.requests,
                "refused": used.refused,
                "limited": used.limited,
                "over_cap": used.over_cap,
                "pauses": used.pauses,
                "paused": [str(id) for id in self.paused],
            },
            "workers": self.workers,
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
