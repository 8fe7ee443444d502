"""What references to deleted images show."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "deleted_images",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("crn", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("operating_system", sa.String(length=63), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_images")),
    )


def downgrade() -> None:
    raise RuntimeError("the schema only goes forward: restore a backup")
