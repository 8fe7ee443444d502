"""When images were deprecated and made obsolete."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("deprecation_at", sa.BigInteger(), nullable=True))
    op.add_column("images", sa.Column("obsolescence_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    raise RuntimeError("the schema only goes forward: restore a backup")
