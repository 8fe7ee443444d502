"""Domain error -> answer: the VPC envelope, and IAM's two shapes by path. The only place of statuses.

Contract: control-plane 1.3, 1.4 (VPC) and 4.3 (IAM).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from linklocal.clock import rfc3339_ms
from linklocal.errors import (
    Conflict,
    DomainError,
    Invalid,
    NotAuthenticated,
    NotAuthorized,
    NotFound,
    PreconditionFailed,
    Problem,
    TooManyRequests,
    Unavailable,
    Unsupported,
)
from linklocal.iam import problems
from linklocal.server.absent import AbsentRoute
from linklocal.server.hidden import clean, without_secrets
from linklocal.server.routing import documented
from linklocal.server.validation import problems_of

log = structlog.get_logger()

STATUS: Mapping[type[DomainError], int] = {
    Invalid: 400,
    NotAuthenticated: 401,
    NotAuthorized: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    TooManyRequests: 429,
    Unsupported: 501,
    Unavailable: 503,
}
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_IDENTITY_API = ("/v1/apikeys", "/v1/profiles", "/v1/policies", "/v1/serviceids")


# --- schemas for the OpenAPI document ------------------------------------------------------------


class ErrorTarget(BaseModel):
    name: str
    type: Literal["field", "parameter", "header"]
    value: str | None = None


class ErrorItem(BaseModel):
    code: str
    message: str
    more_info: str | None = None
    target: ErrorTarget | None = None


class ErrorContainer(BaseModel):
    """Errors of the VPC API: every independent problem of the request."""

    errors: list[ErrorItem]
    status_code: int
    trace: str


class TokenError(BaseModel):
    """Errors of `/identity/token`."""

    model_config = ConfigDict(extra="allow")
    error_code: str = Field(alias="errorCode")
    error_message: str = Field(alias="errorMessage")
    error_details: str | None = Field(default=None, alias="errorDetails")
    context: dict[str, Any]


class IdentityErrors(BaseModel):
    """Errors of the identity API (`/v1/apikeys`, `/v1/profiles`, `/v1/policies`)."""

    model_config = ConfigDict(extra="allow")
    context: dict[str, Any]
    status_code: str
    errors: list[dict[str, Any]]
    trace: str


# --- answers -------------------------------------------------------------------------------------


def error_schema_for(path: str) -> type[BaseModel]:
    """The shape that errors of a path have."""
    if path.startswith("/identity/"):
        return TokenError
    return IdentityErrors if path.startswith(_IDENTITY_API) else ErrorContainer


class _ErrorAnswer(JSONResponse):
    """Escapes all but ASCII: a refused value may be one that UTF-8 cannot write (half a surrogate)."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def status_of(error: DomainError) -> int:
    """The HTTP status of an error, the same in every API and in the console."""
    return STATUS[type(error)]


