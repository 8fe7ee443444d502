"""The wire's errors: codes, statuses and IBM's envelope (metadata contract 2.3).

A check refuses by raising `Refusal`; `routes.handle` turns it into the answer. One refusal, one error
code, one `rule` for audit. Nothing here puts a token, a CSR or user data into an answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from linklocal.errors import Problem, Target
from linklocal.ids import new_request_id
from linklocal.metadata.wire import Response

# Every code that an answer can have, with the statuses it comes with.
STATUSES: dict[str, frozenset[int]] = {
    "invalid_request": frozenset({400, 405, 408, 413, 431}),
    "invalid_value": frozenset({400}),
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


def response_to(
    refused: Refusal, *, operation: str = "", detail: dict[str, Any] | None = None
) -> Response:
    """The answer to a refusal, with a fresh trace."""
    trace = new_request_id()
    first = refused.problems[0]
    return Response(
        status=refused.status,
        body=envelope(refused.status, refused.problems, trace),
        trace=trace,
        operation=operation,
        reason=first.code,
        message=first.message,
        rule=refused.rule,
        headers=refused.headers,
        detail=detail or {},
    )
