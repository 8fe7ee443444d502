"""The wire's errors: codes, statuses and IBM's envelope (metadata contract 2.3).

A check refuses by raising `Refusal`; `routes.handle` turns it into the answer. One refusal, one error
code, one `rule` for audit. Nothing here puts a token, a CSR or user data into an answer, whatever place
of a request it was sent in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from linklocal.errors import Problem, Target
from linklocal.ids import new_request_id
from linklocal.metadata.wire import Response, UpstreamRefused

# Every code that an answer can have, with the statuses it comes with.
STATUSES: dict[str, frozenset[int]] = {
    "invalid_request": frozenset({400, 405, 408, 413, 431}),
    "invalid_value": frozenset({400, 404}),  # 404: characters that no id has
    "invalid_version_range": frozenset({400}),
    "missing_field": frozenset({400}),
    "missing_value": frozenset({400}),
    "unknown_field": frozenset({400}),
    "not_found": frozenset({400, 404}),
    "profile_not_linked": frozenset({400}),
    "forbidden_header": frozenset({400}),
    "unauthenticated": frozenset({401}),
    "unauthorized": frozenset({403}),
    "rate_limit_exceeded": frozenset({429}),
    "service_error": frozenset({500, 503}),
}
# The control plane's words for what this wire calls otherwise.
_WIRE_CODES = {"bad_field": "invalid_value", "not_authorized": "unauthorized"}
# A JWT (every one begins with `{"` in Base64) or a PEM block.
_SECRET = re.compile(r"eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*|-----BEGIN.*", re.DOTALL)


def without_secrets(text: str) -> str:
    """The text with whatever looks like a token or PEM replaced: for what is repeated from a request."""
    return _SECRET.sub("<hidden>", text)


class Refusal(Exception):
    """A check said no. `rule` names it; `headers` go into the answer (`Allow`)."""

    def __init__(
        self,
        status: int,
        problems: Problem | Sequence[Problem],
        rule: str,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.status = status
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.rule = rule
        self.headers = headers
        super().__init__(self.problems[0].message)


def refusal(
    status: int, code: str, message: str, rule: str, target: Target | None = None
) -> Refusal:
    """A refusal with one problem."""
    return Refusal(status, Problem(code, message, target), rule)


def server_refusal(error: UpstreamRefused) -> Refusal:
    """The server's refusal as this wire tells it: its problem and status, if the contract has them."""
    problem = replace(error.problem, code=_WIRE_CODES.get(error.problem.code, error.problem.code))
    if error.status not in STATUSES.get(problem.code, ()):
        message = (
            "The control plane refused in a way this node does not know: their versions may differ."
        )
        return refusal(500, "service_error", message, "server-answer")
    return Refusal(error.status, problem, problem.rule or "server")


def envelope(status: int, problems: Sequence[Problem], trace: str) -> bytes:
    """The body of an error answer: `errors`, `status_code`, `trace`."""
    return json.dumps(
        {"errors": [_item(p) for p in problems], "status_code": status, "trace": trace},
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode("utf-8", "replace")


def _item(problem: Problem) -> dict[str, Any]:
    item: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.more_info is not None:
        item["more_info"] = problem.more_info
    if (target := problem.target) is not None:
        item["target"] = {"name": target.name, "type": target.type}
        if target.value is not None:
            item["target"]["value"] = target.value
    return item


def _clean(problem: Problem) -> Problem:
    target = problem.target
    if target is not None:
        value = None if target.value is None else without_secrets(target.value)
        target = replace(target, name=without_secrets(target.name), value=value)
    return replace(problem, message=without_secrets(problem.message), target=target)


def response_to(
    refused: Refusal, *, operation: str = "", detail: dict[str, Any] | None = None
) -> Response:
    """The answer to a refusal, with a fresh trace."""
    trace = new_request_id()
    problems = [_clean(problem) for problem in refused.problems]
    first = problems[0]
    return Response(
        status=refused.status,
        body=envelope(refused.status, problems, trace),
        trace=trace,
        operation=operation,
        reason=first.code,
        message=first.message,
        rule=refused.rule,
        headers=refused.headers,
        detail=detail or {},
    )
