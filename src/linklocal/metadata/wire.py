"""Request, response and the two things the wire API asks of its surroundings. Types only.

`metadata/` is pure: a listener (`node/listener.py`) makes a `Request` from bytes, calls
`routes.handle(request, served, upstream)`, and writes the `Response`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from linklocal.errors import Problem

JSON = "application/json; charset=utf-8"


# A frozen dataclass costs several times as much to make, and each call makes one of each.
@dataclass(slots=True)
class Request:
    """One framed HTTP request. Nobody changes it.

    `method` as sent (`GET`). `path` raw, undecoded, without query. `query` raw, without `?`.
    `headers` lower-case names; a repeated header's values are joined with `, `. `body` complete.
    `base` is the URL the client used to reach this listener (`http://169.254.169.254`), for paging links.
    """

    method: str
    path: str
    query: str = ""
    # Not in the repr: a token, a CSR must not get into a log with a traceback.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    base: str = "http://api.metadata.cloud.ibm.com"


@dataclass(slots=True)
class Response:
    """One answer, and what happened, for counters and events. Nobody changes it.

    `headers` holds only what is special to this answer (`Allow`, `Retry-After`); the listener adds
    `Content-Length`, `X-Request-Id` (= `trace`), `Date` and `Connection`.
    `operation` is the audit action (`is.metadata.instance.read`), or "" when no route was found.
    `reason` is the error code of a refusal and `message` its text; `rule` names the check that refused.
    `detail` holds non-secret facts for the event (version, profile id, nonce given).
    `type` is the body's media type.
    """

    status: int
    body: bytes = field(repr=False)
    trace: str
    operation: str = ""
    reason: str | None = None
    message: str | None = None
    rule: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)
    type: str = JSON


@dataclass(frozen=True, slots=True)
class ProfileSelector:
    """Which trusted profile an exchange asks for; None as a whole means the default profile."""

    by: Literal["id", "crn", "name"]
    value: str


@dataclass(frozen=True, slots=True)
class IamToken:
    """An IAM access token as the server issued it; times are epoch seconds."""

    access_token: str = field(repr=False)
    issued_at: int
    expires_at: int
    profile_id: str


@dataclass(frozen=True, slots=True)
class Certificates:
    """`[leaf, intermediate]` in PEM with trailing newlines; times are epoch seconds."""

    certificates: tuple[str, ...]
    issued_at: int
    expires_at: int


class UpstreamRefused(Exception):
    """The server decided against it; `problem` has a code of the metadata contract 2.3."""

    def __init__(self, problem: Problem, status: int = 400) -> None:
        self.problem = problem
        self.status = status
        super().__init__(problem.message)


class UpstreamUnavailable(Exception):
    """The server cannot be reached or did not answer in time; answered 503 `service_error`."""


class Upstream(Protocol):
    """Decisions that only the server can make. Both raise UpstreamRefused or UpstreamUnavailable."""

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken: ...

    async def certificate(self, identity_token: str, csr: str, expires_in: int) -> Certificates: ...
