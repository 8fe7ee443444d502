"""Forms -> bodies: what is off or empty is left out, what is wrong goes on for the API to refuse."""

from __future__ import annotations

from typing import Any

import pytest

from linklocal.console.forms import (
    Form,
    id_of,
    instance_prototype,
    metadata_patch,
    number,
    reinitialize_prototype,
)
from linklocal.errors import Invalid
from linklocal.vpc.instances.model import InstancePrototype, ReinitializePrototype

BASE = {
    "name": ["vm"],
    "zone": ["us-south-1"],
    "vpc": ["v"],
    "image": ["i"],
    "profile": ["bx2-2x8"],
    "subnet": ["s"],
    "restart": ["on"],
    "boot_capacity": ["100"],
}


def body(**fields: list[str]) -> dict[str, Any]:
    made = instance_prototype(Form({**BASE, **fields}))
    InstancePrototype.model_validate(made)
    return made


def test_the_metadata_settings_are_left_out_while_the_toggle_is_off() -> None:
    made = body(secure=["on"], hop_limit=["9"], profile_id=["Profile-1"], auto_link=["on"])

    assert "metadata_service" not in made
    assert "default_trusted_profile" not in made


def test_all_of_them_when_it_is_on() -> None:
    made = body(metadata=["on"], secure=["on"], hop_limit=["9"], profile_id=["Profile-1"])

    assert made["metadata_service"] == {
        "enabled": True,
        "protocol": "https",
        "response_hop_limit": 9,
    }
    assert made["default_trusted_profile"] == {"auto_link": False, "target": {"id": "Profile-1"}}


def test_off_is_said_where_a_template_may_say_on() -> None:
    assert body(template=["t"])["metadata_service"] == {"enabled": False}


def test_a_templates_own_network_is_inherited_whichever_kind_it_is() -> None:
    inherited = body(template=["t"], template_network=["s"])
    other = body(template=["t"], template_network=["another"], interface=["network_interface"])

    assert not [name for name in inherited if name.startswith("primary_network")]
    assert other["primary_network_interface"] == {"subnet": {"id": "s"}}


def test_volumes_keys_user_data_and_policy() -> None:
    made = body(
        boot_capacity=["120"],
        data_capacity=["10", "", "20"],
        key=["a", "b"],
        user_data=["one\r\ntwo"],
        restart=[],
    )

    assert made["boot_volume_attachment"]["volume"]["capacity"] == 120
    assert [v["volume"]["capacity"] for v in made["volume_attachments"]] == [10, 20]
    assert made["keys"] == [{"id": "a"}, {"id": "b"}]
    assert made["user_data"] == "one\ntwo"
    assert made["availability_policy"] == {"host_failure": "stop"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), (" 7 ", 7), ("-1", -1), ("1.5", "1.5"), ("", ""), ("9" * 30, "9" * 30)],
)
def test_numbers(text: str, value: int | str) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("fields", "member"),
    [
        ({"setting": ["enabled"], "enabled": ["on"]}, {"enabled": True}),
        ({"setting": ["enabled"]}, {"enabled": False}),
        ({"setting": ["protocol"], "secure": ["on"]}, {"protocol": "https"}),
        ({"setting": ["protocol"]}, {"protocol": "http"}),
        ({"setting": ["response_hop_limit"], "hop_limit": ["65"]}, {"response_hop_limit": 65}),
    ],
)
def test_one_control_is_one_member_of_a_patch(
    fields: dict[str, list[str]], member: dict[str, Any]
) -> None:
    """So that a control that somebody else changed meanwhile is not put back."""
    assert metadata_patch(Form(fields)) == {"metadata_service": member}


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(Invalid):
        metadata_patch(Form({"setting": ["other"]}))


def test_reinitializing_says_what_is_kept_and_leaves_out_the_rest() -> None:
    made = reinitialize_prototype(Form({"image": ["i"], "key": ["k"], "profile_id": ["Profile-1"]}))
    bare = reinitialize_prototype(Form({"image": ["i"], "user_data": [""], "auto_link": ["on"]}))

    ReinitializePrototype.model_validate(made)
    assert made == {
        "image": {"id": "i"},
        "keys": [{"id": "k"}],
        "default_trusted_profile": {"auto_link": False, "target": {"id": "Profile-1"}},
    }
    assert bare == {"image": {"id": "i"}}


def test_a_resource_group_is_said_when_it_is_chosen() -> None:
    assert body(resource_group=["g"])["resource_group"] == {"id": "g"}
    assert "resource_group" not in body()


@pytest.mark.parametrize(
    ("reference", "id"),
    [
        (None, ""),
        ({"id": "r006-a", "crn": "crn:v1:x::image:r006-b"}, "r006-a"),
        (
            {"name": "us-south-1", "href": "http://x/v1/regions/us-south/zones/us-south-1"},
            "us-south-1",
        ),
        ({"crn": "crn:v1:bluemix:public:is:us-south:a/1::image:r006-b"}, "r006-b"),
        ({"href": "http://x/v1/images/r006-c"}, "r006-c"),
        ({"fingerprint": "SHA256:x"}, ""),
    ],
)
def test_a_reference_is_known_by_any_of_its_members(
    reference: dict[str, str] | None, id: str
) -> None:
    assert id_of(reference) == id
