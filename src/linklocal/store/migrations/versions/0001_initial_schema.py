"""Initial schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "deleted_instances",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("view", JSON, nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_instances")),
    )
    op.create_table(
        "event_batches",
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("batch", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "batch", name=op.f("pk_event_batches")),
    )
    op.create_index("ix_event_batches_received_at", "event_batches", ["received_at"], unique=False)
    op.create_table(
        "events",
        sa.Column(
            "id",
            sa.Integer().with_variant(sa.BigInteger(), "postgresql"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("node_id", sa.String(length=64), nullable=True),
        sa.Column("instance_id", sa.String(length=64), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("record", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_instance_id_time", "events", ["instance_id", "time"], unique=False)
    op.create_index("ix_events_time", "events", ["time"], unique=False)
    op.create_table(
        "join_tokens",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("node_name", sa.String(length=63), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_by", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_join_tokens")),
    )
    op.create_table(
        "node_requests",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_requests")),
    )
    op.create_index("ix_node_requests_expires_at", "node_requests", ["expires_at"], unique=False)
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("applied_revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pruned_revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("control_kid", sa.String(length=64), nullable=False),
        sa.Column("control_jwk", JSON, nullable=False),
        sa.Column("identity_jwk", JSON, nullable=False),
        sa.Column("version", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("events_dropped", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("control_kid", name=op.f("uq_nodes_control_kid")),
    )
    op.create_index(
        "uq_nodes_region_name",
        "nodes",
        ["region", "name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "secrets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("public", JSON, nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secrets")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("iam_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("action_when_leaked", sa.String(length=16), nullable=False),
        sa.Column("entity_tag", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_api_keys_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_api_keys_key_sha256")),
    )
    op.create_table(
        "documents",
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_documents_node_id_nodes")),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_documents")),
    )
    op.create_index(
        "ix_documents_node_id_revision", "documents", ["node_id", "revision"], unique=True
    )
    op.create_table(
        "placements",
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("serving", sa.Boolean(), nullable=False),
        sa.Column("metadata_enabled", sa.Boolean(), nullable=False),
        sa.Column("tokens_valid_after", sa.Integer(), nullable=False),
        sa.Column("claims", JSON, nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_placements_node_id_nodes")
        ),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_placements")),
    )
    op.create_index("ix_placements_node_id", "placements", ["node_id"], unique=False)
    op.create_table(
        "policies",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("roles", JSON, nullable=False),
        sa.Column("service", sa.String(length=64), nullable=True),
        sa.Column("resource", JSON, nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("entity_tag", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_policies_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
    )
    op.create_index("ix_policies_subject", "policies", ["subject"], unique=False)
    op.create_table(
        "resource_groups",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_resource_groups_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_groups")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_resource_groups_account_id_name")),
    )
    op.create_table(
        "tombstones",
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_tombstones_node_id_nodes")
        ),
        sa.PrimaryKeyConstraint("node_id", "instance_id", name=op.f("pk_tombstones")),
    )
    op.create_index(
        "ix_tombstones_node_id_revision", "tombstones", ["node_id", "revision"], unique=True
    )
    op.create_table(
        "trusted_profiles",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("email", sa.String(length=255), nullable=True),
        sa.Column("entity_tag", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_trusted_profiles_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trusted_profiles")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_trusted_profiles_account_id_name")),
    )
    op.create_table(
        "users",
        sa.Column("iam_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_users_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("iam_id", name=op.f("pk_users")),
    )
    op.create_table(
        "claim_rules",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("profile_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("cr_type", sa.String(length=16), nullable=True),
        sa.Column("realm_name", sa.String(length=255), nullable=True),
        sa.Column("expiration", sa.Integer(), nullable=False),
        sa.Column("conditions", JSON, nullable=False),
        sa.Column("entity_tag", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["trusted_profiles.id"],
            name=op.f("fk_claim_rules_profile_id_trusted_profiles"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim_rules")),
    )
    op.create_index("ix_claim_rules_profile_id", "claim_rules", ["profile_id"], unique=False)
    op.create_table(
        "floating_ips",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("zone", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=15), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=True),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_floating_ips_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_floating_ips_resource_group_id_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_floating_ips")),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_floating_ips_account_id_region_name")
        ),
        sa.UniqueConstraint("address", name=op.f("uq_floating_ips_address")),
        sa.UniqueConstraint("crn", name=op.f("uq_floating_ips_crn")),
    )
    op.create_index("ix_floating_ips_target_id", "floating_ips", ["target_id"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("visibility", sa.String(length=16), nullable=False),
        sa.Column("operating_system", sa.String(length=63), nullable=False),
        sa.Column("user_data_format", sa.String(length=32), nullable=False),
        sa.Column("minimum_provisioned_size", sa.Integer(), nullable=False),
        sa.Column("file", JSON, nullable=False),
        sa.Column("allowed_use", JSON, nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_images_resource_group_id_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_images_account_id_region_name")
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_images_crn")),
    )
    op.create_table(
        "instance_templates",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("zone", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("prototype", JSON, nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_instance_templates_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_instance_templates_resource_group_id_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance_templates")),
        sa.UniqueConstraint(
            "account_id",
            "region",
            "name",
            name=op.f("uq_instance_templates_account_id_region_name"),
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_instance_templates_crn")),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=128), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_keys_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_keys_resource_group_id_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint(
            "account_id",
            "region",
            "fingerprint",
            name=op.f("uq_keys_account_id_region_fingerprint"),
        ),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_keys_account_id_region_name")
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_keys_crn")),
    )
    op.create_table(
        "placement_groups",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("strategy", sa.String(length=16), nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_placement_groups_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_placement_groups_resource_group_id_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placement_groups")),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_placement_groups_account_id_region_name")
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_placement_groups_crn")),
    )
    op.create_table(
        "profile_links",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("profile_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("cr_type", sa.String(length=16), nullable=False),
        sa.Column("crn", sa.String(length=512), nullable=False),
        sa.Column("link", JSON, nullable=False),
        sa.Column("auto", sa.Boolean(), nullable=False),
        sa.Column("entity_tag", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["trusted_profiles.id"],
            name=op.f("fk_profile_links_profile_id_trusted_profiles"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profile_links")),
        sa.UniqueConstraint(
            "profile_id", "cr_type", "crn", name=op.f("uq_profile_links_profile_id_cr_type_crn")
        ),
    )
    op.create_index("ix_profile_links_crn", "profile_links", ["crn"], unique=False)
    op.create_table(
        "volumes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("zone", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("iops", sa.Integer(), nullable=False),
        sa.Column("bandwidth", sa.Integer(), nullable=False),
        sa.Column("profile", sa.String(length=63), nullable=False),
        sa.Column("source_image_id", sa.String(length=64), nullable=True),
        sa.Column("allowed_use", JSON, nullable=True),
        sa.Column("user_tags", JSON, nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_volumes_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_volumes_resource_group_id_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volumes")),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_volumes_account_id_region_name")
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_volumes_crn")),
    )
    op.create_table(
        "vpcs",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("classic_access", sa.Boolean(), nullable=False),
        sa.Column("default_network_acl", JSON, nullable=False),
        sa.Column("default_routing_table", JSON, nullable=False),
        sa.Column("address_prefixes", JSON, nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_vpcs_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_vpcs_resource_group_id_resource_groups"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vpcs")),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_vpcs_account_id_region_name")
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_vpcs_crn")),
    )
    op.create_table(
        "instances",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("zone", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("vpc_id", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=True),
        sa.Column("profile", sa.String(length=63), nullable=False),
        sa.Column("placement_group_id", sa.String(length=64), nullable=True),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("metadata_enabled", sa.Boolean(), nullable=False),
        sa.Column("metadata_protocol", sa.String(length=8), nullable=False),
        sa.Column("metadata_response_hop_limit", sa.Integer(), nullable=False),
        sa.Column("default_trusted_profile", JSON, nullable=True),
        sa.Column("user_data", sa.Text(), nullable=True),
        sa.Column("software_attachments", JSON, nullable=False),
        sa.Column("options", JSON, nullable=False),
        sa.Column("desired", sa.String(length=8), nullable=False),
        sa.Column("transition", sa.String(length=12), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("start_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_instances_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["placement_group_id"],
            ["placement_groups.id"],
            name=op.f("fk_instances_placement_group_id_placement_groups"),
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_instances_resource_group_id_resource_groups"),
        ),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_instances_vpc_id_vpcs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_instances_account_id_region_name")
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_instances_crn")),
    )
    op.create_index("ix_instances_vpc_id", "instances", ["vpc_id"], unique=False)
    op.create_table(
        "security_groups",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("vpc_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("rules", JSON, nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_security_groups_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_security_groups_resource_group_id_resource_groups"),
        ),
        sa.ForeignKeyConstraint(
            ["vpc_id"], ["vpcs.id"], name=op.f("fk_security_groups_vpc_id_vpcs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_groups")),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_security_groups_account_id_region_name")
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_security_groups_crn")),
    )
    op.create_index("ix_security_groups_vpc_id", "security_groups", ["vpc_id"], unique=False)
    op.create_table(
        "subnets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("zone", sa.String(length=63), nullable=False),
        sa.Column("vpc_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("ipv4_cidr_block", sa.String(length=18), nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_subnets_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_subnets_resource_group_id_resource_groups"),
        ),
        sa.ForeignKeyConstraint(["vpc_id"], ["vpcs.id"], name=op.f("fk_subnets_vpc_id_vpcs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnets")),
        sa.UniqueConstraint(
            "account_id", "region", "name", name=op.f("uq_subnets_account_id_region_name")
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_subnets_crn")),
    )
    op.create_index("ix_subnets_vpc_id", "subnets", ["vpc_id"], unique=False)
    op.create_table(
        "instance_keys",
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("snapshot", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name=op.f("fk_instance_keys_instance_id_instances")
        ),
        sa.PrimaryKeyConstraint("instance_id", "position", name=op.f("pk_instance_keys")),
    )
    op.create_index("ix_instance_keys_key_id", "instance_keys", ["key_id"], unique=False)
    op.create_table(
        "interface_security_groups",
        sa.Column("interface_id", sa.String(length=64), nullable=False),
        sa.Column("security_group_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["security_group_id"],
            ["security_groups.id"],
            name=op.f("fk_interface_security_groups_security_group_id_security_groups"),
        ),
        sa.PrimaryKeyConstraint(
            "interface_id", "security_group_id", name=op.f("pk_interface_security_groups")
        ),
    )
    op.create_index(
        "ix_interface_security_groups_security_group_id",
        "interface_security_groups",
        ["security_group_id"],
        unique=False,
    )
    op.create_table(
        "reserved_ips",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("subnet_id", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=15), nullable=False),
        sa.Column("address_number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("auto_delete", sa.Boolean(), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subnet_id"], ["subnets.id"], name=op.f("fk_reserved_ips_subnet_id_subnets")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reserved_ips")),
        sa.UniqueConstraint("subnet_id", "address", name=op.f("uq_reserved_ips_subnet_id_address")),
        sa.UniqueConstraint("subnet_id", "name", name=op.f("uq_reserved_ips_subnet_id_name")),
    )
    op.create_index("ix_reserved_ips_target_id", "reserved_ips", ["target_id"], unique=False)
    op.create_table(
        "volume_attachments",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("volume_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("type", sa.String(length=8), nullable=False),
        sa.Column("device_id", sa.String(length=80), nullable=False),
        sa.Column("delete_volume_on_instance_delete", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_volume_attachments_instance_id_instances"),
        ),
        sa.ForeignKeyConstraint(
            ["volume_id"], ["volumes.id"], name=op.f("fk_volume_attachments_volume_id_volumes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volume_attachments")),
        sa.UniqueConstraint(
            "instance_id", "name", name=op.f("uq_volume_attachments_instance_id_name")
        ),
        sa.UniqueConstraint(
            "instance_id", "position", name=op.f("uq_volume_attachments_instance_id_position")
        ),
        sa.UniqueConstraint("volume_id", name=op.f("uq_volume_attachments_volume_id")),
    )
    op.create_table(
        "network_interfaces",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("subnet_id", sa.String(length=64), nullable=False),
        sa.Column("primary_ip_id", sa.String(length=64), nullable=False),
        sa.Column("allow_ip_spoofing", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_network_interfaces_instance_id_instances"),
        ),
        sa.ForeignKeyConstraint(
            ["primary_ip_id"],
            ["reserved_ips.id"],
            name=op.f("fk_network_interfaces_primary_ip_id_reserved_ips"),
        ),
        sa.ForeignKeyConstraint(
            ["subnet_id"], ["subnets.id"], name=op.f("fk_network_interfaces_subnet_id_subnets")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_interfaces")),
        sa.UniqueConstraint(
            "instance_id", "name", name=op.f("uq_network_interfaces_instance_id_name")
        ),
        sa.UniqueConstraint(
            "instance_id", "position", name=op.f("uq_network_interfaces_instance_id_position")
        ),
    )
    op.create_index(
        "ix_network_interfaces_subnet_id", "network_interfaces", ["subnet_id"], unique=False
    )
    op.create_table(
        "virtual_network_interfaces",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("zone", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subnet_id", sa.String(length=64), nullable=False),
        sa.Column("primary_ip_id", sa.String(length=64), nullable=False),
        sa.Column("mac_address", sa.String(length=17), nullable=False),
        sa.Column("allow_ip_spoofing", sa.Boolean(), nullable=False),
        sa.Column("auto_delete", sa.Boolean(), nullable=False),
        sa.Column("enable_infrastructure_nat", sa.Boolean(), nullable=False),
        sa.Column("protocol_state_filtering_mode", sa.String(length=16), nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_virtual_network_interfaces_account_id_accounts"),
        ),
        sa.ForeignKeyConstraint(
            ["primary_ip_id"],
            ["reserved_ips.id"],
            name=op.f("fk_virtual_network_interfaces_primary_ip_id_reserved_ips"),
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_virtual_network_interfaces_resource_group_id_resource_groups"),
        ),
        sa.ForeignKeyConstraint(
            ["subnet_id"],
            ["subnets.id"],
            name=op.f("fk_virtual_network_interfaces_subnet_id_subnets"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_virtual_network_interfaces")),
        sa.UniqueConstraint(
            "account_id",
            "region",
            "name",
            name=op.f("uq_virtual_network_interfaces_account_id_region_name"),
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_virtual_network_interfaces_crn")),
    )
    op.create_index(
        "ix_virtual_network_interfaces_subnet_id",
        "virtual_network_interfaces",
        ["subnet_id"],
        unique=False,
    )
    op.create_table(
        "network_attachments",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("virtual_network_interface_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_network_attachments_instance_id_instances"),
        ),
        sa.ForeignKeyConstraint(
            ["virtual_network_interface_id"],
            ["virtual_network_interfaces.id"],
            name=op.f(
                "fk_network_attachments_virtual_network_interface_id_virtual_network_interfaces"
            ),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_attachments")),
        sa.UniqueConstraint(
            "instance_id", "name", name=op.f("uq_network_attachments_instance_id_name")
        ),
        sa.UniqueConstraint(
            "instance_id", "position", name=op.f("uq_network_attachments_instance_id_position")
        ),
        sa.UniqueConstraint(
            "virtual_network_interface_id",
            name=op.f("uq_network_attachments_virtual_network_interface_id"),
        ),
    )


def downgrade() -> None:
    raise RuntimeError("the schema only goes forward: restore a backup")
