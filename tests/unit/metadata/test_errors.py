"""The envelope, its codes and statuses, and that nothing secret comes back (metadata contract 2.3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.documents import KEY, full_document
from fakes.signer import FakeSigner
from hypothesis import given
from hypothesis import strategies as st
from unit.metadata.harness import VERSION, Instance, assert_refused

from linklocal.document import MetadataService
from linklocal.errors import Problem, Target
from linklocal.metadata.errors import STATUSES, Refusal, response_to, without_secrets
from linklocal.metadata.routes import refuse
from linklocal.metadata.wire import Response, UpstreamRefused, UpstreamUnavailable

READ, TOKEN, EXCHANGE, CERTIFICATES = (
    "/metadata/v1/instance",
    "/identity/v1/token",
    "/identity/v1/iam_tokens",
    "/identity/v1/certificates",
)
PEM = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"
# What only the listener refuses, or answers when something of ours fails.
LISTENERS = {
    (408, "invalid_request"), (413, "invalid_request"), (431, "invalid_request"),
    (429, "rate_limit_exceeded"),
}  # fmt: skip


def every_refusal() -> Iterator[Response]:
    """One request for each code and status of the contract's table."""
    instance = Instance()
    bearer = {"authorization": f"Bearer {instance.token()}"}
    flavor = {"metadata_flavor": "ibm"}
    yield instance.ask("PUT", TOKEN, body=b"{", **flavor)
    yield instance.ask("GET", TOKEN)
    yield instance.ask("PUT", TOKEN, body=b'{"expires_in":1}', **flavor)
    yield instance.get("/metadata/v1/keys/A")
    yield instance.get(READ, "version=2020-01-01")
    yield instance.get(READ, "")
    yield instance.ask("PUT", TOKEN)
    yield instance.get(READ, f"{VERSION}&x=1")
    yield instance.get("/nothing")
    yield instance.ask("PUT", TOKEN, via="x", **flavor)
    yield instance.get(READ, token="x")
    for error in (
        UpstreamRefused(Problem("not_found", "None.")),
        UpstreamRefused(Problem("profile_not_linked", "Not linked.")),
        UpstreamRefused(Problem("xyzzy", "What?"), 418),
        UpstreamUnavailable("down"),
    ):
        instance.upstream.error = error
        yield instance.ask("POST", EXCHANGE, **bearer)
    yield Instance(full_document(metadata_service=MetadataService())).get(READ, token="x")


def test_the_table_of_codes_is_complete_and_nothing_in_it_is_dead() -> None:
    reached = {(answer.status, str(answer.reason)) for answer in every_refusal()}

    assert reached | LISTENERS == {(s, code) for code, all_ in STATUSES.items() for s in all_}


def test_every_refusal_has_the_whole_envelope() -> None:
    for answer in every_refusal():
        assert_refused(answer, answer.status, str(answer.reason))
        body = json.loads(answer.body)
        assert list(body) == ["errors", "status_code", "trace"]
        assert answer.message == body["errors"][0]["message"]


def test_traces_differ() -> None:
    traces = [answer.trace for answer in every_refusal()]

    assert len(set(traces)) == len(traces)


def test_the_listeners_own_refusals() -> None:
    answer = refuse(
        429, "rate_limit_exceeded", "Slower.", rule="rate", headers=(("Retry-After", "1"),)
    )

    error = assert_refused(answer, 429, "rate_limit_exceeded")
    assert error == {"code": "rate_limit_exceeded", "message": "Slower."}
    assert (answer.rule, answer.headers) == ("rate", (("Retry-After", "1"),))
    host = refuse(
        400, "invalid_value", "No.", target=Target("Host", "header", "evil.example"), rule="host"
    )
    assert json.loads(host.body)["errors"][0]["target"] == {
        "name": "Host", "type": "header", "value": "evil.example",
    }  # fmt: skip


def test_optional_members_are_absent_and_never_null() -> None:
    with_info = Refusal(400, Problem("invalid_value", "No.", more_info="https://x.example"), "r")

    assert json.loads(response_to(with_info).body)["errors"] == [
        {"code": "invalid_value", "message": "No.", "more_info": "https://x.example"}
    ]


SERVERS = [
    (400, "missing_field", 400, "missing_field"),
    (400, "bad_field", 400, "invalid_value"),
    (401, "unauthenticated", 401, "unauthenticated"),
    (403, "not_authorized", 403, "unauthorized"),
    (403, "unauthorized", 403, "unauthorized"),
    (401, "not_authorized", 500, "service_error"),
    (400, "xyzzy", 500, "service_error"),
    (409, "invalid_value", 500, "service_error"),
]


