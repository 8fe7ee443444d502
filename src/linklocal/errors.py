"""Domain errors: what can go wrong, in the words of the API contract, without HTTP.

Every error carries one or more `Problem`s. A `Problem` names a code, a message that tells the user what
to change, and the place in the request it is about. Status codes and envelopes are added by
`server/errors.py` (VPC and IAM shapes) and `metadata/errors.py` (the metadata wire) and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

TargetType = Literal["field", "parameter", "header"]


@dataclass(frozen=True, slots=True)
class Target:
    """The place in a request that a problem is about.

    `name` is a dotted path from the body root (`keys[0].id`), or the name of a parameter or header.
    `value` is the refused value as text; never a secret.
    """

    name: str
    type: TargetType = "field"
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One independent thing that is wrong. `rule` is an internal id of the rule, for audit records."""

    code: str
    message: str
    target: Target | None = None
    more_info: str | None = None
    rule: str | None = None


def bad_field(
    name: str, message: str, value: object = None, *, type: TargetType = "field"
) -> Problem:
    """A wrong value, type, range or combination."""
    text = None if value is None else str(value)[:200]
    return Problem("bad_field", message, Target(name, type, text))


def missing_field(name: str, message: str | None = None, *, type: TargetType = "field") -> Problem:
    """A required member, parameter or header is not there."""
    return Problem("missing_field", message or f"`{name}` is required.", Target(name, type))


def not_found_field(name: str, message: str, value: object = None) -> Problem:
    """The body refers to something that does not exist (answered 400, not 404)."""
    text = None if value is None else str(value)[:200]
    return Problem("not_found", message, Target(name, "field", text))


class DomainError(Exception):
    """Base of all errors that a user can cause or must be told about. Never raised itself."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("; ".join(p.message for p in self.problems))


class Invalid(DomainError):
    """The request is wrong. Collect every independent problem before raising."""


class NotFound(DomainError):
    """The path names something that does not exist or that the caller may not see."""

    def __init__(self, parameter: str = "id", value: str | None = None) -> None:
        super().__init__(
            Problem(
                "not_found",
                "The requested resource does not exist, or cannot be accessed.",
                Target(parameter, "parameter", value),
            )
        )


class Conflict(DomainError):
    """The state of the resource does not allow it: the one in the path (`id`), or a field of the body."""

    def __init__(self, message: str, target: str = "id", *, code: str = "conflict_field") -> None:
        where = Target("id", "parameter") if target == "id" else Target(target)
        super().__init__(Problem(code, message, where))


class PreconditionFailed(DomainError):
    """If-Match named another version of the resource."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem("precondition_failed", message, Target("If-Match", "header")))


class NotAuthenticated(DomainError):
    """No token, or one that is malformed, expired or signed by somebody else."""

    def __init__(self, message: str, *, code: str = "not_authorized") -> None:
        super().__init__(Problem(code, message, Target("Authorization", "header")))


class NotAuthorized(DomainError):
    """A valid token without the right to do this.

    The message is IBM's; what is missing stands in `more_info` and in the audit event.
    """

    def __init__(self, *, action: str, needs: str, rule: str | None = None) -> None:
        self.action = action
        super().__init__(
            Problem(
                "not_authorized",
                f"the provided token is not authorized to do {action}: it needs {needs}",
                rule=rule,
            )
        )


class Unsupported(DomainError):
    """Deliberately not part of linklocal (501). The message says what to use instead."""

    def __init__(self, message: str, target: Target | None = None) -> None:
        super().__init__(Problem("not_implemented", message, target))


class Unavailable(DomainError):
    """Something this request needs (database, control plane) cannot be reached (503)."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem("service_error", message))


class TooManyRequests(DomainError):
    """Over a rate; `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(Problem("rate_limit_exceeded", message))


class OperatorError(Exception):
    """A command cannot go on. The command line prints `message` and `next_step`, and exits 1 or 2.

    `next_step` is a command or a change that mends it.
    """

    def __init__(self, message: str, next_step: str, *, exit_code: int = 1) -> None:
        self.message = message
        self.next_step = next_step
        self.exit_code = exit_code
        super().__init__(message)
