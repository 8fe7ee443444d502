"""The identity API's own rules of HTTP: pages by `pagesize` and `pagetoken`, entity tags, base URL.

Control-plane contract 4.4. The VPC API pages otherwise (`vpc/paging.py`): nothing is shared on purpose.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import uuid4

from fastapi import Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Row, Select, Table, func
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Invalid, bad_field
from linklocal.iam.problems import changed

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
_MAX_OFFSET = 10**9

IfMatch = Annotated[
    str,
    Header(alias="If-Match", description="the `entity_tag` that was read, or `*` for any version"),
]


class Body(BaseModel):
    """Base of request bodies: strict types, unknown members ignored (newer SDKs may send more)."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Answer(BaseModel):
    """Base of models that only describe answers in the OpenAPI document."""

    model_config = ConfigDict(extra="allow")


class PagedAnswer(Answer):
    """Members of every list; links are URLs as text, not objects as in the VPC API."""

    offset: int
    limit: int
    first: str
    previous: str | None = Field(default=None, description="absent on the first page")
    next: str | None = Field(default=None, description="absent on the last page")


@dataclass(frozen=True, slots=True)
class Page:
    """`size` items from `offset` on, sorted by the column `sort` and then by id.

    `name_part`: only those with this in their name, in any case; for the console, no parameter of the API.
    """

    size: int = DEFAULT_PAGE_SIZE
    offset: int = 0
    sort: str = "created_at"
    descending: bool = False
    name_part: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The views of one page, and whether more follow."""

    items: list[dict[str, Any]]
    page: Page
    more: bool


Sort = Literal["name", "description", "created_at", "modified_at", "created_by"]


def page_parameters(
    pagesize: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = DEFAULT_PAGE_SIZE,
    pagetoken: Annotated[
        str | None, Query(description="from `next` or `previous` of another page")
    ] = None,
    sort: Annotated[Sort, Query()] = "created_at",
    order: Annotated[Literal["asc", "desc"], Query()] = "asc",
    filter: Annotated[
        str | None, Query(max_length=0, description="not supported: must be empty")
    ] = None,
) -> Page:
    """FastAPI dependency. Raises Invalid with target `pagetoken`."""
    offset = 0 if pagetoken is None else _offset(pagetoken)
    return Page(pagesize, offset, sort, order == "desc")


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode().rstrip("=")


def _offset(token: str) -> int:
    try:
        padded = token + "=" * (-len(token) % 4)
        word, _, digits = base64.b64decode(padded, altchars=b"-_", validate=True).partition(b":")
        if word == b"offset" and digits.isdigit() and int(digits) <= _MAX_OFFSET:
            return int(digits)
    except (ValueError, binascii.Error):
        pass
    message = "`pagetoken` is not a page of this list: take it from `next` or `previous`, or leave it out."
    raise Invalid(bad_field("pagetoken", message, token, type="parameter"))


async def select_page(
    connection: AsyncConnection, statement: Select[Any], table: Table, page: Page
) -> tuple[Sequence[Row[Any]], bool]:
    """The rows of one page of a statement over `table`, and whether more follow."""
    if page.name_part:
        statement = statement.where(table.c.name.icontains(page.name_part, autoescape=True))
    column: ColumnElement[Any] = table.c[page.sort]
    if page.sort in ("name", "description"):
        column = func.lower(column)
    ordering = (column.desc(), table.c.id.desc()) if page.descending else (column, table.c.id)
    rows = (
        await connection.execute(
            statement.order_by(*ordering).offset(page.offset).limit(page.size + 1)
        )
    ).all()
    return rows[: page.size], len(rows) > page.size


def base_url(request: Request) -> str:
    """`http://127.0.0.1:8080`: the configured public URL, or what the client used."""
    public: str | None = getattr(request.app.state, "public_url", None)
    return (public or str(request.base_url)).rstrip("/")


def listing(request: Request, name: str, found: Found) -> JSONResponse:
    """`{offset, limit, first, previous?, next?, <name>}` with absolute URLs."""
    page = found.page
    kept = [
        (key, value)
        for key, value in request.query_params.multi_items()
        if key not in ("pagesize", "pagetoken")
    ]

    def link(offset: int) -> str:
        pairs = [*kept, ("pagesize", str(page.size))]
        if offset > 0:
            pairs.append(("pagetoken", _token(offset)))
        return f"{base_url(request)}{request.url.path}?{urlencode(pairs)}"

    out: dict[str, Any] = {"offset": page.offset, "limit": page.size, "first": link(0)}
    if page.offset > 0:
        out["previous"] = link(max(0, page.offset - page.size))
    if found.more:
        out["next"] = link(page.offset + page.size)
    return JSONResponse({**out, name: found.items})


def tagged(view: Mapping[str, Any], status: int = 200) -> JSONResponse:
    """One entity, its `entity_tag` also as `ETag`."""
    return JSONResponse(dict(view), status, {"ETag": str(view["entity_tag"])})


def no_content() -> Response:
    return Response(status_code=204)


def new_entity_tag() -> str:
    """Another one for each version of an entity."""
    return uuid4().hex


def check_entity_tag(if_match: str, current: str, kind: str) -> None:
    """Raises Conflict (409, contract 4.4) unless the header is `*` or names the current version."""
    asked = {part.strip().removeprefix("W/").strip('"') for part in if_match.split(",")}
    if "*" not in asked and current not in asked:
        raise changed(kind)
