"""Users who may assume a trusted profile."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "profile_identities",
        sa.Column("profile_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("identifier", sa.String(length=512), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["trusted_profiles.id"],
            name=op.f("fk_profile_identities_profile_id_trusted_profiles"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "profile_id", "type", "identifier", name=op.f("pk_profile_identities")
        ),
    )


def downgrade() -> None:
    raise RuntimeError("the schema only goes forward: restore a backup")
