"""Table of bare metal servers.

As with instances there is no `status` column: it is derived at read. Interfaces are rows of
`network_attachments`, deleted servers are shown from `deleted_instances`, links are in IAM.
"""

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

bare_metal_servers = Table(
    "bare_metal_servers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("zone", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("vpc_id", ForeignKey("vpcs.id"), nullable=False),
    Column("profile", String(63), nullable=False),
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("metadata_enabled", Boolean, nullable=False),
    Column("metadata_protocol", String(8), nullable=False),
    Column("options", Json, nullable=False),  # Options.to_json(), see options.py
    Column("boot_disk_id", String(64), nullable=False),
    # What it was initialized with. No foreign keys: a deleted image or key is still shown.
    Column("image_id", String(64), nullable=False),
    Column("keys", Json, nullable=False),  # metadata views of the keys when they were used
    Column("user_data", Text, nullable=True),
    Column(
        "default_trusted_profile", Json, nullable=True
    ),  # {auto_link, target{crn,id,resource_type}}
    Column("desired", String(8), nullable=False),  # running | stopped
    Column("transition", String(12), nullable=False),  # the status while not yet acknowledged
    Column("revision", BigInteger, nullable=True),  # of the node, at the last life-cycle change
    Column(
        "start_epoch", Integer, nullable=False, default=1
    ),  # InstanceDocument.tokens_valid_after
    Column("created_at", Timestamp, nullable=False),
    Index("ix_bare_metal_servers_vpc_id", "vpc_id"),
    UniqueConstraint("account_id", "region", "name"),
)
