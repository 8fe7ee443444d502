"""The VPC API's own rules of HTTP: version and generation, ETag and If-Match, absolute hrefs, replies.

Views are built with hrefs that begin with `/v1/` (or `/v2/`); `reply` makes them absolute under the URL
that the client used, so nothing below this module knows a public URL. Control-plane contract 1.1-1.5.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from linklocal.errors import NotFound, PreconditionFailed, Problem, bad_field
from linklocal.vpc.paging import Page, page_query
from linklocal.vpc.references import raise_if

EARLIEST_VERSION = date(2019, 1, 1)
# The newest IBM SDK sends this date by default; a machine with an older clock must accept it.
SDK_VERSION = date(2026, 10, 6)


def check_version(text: str, today: date) -> str:
    """Control-plane contract 1.1. Raises PydanticCustomError that names what to send."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise PydanticCustomError("version", "`version` must be a date of the form YYYY-MM-DD.")
    try:
        asked = date.fromisoformat(text)
    except ValueError as error:
        raise PydanticCustomError("version", "`version` is not a date of the calendar.") from error
    latest = max(today, SDK_VERSION) + timedelta(days=1)
    if not EARLIEST_VERSION <= asked <= latest:
        raise PydanticCustomError(
            "version",
            "`version` must lie between {earliest} and {latest}.",
            {"earliest": EARLIEST_VERSION.isoformat(), "latest": latest.isoformat()},
        )
    return text


def _check_version_today(text: str) -> str:
    return check_version(text, datetime.now(UTC).date())


def _check_generation(value: str) -> str:
    if value != "2":
        raise PydanticCustomError("generation", "`generation` must be 2.")
    return value


def _version_pattern() -> str:
    """Days that are accepted today and always will be, as a pattern for the OpenAPI document.

    A pattern cannot say "up to tomorrow": it has whole years, and the day of the newest SDK.
    """
    years = range(EARLIEST_VERSION.year, SDK_VERSION.year)
    every = "|".join(map(str, years))
    leap = "|".join(str(year) for year in years if isleap(year))
    days = (
        "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
        "|02-(0[1-9]|1[0-9]|2[0-8])"
    )
    return f"^(({every})-({days})|({leap})-02-29|{SDK_VERSION})$"


Version = Annotated[
    str,
    Query(
        description="API version: a date from 2019-01-01 to tomorrow (UTC), or to the newest SDK's",
        examples=[SDK_VERSION.isoformat()],
    ),
    AfterValidator(_check_version_today),
    WithJsonSchema({"type": "string", "format": "date", "pattern": _version_pattern()}),
]
Generation = Annotated[
    str,
    Query(description="Infrastructure generation"),
    AfterValidator(_check_generation),
    WithJsonSchema({"type": "integer", "enum": [2]}),
]


def api_parameters(request: Request, version: Version, generation: Generation) -> None:
    """Every operation of the VPC API takes these two. Raises NotFound and Invalid.

    No id and no name has a NUL character, and PostgreSQL cannot even compare with one. Lists are sent
    as one parameter with commas, so of two with one name one would be lost without a word.
    """
    for name, value in request.path_params.items():
        if "\0" in value:
            raise NotFound(name)
    problems: dict[str, Problem] = {}
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name in seen:
            message = f"`{name}` is there more than once: send it once."
            problems[name] = bad_field(name, message, type="parameter")
        if "\0" in value:
            message = f"`{name}` must not contain the NUL character."
            problems[name] = bad_field(name, message, type="parameter")
        seen.add(name)
    raise_if(list(problems.values()))


def vpc_router(tag: str) -> APIRouter:
    """A router below `/v1` whose operations require `version` and `generation`."""
    return APIRouter(prefix="/v1", tags=[tag], dependencies=[Depends(api_parameters)])


IfMatch = Annotated[str | None, Header(alias="If-Match")]


def etag(resource_id: str, version: int) -> str:
    """Weak ETag; changes whenever a modifiable property changes."""
    return f'W/"{resource_id}-{version}"'


def check_if_match(if_match: str | None, current: str) -> None:
    """Raises PreconditionFailed unless the header is absent, `*`, or names the current version."""
    if if_match is None:
        return
    asked = [part.strip() for part in if_match.split(",")]
    weak = {part.removeprefix("W/") for part in asked}
    if "*" not in asked and current.removeprefix("W/") not in weak:
        raise PreconditionFailed(
            "The resource has changed: read it again and send its new ETag in `If-Match`."
        )


def absolute(view: Any, base: str) -> Any:
    """A copy of the view in which every `href` that begins with `/v1/` is a URL under `base`."""
    if isinstance(view, Mapping):
        return {
            key: base + value
            if key == "href" and isinstance(value, str) and value.startswith(("/v1/", "/v2/"))
            else absolute(value, base)
            for key, value in view.items()
        }
    if isinstance(view, list | tuple):
        return [absolute(item, base) for item in view]
    return view


def base_url(request: Request) -> str:
    """`http://127.0.0.1:8080`: the configured public URL, or what the client used."""
    public: str | None = getattr(request.app.state, "public_url", None)
    return (public or str(request.base_url)).rstrip("/")


def reply(
    request: Request, view: Mapping[str, Any], status: int = 200, *, tag: str | None = None
) -> JSONResponse:
    """The answer with absolute hrefs, and `tag` as its ETag."""
    headers = {"ETag": tag} if tag else None
    return JSONResponse(absolute(view, base_url(request)), status, headers)


def no_content() -> Response:
    return Response(status_code=204)


def collection(
    request: Request,
    path: str,
    name: str,
    items: list[Any],
    page: Page,
    total: int,
    next_start: str | None,
) -> JSONResponse:
    """`{first, limit, next?, total_count, <name>}` (contract 1.5). `path` begins with `/v1/`."""
    kept = [
        (key, value)
        for key, value in request.query_params.multi_items()
        if key not in ("limit", "start", "version", "generation")
    ]
    view: dict[str, Any] = {
        "first": {"href": f"{path}?{page_query(kept, page.limit)}"},
        "limit": page.limit,
        "total_count": total,
        name: items,
    }
    if next_start is not None:
        view["next"] = {"href": f"{path}?{page_query(kept, page.limit, next_start)}"}
    return reply(request, view)


class ResponseModel(BaseModel):
    """Base of models that only describe answers in the OpenAPI document."""

    model_config = ConfigDict(extra="allow")


class PageLink(ResponseModel):
    href: str


class Paginated(ResponseModel):
    """Members that every paginated collection has; subclasses add the named array."""

    first: PageLink
    next: PageLink | None = Field(
        default=None, json_schema_extra={"description": "absent on the last page"}
    )
    limit: int
    total_count: int
