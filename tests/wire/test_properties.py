"""Random valid and invalid bodies of instances and templates against a running server.

The answer is 2xx with what was asked, or 4xx with a target that names a field of the body; never 500.
One fixed and one fresh seed, both printed.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from cloud import Cloud
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

EXAMPLES = 500
FIXED_SEED = 20261124
FRESH_SEED = time.time_ns() % 10**8
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.sampled_from(["http", "https", "true", "id", "\x00", "é", "a" * 64]),
)  # fmt: skip
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2)
    ),
    max_leaves=4,
)
names = st.from_regex(r"[a-z][-a-z0-9]{0,60}[a-z0-9]", fullmatch=True)
metadata_services = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "protocol": st.sampled_from(["http", "https"]),
        "response_hop_limit": st.integers(1, 64),
    },
)
policies = st.fixed_dictionaries(
    {}, optional={"host_failure": st.sampled_from(["restart", "stop"]),
                  "preemption": st.sampled_from(["delete", "stop"])},
)  # fmt: skip


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Members to put over a valid body; about half of them wrong somewhere."""
    out: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "metadata_service": metadata_services,
                "user_data": st.text(st.characters(blacklist_characters="\x00"), max_size=40),
                "availability_policy": policies,
                "profile": st.fixed_dictionaries({"name": st.sampled_from(["bx2-2x8", "cx2-2x4"])}),
            },
        )
    )
    if draw(st.booleans()):
        path = draw(st.sampled_from(MEMBERS))
        put(out, path, draw(junk))
    return out


MEMBERS = [
    "name", "image", "image.id", "image.crn", "profile", "profile.name", "zone", "zone.name", "vpc",
    "vpc.id", "keys", "user_data", "metadata_service", "metadata_service.enabled",
    "metadata_service.protocol", "metadata_service.response_hop_limit", "metadata_service.enabld",
    "default_trusted_profile", "default_trusted_profile.target", "default_trusted_profile.target.id",
    "default_trusted_profile.auto_link", "primary_network_attachment",
    "primary_network_attachment.name", "primary_network_attachment.virtual_network_interface",
    "primary_network_attachment.virtual_network_interface.subnet",
    "primary_network_attachment.virtual_network_interface.primary_ip",
    "network_attachments", "primary_network_interface", "network_interfaces", "volume_attachments",
    "boot_volume_attachment", "boot_volume_attachment.volume", "placement_target",
    "resource_group", "resource_group.id", "source_template", "availability_policy",
    "availability_policy.host_failure", "total_volume_bandwidth", "threads_per_core",
    "reservation_affinity", "enable_secure_boot", "vcpu", "availability",
]  # fmt: skip


def put(body: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        if not isinstance(body.get(parent), dict):
            body[parent] = {}
        body = body[parent]
    body[last] = value


class Api:
    """Raw calls, so that no client's own checks stand in the way."""

    def __init__(self, cloud: Cloud) -> None:
        self.base = f"{cloud.dev.api}/v1"
        self.session = requests.Session()
        token = cloud.vpc.authenticator.token_manager.get_token()
        self.session.headers["Authorization"] = f"Bearer {token}"
        self.query = {"version": "2026-10-06", "generation": "2"}
        self.prototype = cloud.prototype()
        del self.prototype["name"]

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(
            method, self.base + path, params=self.query, json=body, timeout=20
        )


@pytest.fixture(scope="module")
def api(cloud: Cloud) -> Api:
    return Api(cloud)


def exists(body: Any, target: str) -> bool:
    """Whether the first segment of a target is a member of the body, or one that it should have."""
    first = target.split(".")[0].split("[")[0]
    return first in body or f"{first}" in MEMBERS


def check(api: Api, collection: str, body: dict[str, Any]) -> None:
    answer = api.call("POST", collection, body)
    document = answer.json()
    if answer.status_code == 201:
        asked = body.get("metadata_service") or {}
        for member, value in asked.items():
            if value is not None:
                assert document["metadata_service"][member] == value
        if body.get("name") is not None:
            assert document["name"] == body["name"]
        read = api.call("GET", f"{collection}/{document['id']}")
        assert read.status_code == 200
        assert read.json()["metadata_service"] == document["metadata_service"]
        assert api.call("DELETE", f"{collection}/{document['id']}").status_code == 204
        return
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text, body)
    for error in document["errors"]:
        assert error["message"]
        assert error["target"]["type"] == "field", error
        assert exists(body, error["target"]["name"]), (error, body)


def bodies(api: Api, change: dict[str, Any]) -> dict[str, Any]:
    return {**api.prototype, **change}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("collection", ["/instances", "/instance/templates"])
@pytest.mark.parametrize("number", [FIXED_SEED, FRESH_SEED], ids=["fixed", "fresh"])
def test_random_bodies(api: Api, collection: str, number: int) -> None:
    print(f"seed {number}")

    @seed(number)
    @SETTINGS
    @given(change=changes())
    def examples(change: dict[str, Any]) -> None:
        check(api, collection, bodies(api, change))

    examples()


def test_bodies_that_are_no_objects(api: Api) -> None:
    for raw in (b"", b"[]", b"1", b"null", b"{", b'"x"', b"\xff\xfe", b'{"name": NaN}'):
        answer = api.session.post(f"{api.base}/instances", params=api.query, data=raw, timeout=10)
        assert answer.status_code == 400, (raw, answer.text)
        assert answer.json()["errors"][0]["code"] in (
            "invalid_request",
            "missing_field",
            "bad_field",
        )
