"""`linklocal dev` as a test double: faults by HTTP and command line, and what a checkpoint brings back."""

from __future__ import annotations

import json
import os
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from click.testing import CliRunner
from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
from ibm_vpc import VpcV1

from linklocal.cli.main import cli
from linklocal.errors import OperatorError
from linklocal.pytest_plugin.double import Instance, Linklocal, Refused
from linklocal.tokens import PublicKeys, unverified_header

VERSION = {"version": "2025-08-26"}
FAULTS = "/linklocal/v1/faults"
CHECKPOINT = "/linklocal/v1/checkpoint"


def token(instance: Instance) -> httpx.Response:
    headers = {"Metadata-Flavor": "ibm"}
    return httpx.put(f"{instance.url}/identity/v1/token", params=VERSION, headers=headers)


def bearer(instance: Instance) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(instance).json()['access_token']}"}


def read(instance: Instance, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(f"{instance.url}/metadata/v1/instance", params=VERSION, headers=headers)


def exchange(instance: Instance, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{instance.url}/identity/v1/iam_tokens", params=VERSION, headers=headers)


def events(linklocal: Linklocal, **filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = linklocal.request("GET", "/audit/v1/events", params=filters)[
        "events"
    ]
    return found


def run(linklocal: Linklocal, *arguments: str) -> str:
    """What the command line says in the server's state folder."""
    folder = ("--state-dir", str(linklocal.state_dir))
    done = CliRunner().invoke(cli, [*arguments, *folder], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


# --- faults ------------------------------------------------------------------------------------


def test_a_fault_meets_its_instance_only(
    linklocal: Linklocal, linklocal_instance: Instance
) -> None:
    other = linklocal.create_instance()
    linklocal.fault("500", instance=linklocal_instance)

    assert token(linklocal_instance).status_code == 500
    assert token(other).status_code == 200


def test_an_answer_ends_in_the_middle(linklocal: Linklocal, linklocal_instance: Instance) -> None:
    """The head promises all of it, half of it comes, and then the connection ends."""
    headers = bearer(linklocal_instance)
    whole = read(linklocal_instance, headers)
    linklocal.fault("truncated-body", count=1)
    address = urlsplit(linklocal_instance.url)
    lines = ["GET /metadata/v1/instance?version=2025-08-26 HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]

    with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        said = b""
        while part := sock.recv(65_536):
            said += part

    head, _, body = said.partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert f"content-length: {len(whole.content)}".encode() in head.lower()
    assert body == whole.content[: len(whole.content) // 2]
    assert read(linklocal_instance, headers).content == whole.content


def test_another_key_is_published_and_its_tokens_are_exchanged(
    linklocal: Linklocal, linklocal_instance: Instance
) -> None:
    before = bearer(linklocal_instance)
    with linklocal.fault("key-rotated"):
        after = bearer(linklocal_instance)
        published = PublicKeys(httpx.get(f"{linklocal.api}/identity/keys").json()["keys"])

        assert read(linklocal_instance, before).status_code == 401
        assert unverified_header(after["Authorization"].split()[1])["kid"] in published
        assert exchange(linklocal_instance, after).status_code == 200
    assert read(linklocal_instance, after).status_code == 401
    assert read(linklocal_instance, before).status_code == 200


def test_the_server_names_a_clock_that_is_ahead(
    linklocal: Linklocal, linklocal_instance: Instance
) -> None:
    """The node's clock is off, the server's is not: the server refuses what the node signed."""
    linklocal.fault("clock-offset", seconds=120)

    refused = exchange(linklocal_instance, bearer(linklocal_instance))

    assert refused.status_code == 401
    assert "compare the clocks" in refused.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("body", "code", "target"),
    [
        ({"kind": "fire"}, "bad_field", "kind"),
        ({"kind": "latency"}, "missing_field", "seconds"),
        ({"kind": "latency", "seconds": -1.0}, "bad_field", "seconds"),
        ({"kind": "500", "seconds": 1.0}, "bad_field", "seconds"),
        ({"kind": "500", "retry_after": 1}, "bad_field", "retry_after"),
        ({"kind": "500", "count": 0}, "bad_field", "count"),
        ({"kind": "500", "operation": "nothing"}, "bad_field", "operation"),
        ({"kind": "500", "instance": "nobody"}, "not_found", "instance"),
    ],
)
def test_what_is_no_fault_is_refused(
    linklocal_server: Linklocal, body: dict[str, Any], code: str, target: str
) -> None:
    authorization = linklocal_server.authorization
    answer = httpx.post(f"{linklocal_server.api}{FAULTS}", json=body, headers=authorization)

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["target"]["name"]) == (400, code, target)
    assert linklocal_server.faults() == []


def test_only_an_administrator_may(linklocal: Linklocal, linklocal_instance: Instance) -> None:
    """The instance's profile may read the VPC API, and nothing of this."""
    reader = exchange(linklocal_instance, bearer(linklocal_instance)).json()["access_token"]
    with httpx.Client(
        base_url=linklocal.api, headers={"Authorization": f"Bearer {reader}"}
    ) as client:
        answers = [
            client.get(FAULTS),
            client.post(FAULTS, json={"kind": "500"}),
            client.delete(FAULTS),
            client.delete(f"{FAULTS}/1"),
            client.put(CHECKPOINT),
            client.post(f"{CHECKPOINT}/restore"),
        ]

    assert [answer.status_code for answer in answers] == [403] * 6
    assert httpx.get(f"{linklocal.api}{FAULTS}").status_code == 401


def test_faults_are_in_the_audit(linklocal: Linklocal, linklocal_instance: Instance) -> None:
    fault = linklocal.fault("429", instance=linklocal_instance)
    fault.remove()

    (made,) = [
        event
        for event in events(linklocal, action="linklocal.fault.create", limit="20")
        if event["target"].get("id") == fault.id
    ]
    assert made["outcome"] == "success"
    assert (
        events(linklocal, action="linklocal.fault.delete", limit="1")[0]["target"]["id"] == fault.id
    )


def test_the_command_line(linklocal: Linklocal, linklocal_instance: Instance) -> None:
    assert "No fault is in force" in run(linklocal, "fault", "list")
    name = linklocal_instance.name
    added = run(linklocal, "fault", "add", "429", "--instance", name, "--retry-after", "9")
    run(linklocal, "fault", "add", "latency", "--seconds", "0.01", "--operation", "instance.read")

    assert token(linklocal_instance).headers["Retry-After"] == "9"
    first, second = json.loads(run(linklocal, "fault", "list", "--output", "JSON"))
    assert (first["id"], first["applied"], first["count"]) == (added.strip(), 1, None)
    assert (second["kind"], second["seconds"]) == ("latency", 0.01)
    assert "Retry-After 9 s" in run(linklocal, "fault", "list")

    run(linklocal, "fault", "remove", first["id"])
    assert token(linklocal_instance).status_code == 200
    run(linklocal, "fault", "remove", "--all")
    assert linklocal.faults() == []
    with pytest.raises(OperatorError) as gone:
        run(linklocal, "fault", "remove", first["id"])
    assert "`linklocal fault list`" in gone.value.next_step


# --- between two tests -------------------------------------------------------------------------


def whole(linklocal: Linklocal) -> dict[str, Any]:
    """What the APIs show of everything that a test could change."""
    query = {"version": "2025-08-26", "generation": "2"}
    kinds = ("instances", "keys", "images", "volumes", "vpcs", "subnets", "instance/templates")
    shown = {kind: linklocal.request("GET", f"/v1/{kind}", params=query) for kind in kinds}
    for kind in ("profiles", "policies", "apikeys"):
        shown[kind] = linklocal.request(
            "GET", f"/v1/{kind}", params={"account_id": linklocal.account_id}
        )
    return shown


def test_a_checkpoint_brings_everything_back(linklocal: Linklocal) -> None:
    """What was there and is changed or deleted, what was not, and what the demo instance serves."""
    vpc = linklocal.vpc
    before = whole(linklocal)
    (demo_id,) = (one["id"] for one in before["instances"]["instances"])
    demo = linklocal.instance(demo_id)
    document = read(demo, bearer(demo)).json()
    mine = linklocal.create_instance("mine")
    vpc.update_instance(demo_id, {"name": "changed", "metadata_service": {"enabled": False}})
    profile = next(one for one in before["profiles"]["profiles"] if one["name"] == "other-profile")
    linklocal.request("DELETE", f"/v1/profiles/{profile['id']}")
    vpc.create_vpc(name="another")
    linklocal.fault("500")

    linklocal.restore_checkpoint()

    assert whole(linklocal) == before
    assert linklocal.faults() == []
    assert read(demo, bearer(demo)).json() == document
    with pytest.raises(httpx.ConnectError):
        token(mine)


def test_a_deleted_instance_comes_back(linklocal: Linklocal) -> None:
    vpc = linklocal.vpc
    (shown,) = vpc.list_instances().result["instances"]
    vpc.delete_instance(shown["id"])

    linklocal.restore_checkpoint()

    demo = linklocal.instance(shown["id"])
    assert exchange(demo, bearer(demo)).status_code == 200
    assert vpc.get_instance(shown["id"]).result == shown


def test_an_administrators_key_is_back(linklocal: Linklocal) -> None:
    """A test that takes the key away must not lock the next one out."""
    (key,) = linklocal.request("GET", "/v1/apikeys", params={"account_id": linklocal.account_id})[
        "apikeys"
    ]
    linklocal.request("POST", f"/v1/apikeys/{key['id']}/disable")
    linklocal.restore_checkpoint()

    vpc = VpcV1(authenticator=IAMAuthenticator(linklocal.api_key, url=linklocal.api))
    vpc.set_service_url(f"{linklocal.api}/v1")
    assert vpc.list_instances().result["total_count"] == 1


# --- the plugin --------------------------------------------------------------------------------


def test_refusals_say_what_the_server_said(linklocal: Linklocal) -> None:
    with pytest.raises(Refused, match="`latency` needs `seconds`"):
        linklocal.fault("latency")
    with pytest.raises(Refused, match="demo-profile"):
        linklocal.create_instance(trusted_profile="nobody")


def test_an_instance_with_settings_of_its_own(linklocal: Linklocal) -> None:
    instance = linklocal.create_instance(
        trusted_profile=None, metadata_service={"protocol": "https"}, user_data="hello"
    )

    assert instance.url.startswith("https://localhost:")
    answer = httpx.put(
        f"{instance.url}/identity/v1/token",
        params=VERSION,
        headers={"Metadata-Flavor": "ibm"},
        verify=ssl.create_default_context(cafile=linklocal.ca_cert),
    )
    assert answer.status_code == 200


def test_the_sdks_are_as_before_behind_the_block(
    linklocal: Linklocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VPC_URL", "mine")
    built_in = VpcV1.DEFAULT_SERVICE_URL

    with linklocal.sdk() as variables:
        assert VpcV1.new_instance().list_instances().result["total_count"] == 1
        assert variables["VPC_AUTH_TYPE"] == "iam"

    assert built_in == VpcV1.DEFAULT_SERVICE_URL
    assert os.environ["VPC_URL"] == "mine"
    assert "VPC_APIKEY" not in os.environ
