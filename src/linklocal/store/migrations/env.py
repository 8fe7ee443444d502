"""Alembic's entry: run the revisions on the connection that the caller made. Never run by itself."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from linklocal.store.json import Timestamp


def render_item(kind: str, item: Any, _autogen: AutogenContext) -> str | Literal[False]:
    """How a revision spells our column types: by what the database sees, without importing them."""
    if kind == "type" and isinstance(item, Timestamp):
        return "sa.BigInteger()"
    if kind == "type" and isinstance(item, sa.JSON):
        return "JSON"  # defined in script.py.mako
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["target_metadata"],
    # Both databases roll back DDL; on SQLite because store.sqlite begins transactions itself.
    transactional_ddl=True,
    # To alter a table, SQLite needs a copy of it; to make the first tables nothing.
    render_as_batch=bool(context.script.get_heads()),
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
