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
    UniqueConstraint,
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
    Column("used_by", String(64), nullable=True),  # node id; a token enrols once
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("region", String(63), nullable=False),
    # Of the newest change; taken by UPDATE ... RETURNING in the transaction of the change, so that the
    # row lock makes the revisions of one node visible in order.
    Column("revision", BigInteger, nullable=False, default=0, server_default="0"),
    Column("applied_revision", BigInteger, nullable=False, default=0, server_default="0"),
    Column("control_jwk", Json, nullable=False),  # ES256, for requests to the server
    Column("identity_jwk", Json, nullable=False),  # RS256, for identity tokens
    Column("version", String(64), nullable=False, default="", server_default=""),
    Column("created_at", Timestamp, nullable=False),
    Column("last_seen_at", Timestamp, nullable=True),
    Column("revoked_at", Timestamp, nullable=True),
    UniqueConstraint("region", "name"),
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
    Index("ix_documents_node_id_revision", "node_id", "revision"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("node_id", ForeignKey("nodes.id"), primary_key=True),
    Column("instance_id", String(64), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Index("ix_tombstones_node_id_revision", "node_id", "revision"),
)

node_requests = Table(
    "node_requests",  # jti of accepted writes, kept as long as their token could be replayed
    metadata,
    Column("jti", String(64), primary_key=True),
    Column("expires_at", Timestamp, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column(
        "id", Integer().with_variant(BigInteger, "postgresql"), primary_key=True, autoincrement=True
    ),
    Column(
        "batch", String(64), nullable=True
    ),  # node's batch id: a batch sent twice is stored once
    Column("node_id", String(64), nullable=True),
    Column("instance_id", String(64), nullable=True),
    Column("time", Timestamp, nullable=False),
    Column("action", String(128), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("status", Integer, nullable=False),
    Column("record", Json, nullable=False),  # Event.to_json()
    Index("ix_events_time", "time"),
    Index("ix_events_instance_id_time", "instance_id", "time"),
)
