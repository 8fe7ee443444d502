"""Nodes and placements as plain values. No SQL, no HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from linklocal.clock import rfc3339_ms
from linklocal.ids import AccountId, InstanceId, NodeId


@dataclass(frozen=True, slots=True)
class Node:
    """A host with an agent. `revision` is of its newest change, `applied_revision` what it enforces.

    `instances` is how many are placed on it. `events_dropped` counts events that it could not keep.
    """

    id: NodeId
    name: str
    region: str
    revision: int
    applied_revision: int
    version: str
    created_at: datetime
    last_seen_at: datetime | None
    revoked_at: datetime | None
    instances: int = 0
    events_dropped: int = 0

    def to_json(self) -> dict[str, Any]:
        """What operators see; times as RFC 3339 text or None."""
        return {
            "id": self.id,
            "name": self.name,
            "region": self.region,
            "revision": self.revision,
            "applied_revision": self.applied_revision,
            "version": self.version,
            "instances": self.instances,
            "events_dropped": self.events_dropped,
            "created_at": rfc3339_ms(self.created_at),
            "last_seen_at": rfc3339_ms(self.last_seen_at) if self.last_seen_at else None,
            "revoked_at": rfc3339_ms(self.revoked_at) if self.revoked_at else None,
        }


@dataclass(frozen=True, slots=True)
class Placement:
    """What the server itself holds about a placed instance; no node's word is in it.

    IAM decides by these: where the instance is, whether it runs, its start epoch, its claims.
    """

    instance_id: InstanceId
    node_id: NodeId
    account_id: AccountId
    serving: bool
    metadata_enabled: bool
    tokens_valid_after: int
    claims: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PlacementState:
    """Where an instance is and what the node there said last.

    `document_revision` is the node's revision of the newest document (None: none published yet).
    `fault` says why the listener is not as the document says, `address` where it answers.
    """

    instance_id: InstanceId
    node_id: NodeId
    node_name: str
    applied_revision: int
    last_seen_at: datetime | None
    revoked: bool
    fault: str | None
    address: str | None
    document_revision: int | None
