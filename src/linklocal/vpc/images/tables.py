"""Tables of images, and of what is left of deleted ones."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, UniqueConstraint

from linklocal.store.engine import metadata
from linklocal.store.json import Json, Timestamp

images = Table(
    "images",
    metadata,
    Column("id", String(64), primary_key=True),
    Column(
        "account_id", String(32), nullable=False
    ),  # stock images belong to the provider's account
    Column("region", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("status", String(32), nullable=False),
    Column("visibility", String(16), nullable=False),  # public | private
    Column("operating_system", String(63), nullable=False),  # name in images/operating_systems.py
    Column("user_data_format", String(32), nullable=False),
    Column("minimum_provisioned_size", Integer, nullable=False),  # GB
    Column("file", Json, nullable=False),  # {size, checksums{sha256}}
    Column("allowed_use", Json, nullable=False),  # {api_version, instance, bare_metal_server}
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("deprecation_at", Timestamp),
    Column("obsolescence_at", Timestamp),
    UniqueConstraint("account_id", "region", "name"),
)

# What references to a deleted image still show: instances and volumes outlive the image they came from.
deleted_images = Table(
    "deleted_images",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("crn", String(255), nullable=False),
    Column("name", String(63), nullable=False),
    Column("operating_system", String(63), nullable=False),
)
