"""Claim rules: operators, values and what must never match."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.iam.rules import (
    CLAIMS,
    OPERATORS,
    claim_values,
    condition_matches,
    condition_problems,
    rule_matches,
)

INSTANCE: dict[str, Any] = {
    "iaas": {
        "crn": "crn:v1:bluemix:public:is:us-south-1:a/abc::instance:0717_one",
        "accountID": "abc",
        "instanceID": "0717_one",
        "zone": "us-south-1",
        "region": "us-south",
        "profile_name": "bx2-2x8",
        "resource_group_id": "group",
    },
    "vpc": {"id": "r006-vpc", "name": "shop", "crn": "x"},
    "subnets": [{"id": "s1", "name": "a", "crn": "x"}, {"id": "s2", "name": "b", "crn": "x"}],
}
texts = st.text(min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def condition(claim: str, operator: str, value: object) -> dict[str, str]:
    return {"claim": claim, "operator": operator, "value": json.dumps(value)}


@pytest.mark.parametrize(
    ("claim", "operator", "value", "expected"),
    [
        ("zone", "EQUALS", "us-south-1", True),
        ("zone", "EQUALS", "US-SOUTH-1", False),
        ("zone", "EQUALS", "us-south", False),
        ("zone", "EQUALS_IGNORE_CASE", "US-SOUTH-1", True),
        ("zone", "NOT_EQUALS", "us-south-2", True),
        ("zone", "NOT_EQUALS", "us-south-1", False),
        ("zone", "NOT_EQUALS_IGNORE_CASE", "US-SOUTH-1", False),
        ("zone", "CONTAINS", "south", True),
        ("zone", "CONTAINS", "north", False),
        ("zone", "IN", ["us-south-2", "us-south-1"], True),
        ("zone", "IN", ["us-south-2"], False),
        ("zone", "IN", "us-south-1", True),
        ("subnet_id", "EQUALS", "s2", True),
        ("subnet_id", "NOT_EQUALS", "s2", False),
        ("subnet_id", "IN", ["s0", "s2"], True),
        ("account_id", "EQUALS", "abc", True),
        ("vpc_id", "EQUALS", "r006-vpc", True),
        ("crn", "EQUALS", INSTANCE["iaas"]["crn"], True),
        ("region", "EQUALS", "us-south", True),
        ("resource_group_id", "EQUALS", "group", True),
        ("profile_name", "EQUALS", "bx2-2x8", True),
    ],
)
def test_operators(claim: str, operator: str, value: object, expected: bool) -> None:
    assert condition_matches(condition(claim, operator, value), INSTANCE) is expected


def test_every_claim_is_found_in_a_full_instance() -> None:
    assert [claim for claim in CLAIMS if claim_values(INSTANCE, claim) is None] == []


@given(st.sampled_from(CLAIMS), st.sampled_from(OPERATORS), texts)
def test_an_absent_claim_matches_nothing_not_even_not_equals(
    claim: str, operator: str, value: str
) -> None:
    for claims in ({}, {"iaas": None, "vpc": [], "subnets": [None, {"id": 1}]}):
        assert not condition_matches(condition(claim, operator, value), claims)


@given(st.sampled_from(CLAIMS), texts)
def test_not_equals_is_the_contrary_of_equals(claim: str, value: str) -> None:
    for operator in ("EQUALS", "EQUALS_IGNORE_CASE"):
        assert condition_matches(
            condition(claim, operator, value), INSTANCE
        ) is not condition_matches(condition(claim, f"NOT_{operator}", value), INSTANCE)


@given(st.sampled_from(CLAIMS), st.lists(texts, min_size=1, max_size=4))
def test_in_is_equals_with_any(claim: str, values: list[str]) -> None:
    any_equal = any(condition_matches(condition(claim, "EQUALS", v), INSTANCE) for v in values)

    assert condition_matches(condition(claim, "IN", values), INSTANCE) is any_equal


@given(
    st.text(max_size=20) | st.sampled_from(CLAIMS),
    st.text(max_size=20) | st.sampled_from(OPERATORS),
    st.text(max_size=40) | json_values.map(json.dumps),
    st.dictionaries(st.sampled_from(["iaas", "vpc", "subnets"]), json_values),
)
def test_what_may_be_stored_is_what_can_match(
    claim: str, operator: str, value: str, claims: dict[str, Any]
) -> None:
    """Nothing raises, and a condition with a problem matches no instance whatever its claims."""
    found = condition_problems(0, claim, operator, value, known_claims=True)
    stored = {"claim": claim, "operator": operator, "value": value}
    matched = condition_matches(stored, INSTANCE) or condition_matches(stored, claims)

    assert not (found and matched)
    assert all(p.target and p.target.name.startswith("conditions[0].") for p in found)


@given(st.lists(st.sampled_from(["us-south-1", "us-south-2"]), max_size=4))
def test_a_rule_needs_all_its_conditions_and_at_least_one(zones: list[str]) -> None:
    conditions = [condition("zone", "EQUALS", zone) for zone in zones]

    assert rule_matches(conditions, INSTANCE) is (set(zones) == {"us-south-1"})


def test_a_value_that_is_not_json_is_told_how_to_write_it() -> None:
    [problem] = condition_problems(2, "zone", "EQUALS", "us-south-1", known_claims=True)

    assert problem.target is not None
    assert problem.target.name == "conditions[2].value"
    assert '"\\"us-south\\""' in problem.message


def test_an_unknown_claim_names_the_known_ones_unless_the_rule_is_about_another_kind() -> None:
    [problem] = condition_problems(0, "namespace", "EQUALS", '"x"', known_claims=True)

    assert all(claim in problem.message for claim in CLAIMS)
    assert condition_problems(0, "namespace", "EQUALS", '"x"', known_claims=False) == []
