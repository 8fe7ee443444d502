"""*Get sample API call*: a body as the curl, CLI and Python that send it. Pure.

What is shown can be pasted into a shell or a program: every value is quoted for where it stands.
"""

from __future__ import annotations

import json
import pprint
import shlex
from collections.abc import Mapping
from typing import Any, Literal

from linklocal.vpc.http import SDK_VERSION

Kind = Literal["instance", "template"]
_PATHS = {"instance": "/v1/instances", "template": "/v1/instance/templates"}


def curl(kind: Kind, body: Mapping[str, Any], api: str) -> str:
    """With `$iam_token` as the documentation's examples have it."""
    url = f"{api}{_PATHS[kind]}?version={SDK_VERSION}&generation=2"
    text = json.dumps(body, indent=2, ensure_ascii=False)
    return (
        f"curl -X POST {shlex.quote(url)} \\\n"
        '  -H "Authorization: Bearer $iam_token" \\\n'
        f"  -d {shlex.quote(text)}"
    )


def python(kind: Kind, body: Mapping[str, Any], api: str) -> str:
    """With IBM's own SDK, and the API key in the environment."""
    call = "create_instance" if kind == "instance" else "create_instance_template"
    argument = "instance_prototype" if kind == "instance" else "instance_template_prototype"
    text = pprint.pformat(dict(body), width=88, sort_dicts=False)
    return (
        "import os\n\n"
        "from ibm_cloud_sdk_core.authenticators import IAMAuthenticator\n"
        "from ibm_vpc import VpcV1\n\n"
        f'authenticator = IAMAuthenticator(os.environ["IBMCLOUD_API_KEY"], url={api!r})\n'
        "vpc = VpcV1(authenticator=authenticator)\n"
        f"vpc.set_service_url({api + '/v1'!r})\n\n"
        f"{argument} = {text}\n"
        f"print(vpc.{call}({argument}).result)"
    )


def cli(kind: Kind, body: Mapping[str, Any]) -> str:
    """`linklocal is instance-create ...`, or `-from-template`."""
    if "source_template" in body:
        verb = (
            "instance-create-from-template"
            if kind == "instance"
            else "instance-template-create-override-source-template"
        )
        words = ["linklocal", "is", verb, "--template", body["source_template"]["id"]]
        if "name" in body:
            words += ["--name", str(body["name"])]
        words += _placed(body, options=True)
    else:
        verb = "instance-create" if kind == "instance" else "instance-template-create"
        words = ["linklocal", "is", verb, str(body.get("name", "NAME")), *_placed(body)]
    words += _options(body)
    return _wrapped([shlex.quote(word) for word in words])


def _placed(body: Mapping[str, Any], *, options: bool = False) -> list[str]:
    """VPC, zone, profile and subnet: arguments of `instance-create`, options when overriding.

    The subnet of a network attachment has an option of its own in both.
    """
    interface = body.get("primary_network_interface", {}).get("subnet")
    attachment = body.get("primary_network_attachment", {}).get("virtual_network_interface", {})
    values = {
        "vpc": body.get("vpc", {}).get("id"),
        "zone": body.get("zone", {}).get("name"),
        "profile": body.get("profile", {}).get("name"),
        "subnet": interface["id"] if interface else None,
    }
    if options:
        named = [(f"--{name}", str(value)) for name, value in values.items() if value]
        words = [word for pair in named for word in pair]
    else:
        if attachment:
            del values["subnet"]
        words = [str(value or name.upper()) for name, value in values.items()]
    return [*words, "--pnac-vni-subnet", attachment["subnet"]["id"]] if attachment else words


def _options(body: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    if "resource_group" in body:
        words += ["--resource-group-id", body["resource_group"]["id"]]
    if "image" in body:
        words += ["--image", body["image"]["id"]]
    if "keys" in body:
        words += ["--keys", ",".join(key["id"] for key in body["keys"])]
    if "placement_target" in body:
        words += ["--placement-group", body["placement_target"]["id"]]
    if "boot_volume_attachment" in body:
        words += ["--boot-volume", json.dumps(body["boot_volume_attachment"])]
    if "volume_attachments" in body:
        words += ["--volume-attach", json.dumps(body["volume_attachments"])]
    if "user_data" in body:
        words += ["--user-data", body["user_data"]]
    if "availability_policy" in body:
        words += ["--host-failure-policy", body["availability_policy"]["host_failure"]]
    if (service := body.get("metadata_service")) is not None:
        words += ["--metadata-service", "true" if service["enabled"] else "false"]
        if "protocol" in service:
            words += ["--metadata-service-protocol", service["protocol"]]
        if "response_hop_limit" in service:
            limit = str(service["response_hop_limit"])
            words += ["--metadata-service-response-hop-limit", limit]
    if (profile := body.get("default_trusted_profile")) is not None:
        auto_link = "true" if profile["auto_link"] else "false"
        words += ["--default-trusted-profile", profile["target"]["id"]]
        words += ["--default-trusted-profile-auto-link", auto_link]
    return words


def _wrapped(words: list[str]) -> str:
    """One option a line."""
    text = ""
    for word in words:
        text += f" \\\n  {word}" if word.startswith("--") else f" {word}"
    return text.strip()
