"""Pydantic's errors -> `Problem`s: target as a dotted path, a code of the contract, words for a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from linklocal.errors import Problem, Target, TargetType

_SOURCES: Mapping[str, TargetType] = {
    "body": "field",
    "query": "parameter",
    "path": "parameter",
    "header": "header",
}
_SECRET_FIELDS = ("apikey", "api_key", "user_data", "csr", "token", "password", "public_key")
_WORDS = {
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing": "must be an integer",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dataclass_type": "must be an object",
    "extra_forbidden": "is not a property that can be given here: leave it out or mend its spelling",
    "missing": "is required",
    "none_required": "must be null",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
}


def problems_of(errors: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """One problem for each independent error, in the order of the body; unions are not repeated."""
    problems: dict[tuple[str, str], Problem] = {}
    for error in errors:
        problem = _problem(error)
        key = (problem.target.name if problem.target else "", problem.code)
        problems.setdefault(key, problem)
    return list(problems.values())


def _problem(error: Mapping[str, Any]) -> Problem:
    source, *rest = error["loc"]
    kind: str = error["type"]
    name = target_name(rest)
    if kind == "json_invalid":
        return Problem("invalid_request", "The body is not JSON: send one JSON object.")
    if source == "body" and not name:
        return Problem("invalid_request", "The body must be a JSON object.")
    code = "missing_field" if kind == "missing" else "bad_field"
    target = Target(
        name, _SOURCES.get(str(source), "field"), _value(name, kind, error.get("input"))
    )
    words = _WORDS.get(kind)
    if words is None:
        message = str(error["msg"]).removeprefix("Value error, ")
        if f"`{name}`" not in message:
            message = f"`{name}`: {message[:1].lower()}{message[1:]}"
        return Problem(code, message if message.endswith(".") else f"{message}.", target)
    return Problem(code, f"`{name}` {words.format(**error.get('ctx', {}))}.", target)


def target_name(location: Sequence[str | int]) -> str:
    """`("keys", 0, "id")` -> `keys[0].id`. Tags of unions (they begin with `#`) are no part of a path."""
    name = ""
    for part in location:
        if isinstance(part, int):
            name += f"[{part}]"
        elif not part.startswith("#"):
            name += f".{part}" if name else part
    return name


def _value(name: str, kind: str, value: object) -> str | None:
    if kind == "missing" or any(secret in name for secret in _SECRET_FIELDS):
        return None
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)[:200]
        case None:
            return "null"
        case _:
            return None
