"""Table of placement groups."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, UniqueConstraint

from linklocal.store.engine import metadata
from linklocal.store.json import Timestamp

placement_groups = Table(
    "placement_groups",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("strategy", String(16), nullable=False),  # host_spread | power_spread
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
)
