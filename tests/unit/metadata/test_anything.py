"""Whatever a client sends: an answer with an envelope, a known status, and no secret in it."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.metadata.harness import VERSION, Instance

from linklocal.metadata.errors import STATUSES
from linklocal.metadata.routes import ROUTES
from linklocal.metadata.wire import Request

INSTANCE = Instance()
GOOD_TOKEN = INSTANCE.token(expires_in=3600)

paths = st.one_of(
    st.sampled_from([route.path for route in ROUTES]),
    st.builds(lambda route, tail: route.path + tail, st.sampled_from(ROUTES), st.text(max_size=12)),
    st.text(max_size=30).map(lambda text: "/" + text),
)
queries = st.one_of(
    st.just(VERSION), st.builds(lambda tail: f"{VERSION}&{tail}", st.text(max_size=20)), st.text(max_size=40),
    st.dates().map(lambda day: f"version={day}"),
)  # fmt: skip
headers = st.fixed_dictionaries(
    {},
    optional={
        "authorization": st.one_of(st.just(f"Bearer {GOOD_TOKEN}"), st.text(max_size=60),
                                   st.text(max_size=20).map(lambda t: f"Bearer {GOOD_TOKEN}{t}")),
        "metadata-flavor": st.one_of(st.just("ibm"), st.text(max_size=5)),
        "x-forwarded-for": st.text(max_size=5),
    },
)  # fmt: skip
MEMBERS = ["expires_in", "nonce", "csr", "trusted_profile", "id"]
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.one_of(st.text(max_size=8), st.sampled_from(MEMBERS)),
        inner, max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=60), json_values.map(lambda value: json.dumps(value).encode())
)
methods = st.one_of(st.sampled_from(["GET", "PUT", "POST", "HEAD"]), st.text(max_size=8))


@settings(max_examples=500, deadline=None)
@given(method=methods, path=paths, query=queries, headers=headers, body=bodies)
def test_always_an_answer(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    answer = INSTANCE.send(Request(method, path, query, headers, body))

    document = json.loads(answer.body)
    assert answer.trace
    if answer.status == 200:
        assert answer.reason is None
        return
    assert document["trace"] == answer.trace
    for error in document["errors"]:
        assert answer.status in STATUSES[error["code"]]
    assert GOOD_TOKEN.encode() not in answer.body
    assert GOOD_TOKEN not in str(answer.message)
