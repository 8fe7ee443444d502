"""Whatever a client sends: an answer with an envelope, a known status, and no secret in it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fakes.documents import bare_metal_document, full_document
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.metadata.harness import VERSION, Instance

from linklocal.document import MetadataService
from linklocal.metadata.errors import STATUSES
from linklocal.metadata.routes import ROUTES, handle
from linklocal.metadata.wire import Request, Response

KINDS = ["instance", "bare metal", "disabled"]
TOKEN = "THE-TOKEN"  # stands for a good one until the request is made


@cache
def instance(kind: str) -> tuple[Instance, str]:
    """An instance and a good token of it."""
    made = Instance(bare_metal_document() if kind == "bare metal" else None)
    token = made.token(expires_in=3600)
    if kind == "disabled":
        made.served = made.served.updated(full_document(metadata_service=MetadataService()))
    return made, token


# Half of the requests are good up to some point, so that the deeper checks are reached.
known_paths = st.sampled_from([route.path for route in ROUTES])
paths = st.one_of(
    known_paths,
    known_paths,
    st.builds(lambda path, tail: path + tail, known_paths, st.text(max_size=12)),
    st.text(max_size=30).map(lambda text: "/" + text),
)
queries = st.one_of(
    st.just(VERSION),
    st.sampled_from(["version=2025-08-25", f"{VERSION}&limit=1", f"{VERSION}&start={TOKEN}"]),
    st.builds(lambda tail: f"{VERSION}&{tail}", st.text(max_size=20)),
    st.dates().map(lambda day: f"version={day}"),
    st.text(max_size=40),
)
authorizations = st.one_of(
    st.just(f"Bearer {TOKEN}"),
    st.just(f"Bearer {TOKEN}"),
    st.text(max_size=60),
    st.text(max_size=20).map(lambda tail: f"Bearer {TOKEN}{tail}"),
    st.builds(lambda parts: "Bearer " + ".".join(parts), st.lists(st.text(max_size=20))),
)
headers = st.fixed_dictionaries(
    {
        "authorization": authorizations,
        "metadata-flavor": st.one_of(st.just("ibm"), st.text(max_size=5)),
    },
    optional={"x-forwarded-for": st.text(max_size=5), "content-type": st.text(max_size=9)},
)
MEMBERS = ["expires_in", "nonce", "csr", "trusted_profile", "id", "crn", "name"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just(TOKEN),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(MEMBERS), inner, max_size=3)
    ),
    max_leaves=6,
)
bodies = st.one_of(
    st.binary(max_size=60),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(MEMBERS), json_values, max_size=3).map(
        lambda value: json.dumps(value).encode()
    ),
)
methods = st.one_of(st.sampled_from(["GET", "PUT", "POST", "HEAD"]), st.text(max_size=8))


@settings(max_examples=600, deadline=None)
@given(
    kind=st.sampled_from(KINDS), method=methods, path=paths, query=queries, headers=headers, body=bodies
)  # fmt: skip
@example(
    "instance", "PUT", "/identity/v1/token", VERSION, {"metadata-flavor": "ibm"}, b"[" * 60_000
)
@example(
    "instance", "PUT", "/identity/v1/token", VERSION, {"metadata-flavor": "ibm"}, b"9" * 60_000
)
@example(
    "instance", "GET", "/metadata/v1/keys/\udc80", VERSION, {"authorization": "\udc80 \udc80"}, b""
)
def test_always_an_answer(
    kind: str, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    asked, token = instance(kind)
    request = Request(
        method,
        path,
        query.replace(TOKEN, token),
        {name: value.replace(TOKEN, token) for name, value in headers.items()},
        body.replace(TOKEN.encode(), token.encode()),
    )

    if method == "GET":
        assert isinstance(handle(request, asked.served, asked.upstream), Response)
    answer = asked.send(request)

    assert answer.trace
    document: dict[str, Any] = json.loads(answer.body)
    assert token not in answer.body.decode()
    assert token not in f"{answer.message}{answer.detail}"
    if answer.status == 200:
        assert kind != "disabled"
        assert answer.reason is None
        assert answer.operation
        return
    assert document["trace"] == answer.trace
    assert document["status_code"] == answer.status
    assert document["errors"][0]["code"] == answer.reason
    assert answer.rule
    for error in document["errors"]:
        assert answer.status in STATUSES[error["code"]]
        assert error["message"]
    if kind == "disabled":
        assert answer.status == 403


@given(
    st.dictionaries(st.text(max_size=6), json_values, max_size=4),
    st.dictionaries(st.sampled_from(["expires_in", "nonce"]), json_values, max_size=2),
)
def test_every_unknown_property_is_told(unknown: dict[str, Any], known: dict[str, Any]) -> None:
    """And none of the known ones is called unknown."""
    asked, _ = instance("instance")
    sent = {**unknown, **known}

    answer = asked.ask(
        "PUT", "/identity/v1/token", body=json.dumps(sent).encode(), metadata_flavor="ibm"
    )

    document = json.loads(answer.body)
    if answer.status == 200 or answer.reason == "invalid_request":  # NaN
        return
    told = [error for error in document["errors"] if error["code"] == "unknown_field"]
    assert len(told) == len(set(sent) - {"expires_in", "nonce"})
