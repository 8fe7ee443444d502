"""The checks before an answer: each refusal, and their order (metadata contract 2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.documents import full_document
from fakes.signer import FakeSigner
from unit.metadata.harness import VERSION, Instance, assert_refused

from linklocal.document import MetadataService
from linklocal.tokens import SigningKey, identity_claims

INSTANCE = "/metadata/v1/instance"
TOKEN = "/identity/v1/token"


@pytest.fixture
def instance() -> Instance:
    return Instance()


VERSIONS = [
    ("", "missing_field"),
    ("version=", "missing_value"),
    ("version=x", "invalid_value"),
    ("version=2025-02-30", "invalid_value"),
    ("version=20250826", "invalid_value"),
    ("version=2025-W01-1", "invalid_value"),
    ("version=2022-02-28", "invalid_version_range"),
    ("version=2026-11-26", "invalid_version_range"),
    ("version=2025-08-26&version=2025-08-26", "invalid_value"),
]


@pytest.mark.parametrize(("query", "code"), VERSIONS)
def test_version(instance: Instance, query: str, code: str) -> None:
    error = assert_refused(instance.get(INSTANCE, query), 400, code, "version")

    assert error["target"]["type"] == "parameter"


def test_the_recorded_message(instance: Instance) -> None:
    error = assert_refused(
        instance.get(INSTANCE, "version=2021-01-01"), 400, "invalid_version_range"
    )

    assert error["message"] == "The `version` value cannot be before `2022-03-01`."


@pytest.mark.parametrize("query", ["version=2022-03-01", "version=2026-11-25"])
def test_the_first_and_the_last_version(instance: Instance, query: str) -> None:
    assert instance.get(INSTANCE, query).status == 200


LEGACY = [("PUT", "token"), ("POST", "iam_token"), ("POST", "certificates")]


@pytest.mark.parametrize(("method", "name"), LEGACY)
def test_the_older_paths_end_with_version_2025_08_26(
    instance: Instance, method: str, name: str
) -> None:
    path = f"/instance_identity/v1/{name}"
    headers = {"metadata_flavor": "ibm", "authorization": f"Bearer {instance.token()}"}

    before = instance.ask(method, path, "version=2025-08-25", b"{}", **headers)
    after = instance.ask(method, path, VERSION, b"{}", **headers)

    assert before.status == (400 if name == "certificates" else 200)
    error = assert_refused(after, 404, "not_found")
    assert "/identity/v1/" in error["message"]


@pytest.mark.parametrize(
    "query",
    [f"{VERSION}&generation=2&maturity=beta", f"{VERSION}&maturity=", f"generation=2&{VERSION}"],
)
def test_beta_parameters_are_ignored(instance: Instance, query: str) -> None:
    assert instance.get(INSTANCE, query).status == 200


def test_unknown_parameter(instance: Instance) -> None:
    assert_refused(instance.get(INSTANCE, f"{VERSION}&limit=3"), 400, "unknown_field", "limit")
    assert_refused(instance.get(INSTANCE, f"{VERSION}&x=3"), 400, "unknown_field", "x")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "", "99999999999999999999", "٣"])
def test_bad_limit(instance: Instance, limit: str) -> None:
    answer = instance.get("/metadata/v1/placement_groups", f"{VERSION}&limit={limit}")

    assert_refused(answer, 400, "invalid_value", "limit")


def test_flavor(instance: Instance) -> None:
    assert_refused(instance.ask("PUT", TOKEN), 400, "missing_value", "Metadata-Flavor")
    assert_refused(
        instance.ask("PUT", TOKEN, metadata_flavor=" "), 400, "missing_value", "Metadata-Flavor"
    )
    assert_refused(
        instance.ask("PUT", TOKEN, metadata_flavor="aws"), 400, "invalid_value", "Metadata-Flavor"
    )
    assert instance.ask("PUT", TOKEN, metadata_flavor="IBM").status == 200


FORWARDED = [
    "x_forwarded_for",
    "x_forwarded_host",
    "forwarded",
    "via",
    "x_real_ip",
    "origin",
    "sec_fetch_mode",
]


@pytest.mark.parametrize("name", FORWARDED)
def test_a_forwarded_or_browser_request_gets_no_token(instance: Instance, name: str) -> None:
    answer = instance.ask("PUT", TOKEN, metadata_flavor="ibm", **{name: "x"})

    assert_refused(answer, 400, "forbidden_header", name.replace("_", "-"))
    read = instance.ask("GET", INSTANCE, authorization=f"Bearer {instance.token()}", **{name: "x"})
    assert read.status == 200


def test_authorization(instance: Instance) -> None:
    assert_refused(instance.ask("GET", INSTANCE), 400, "missing_field", "Authorization")
    token = instance.token()
    for value in (
        "",
        "Bearer",
        "Bearer ",
        f"Basic {token}",
        token,
        f"Bearer {token}x",
        "Bearer a.b.c",
    ):
        assert_refused(
            instance.ask("GET", INSTANCE, authorization=value),
            401,
            "unauthenticated",
            "Authorization",
        )
    assert instance.ask("GET", INSTANCE, authorization=f"bEARER {token}").status == 200


def test_a_token_ends_at_its_expiry_also_when_it_was_used_before(instance: Instance) -> None:
    token = instance.token(expires_in=10)
    assert instance.get(INSTANCE, token=token).status == 200
    instance.clock.advance(9.9)
    assert instance.get(INSTANCE, token=token).status == 200

    instance.clock.advance(0.2)

    assert_refused(instance.get(INSTANCE, token=token), 401, "unauthenticated")


def test_a_token_of_an_earlier_start_is_refused_within_the_same_second(instance: Instance) -> None:
    token = instance.token()
    assert instance.get(INSTANCE, token=token).status == 200

    instance.served = instance.served.updated(full_document(tokens_valid_after=4))

    assert_refused(instance.get(INSTANCE, token=token), 401, "unauthenticated")


def test_disable_and_enable_keep_tokens(instance: Instance) -> None:
    token = instance.token()
    instance.served = instance.served.updated(full_document(metadata_service=MetadataService()))
    assert_refused(instance.get(INSTANCE, token=token), 403, "unauthorized")

    instance.served = instance.served.updated(full_document())

    assert instance.get(INSTANCE, token=token).status == 200


def test_a_token_of_another_instance_is_refused(instance: Instance) -> None:
    other = Instance(
        replace(
            full_document(), instance_id="0717_other", claims={"iaas": {"instanceID": "0717_other"}}
        )
    )

    assert_refused(instance.get(INSTANCE, token=other.token()), 401, "unauthenticated")


def test_a_token_that_somebody_else_signed_is_refused(instance: Instance) -> None:
    claims = identity_claims(
        region="us-south",
        epoch=3,
        claims=full_document().claims,
        now=instance.clock.now(),
        expires_in=300,
    )
    forged = SigningKey.generate_rsa(instance.signer.key.kid).sign(claims)
    unknown = FakeSigner("2").key.sign(claims)
    other_algorithm = SigningKey.generate_ec(instance.signer.key.kid).sign(claims)

    for token in (forged, unknown, other_algorithm):
        assert_refused(instance.get(INSTANCE, token=token), 401, "unauthenticated")


UNKNOWN_PATHS = [
    "/", "/metadata", "/metadata/v1", "/metadata/v1/instance/", "/metadata/v1//instance",
    "/Metadata/v1/instance",
    "/metadata/v1/instanc%65", "/metadata/v1/../v1/instance", "/metadata/v1/instance/disks",
    "/metadata/v1/instance/volume_attachment/x", "/metadata/v1/virtual_network_interfaces/x/ips",
    "/identity/v1/tokens", "/identity/v1/iam_token", "/instance_identity/v1/iam_tokens", "/latest/meta-data",
    "/metadata/v1/bare_metal_servers/x/initialization", "/metadata/v1/instance/initialization/x",
]  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_unknown_path(instance: Instance, path: str) -> None:
    answer = instance.get(path)

    assert_refused(answer, 404, "not_found")
    assert answer.operation == ""


def test_a_method_that_is_not_offered(instance: Instance) -> None:
    for method in ("POST", "HEAD", "OPTIONS", "DELETE", "TRACE", "get"):
        answer = instance.ask(method, INSTANCE)
        assert_refused(answer, 405, "invalid_request")
        assert answer.headers == (("Allow", "GET"),)


def test_disabled_refuses_everything_alike_and_tells_nothing(instance: Instance) -> None:
    instance.served = instance.served.updated(full_document(metadata_service=MetadataService()))
    bodies = set()
    for method, path in (("PUT", TOKEN), ("GET", INSTANCE), ("GET", "/nothing"), ("POST", "/x")):
        answer = instance.ask(method, path, "")
        assert_refused(answer, 403, "unauthorized")
        bodies.add(answer.body.replace(answer.trace.encode(), b""))

    assert len(bodies) == 1


ORDER = [
    # Each row is wrong in everything that comes later too.
    ("PATCH", "/nothing", "", "not_found"),
    ("PATCH", INSTANCE, "", "invalid_request"),
    ("GET", INSTANCE, "x=1", "missing_field"),
    ("GET", INSTANCE, "version=2021-01-01&x=1", "invalid_version_range"),
    ("GET", INSTANCE, f"{VERSION}&x=1", "unknown_field"),
    ("GET", INSTANCE, VERSION, "missing_field"),
    ("PUT", TOKEN, VERSION, "missing_value"),
]


@pytest.mark.parametrize(("method", "path", "query", "code"), ORDER)
def test_the_first_failing_check_is_the_answer(
    instance: Instance, method: str, path: str, query: str, code: str
) -> None:
    answer = instance.ask(method, path, query, b"no json")

    assert answer.reason == code


def test_a_bare_metal_server_has_identity_operations_only() -> None:
    instance = Instance(full_document(kind="bare_metal_server"))
    token = instance.token()

    assert_refused(instance.get(INSTANCE, token=token), 404, "not_found")
    for version in ("version=2022-03-01", VERSION):
        answer = instance.ask("PUT", "/instance_identity/v1/token", version, metadata_flavor="ibm")
        assert_refused(answer, 404, "not_found")
    exchanged = instance.ask("POST", "/identity/v1/iam_tokens", authorization=f"Bearer {token}")
    assert exchanged.status == 200
    assert exchanged.operation == "is.metadata.computeresource-token.read"