@pytest.mark.parametrize(("status", "code", "shown_status", "shown_code"), SERVERS)
def test_the_servers_refusals_have_the_contracts_codes(
    status: int, code: str, shown_status: int, shown_code: str
) -> None:
    instance = Instance()
    bearer = {"authorization": f"Bearer {instance.token()}"}
    target = Target("trusted_profile.id", "field", "Profile-9")
    problem = Problem(code, "Because.", target, rule="links")
    instance.upstream.error = UpstreamRefused(problem, status)

    answer = instance.ask("POST", EXCHANGE, **bearer)

    error = assert_refused(answer, shown_status, shown_code)
    if shown_status == status:
        assert error["message"] == "Because."
        assert error["target"]["value"] == "Profile-9"
        assert answer.rule == "links"


def places(instance: Instance, secret: str) -> Iterator[Response]:
    """The secret in every place of a request that an answer repeats."""
    bearer = {"authorization": f"Bearer {instance.token()}"}
    flavor = {"metadata_flavor": "ibm"}
    quoted = json.dumps(secret)
    for query in (f"version={secret}", f"{VERSION}&{secret}=1", f"{secret}&{VERSION}"):
        yield instance.ask("GET", READ, query, **bearer)
    for query in (f"limit={secret}", f"start={secret}"):
        yield instance.ask("GET", "/metadata/v1/placement_groups", f"{VERSION}&{query}", **bearer)
    yield instance.ask("GET", f"/metadata/v1/keys/{secret}", **bearer)
    yield instance.ask("GET", READ, authorization=f"Basic {secret}")
    yield instance.ask("GET", READ, authorization=secret)
    yield instance.ask(secret, READ)
    yield instance.ask("PUT", TOKEN, metadata_flavor=secret)
    yield instance.ask("PUT", TOKEN, **flavor, **{f"sec-fetch-{secret}": "x"})
    bodies: list[str] = [
        f"{{{quoted}:1}}", f'{{{quoted}:1,{quoted}:2}}', f'{{"expires_in":{quoted}}}', quoted,
        f'{{"nonce":{json.dumps(secret + "x" * 300)}}}',
    ]  # fmt: skip
    for body in bodies:
        yield instance.ask("PUT", TOKEN, body=body.encode(), **flavor)
    for member in ("id", "crn", "name", secret):
        body = json.dumps({"trusted_profile": {member: secret, "x": 1}})
        yield instance.ask("POST", EXCHANGE, body=body.encode(), **bearer)
    body = json.dumps({"trusted_profile": {"id": secret}})
    target = Target("trusted_profile.id", "field", secret)
    instance.upstream.error = UpstreamRefused(Problem("not_found", f"No {secret}.", target))
    yield instance.ask("POST", EXCHANGE, body=body.encode(), **bearer)
    for body in (json.dumps({"csr": [secret]}), json.dumps({"csr": secret, "x": secret})):
        yield instance.ask("POST", CERTIFICATES, body=body.encode(), **bearer)


def test_a_token_or_csr_in_the_wrong_place_is_not_repeated() -> None:
    """Neither in the answer nor in what becomes the event."""
    other = Instance(signer=FakeSigner("2")).token()
    for secret in (other, "eyJhbGciOiJIUzI1NiJ9.e30.c2hvcnQ", PEM):
        instance = Instance()
        for answer in places(instance, secret):
            told = [answer.body.decode(), str(answer.message), json.dumps(dict(answer.detail))]
            assert answer.status >= 400
            for text in told:
                assert secret[:20] not in text
                assert "MIIB" not in text


def ordinary(text: str) -> bool:
    return "eyJ" not in text and "BEGIN" not in text


@given(st.text().filter(ordinary))
def test_ordinary_text_is_repeated_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


def test_an_id_is_no_secret() -> None:
    for value in (KEY["id"], KEY["crn"], "2025-08-26", "Profile-1"):
        assert without_secrets(value) == value


def test_what_is_secret_is_not_in_a_repr() -> None:
    """A traceback with values must not put a token into a log."""
    instance = Instance()
    token = instance.token()
    asked: list[Any] = []
    send = instance.send

    def keep(request: Any) -> Response:
        asked.append(request)
        return send(request)

    instance.send = keep  # type: ignore[method-assign]  # this one instance only
    answer = instance.ask("POST", EXCHANGE, authorization=f"Bearer {token}", body=PEM.encode())
    created = instance.ask("PUT", TOKEN, metadata_flavor="ibm")

    for shown in (*asked, answer, created):
        assert token not in repr(shown)
        assert "BEGIN" not in repr(shown)
        assert "eyJ" not in repr(shown)
