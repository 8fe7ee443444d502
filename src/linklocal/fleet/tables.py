"""Tables of the fleet: nodes, who is placed where, what each node must know, and what nodes reported."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from linklocal.store.engine import metadata
from linklocal.store.json import Json, Timestamp

join_tokens = Table(
    "join_tokens",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("node_name", String(63), nullable=True),
    Column("created_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Column("used_by", String(64), nullable=True),  # node id; a token enrols one node
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("region", String(63), nullable=False),
    # Of the newest change; taken by UPDATE ... RETURNING in the transaction of the change, so that the
    # row lock makes the revisions of one node visible in order. Every change has its own.
    Column("revision", BigInteger, nullable=False, default=0, server_default="0"),
    Column("applied_revision", BigInteger, nullable=False, default=0, server_default="0"),
    # Tombstones up to this revision may be gone: who resumes from before it needs the full set.
    Column("pruned_revision", BigInteger, nullable=False, default=0, server_default="0"),
    Column("control_kid", String(64), nullable=False, unique=True),
    Column("control_jwk", Json, nullable=False),  # ES256, for requests to the server
    Column("identity_jwk", Json, nullable=False),  # RS256, for identity tokens
    Column("version", String(64), nullable=False, default="", server_default=""),
    Column("created_at", Timestamp, nullable=False),
    Column("last_seen_at", Timestamp, nullable=True),
    Column("revoked_at", Timestamp, nullable=True),
    # Events that the node had no room for and reports as lost.
    Column("events_dropped", BigInteger, nullable=False, default=0, server_default="0"),
    # A revoked node frees its name.
    Index(
        "uq_nodes_region_name",
        "region",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
)

placements = Table(
    "placements",
    metadata,
    Column("instance_id", String(64), primary_key=True),
    Column("node_id", ForeignKey("nodes.id"), nullable=False),
    Column("account_id", String(32), nullable=False),
    Column("serving", Boolean, nullable=False),
    Column("metadata_enabled", Boolean, nullable=False),
    Column("tokens_valid_after", Integer, nullable=False),
    # The server's own claims: trusted-profile rules are evaluated against these, never a node's word.
    Column("claims", Json, nullable=False),
    Column("fault", Text, nullable=True),  # why the node's listener is not as the document says
    Column("address", Text, nullable=True),  # where the node says its listener answers
    Index("ix_placements_node_id", "node_id"),
)

documents = Table(
    "documents",
    metadata,
    Column("instance_id", String(64), primary_key=True),
    Column("node_id", ForeignKey("nodes.id"), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("document", Text, nullable=False),  # InstanceDocument.dumps()
    Index("ix_documents_node_id_revision", "node_id", "revision", unique=True),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("node_id", ForeignKey("nodes.id"), primary_key=True),
    Column("instance_id", String(64), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Index("ix_tombstones_node_id_revision", "node_id", "revision", unique=True),
)

node_requests = Table(
    "node_requests",  # accepted requests, kept as long as their token could be replayed
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of node and jti
    Column("expires_at", Timestamp, nullable=False),
    Index("ix_node_requests_expires_at", "expires_at"),
)

event_batches = Table(
    "event_batches",  # batches that came: one sent twice is stored once
    metadata,
    Column("node_id", String(64), primary_key=True),
    Column("batch", String(64), primary_key=True),  # the node's id of it
    Column("received_at", Timestamp, nullable=False),
    Index("ix_event_batches_received_at", "received_at"),
)

events = Table(
    "events",
    metadata,
    Column(
        "id", Integer().with_variant(BigInteger, "postgresql"), primary_key=True, autoincrement=True
    ),
    Column("node_id", String(64), nullable=True),  # who sent it; None: the server itself
    Column("instance_id", String(64), nullable=True),
    Column("time", Timestamp, nullable=False),
    Column("action", String(128), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("status", Integer, nullable=False),
    Column("record", Json, nullable=False),  # Event.to_json()
    Index("ix_events_time", "time"),
    Index("ix_events_instance_id_time", "instance_id", "time"),
)
