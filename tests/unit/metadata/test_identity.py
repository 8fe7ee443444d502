"""Create token, exchange, certificate (metadata contract 3)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.documents import full_document
from unit.metadata.harness import Instance, assert_refused

from linklocal.errors import Problem, Target
from linklocal.metadata.wire import ProfileSelector, UpstreamRefused, UpstreamUnavailable
from linklocal.tokens import verify_identity_token

TOKEN, EXCHANGE, CERTIFICATE = (
    "/identity/v1/token",
    "/identity/v1/iam_tokens",
    "/identity/v1/certificates",
)


@pytest.fixture
def instance() -> Instance:
    return Instance()


def put(instance: Instance, body: bytes) -> Any:
    return instance.ask("PUT", TOKEN, body=body, metadata_flavor="ibm")


def post(instance: Instance, path: str, body: bytes) -> Any:
    return instance.ask("POST", path, body=body, authorization=f"Bearer {instance.token()}")


@pytest.mark.parametrize("body", [b"", b"{}", b"  \n", b"{ }"])
def test_no_body_gives_a_token_of_300_seconds(instance: Instance, body: bytes) -> None:
    answer = put(instance, body)
    document = json.loads(answer.body)

    assert answer.status == 200
    assert list(document) == ["access_token", "created_at", "expires_at", "expires_in"]
    assert document["created_at"] == "2026-11-24T12:00:00.000Z"
    assert document["expires_at"] == "2026-11-24T12:05:00.000Z"
    assert document["expires_in"] == 300
    assert answer.operation == "is.metadata.jwt-token.create"


def test_the_tokens_claims(instance: Instance) -> None:
    token = instance.token(expires_in=5, nonce="n 1")
    claims = verify_identity_token(token, instance.signer.keys, instance.clock.now())

    assert claims["iss"] == "VSI-CR_us-south"
    assert claims["aud"][0] == "VSI-CR_us-south"
    assert claims["aud"][1].endswith("_3")
    assert claims["exp"] - claims["iat"] == 5
    assert claims["nonce"] == "n 1"
    for name, value in full_document().claims.items():
        assert claims[name] == value
    assert not {"sub", "nbf", "jti"} & set(claims)


BAD_TOKEN_BODIES = [
    (b'{"expires_in": 4}', "invalid_value", "expires_in"),
    (b'{"expires_in": 3601}', "invalid_value", "expires_in"),
    (b'{"expires_in": true}', "invalid_value", "expires_in"),
    (b'{"expires_in": 300.0}', "invalid_value", "expires_in"),
    (b'{"expires_in": "300"}', "invalid_value", "expires_in"),
    (b'{"expires_in": null}', "invalid_value", "expires_in"),
    (b'{"nonce": ""}', "invalid_value", "nonce"),
    (b'{"nonce": 1}', "invalid_value", "nonce"),
    (b'{"nonce": null}', "invalid_value", "nonce"),
    (b'{"nonce": "\\u00e9"}', "invalid_value", "nonce"),
    (b'{"nonce": "a\\nb"}', "invalid_value", "nonce"),
    (json.dumps({"nonce": "x" * 257}).encode(), "invalid_value", "nonce"),
    (b'{"xyzzy": 1}', "unknown_field", "xyzzy"),
]


@pytest.mark.parametrize(("body", "code", "target"), BAD_TOKEN_BODIES)
def test_bad_token_body(instance: Instance, body: bytes, code: str, target: str) -> None:
    assert_refused(put(instance, body), 400, code, target)


def test_documented_messages(instance: Instance) -> None:
    unknown = assert_refused(put(instance, b'{"xyzzy": 1}'), 400, "unknown_field")
    bounds = assert_refused(put(instance, b'{"expires_in": 7200}'), 400, "invalid_value")

    assert unknown["message"] == "Unknown property `xyzzy` was specified in the request body."
    assert bounds["message"] == (
        "The value provided for the `expires_in` field must be between `5` and `3600`."
    )
    assert bounds["target"] == {"name": "expires_in", "type": "field", "value": "7200"}


def test_all_problems_of_a_body_are_told(instance: Instance) -> None:
    answer = put(instance, b'{"expires_in": 1, "nonce": 2, "x": 3}')

    names = {error["target"]["name"] for error in json.loads(answer.body)["errors"]}
    assert names == {"expires_in", "nonce", "x"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"nonce":"a","nonce":"b"}', "`nonce` twice"),
        (b'{"x":{"y":1,"y":1}}', "`y` twice"),
        (b'{"expires_in":NaN}', "`NaN`"),
        (b'{"expires_in":-Infinity}', "`-Infinity`"),
        (b"[]", "must be a JSON object"),
        (b"nonce=a", "not valid JSON"),
        (b" " * 65_537, "64 KiB"),
    ],
)
def test_an_unreadable_body_is_told_why(instance: Instance, body: bytes, words: str) -> None:
    assert words in assert_refused(put(instance, body), 400, "invalid_request")["message"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [(b"true", "true"), (b"1e999", "Infinity"), (b"300.5", "300.5"), (b'"x"', "x"), (b"-1", "-1")],
)
def test_the_refused_value_is_shown_as_it_was_sent(
    instance: Instance, sent: bytes, shown: str
) -> None:
    error = assert_refused(put(instance, b'{"expires_in":%b}' % sent), 400, "invalid_value")

    assert error["target"]["value"] == shown


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_the_content_type_does_not_matter(instance: Instance, content_type: str) -> None:
    for body in (b"", b'{"expires_in":60}'):
        answer = instance.ask(
            "PUT", TOKEN, body=body, metadata_flavor="ibm", content_type=content_type
        )
        assert json.loads(answer.body)["expires_in"] == (60 if body else 300)


@pytest.mark.differs(
    "Metadata: length of a `nonce`",
    "not published",
    "1 to 256 printable ASCII characters",
)
@pytest.mark.parametrize("nonce", ["x", "~" * 256, " ", "2026-03-12T12:34:56.789Z"])
def test_the_nonce_comes_back(instance: Instance, nonce: str) -> None:
    answer = json.loads(put(instance, json.dumps({"nonce": nonce}).encode()).body)

    assert next(iter(answer)) == "access_token"
    assert answer["nonce"] == nonce


UNREADABLE = [
    b"{", b"[]", b"1", b"null", b'"x"', b"\xff", b'{"a":1,"a":2}', b'{"expires_in": NaN}',
    b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", b'{"expires_in": ' + b"9" * 5000 + b"}",
    b" " * 65_537, b"expires_in=300",
]  # fmt: skip


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_unreadable_body(instance: Instance, body: bytes) -> None:
    assert_refused(put(instance, body), 400, "invalid_request")


def test_exchange_with_and_without_a_profile(instance: Instance) -> None:
    bodies = [b"", b"{}", b'{"trusted_profile":{"id":"Profile-1"}}', b'{"trusted_profile":{"crn":"crn:x"}}',
              b'{"trusted_profile":{"name":"p"}}']  # fmt: skip
    for body in bodies:
        answer = post(instance, EXCHANGE, body)
        document = json.loads(answer.body)
        assert answer.status == 200
        assert document["expires_in"] == 3600
        assert document["created_at"] == "2026-11-24T12:00:00Z"
        assert document["expires_at"] == "2026-11-24T13:00:00Z"
        assert "refresh_token" not in document
    assert instance.upstream.exchanges == [
        None, None, ProfileSelector("id", "Profile-1"), ProfileSelector("crn", "crn:x"),
        ProfileSelector("name", "p"),
    ]  # fmt: skip


BAD_SELECTORS = [
    (b'{"trusted_profile":{}}', "missing_field", "trusted_profile.id"),
    (b'{"trusted_profile":null}', "invalid_value", "trusted_profile"),
    (b'{"trusted_profile":"x"}', "invalid_value", "trusted_profile"),
    (b'{"trusted_profile":{"id":"a","name":"b"}}', "invalid_value", "trusted_profile"),
    (b'{"trusted_profile":{"id":1}}', "invalid_value", "trusted_profile.id"),
    (b'{"trusted_profile":{"id":""}}', "invalid_value", "trusted_profile.id"),
    (b'{"trusted_profile":{"idd":"x"}}', "unknown_field", "trusted_profile.idd"),
    (b'{"trusted_profil":{"id":"x"}}', "unknown_field", "trusted_profil"),
    (b'{"trusted_profile":{"id":"x","y":1}}', "unknown_field", "trusted_profile.y"),
    (b'{"trusted_profile":{"name":"a\\u0000"}}', "invalid_value", "trusted_profile.name"),
    (b'{"trusted_profile":{"name":"\\ud800"}}', "invalid_value", "trusted_profile.name"),
]


@pytest.mark.parametrize(("body", "code", "target"), BAD_SELECTORS)
def test_bad_selector(instance: Instance, body: bytes, code: str, target: str) -> None:
    assert_refused(post(instance, EXCHANGE, body), 400, code, target)
    assert instance.upstream.exchanges == []


def test_what_the_server_decides_is_passed_on(instance: Instance) -> None:
    problem = Problem(
        "profile_not_linked", "Not linked.", Target("trusted_profile.id", "field", "Profile-1")
    )
    instance.upstream.error = UpstreamRefused(problem)

    assert_refused(post(instance, EXCHANGE, b""), 400, "profile_not_linked")


@pytest.mark.differs(
    "Metadata: IAM tokens and certificates while the control plane is away",
    "not published",
    "503 `service_error`; reads and identity tokens go on",
)
@pytest.mark.parametrize(("path", "body"), [(EXCHANGE, b""), (CERTIFICATE, b'{"csr":"x"}')])
def test_without_the_server_503_and_reads_go_on(instance: Instance, path: str, body: bytes) -> None:
    instance.upstream.error = UpstreamUnavailable("down")

    error = assert_refused(post(instance, path, body), 503, "service_error")

    assert "control plane" in error["message"]
    assert instance.get("/metadata/v1/instance").status == 200


@pytest.mark.differs(
    "Metadata: status of a new certificate",
    "not published",
    "200",
)
def test_certificate(instance: Instance) -> None:
    answer = post(instance, CERTIFICATE, b'{"csr":"pem","expires_in":300}')
    document = json.loads(answer.body)

    assert answer.status == 200
    assert document["certificates"] == ["leaf\n", "intermediate\n"]
    assert document["expires_in"] == 300
    assert instance.upstream.certificates_asked == [("pem", 300)]


BAD_CERTIFICATE_BODIES = [
    (b"", "missing_field", "csr"),
    (b'{"csr":""}', "missing_value", "csr"),
    (b'{"csr":null}', "invalid_value", "csr"),
    (b'{"csr":["x"]}', "invalid_value", "csr"),
    (b'{"csr":" \\n"}', "missing_value", "csr"),
    (b'{"csr":"\\u00e9"}', "invalid_value", "csr"),
    (b'{"csr":"x","expires_in":null}', "invalid_value", "expires_in"),
    (b'{"csr":"x","expires_in":299}', "invalid_value", "expires_in"),
    (b'{"csr":"x","expires_in":3601}', "invalid_value", "expires_in"),
    (b'{"csr":"x","cn":"y"}', "unknown_field", "cn"),
]


@pytest.mark.parametrize(("body", "code", "target"), BAD_CERTIFICATE_BODIES)
def test_bad_certificate_body(instance: Instance, body: bytes, code: str, target: str) -> None:
    answer = post(instance, CERTIFICATE, body)

    assert_refused(answer, 400, code, target)
    assert instance.upstream.certificates_asked == []
