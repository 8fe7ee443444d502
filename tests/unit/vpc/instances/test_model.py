"""Shapes of bodies: what is ignored, what is refused and where."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from linklocal.server.validation import problems_of
from linklocal.vpc.instances.model import (
    CREATE_ONLY,
    MAX_USER_DATA,
    InstanceActionPrototype,
    InstancePatch,
    InstancePrototype,
)


def refused(model: type[Any], body: Any) -> dict[str, str]:
    """Message by target, as the server answers it."""
    with pytest.raises(ValidationError) as error:
        model.model_validate(body)
    found = [{**item, "loc": ("body", *item["loc"])} for item in error.value.errors()]
    return {
        problem.target.name: problem.message for problem in problems_of(found) if problem.target
    }


@pytest.mark.parametrize("text", ["é" * (MAX_USER_DATA // 2), "#cloud-config\r\n\t\U0001f600"])
def test_user_data_is_kept_as_given(text: str) -> None:
    assert InstancePrototype.model_validate({"user_data": text}).user_data == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("é" * (MAX_USER_DATA // 2) + "x", "65537 bytes"),
        ("a\0b", "NUL"),
        (5, "must be a string"),
        (["a"], "must be a string"),
    ],
)
def test_user_data_that_cannot_be_kept_is_refused(text: Any, says: str) -> None:
    assert says in refused(InstancePrototype, {"user_data": text})["user_data"]


@pytest.mark.parametrize("member", sorted(CREATE_ONLY))
@pytest.mark.parametrize("value", [None, {"id": "x"}, []])
def test_create_only_members_are_refused_with_what_to_do_instead(member: str, value: Any) -> None:
    found = refused(InstancePatch, {member: value})

    assert found == {member: CREATE_ONLY[member]}
    assert f"`{member}`" in found[member]


def test_create_only_members_are_no_part_of_the_schema_of_a_patch() -> None:
    assert set(InstancePatch.model_json_schema()["properties"]).isdisjoint(CREATE_ONLY)
    assert "metadata_service" in InstancePatch.model_json_schema()["properties"]


def test_all_shapes_of_one_body_are_reported() -> None:
    found = refused(
        InstancePrototype,
        {
            "name": "Upper",
            "keys": [{"id": "a"}, {"id": 5}],
            "metadata_service": {"enabled": "yes", "prtocol": "http"},
            "default_trusted_profile": {"auto_link": 1, "target": {"name": "x"}},
            "primary_network_attachment": {},
        },
    )

    assert set(found) == {
        "name",
        "keys[1].id",
        "metadata_service.enabled",
        "metadata_service.prtocol",
        "default_trusted_profile.auto_link",
        "default_trusted_profile.target.name",
        "primary_network_attachment.virtual_network_interface",
    }


def test_a_profile_needs_a_target() -> None:
    assert list(refused(InstancePrototype, {"default_trusted_profile": {}})) == [
        "default_trusted_profile.target"
    ]


def test_null_says_nothing_on_create() -> None:
    members = [name for name in InstancePrototype.model_fields if name != "source_template"]

    body = InstancePrototype.model_validate(dict.fromkeys(members))

    assert body.model_dump(exclude_none=True) == {}


@pytest.mark.parametrize("member", sorted(set(InstancePatch.model_fields) - set(CREATE_ONLY)))
def test_null_is_refused_in_a_patch(member: str) -> None:
    assert list(refused(InstancePatch, {member: None})) == [member]


@pytest.mark.parametrize("body", [{}, {"type": "pause"}, {"type": "stop", "force": "yes"}])
def test_actions_are_start_stop_and_reboot(body: dict[str, Any]) -> None:
    assert len(refused(InstanceActionPrototype, body)) == 1
