"""The table of paths: what is there, at which versions, in which order it is refused, and its audit names.

Metadata contract 2.1 (versions against paths), 2.2 (order of checks), 4 (methods), 6 (bare metal), 7 (audit).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes.documents import (
    ATTACHMENT_ID,
    CLUSTER_ATTACHMENT,
    KEY,
    PLACEMENT_GROUP,
    SOFTWARE_ID,
    VNI,
    VOLUME_ATTACHMENT_ID,
    bare_metal_document,
    full_document,
)
from unit.metadata.harness import VERSION, Instance, assert_refused

from linklocal.document import MetadataService
from linklocal.errors import Problem
from linklocal.metadata.routes import ROUTES, handle
from linklocal.metadata.wire import Request, Response, UpstreamRefused

INSTANCE = "/metadata/v1/instance"
TOKEN, EXCHANGE, CERTIFICATES = (
    "/identity/v1/token",
    "/identity/v1/iam_tokens",
    "/identity/v1/certificates",
)

# Contract 4 and 7, row by row: path -> audit action.
READS = {
    INSTANCE: "instance.read",
    f"{INSTANCE}/initialization": "instance.initialization",
    f"{INSTANCE}/cluster_network_attachments": "instance-cluster-network-attachment.list",
    f"{INSTANCE}/cluster_network_attachments/{CLUSTER_ATTACHMENT['id']}":
        "instance-cluster-network-attachment.get",
    f"{INSTANCE}/network_attachments": "instance-network-attachment.list",
    f"{INSTANCE}/network_attachments/{ATTACHMENT_ID}": "instance-network-attachment.get",
    f"{INSTANCE}/network_interfaces": "instance-network-interface.list",
    f"{INSTANCE}/network_interfaces/{ATTACHMENT_ID}": "instance-network-interface.get",
    f"{INSTANCE}/software_attachments": "instance-software-attachment.list",
    f"{INSTANCE}/software_attachments/{SOFTWARE_ID}": "instance-software-attachment.read",
    f"{INSTANCE}/volume_attachments": "instance-volume-attachment.list",
    f"{INSTANCE}/volume_attachments/{VOLUME_ATTACHMENT_ID}": "instance-volume-attachment.get",
    "/metadata/v1/keys": "instance-key.list",
    f"/metadata/v1/keys/{KEY['id']}": "instance-key.get",
    "/metadata/v1/placement_groups": "instance-placement-group.list",
    f"/metadata/v1/placement_groups/{PLACEMENT_GROUP['id']}": "instance-placement-group.get",
    "/metadata/v1/virtual_network_interfaces": "instance-virtual-network-interface.list",
    f"/metadata/v1/virtual_network_interfaces/{VNI['id']}": "instance-virtual-network-interface.get",
}  # fmt: skip


@pytest.fixture
def instance() -> Instance:
    return Instance()


def test_there_are_the_methods_of_the_reference_and_no_others() -> None:
    assert len(READS) == len([route for route in ROUTES if route.method == "GET"]) == 18
    assert len(ROUTES) == 18 + 6


@pytest.mark.parametrize("path", READS)
def test_read(instance: Instance, path: str) -> None:
    answer = instance.get(path)

    assert answer.status == 200
    assert answer.operation == f"is.metadata.{READS[path]}"
    assert answer.detail == {"version": "2025-08-26"}
    assert answer.reason is answer.message is answer.rule is None
    assert answer.headers == ()


@pytest.mark.parametrize("path", READS)
def test_a_read_makes_no_coroutine_and_ignores_its_body(instance: Instance, path: str) -> None:
    token = {"authorization": f"Bearer {instance.token()}"}
    for body, headers in ((b"", token), (b"{", token), (b"x" * 70_000, token), (b"", {})):
        answer = handle(
            Request("GET", path, VERSION, headers, body), instance.served, instance.upstream
        )
        assert isinstance(answer, Response)
        assert answer.status == (200 if headers else 400)


@pytest.mark.parametrize("path", READS)
def test_every_read_wants_a_version_and_a_token(instance: Instance, path: str) -> None:
    assert_refused(instance.get(path, ""), 400, "missing_field", "version")
    assert_refused(instance.ask("GET", path), 400, "missing_field", "Authorization")
    answer = instance.get(path, token="x")
    assert_refused(answer, 401, "unauthenticated", "Authorization")
    assert answer.operation == f"is.metadata.{READS[path]}"


# --- identity operations at each version, on both generations of paths -------------------------------

GENERATIONS = {
    "identity": [("PUT", "token"), ("POST", "iam_tokens"), ("POST", "certificates")],
    "instance_identity": [("PUT", "token"), ("POST", "iam_token"), ("POST", "certificates")],
}
OPERATIONS = {
    "token": "is.metadata.jwt-token.create",
    "iam_token": "is.metadata.computeresource-token.request",
    "iam_tokens": "is.metadata.computeresource-token.request",
    "certificates": "is.metadata.certificate.create",
}


@pytest.mark.parametrize(
    ("version", "legacy"),
    [
        ("2022-03-01", True),
        ("2024-11-12", True),
        ("2025-08-25", True),
        ("2025-08-26", False),
        ("2026-11-25", False),
    ],
)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_path_generations(instance: Instance, generation: str, version: str, legacy: bool) -> None:
    headers = {"metadata_flavor": "ibm", "authorization": f"Bearer {instance.token()}"}
    for method, name in GENERATIONS[generation]:
        body = b'{"csr":"pem"}' if name == "certificates" else b""
        answer = instance.ask(
            method, f"/{generation}/v1/{name}", f"version={version}", body, **headers
        )

        assert answer.operation == OPERATIONS[name]
        assert answer.detail["path"] == generation
        assert answer.detail["version"] == version
        if generation == "identity" or legacy:
            assert answer.status == 200
        else:
            error = assert_refused(answer, 404, "not_found")
            newer = name.replace("iam_token", "iam_tokens")
            assert f"`/identity/v1/{newer}`" in error["message"]


# --- paths and methods ------------------------------------------------------------------------------

UNKNOWN_PATHS = [
    "", "/", "*", "/metadata", "/metadata/v1", "/metadata/v1/", "/metadata/v1/instance/",
    "/metadata/v1//instance", "//metadata/v1/instance", "/Metadata/v1/instance",
    "/metadata/v1/instanc%65", "/metadata/v1/keys%2fx", "/metadata/v1/../v1/instance",
    "/metadata/v1/keys/", "/metadata/v1/keys//", f"/metadata/v1/keys//{KEY['id']}",
    f"/metadata/v1/keys/{KEY['id']}/", f"/metadata/v1/keys/%72{KEY['id'][1:]}",
    "/metadata/v1/instance/disks", "/metadata/v1/instance/volume_attachment/x",
    "/metadata/v1/instance/keys", "/metadata/v1/virtual_network_interfaces/x/ips",
    "/metadata/v1/virtual_network_interfaces/x/floating_ips",
    "/metadata/v1/instance/initialization/x", "/metadata/v1/bare_metal_servers/x/initialization",
    "/identity/v1/tokens", "/identity/v1/iam_token", "/identity/v1/token/", "/identity/v1/token/x",
    "/instance_identity/v1/iam_tokens", "/latest/meta-data", "/metadata/v2/instance",
]  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_unknown_path(instance: Instance, method: str, path: str) -> None:
    answer = instance.ask(method, path, authorization=f"Bearer {instance.token()}")

    assert_refused(answer, 404, "not_found")
    assert answer.operation == ""
    assert answer.detail == {}


@pytest.mark.parametrize("id", ["nothing", "0717-1", "a" * 64, "-", "_"])
def test_an_id_that_is_not_there(instance: Instance, id: str) -> None:
    error = assert_refused(instance.get(f"/metadata/v1/keys/{id}"), 404, "not_found", "id")

    assert error["target"] == {"name": "id", "type": "parameter", "value": id}


@pytest.mark.parametrize("id", ["..", "A", "a b", "a" * 65, "é", "a;b", "\udc80", "crn:v1:x"])
def test_an_id_with_characters_that_no_id_has(instance: Instance, id: str) -> None:
    assert_refused(instance.get(f"/metadata/v1/keys/{id}"), 404, "invalid_value", "id")


@pytest.mark.differs(
    "Metadata: a method that a path does not have",
    "not published",
    "405 with `Allow`",
)
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (INSTANCE, "GET"), ("/metadata/v1/keys/x", "GET"), (TOKEN, "PUT"), (EXCHANGE, "POST"),
        (CERTIFICATES, "POST"), ("/instance_identity/v1/token", "PUT"),
    ],
)  # fmt: skip
def test_a_method_that_is_not_offered(instance: Instance, path: str, allowed: str) -> None:
    offered = ("GET", "PUT", "POST", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "get", "", "é")
    for method in offered:
        if method != allowed:
            answer = instance.ask(method, path)
            assert_refused(answer, 405, "invalid_request")
            assert answer.headers == (("Allow", allowed),)


# --- order ------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], None]


def mend(**members: Any) -> Change:
    return lambda asked: asked.update(members)


def header(name: str, value: str | None) -> Change:
    def change(asked: dict[str, Any]) -> None:
        asked["headers"] = {k: v for k, v in asked["headers"].items() if k != name}
        if value is not None:
            asked["headers"][name] = value

    return change


GOOD = "the instance's own token"
# Each begins with everything wrong. A row: what the answer is, and which fault is mended after it.
CREATE_TOKEN: list[tuple[int, str, Change]] = [
    (403, "unauthorized", mend(enabled=True)),
    (400, "forbidden_header", header("via", None)),
    (400, "missing_field", mend(query="version=2021-01-01&x=1")),
    (400, "invalid_version_range", mend(query="version=2025-08-26&x=1")),
    (404, "not_found", mend(query="version=2025-08-25&x=1")),
    (400, "unknown_field", mend(query="version=2025-08-25")),
    (400, "missing_value", header("metadata-flavor", "x")),
    (400, "invalid_value", header("metadata-flavor", "ibm")),
    (400, "invalid_request", mend(body=b'{"x":1}')),
    (400, "unknown_field", mend(body=b"{}")),
]
EXCHANGED: list[tuple[int, str, Change]] = [
    (403, "unauthorized", mend(enabled=True)),
    (404, "not_found", mend(path="/instance_identity/v1/iam_token")),
    (405, "invalid_request", mend(method="POST")),
    (400, "missing_field", mend(query="version=x&x=1")),
    (400, "invalid_value", mend(query="version=2025-08-26&x=1")),
    (404, "not_found", mend(query="version=2025-08-25&x=1")),
    (400, "unknown_field", mend(query="version=2025-08-25")),
    (400, "missing_field", header("authorization", "Bearer x")),
    (401, "unauthenticated", header("authorization", GOOD)),
    (400, "invalid_request", mend(body=b'{"trusted_profile":{}}')),
    (400, "missing_field", mend(body=b"")),
    (400, "profile_not_linked", mend(error=None)),
]
READ_ITEM: list[tuple[int, str, Change]] = [
    (403, "unauthorized", mend(enabled=True)),
    (404, "not_found", mend(path="/metadata/v1/keys/x")),
    (405, "invalid_request", mend(method="GET")),
    (400, "missing_field", mend(query="version=2022-01-01&limit=1")),
    (400, "invalid_version_range", mend(query="version=2022-03-01&limit=1")),
    (400, "unknown_field", mend(query="version=2022-03-01")),
    (400, "missing_field", header("authorization", GOOD)),
    (404, "not_found", mend(path=f"/metadata/v1/keys/{KEY['id']}")),
]


@pytest.mark.parametrize(
    ("path", "method", "steps"),
    [
        ("/instance_identity/v1/token", "PUT", CREATE_TOKEN),
        ("/nothing", "PATCH", EXCHANGED),
        ("/nothing", "PATCH", READ_ITEM),
    ],
    ids=["create token", "exchange", "read"],
)
def test_the_first_check_that_fails_is_the_answer(
    instance: Instance, path: str, method: str, steps: list[tuple[int, str, Change]]
) -> None:
    token = instance.token()
    asked: dict[str, Any] = {
        "method": method, "path": path, "query": "x=1", "headers": {"via": "1.1 proxy"}, "body": b"{",
        "enabled": False, "error": UpstreamRefused(Problem("profile_not_linked", "Not linked.")),
    }  # fmt: skip

    def ask() -> Response:
        service = MetadataService(enabled=asked["enabled"])
        instance.served = instance.served.updated(full_document(metadata_service=service))
        instance.upstream.error = asked["error"]
        headers = {
            k: f"Bearer {token}" if v == GOOD else str(v) for k, v in asked["headers"].items()
        }
        names = ("method", "path", "query", "body")
        return instance.send(Request(**{n: asked[n] for n in names}, headers=headers))

    for status, code, change in steps:
        assert_refused(ask(), status, code)
        change(asked)

    assert ask().status == 200


# --- bare metal servers, audit ----------------------------------------------------------------------


@pytest.mark.differs(
    "Metadata: `initialization` of a bare metal server",
    "on one page, in no reference",
    "404: identity operations only",
)
def test_a_bare_metal_server_has_the_newer_identity_operations_only() -> None:
    server = Instance(bare_metal_document())
    bearer = {"authorization": f"Bearer {server.token()}"}
    done = {
        "is.metadata.identity-token.create": server.ask("PUT", TOKEN, metadata_flavor="ibm"),
        "is.metadata.computeresource-token.read": server.ask("POST", EXCHANGE, **bearer),
        "is.metadata.certificate.create": server.ask(
            "POST", CERTIFICATES, body=b'{"csr":"pem"}', **bearer
        ),
    }
    for operation, answer in done.items():
        assert (answer.status, answer.operation) == (200, operation)
    paths = [("GET", path) for path in READS]
    paths += [(m, f"/instance_identity/v1/{name}") for m, name in GENERATIONS["instance_identity"]]
    for method, path in paths:
        for version in ("version=2022-03-01", "version=2025-08-25", VERSION):
            answer = server.ask(method, path, version, metadata_flavor="ibm", **bearer)
            assert_refused(answer, 404, "not_found")
            assert answer.operation == ""
    assert_refused(server.ask("GET", TOKEN), 405, "invalid_request")


def test_a_bare_metal_servers_token_names_it() -> None:
    server, instance = Instance(bare_metal_document()), Instance()

    assert_refused(instance.get(INSTANCE, token=server.token()), 401, "unauthenticated")


def test_facts_for_the_event(instance: Instance) -> None:
    bearer = {"authorization": f"Bearer {instance.token()}"}
    base = {"version": "2025-08-26", "path": "identity"}
    put = {"method": "PUT", "path": TOKEN, "metadata_flavor": "ibm"}

    assert instance.ask(**put).detail == {**base, "nonce": False, "expires_in": 300}
    assert instance.ask(**put, body=b'{"nonce":"n-1"}').detail["nonce"] is True
    assert instance.ask(**put, body=b'{"nonce":""}').detail == {**base, "nonce": True}
    certificate = instance.ask("POST", CERTIFICATES, body=b'{"csr":"pem"}', **bearer)
    assert certificate.detail == {**base, "expires_in": 3600}
    default = instance.ask("POST", EXCHANGE, **bearer)
    assert default.detail == {**base, "profile_id": "Profile-1"}
    body = b'{"trusted_profile":{"name":"p"}}'
    named = instance.ask("POST", EXCHANGE, body=body, **bearer)
    profile = {"by": "name", "value": "p"}
    assert named.detail == {**base, "profile": profile, "profile_id": "Profile-1"}
    instance.upstream.error = UpstreamRefused(Problem("not_found", "None."))
    refused = instance.ask("POST", EXCHANGE, body=body, **bearer)
    assert refused.detail == {**base, "profile": profile}


def test_what_happens_while_a_token_is_signed_counts(instance: Instance) -> None:
    """A token signed across a stop carries the epoch it was asked in, and is refused afterwards."""
    answer = handle(
        Request("PUT", TOKEN, VERSION, {"metadata-flavor": "ibm"}),
        instance.served,
        instance.upstream,
    )
    assert inspect.iscoroutine(answer)
    instance.served = instance.served.updated(replace(full_document(), tokens_valid_after=4))

    with pytest.raises(StopIteration) as done:
        answer.send(None)
    token = json.loads(done.value.value.body)["access_token"]

    assert_refused(instance.get(INSTANCE, token=token), 401, "unauthenticated")
