"""Claim rules of trusted profiles: what a condition may say, and whether an instance meets it. Pure.

A rule is met when all its conditions are. Conditions are evaluated against the server's own claims of
the instance (`placements.claims`), never against what a token says. Control-plane contract 4.4.
Whatever is absent, unknown or malformed does not match: also for NOT_EQUALS, so that a rule that cannot
be evaluated grants nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from linklocal.errors import Problem
from linklocal.iam.problems import invalid

TYPE_COMPUTE = "Profile-CR"
TYPE_SAML = "Profile-SAML"

# Claim of a condition -> where the instance's claims have it (metadata contract 3.1).
_PLACES: dict[str, tuple[str, str]] = {
    "crn": ("iaas", "crn"),
    "account_id": ("iaas", "accountID"),
    "zone": ("iaas", "zone"),
    "region": ("iaas", "region"),
    "resource_group_id": ("iaas", "resource_group_id"),
    "profile_name": ("iaas", "profile_name"),
    "vpc_id": ("vpc", "id"),
    "subnet_id": ("subnets", "id"),
}
CLAIMS = tuple(_PLACES)


def claim_values(claims: Mapping[str, Any], claim: str) -> list[str] | None:
    """What an instance's claims say: one value, for `subnet_id` one per subnet; None: nothing."""
    place = _PLACES.get(claim)
    if place is None:
        return None
    holder = claims.get(place[0])
    holders = holder if isinstance(holder, list) else [holder]
    found = [
        item[place[1]]
        for item in holders
        if isinstance(item, Mapping) and isinstance(item.get(place[1]), str)
    ]
    return found or None


def _any_equal(values: list[str], wanted: str) -> bool:
    return wanted in values


def _any_equal_ignoring_case(values: list[str], wanted: str) -> bool:
    return wanted.casefold() in [value.casefold() for value in values]


def _contains(values: list[str], wanted: str) -> bool:
    return any(wanted in value for value in values)


_OF_TEXT: dict[str, Callable[[list[str], str], bool]] = {
    "EQUALS": _any_equal,
    "EQUALS_IGNORE_CASE": _any_equal_ignoring_case,
    "NOT_EQUALS": lambda values, wanted: not _any_equal(values, wanted),
    "NOT_EQUALS_IGNORE_CASE": lambda values, wanted: not _any_equal_ignoring_case(values, wanted),
    "CONTAINS": _contains,
}
OPERATORS = (*_OF_TEXT, "IN")


def _operand(operator: str, value: object) -> str | list[str] | None:
    """What a condition's JSON-encoded `value` says; None when it is not of the operator's type."""
    try:
        decoded = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None
    if operator == "IN":
        items = decoded if isinstance(decoded, list) else [decoded]
        texts = [item for item in items if isinstance(item, str) and item]
        return texts if texts and len(texts) == len(items) else None
    return decoded if isinstance(decoded, str) and decoded else None


def condition_matches(condition: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    """Whether an instance with these claims meets the condition `{claim, operator, value}`."""
    values = claim_values(claims, str(condition.get("claim")))
    operator = str(condition.get("operator"))
    wanted = _operand(operator, condition.get("value"))
    if values is None or wanted is None:
        return False
    if isinstance(wanted, list):
        return any(value in wanted for value in values)
    compare = _OF_TEXT.get(operator)
    return compare is not None and compare(values, wanted)


def rule_matches(conditions: Sequence[Mapping[str, Any]], claims: Mapping[str, Any]) -> bool:
    """Whether an instance meets all conditions; a rule without any matches nobody."""
    return bool(conditions) and all(condition_matches(c, claims) for c in conditions)


def condition_problems(
    index: int, claim: str, operator: str, value: str, *, known_claims: bool
) -> list[Problem]:
    """What is wrong with a condition that a user wants to store.

    `known_claims`: the rule is about instances, whose claims are known; other kinds are only stored.
    """
    at = f"conditions[{index}]"
    problems = []
    if known_claims and claim not in _PLACES:
        message = f"An instance has no claim {claim!r}: use one of {', '.join(CLAIMS)}."
        problems.append(invalid(f"{at}.claim", message, claim))
    if operator not in OPERATORS:
        message = f"`operator` must be one of {', '.join(OPERATORS)}."
        problems.append(invalid(f"{at}.operator", message, operator))
    elif _operand(operator, value) is None:
        shape = (
            'a list of strings as JSON text, for example "[\\"us-south-1\\", \\"us-south-2\\"]"'
            if operator == "IN"
            else 'one non-empty string as JSON text, for example "\\"us-south\\""'
        )
        problems.append(invalid(f"{at}.value", f"`value` must be {shape}.", value))
    return problems
