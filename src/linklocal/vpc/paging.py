"""Pages of a collection, stable under inserts and deletes, by an opaque `start` (contract 1.5).

Rows come newest first; the constants of the API (profiles, operating systems) in the order of their
names. `start` is the position of the last item of the page before, so an item that has gone since does
not break the next page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Query
from pydantic import WithJsonSchema
from sqlalchemy import Row, Select, Table, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Invalid, bad_field

DEFAULT_LIMIT = 50
MAX_LIMIT = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# Milliseconds since 1970 (0 for what has no time) and an id or name. Up to the year 2286.
_START = re.compile(r"([0-9]{1,13})\.([A-Za-z0-9_-]{1,64})", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """`limit` items after the position `start` (opaque; None: from the first).

    `name_part`: only those with this in their name, in any case; for the console, no parameter of the API.
    """

    limit: int = DEFAULT_LIMIT
    start: str | None = None
    name_part: str = ""


Start = Annotated[
    str | None,
    Query(description="from `next.href` of the page before"),
    WithJsonSchema({"type": "string", "pattern": f"^{_START.pattern}$"}),
]


def page_parameters(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT, start: Start = None
) -> Page:
    """FastAPI dependency. Raises Invalid with target `start`, also where all there is fits on one page."""
    if start is not None:
        decode_start(start)
    return Page(limit, start)


def page_query(kept: Sequence[tuple[str, str]], limit: int, start: str | None = None) -> str:
    """The query string of a page link."""
    pairs = [*kept, ("limit", str(limit))]
    if start is not None:
        pairs.append(("start", start))
    return urlencode(pairs)


def encode_start(created_at: datetime | None, id: str) -> str:
    """The position after an item."""
    ms = 0 if created_at is None else (created_at - _EPOCH) // _MILLISECOND
    return f"{ms}.{id}"


def decode_start(start: str) -> tuple[datetime, str]:
    """Read what `encode_start` wrote. Raises Invalid with target `start`."""
    if (match := _START.fullmatch(start)) is None:
        raise Invalid(
            bad_field(
                "start",
                "`start` is not a page of this collection: take it from `next.href`, or leave it out.",
                start,
                type="parameter",
            )
        )
    return _EPOCH + int(match[1]) * _MILLISECOND, match[2]


async def select_page(
    connection: AsyncConnection, statement: Select[Any], table: Table, page: Page
) -> tuple[Sequence[Row[Any]], int, str | None]:
    """One page of `statement` over `table` (which has `created_at`, `id` and `name`).

    Returns rows, the count over all pages, and the `start` of the next page (None on the last).
    Raises Invalid with target `start`.
    """
    if page.name_part:
        statement = statement.where(table.c.name.icontains(page.name_part, autoescape=True))
    total = await connection.scalar(select(func.count()).select_from(statement.subquery()))
    if page.start is not None:
        at, id = decode_start(page.start)
        statement = statement.where(
            or_(table.c.created_at < at, and_(table.c.created_at == at, table.c.id < id))
        )
    ordered = statement.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(page.limit + 1)
    rows = (await connection.execute(ordered)).all()
    more = len(rows) > page.limit
    rows = rows[: page.limit]
    last = rows[-1]._mapping if more else None
    return rows, total or 0, encode_start(last["created_at"], last["id"]) if last else None


def slice_page(
    items: Sequence[T], name: Callable[[T], str], page: Page
) -> tuple[list[T], int, str | None]:
    """One page of items in memory, in the order of their names; the same answer as `select_page`.

    Raises Invalid with target `start`.
    """
    part = page.name_part.lower()
    ordered = sorted((item for item in items if part in name(item).lower()), key=name)
    after = "" if page.start is None else decode_start(page.start)[1]
    rest = [item for item in ordered if name(item) > after]
    shown = rest[: page.limit]
    more = len(rest) > page.limit
    return shown, len(ordered), encode_start(None, name(shown[-1])) if more else None