def error_response(scope: Scope, error: DomainError) -> JSONResponse:
    """The answer to `error` in the shape that the path's API has."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(scope, status, error.problems, headers)


def _answer(
    scope: Scope, status: int, found: tuple[Problem, ...], headers: Mapping[str, str]
) -> JSONResponse:
    state = scope.setdefault("state", {})
    found = tuple(clean(problem) for problem in found)
    state["problems"] = found  # for the audit of this call
    trace = state.get("request_id", "")
    path: str = scope["path"]
    if path.startswith("/identity/"):
        content = _token_error(scope, found[0], trace)
    elif path.startswith(_IDENTITY_API):
        content = _identity_errors(scope, status, found, trace)
    else:
        content = {
            "errors": [_item(problem) for problem in found],
            "status_code": status,
            "trace": trace,
        }
    return _ErrorAnswer(content, status, dict(headers))


def _item(problem: Problem) -> dict[str, Any]:
    item: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.more_info is not None:
        item["more_info"] = problem.more_info
    if (target := problem.target) is not None:
        item["target"] = {"name": target.name, "type": target.type}
        if target.value is not None:
            item["target"]["value"] = target.value
    return item


def _token_error(scope: Scope, problem: Problem, trace: str) -> dict[str, Any]:
    now = rfc3339_ms(datetime.now(UTC))
    out: dict[str, Any] = {
        "errorCode": problem.code,
        "errorMessage": problem.message,
        "context": {
            "requestId": trace,
            "requestType": "incoming.Identity_Token",
            "userAgent": Headers(scope=scope).get("user-agent", "")[:200],
            "url": scope["path"],
            "instanceId": "linklocal",
            "threadId": "0",
            "host": "linklocal",
            "startTime": now,
            "endTime": now,
            "elapsedTime": "0",
            "locale": "en_US",
            "clusterName": "linklocal",
        },
    }
    if problem.more_info is not None:
        out["errorDetails"] = problem.more_info
    return out


# The identity API has a word in `code` and IAM's number in `message_code`; each is derived from the other
# where a problem carries only one of them.
_WORDS = {
    400: "invalid_parameter",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
}
_NUMBERS = {
    "missing_field": problems.PROPERTY_MISSING,
    "not_authorized": problems.NOT_AUTHORIZED,
    "unauthenticated": problems.TOKEN_MALFORMED,
}


def _identity_errors(
    scope: Scope, status: int, found: tuple[Problem, ...], trace: str
) -> dict[str, Any]:
    errors = []
    for problem in found:
        numbered = problem.code.startswith("BXNIM")
        item = {
            "code": _WORDS.get(status, "error") if numbered else problem.code,
            "message_code": problem.code
            if numbered
            else _NUMBERS.get(problem.code, problems.PROPERTY_INVALID),
            "message": problem.message,
        }
        details = problem.more_info or (problem.target.name if problem.target else None)
        if details is not None:
            item["details"] = details
        errors.append(item)
    context = {
        "transaction_id": trace,
        "operation": without_secrets(f"{scope['method']} {scope['path']}"),
    }
    return {"context": context, "status_code": str(status), "errors": errors, "trace": trace}


# --- handlers ------------------------------------------------------------------------------------


def install_error_handlers(app: FastAPI) -> None:
    """Every way in which a request can fail ends in one of these."""

    async def on_domain_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, DomainError)
        return error_response(request.scope, error)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return error_response(request.scope, Invalid(problems_of(error.errors())))

    async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        match error.status_code:
            case 404:
                return _answer(request.scope, 404, (_no_path(request.scope["path"]),), {})
            case 405:
                allowed = ", ".join(sorted(_allowed_methods(app, request.scope)))
                message = f"{request.method} is not offered here: use one of {allowed}."
                problem = Problem("BXNIM0060E" if _is_iam(request) else "invalid_request", message)
                return _answer(request.scope, 405, (problem,), {"Allow": allowed})
            case status:
                # Starlette raises 400 for a body that it cannot parse at all.
                problem = Problem("invalid_request", str(error.detail))
                return _answer(request.scope, status, (problem,), error.headers or {})

    async def on_crash(request: Request, error: Exception) -> JSONResponse:
        trace = request.scope.get("state", {}).get("request_id", "")
        path = without_secrets(request.url.path)
        log.error("Request failed", path=path, trace=trace, exc_info=error)
        problem = Problem(
            "internal_error",
            f"linklocal failed here. The server's log has the reason under {trace}.",
        )
        answer = _answer(request.scope, 500, (problem,), {})
        answer.headers["X-Request-Id"] = trace
        return answer

    app.add_exception_handler(DomainError, on_domain_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, on_crash)


def _is_iam(request: Request) -> bool:
    return request.url.path.startswith(("/identity/", *_IDENTITY_API))


def _no_path(path: str) -> Problem:
    more_info = None
    if path.startswith("/v1/instance/"):
        # The documentation's prose has `/instance/{id}`; templates and profiles do live there.
        more_info = "Instances live under /v1/instances."
    return Problem("not_found", f"There is nothing at {path[:200]}.", more_info=more_info)


def _allowed_methods(app: FastAPI, scope: Scope) -> set[str]:
    """The methods that this path has, over all routes; Starlette names only the first route's.

    A path that is documented literally (`/v1/apikeys/details`) has just its own methods, not those of
    the template that would also match it.
    """
    literal = {m for route, m in documented(app.router.routes) if route.path == scope["path"]}
    if literal:
        return literal
    return {
        method
        for method in _METHODS
        if any(
            route.matches({**scope, "method": method})[0] is Match.FULL
            for route in app.router.routes
            if not isinstance(route, AbsentRoute)
        )
    }
