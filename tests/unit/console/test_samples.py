"""Samples can be pasted: what a shell or Python reads is the body again."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from linklocal.console import samples

API = "http://127.0.0.1:8080"


@given(st.text())
def test_curl_sends_the_body(user_data: str) -> None:
    body = {"name": "vm", "user_data": user_data}

    text = samples.curl("instance", body, API)

    words = shlex.split(text.replace(" \\\n", " "))
    assert json.loads(words[words.index("-d") + 1]) == body
    assert words[3].startswith(f"{API}/v1/instances?version=")


@given(st.text())
def test_python_sends_the_body(user_data: str) -> None:
    body = {"name": "vm", "user_data": user_data, "metadata_service": {"enabled": True}}

    module = ast.parse(samples.python("instance", body, API))

    values = [
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "instance_prototype"
    ]
    assert values == [body]


def test_the_command_line() -> None:
    body: dict[str, Any] = {
        "name": "vm",
        "vpc": {"id": "v"},
        "zone": {"name": "us-south-1"},
        "profile": {"name": "bx2-2x8"},
        "primary_network_interface": {"subnet": {"id": "s"}},
        "metadata_service": {"enabled": True, "protocol": "https", "response_hop_limit": 2},
        "default_trusted_profile": {"auto_link": False, "target": {"id": "Profile-1"}},
    }

    words = shlex.split(samples.cli("instance", body).replace("\\\n", " "))

    assert words[:8] == [
        "linklocal",
        "is",
        "instance-create",
        "vm",
        "v",
        "us-south-1",
        "bx2-2x8",
        "s",
    ]
    assert words[8:] == [
        *("--metadata-service", "true"),
        *("--metadata-service-protocol", "https"),
        *("--metadata-service-response-hop-limit", "2"),
        *("--default-trusted-profile", "Profile-1"),
        *("--default-trusted-profile-auto-link", "false"),
    ]


def test_the_subnet_of_a_network_attachment_is_an_option() -> None:
    attachment = {"virtual_network_interface": {"subnet": {"id": "s"}}}
    body = {"name": "vm", "vpc": {"id": "v"}, "primary_network_attachment": attachment}

    words = shlex.split(samples.cli("instance", body).replace("\\\n", " "))

    assert words[3:] == ["vm", "v", "ZONE", "PROFILE", "--pnac-vni-subnet", "s"]


def test_the_command_line_from_a_template() -> None:
    body = {"name": "vm", "source_template": {"id": "t"}, "metadata_service": {"enabled": False}}

    words = shlex.split(samples.cli("instance", body).replace("\\\n", " "))

    assert words[2:] == [
        "instance-create-from-template",
        *("--template", "t"),
        *("--name", "vm"),
        *("--metadata-service", "false"),
    ]
