"""What is made from a template inherits and overrides (control-plane contract 2.5)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.vpc.templates.merge import merge_prototypes, mixture_problems

ON_HTTPS_7 = {"enabled": True, "protocol": "https", "response_hop_limit": 7}
TOP = [
    "keys",
    "user_data",
    "profile",
    "zone",
    "vpc",
    "default_trusted_profile",
    "volume_attachments",
]
VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
SERVICE = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans() | st.none(),
        "protocol": st.sampled_from(["http", "https", None]),
        "response_hop_limit": st.integers(1, 64) | st.none(),
    },
)
PROTOTYPES = st.builds(
    lambda members, service: {**members, **service},
    st.dictionaries(st.sampled_from([*TOP, "name"]), VALUES | st.none()),
    st.fixed_dictionaries({}, optional={"metadata_service": SERVICE | st.none()}),
)
NOT_MERGED = ("name", "metadata_service")


def said(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


@given(PROTOTYPES, PROTOTYPES)
def test_every_property_is_the_requests_if_given_else_the_templates(
    source: dict[str, Any], override: dict[str, Any]
) -> None:
    before = copy.deepcopy((source, override))

    result = merge_prototypes(source, override)

    for name in TOP:
        expected = override.get(name) if override.get(name) is not None else source.get(name)
        assert result.get(name) == expected
    assert result.get("name") == override.get("name")
    assert None not in result.values()
    assert (source, override) == before


@given(PROTOTYPES, PROTOTYPES)
def test_metadata_service_is_merged_member_by_member(
    source: dict[str, Any], override: dict[str, Any]
) -> None:
    result = merge_prototypes(source, override).get("metadata_service") or {}

    theirs, ours = source.get("metadata_service") or {}, override.get("metadata_service") or {}
    for member in ON_HTTPS_7:
        expected = ours[member] if ours.get(member) is not None else theirs.get(member)
        assert result.get(member) == expected


@given(PROTOTYPES)
def test_a_request_that_says_nothing_changes_nothing_but_the_name(source: dict[str, Any]) -> None:
    once = merge_prototypes(source, {"source_template": {"id": "x"}})

    kept = {n: v for n, v in said(source).items() if n not in NOT_MERGED}
    assert {n: v for n, v in once.items() if n not in NOT_MERGED} == kept
    assert "name" not in once
    assert "source_template" not in once
    assert merge_prototypes(once, {}) == once


@given(PROTOTYPES, PROTOTYPES, PROTOTYPES)
def test_a_template_of_a_template_is_as_if_made_in_one_step(
    a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]
) -> None:
    in_two = merge_prototypes(merge_prototypes(a, b), c)
    in_one = merge_prototypes(a, merge_prototypes(b, c))

    assert in_two == in_one


@given(PROTOTYPES)
def test_an_override_on_nothing_is_itself(override: dict[str, Any]) -> None:
    result = merge_prototypes({}, override)

    assert {n: v for n, v in result.items() if n != "metadata_service"} == {
        n: v for n, v in said(override).items() if n != "metadata_service"
    }


def test_repeating_enabled_keeps_the_templates_protocol_and_limit() -> None:
    result = merge_prototypes(
        {"metadata_service": ON_HTTPS_7}, {"metadata_service": {"enabled": True}}
    )

    assert result["metadata_service"] == ON_HTTPS_7


def test_what_to_start_from_takes_the_others_place() -> None:
    image, offering = {"image": {"id": "i"}}, {"catalog_offering": {"version": {"crn": "c"}}}

    assert merge_prototypes(image, offering) == offering
    assert merge_prototypes(offering, image) == image


def test_an_image_takes_a_snapshots_place_and_the_rest_of_the_boot_volume_stays() -> None:
    image = {"image": {"id": "i"}}
    snapshot = {"boot_volume_attachment": {"name": "b", "volume": {"source_snapshot": {"id": "s"}}}}
    source = copy.deepcopy(snapshot)

    assert merge_prototypes(image, snapshot) == snapshot
    assert merge_prototypes(snapshot, image) == {
        **image,
        "boot_volume_attachment": {"name": "b", "volume": {}},
    }
    assert merge_prototypes(image, {"boot_volume_attachment": {"name": "b"}})["image"] == {
        "id": "i"
    }
    assert snapshot == source


INTERFACES = {"primary_network_interface": {"subnet": {"id": "s"}}}
ATTACHMENTS = {"primary_network_attachment": {"virtual_network_interface": {"id": "v"}}}


@pytest.mark.parametrize(
    ("source", "override", "expected"),
    [
        (INTERFACES, INTERFACES, []),
        (ATTACHMENTS, {"network_attachments": []}, []),
        (INTERFACES, ATTACHMENTS, ["primary_network_attachment"]),
        (ATTACHMENTS, INTERFACES, ["primary_network_interface"]),
        (
            ATTACHMENTS,
            {**INTERFACES, "network_interfaces": []},
            ["primary_network_interface", "network_interfaces"],
        ),
        (INTERFACES, {"network_attachments": None}, []),
    ],
)
def test_one_kind_of_network_cannot_override_the_other(
    source: dict[str, Any], override: dict[str, Any], expected: list[str]
) -> None:
    problems = mixture_problems(source, override)

    assert [problem.target and problem.target.name for problem in problems] == expected
