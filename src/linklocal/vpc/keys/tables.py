"""Table of SSH keys."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from linklocal.store.engine import metadata
from linklocal.store.json import Timestamp

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("type", String(16), nullable=False),
    Column("length", Integer, nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("public_key", Text, nullable=False),
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
    UniqueConstraint("account_id", "region", "fingerprint"),
)
