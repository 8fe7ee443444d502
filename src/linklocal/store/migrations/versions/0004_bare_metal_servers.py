"""Bare metal servers; network attachments may be theirs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "bare_metal_servers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=63), nullable=False),
        sa.Column("zone", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("vpc_id", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.String(length=63), nullable=False),
        sa.Column("resource_group_id", sa.String(length=32), nullable=False),
        sa.Column("metadata_enabled", sa.Boolean(), nullable=False),
        sa.Column("metadata_protocol", sa.String(length=8), nullable=False),
        sa.Column("options", JSON, nullable=False),
        sa.Column("boot_disk_id", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("keys", JSON, nullable=False),
        sa.Column("user_data", sa.Text(), nullable=True),
        sa.Column("default_trusted_profile", JSON, nullable=True),
        sa.Column("desired", sa.String(length=8), nullable=False),
        sa.Column("transition", sa.String(length=12), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("start_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_bare_metal_servers_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["resource_group_id"],
            ["resource_groups.id"],
            name=op.f("fk_bare_metal_servers_resource_group_id_resource_groups"),
        ),
        sa.ForeignKeyConstraint(
            ["vpc_id"], ["vpcs.id"], name=op.f("fk_bare_metal_servers_vpc_id_vpcs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bare_metal_servers")),
        sa.UniqueConstraint(
            "account_id",
            "region",
            "name",
            name=op.f("uq_bare_metal_servers_account_id_region_name"),
        ),
        sa.UniqueConstraint("crn", name=op.f("uq_bare_metal_servers_crn")),
    )
    with op.batch_alter_table("bare_metal_servers", schema=None) as batch_op:
        batch_op.create_index("ix_bare_metal_servers_vpc_id", ["vpc_id"], unique=False)

    with op.batch_alter_table("network_attachments", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "server_kind", sa.String(length=24), server_default="instance", nullable=False
            )
        )
        batch_op.drop_constraint(
            batch_op.f("fk_network_attachments_instance_id_instances"), type_="foreignkey"
        )


def downgrade() -> None:
    raise RuntimeError("the schema only goes forward: restore a backup")
