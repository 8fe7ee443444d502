"""Tables of volumes and what attaches them to instances."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table, UniqueConstraint

from linklocal.store.engine import metadata
from linklocal.store.json import Json, Timestamp

volumes = Table(
    "volumes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("zone", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("version", Integer, nullable=False, default=1),  # for the ETag
    Column("capacity", Integer, nullable=False),  # GB
    Column("iops", Integer, nullable=False),
    Column("bandwidth", Integer, nullable=False),  # Mbps
    Column("profile", String(63), nullable=False),
    Column("source_image_id", String(64), nullable=True),
    Column("allowed_use", Json, nullable=True),  # a boot volume's copy of its image's
    Column("user_tags", Json, nullable=False),
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("account_id", "region", "name"),
)

volume_attachments = Table(
    "volume_attachments",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("instance_id", ForeignKey("instances.id"), nullable=False),
    Column("volume_id", ForeignKey("volumes.id"), nullable=False, unique=True),
    Column("position", Integer, nullable=False),  # 0 is the boot volume
    Column("name", String(63), nullable=False),
    Column("type", String(8), nullable=False),  # boot | data
    Column("device_id", String(80), nullable=False),
    Column("delete_volume_on_instance_delete", Boolean, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("instance_id", "name"),
    UniqueConstraint("instance_id", "position"),
)
