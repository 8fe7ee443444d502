"""Tables of instances.

There is no `status` column: status is derived at read from what was asked (`desired`, `revision`) and
what the node acknowledged (`fleet`), so a crash can leave no instance stuck in a transient state.
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

instances = Table(
    "instances",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("region", String(63), nullable=False),
    Column("zone", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("crn", String(255), nullable=False, unique=True),
    Column("version", Integer, nullable=False, default=1),  # for the ETag
    Column("vpc_id", ForeignKey("vpcs.id"), nullable=False),
    Column("image_id", String(64), nullable=True),
    Column("profile", String(63), nullable=False),
    Column("placement_group_id", ForeignKey("placement_groups.id"), nullable=True),
    Column("resource_group_id", ForeignKey("resource_groups.id"), nullable=False),
    Column("metadata_enabled", Boolean, nullable=False),
    Column("metadata_protocol", String(8), nullable=False),
    Column("metadata_response_hop_limit", Integer, nullable=False),
    Column(
        "default_trusted_profile", Json, nullable=True
    ),  # {auto_link, target{crn,id,resource_type}}
    Column("user_data", Text, nullable=True),
    Column("software_attachments", Json, nullable=False),  # seed only
    Column("options", Json, nullable=False),  # Options.to_json(), see options.py
    Column("desired", String(8), nullable=False),  # running | stopped
    Column(
        "transition", String(12), nullable=False
    ),  # the status while not yet acknowledged: starting ...
    Column("revision", BigInteger, nullable=True),  # of the node, at the last life-cycle change
    Column(
        "start_epoch", Integer, nullable=False, default=1
    ),  # InstanceDocument.tokens_valid_after
    Column("created_at", Timestamp, nullable=False),
    Index("ix_instances_vpc_id", "vpc_id"),
    UniqueConstraint("account_id", "region", "name"),
)

deleted_instances = Table(
    # What GET shows until the node acknowledged the delete; pruned on later writes. Bare metal servers, too.
    "deleted_instances",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("account_id", String(32), nullable=False),
    Column("region", String(63), nullable=False),
    Column("view", Json, nullable=False),
    Column("node_id", String(64), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("deleted_at", Timestamp, nullable=False),
)

instance_keys = Table(
    "instance_keys",
    metadata,
    Column("instance_id", ForeignKey("instances.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column(
        "key_id", String(64), nullable=False
    ),  # no foreign key: a deleted key stays as `snapshot`
    Column("snapshot", Json, nullable=False),  # the metadata view of the key when it was used
    Index("ix_instance_keys_key_id", "key_id"),
)
