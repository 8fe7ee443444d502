"""The settings of control-plane contract 2.2: what is taken, what is refused, and how they merge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from linklocal.document import MetadataService
from linklocal.vpc import metadata_service as ms

SETTINGS = st.builds(
    MetadataService,
    enabled=st.booleans(),
    protocol=st.sampled_from(["http", "https"]),
    response_hop_limit=st.integers(1, 64),
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "protocol": st.sampled_from(["http", "https"]),
        "response_hop_limit": st.integers(1, 64),
    },
)
REFUSED = [
    ("enabled", "true"),
    ("enabled", 1),
    ("enabled", 0),
    ("enabled", []),
    ("protocol", "HTTPS"),
    ("protocol", "ftp"),
    ("protocol", ""),
    ("protocol", True),
    ("response_hop_limit", 0),
    ("response_hop_limit", 65),
    ("response_hop_limit", -1),
    ("response_hop_limit", 10**30),
    ("response_hop_limit", True),
    ("response_hop_limit", 1.0),
    ("response_hop_limit", "1"),
    ("enabld", True),
    ("Enabled", True),
    ("hop_limit", 2),
]


def problems(model: type[Any], body: Any) -> list[tuple[str, ...]]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(body)
    return [error["loc"] for error in refused.value.errors()]


@pytest.mark.parametrize("model", [ms.MetadataServicePrototype, ms.MetadataServicePatch])
@pytest.mark.parametrize(("member", "value"), REFUSED)
def test_a_bad_member_is_refused_by_its_name(model: type[Any], member: str, value: Any) -> None:
    assert problems(model, {member: value}) == [(member,)]


@pytest.mark.parametrize("model", [ms.MetadataServicePrototype, ms.MetadataServicePatch])
def test_every_bad_member_of_one_body_is_reported(model: type[Any]) -> None:
    body = {"enabled": "yes", "protocol": "tcp", "response_hop_limit": 99, "x": 1}

    assert len(problems(model, body)) == 4


@pytest.mark.parametrize(
    ("member", "value", "says"),
    [
        ("enabled", "true", "`true` or `false`, without quotes"),
        ("protocol", "HTTP", "`http` or `https`, in lower case"),
        ("response_hop_limit", 65, "a whole number from 1 to 64"),
    ],
)
def test_the_message_says_what_to_send(member: str, value: Any, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ms.MetadataServicePrototype.model_validate({member: value})

    assert says in refused.value.errors()[0]["msg"]
    assert f"metadata_service.{member}" in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    "body", [{}, {"enabled": None}, {"protocol": None, "response_hop_limit": None}]
)
def test_nothing_said_on_create_means_the_defaults(body: dict[str, Any]) -> None:
    """Off, http, one hop (contract 0, item 1)."""
    prototype = ms.MetadataServicePrototype.model_validate(body)

    assert ms.created(prototype) == ms.created(None) == MetadataService(False, "http", 1)


@pytest.mark.parametrize("member", ["enabled", "protocol", "response_hop_limit"])
def test_null_is_refused_in_a_patch(member: str) -> None:
    assert problems(ms.MetadataServicePatch, {member: None}) == [(member,)]


@given(SETTINGS, MEMBERS)
def test_a_patch_changes_what_it_names_and_nothing_else(
    current: MetadataService, members: dict[str, Any]
) -> None:
    after = ms.patched(current, ms.MetadataServicePatch.model_validate(members))

    assert ms.view(after) == {**ms.view(current), **members}


def test_disabling_keeps_protocol_and_hop_limit() -> None:
    off = ms.patched(
        MetadataService(True, "https", 7),
        ms.MetadataServicePatch.model_validate({"enabled": False}),
    )

    assert off == MetadataService(False, "https", 7)


@pytest.mark.differs(
    "VPC API: `metadata_service` beside `source_template`",
    "may replace the template's as a whole",
    "merges with it member by member",
)
@given(MEMBERS, MEMBERS)
def test_a_request_made_from_a_template_merges_member_by_member(
    source: dict[str, Any], override: dict[str, Any]
) -> None:
    assert (ms.merged(source, override) or {}) == {**source, **override}


def test_repeating_enabled_does_not_reset_a_template() -> None:
    """The page tells people to give `--metadata-service true` again (contract 0, item 6)."""
    template = {"enabled": True, "protocol": "https", "response_hop_limit": 3}

    assert ms.merged(template, {"enabled": True, "protocol": None}) == template
    assert ms.merged(template, None) == template
    assert ms.merged(None, None) is None
    assert ms.merged(None, {"enabled": True}) == {"enabled": True}


@given(SETTINGS)
def test_columns_keep_the_settings(settings: MetadataService) -> None:
    assert ms.from_columns(ms.to_columns(settings)) == settings


@given(MEMBERS)
def test_what_is_named_on_create_is_what_is_shown(members: dict[str, Any]) -> None:
    prototype = ms.MetadataServicePrototype.model_validate(members)

    assert ms.view(ms.created(prototype)) == {
        "enabled": False,
        "protocol": "http",
        "response_hop_limit": 1,
        **members,
    }
