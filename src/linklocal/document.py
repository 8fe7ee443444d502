"""`InstanceDocument`: everything a node may know about one instance, and the changes that carry it.

This is the contract between server and node; `SCHEMA` grows when a member changes meaning. The server
renders a document in the transaction of each change (`vpc/render.py`), a node keeps it, serves it and
never asks again. It is pure data: nothing here does I/O.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from linklocal.ids import AccountId, InstanceId

SCHEMA = 1

Protocol = Literal["http", "https"]
# Whose a document is. Instances and bare metal servers share ids, placement and attachments' tables.
ServerKind = Literal["instance", "bare_metal_server"]

# Error codes of the server that decide about a node's identity, unlike a 401 for a wrong clock or path.
NODE_REVOKED = "node_revoked"  # the node serves nothing from now on
NODE_UNKNOWN = "node_unknown"  # the server has never seen the key; the node goes on serving

# Names of the lists under `InstanceDocument.metadata`, beside `instance` and `initialization`.
LISTS = (
    "keys",
    "placement_groups",
    "network_interfaces",
    "network_attachments",
    "virtual_network_interfaces",
    "volume_attachments",
    "cluster_network_attachments",
    "software_attachments",
)


@dataclass(frozen=True, slots=True)
class MetadataService:
    """Settings of one instance's listener (control-plane contract 2.2). Hop limit is an IP TTL, 1-64."""

    enabled: bool = False
    protocol: Protocol = "http"
    response_hop_limit: int = 1


@dataclass(frozen=True, slots=True)
class InstanceDocument:
    """Everything a node may know about one instance.

    `serving` is true while the instance is meant to run: a listener is open. False: it is closed.
    `tokens_valid_after` is the start epoch: an identity token carries the epoch it was issued in, and one
    of an earlier epoch is refused. Stop, reinitialize, restore and migration raise it.
    `claims` is the part of the identity token that describes the instance: `iaas`, `ip_addresses`,
    `subnets`, `vpc` (metadata contract 3.1).
    `metadata` holds `instance` and `initialization` objects and the lists of `LISTS`, each in the shape of
    the metadata contract sections 5.1-5.10.
    """

    instance_id: InstanceId
    crn: str
    name: str
    account_id: AccountId
    region: str
    zone: str
    serving: bool
    tokens_valid_after: int
    metadata_service: MetadataService
    claims: dict[str, Any]
    metadata: dict[str, Any]
    kind: ServerKind = "instance"
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Its members as JSON values. `claims` and `metadata` are the document's own: only to be read."""
        # Not `asdict`, which copies them deeply: that took most of the time of publishing and saving.
        out = {name: getattr(self, name) for name in self.__dataclass_fields__}
        out["metadata_service"] = asdict(self.metadata_service)
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> InstanceDocument:
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        if data.get("schema", 0) > SCHEMA:
            raise ValueError(
                f"document schema {data['schema']} is newer than this node's {SCHEMA}: upgrade the node"
            )
        known = {k: data[k] for k in cls.__dataclass_fields__ if k in data}
        known["metadata_service"] = MetadataService(**data["metadata_service"])
        return cls(**known)

    def dumps(self) -> str:
        """Canonical JSON text: equal documents give equal text."""
        return json.dumps(self.to_json(), separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the watch stream (`GET /internal/v1/watch`, NDJSON).

    document  `document` as of `revision`
    gone      the instance left this node at `revision`
    synced    the replay is complete up to `revision`
    reset     the node's `after` is too old: forget everything, the full set follows, then `synced`
    heartbeat nothing happened; sent every 15 s
    """

    type: Literal["document", "gone", "synced", "reset", "heartbeat"]
    revision: int
    document: InstanceDocument | None = None
    instance_id: InstanceId | None = None

    def to_line(self) -> bytes:
        """One NDJSON line, newline included."""
        out: dict[str, Any] = {"type": self.type, "revision": self.revision}
        if self.document is not None:
            out["document"] = self.document.to_json()
        if self.instance_id is not None:
            out["instance_id"] = self.instance_id
        return json.dumps(out, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes | str) -> Change:
        """Read one line. Raises ValueError, KeyError or TypeError when it is not one."""
        data = json.loads(line)
        document = data.get("document")
        return cls(
            data["type"],
            int(data["revision"]),
            InstanceDocument.from_json(document) if document is not None else None,
            data.get("instance_id"),
        )


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node tells the server after it applied changes (`POST /internal/v1/status`).

    `applied_revision`: every change up to it is enforced on the sockets. `faults`: instance id -> why its
    listener is not as the document says. `addresses`: instance id -> where its listener answers.
    """

    applied_revision: int
    faults: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    version: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
