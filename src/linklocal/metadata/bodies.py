"""Reading the body of the identity operations: JSON whatever its type, strict about its content.

Metadata contract 2.2: nothing at all is `{}`; an unknown property at any depth is refused.
"""

from __future__ import annotations

import json
from typing import Any

from linklocal.errors import Problem, Target
from linklocal.metadata.errors import refusal

MAX_BODY = 64 * 1024


class _Unreadable(ValueError):
    """JSON to Python's parser, but not to us. The message is for the user."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in pairs:
        if name in out:
            raise _Unreadable(
                f"The request body has the property `{name[:64]}` twice: send it once."
            )
        out[name] = value
    return out


def _no_constants(name: str) -> Any:
    raise _Unreadable(f"The request body has `{name}`, which is not JSON.")


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Refusal `invalid_request`."""
    if len(body) > MAX_BODY:
        raise refusal(400, "invalid_request", "The request body is larger than 64 KiB.", "body")
    if not body.strip():
        return {}
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constants
        )
    except _Unreadable as error:
        raise refusal(400, "invalid_request", str(error), "body") from error
    except (ValueError, RecursionError) as error:
        message = "The request body is not valid JSON: send one JSON object, or no body."
        raise refusal(400, "invalid_request", message, "body") from error
    if not isinstance(value, dict):
        raise refusal(400, "invalid_request", "The request body must be a JSON object.", "body")
    return value


def unknown(body: dict[str, Any], known: frozenset[str], prefix: str = "") -> list[Problem]:
    """A problem for each property that is not known."""
    return [
        Problem(
            "unknown_field",
            f"Unknown property `{name[:64]}` was specified in the request body.",
            Target(f"{prefix}{name[:64]}"),
        )
        for name in body
        if name not in known
    ]


def integer(
    body: dict[str, Any], name: str, default: int, lowest: int, highest: int
) -> tuple[int, list[Problem]]:
    """An optional integer within bounds; booleans, floats, strings and null are refused."""
    if name not in body:
        return default, []
    value = body[name]
    if type(value) is int and lowest <= value <= highest:
        return value, []
    shown = None
    if isinstance(value, int | float | str):
        shown = (value if isinstance(value, str) else json.dumps(value))[:32]
    kind = "" if type(value) is int else "an integer "
    message = f"The value provided for the `{name}` field must be {kind}between `{lowest}` and `{highest}`."
    return default, [Problem("invalid_value", message, Target(name, "field", shown))]
