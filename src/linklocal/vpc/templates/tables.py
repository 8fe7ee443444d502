"""Table of instance templates."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, UniqueConstraint

from linklocal.store.engine import metadata
from linklocal.store.json import Json, Timestamp

instance_templates = Table(
    "instance_templates",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("zone", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("prototype", Json, nullable=False),  # as given, identities not expanded
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
)
