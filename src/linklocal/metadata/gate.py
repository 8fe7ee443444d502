"""What a request must pass before anything is answered, in the order of metadata contract 2.2.

framing and Host (the listener's) -> enabled -> forwarding headers -> path -> method -> version ->
version against path -> query names -> Metadata-Flavor -> Authorization -> body -> fields -> state.
The first check that fails is the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl

from linklocal.errors import Problem, Target
from linklocal.metadata.errors import Refusal, refusal
from linklocal.metadata.served import Served
from linklocal.metadata.views import MAX_LIMIT
from linklocal.metadata.wire import Request
from linklocal.tokens import TokenRefused

EARLIEST_VERSION = date(2022, 3, 1)
# IBM's newest SDK default; a machine whose clock is behind must accept it (contract 2.1).
SDK_VERSION = date(2026, 10, 6)
FLAVOR = "ibm"
# A request that went through a proxy or comes from a page in a browser was not made by the instance.
FORWARDING_HEADERS = (
    "x-forwarded-for",
    "x-forwarded-host",
    "forwarded",
    "via",
    "x-real-ip",
    "origin",
)
FORWARDING_PREFIX = "sec-fetch-"
IGNORED_PARAMETERS = frozenset({"generation", "maturity"})
PAGE_PARAMETERS = frozenset({"limit", "start"})
MAX_PARAMETERS = 32
_LIMIT = re.compile("[0-9]{1,3}")

NOT_ENABLED = "The metadata service is not enabled on the provided instance."
BAD_TOKEN = "The provided token is invalid or expired."  # noqa: S105 - a message, no password
_AUTHORIZATION = Target("Authorization", "header")


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query string: the first value of each name, and what was given twice."""

    values: dict[str, str]
    repeated: tuple[str, ...]


def check_enabled(served: Served) -> None:
    """403 on every call while disabled; nothing else is told."""
    if not served.document.metadata_service.enabled:
        raise refusal(403, "unauthorized", NOT_ENABLED, "not-enabled")


def check_not_forwarded(request: Request) -> None:
    """Create token only: refuse what a proxy or a browser adds (contract 2.3 `forbidden_header`)."""
    for name in request.headers:
        if name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIX):
            raise refusal(
                400,
                "forbidden_header",
                f"The request has the header `{name[:64]}`, which proxies and browsers add: call the "
                "metadata service directly from the instance.",
                "forwarded",
                Target(name[:64], "header"),
            )


def parse_query(query: str) -> Query:
    """Raises Refusal when it cannot be read."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict"
        )
    except ValueError as error:
        raise refusal(
            400,
            "invalid_request",
            "The query string cannot be read: send `?version=YYYY-MM-DD`.",
            "query",
        ) from error
    values: dict[str, str] = {}
    repeated = []
    for name, value in pairs:
        if name in values:
            repeated.append(name)
        values.setdefault(name, value)
    return Query(values, tuple(repeated))


@lru_cache(maxsize=1024)
def _date(text: str) -> date | None:
    # fromisoformat also reads 2025-W01-1 and 20250101.
    if len(text) != 10 or not text.isascii() or text[4] != "-" or text[7] != "-":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def check_version(query: Query, today: date) -> date:
    """The version date that was asked for. Raises Refusal (contract 2.1)."""
    text = query.values.get("version")
    if text is None:
        raise refusal(
            400,
            "missing_field",
            "The `version` query parameter is required: send `?version=YYYY-MM-DD`.",
            "version",
            Target("version", "parameter"),
        )
    # The only recording has the *value* in `target.name`; the name is what every other error has and
    # what helps a reader, so the value stands in `target.value`.
    target = Target("version", "parameter", text[:64])
    if not text:
        raise refusal(
            400, "missing_value", "The `version` query parameter has no value.", "version", target
        )
    asked = _date(text)
    if asked is None or "version" in query.repeated:
        message = "The `version` value must be one date of the form `YYYY-MM-DD`."
        raise refusal(400, "invalid_value", message, "version", target)
    if asked < EARLIEST_VERSION:
        message = f"The `version` value cannot be before `{EARLIEST_VERSION}`."
        raise refusal(400, "invalid_version_range", message, "version", target)
    latest = max(today, SDK_VERSION) + timedelta(days=1)
    if asked > latest:
        message = f"The `version` value cannot be after `{latest}`."
        raise refusal(400, "invalid_version_range", message, "version", target)
    return asked


@lru_cache(maxsize=1024)
def asked_version(query: str, today: date) -> tuple[Query, date, str]:
    """The parsed query, its version date, and the date as it is shown. Raises Refusal.

    Cached: clients repeat a handful of strings. A refusal is not kept.
    """
    parsed = parse_query(query)
    version = check_version(parsed, today)
    return parsed, version, version.isoformat()


def check_parameters(query: Query, *, paginated: bool) -> tuple[int | None, str | None]:
    """`limit` and `start` of a paginated list. Raises Refusal on names that are not known here."""
    limit: int | None = None
    start: str | None = None
    for name, value in query.values.items():
        if name == "version" or name in IGNORED_PARAMETERS:
            continue
        if not paginated or name not in PAGE_PARAMETERS:
            raise refusal(
                400,
                "unknown_field",
                f"Unknown query parameter `{name[:64]}` was specified.",
                "query",
                Target(name[:64], "parameter"),
            )
        target = Target(name, "parameter", value[:64])
        if name in query.repeated:
            message = f"The `{name}` query parameter stands more than once: send it once."
            raise refusal(400, "invalid_value", message, name, target)
        if name == "start":
            start = value
        elif _LIMIT.fullmatch(value) and 1 <= int(value) <= MAX_LIMIT:
            limit = int(value)
        else:
            message = f"The `limit` value must be between `1` and `{MAX_LIMIT}`."
            raise refusal(400, "invalid_value", message, "limit", target)
    return limit, start


def check_flavor(request: Request) -> None:
    """Create token only: `Metadata-Flavor: ibm`, compared without case."""
    value = request.headers.get("metadata-flavor", "").strip()
    if not value:
        message = "The `Metadata-Flavor` header is required: send `Metadata-Flavor: ibm`."
        problem = Problem("missing_value", message, Target("Metadata-Flavor", "header"))
        raise Refusal(400, problem, "flavor")
    if value.lower() != FLAVOR:
        message = "The `Metadata-Flavor` header must be `ibm`."
        target = Target("Metadata-Flavor", "header", value[:64])
        raise refusal(400, "invalid_value", message, "flavor", target)


def check_authorization(request: Request, served: Served) -> str:
    """The identity token, verified to be this instance's. Raises Refusal (400 without header, 401)."""
    value = request.headers.get("authorization")
    if value is None:
        raise refusal(
            400,
            "missing_field",
            "The `Authorization` header is required: send `Authorization: Bearer TOKEN` with the "
            "`access_token` of `PUT /identity/v1/token`.",
            "authorization",
            _AUTHORIZATION,
        )
    scheme, _, token = value.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise refusal(401, "unauthenticated", BAD_TOKEN, "token-scheme", _AUTHORIZATION)
    try:
        served.check_token(token)
    except TokenRefused as error:
        rule = f"token-{error.reason}"
        raise refusal(401, "unauthenticated", BAD_TOKEN, rule, _AUTHORIZATION) from error
    return token
