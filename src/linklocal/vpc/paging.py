"""Pages of a collection: newest first, stable, by an opaque `start` (control-plane contract 1.5)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy import Row, Select, Table, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Invalid, bad_field

DEFAULT_LIMIT = 50
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Page:
    """`limit` items after the position `start` (opaque; None: from the newest)."""

    limit: int = DEFAULT_LIMIT
    start: str | None = None


def page_parameters(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    start: Annotated[str | None, Query(description="from `next.href` of the page before")] = None,
) -> Page:
    """FastAPI dependency."""
    return Page(limit, start)


def page_query(kept: Sequence[tuple[str, str]], limit: int, start: str | None = None) -> str:
    """The query string of a page link."""
    pairs = [*kept, ("limit", str(limit))]
    if start is not None:
        pairs.append(("start", start))
    return urlencode(pairs)


def _encode(created_at: datetime, id: str) -> str:
    text = f"{int(created_at.timestamp() * 1000)}.{id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(start: str) -> tuple[datetime, str]:
    try:
        raw = base64.b64decode(start + "=" * (-len(start) % 4), altchars=b"-_", validate=True)
        ms, _, id = raw.decode().partition(".")
        if not id or "\0" in id:
            raise ValueError("no id")
        return datetime.fromtimestamp(int(ms) / 1000, UTC), id
    except (ValueError, binascii.Error, OverflowError, OSError) as error:
        raise Invalid(
            bad_field(
                "start",
                "`start` is not a page of this collection: take it from `next.href`, or leave it out.",
                start,
                type="parameter",
            )
        ) from error


async def select_page(
    connection: AsyncConnection, statement: Select[Any], table: Table, page: Page
) -> tuple[Sequence[Row[Any]], int, str | None]:
    """One page of `statement` over `table` (which has `created_at` and `id`).

    Returns rows, the count over all pages, and the `start` of the next page (None on the last).
    Raises Invalid with target `start`.
    """
    total = await connection.scalar(select(func.count()).select_from(statement.subquery()))
    if page.start is not None:
        at, id = _decode(page.start)
        statement = statement.where(
            or_(table.c.created_at < at, and_(table.c.created_at == at, table.c.id < id))
        )
    ordered = statement.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(page.limit + 1)
    rows = (await connection.execute(ordered)).all()
    more = len(rows) > page.limit
    rows = rows[: page.limit]
    last = rows[-1]._mapping if more else None
    return rows, total or 0, _encode(last["created_at"], last["id"]) if last else None
