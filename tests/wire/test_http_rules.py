"""The global rules of the VPC API, by hand: version, bodies, headers, envelopes, pages, ETags."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
import requests
from cloud import Cloud

QUERY = {"version": "2026-10-06", "generation": "2"}


class Raw:
    """Calls without a client library's help."""

    def __init__(self, cloud: Cloud) -> None:
        self.api = cloud.dev.api
        self.base = f"{self.api}/v1"
        self.token = str(cloud.vpc.authenticator.token_manager.get_token())

    def __call__(
        self, method: str, path: str, *, query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None, **arguments: Any,
    ) -> requests.Response:  # fmt: skip
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        return requests.request(
            method,
            f"{self.base}{path}",
            params=QUERY if query is None else query,
            headers={k: v for k, v in sent.items() if v},
            timeout=10,
            **arguments,
        )


@pytest.fixture(scope="module")
def call(cloud: Cloud) -> Raw:
    return Raw(cloud)


def assert_envelope(answer: requests.Response, status: int, code: str | None = None) -> Any:
    """IBM's error envelope, whole; returns the first error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert body["trace"] == answer.headers["X-Request-Id"]
    assert body["status_code"] == status
    assert body["errors"]
    for error in body["errors"]:
        assert re.fullmatch(r"[a-z_]+", error["code"])
        assert len(error["message"]) > 10
        if "target" in error:
            assert error["target"]["type"] in ("field", "parameter", "header")
            assert isinstance(error["target"].get("value", ""), str)
    if code is not None:
        assert body["errors"][0]["code"] == code
    return body["errors"][0]


VERSIONS = [
    ({"generation": "2"}, "version", "missing_field"),
    ({"version": "2026-10-06"}, "generation", "missing_field"),
    ({"version": "2026-10-06", "generation": "1"}, "generation", "bad_field"),
    ({"version": "today", "generation": "2"}, "version", "bad_field"),
    ({"version": "2026-02-30", "generation": "2"}, "version", "bad_field"),
    ({"version": "2018-12-31", "generation": "2"}, "version", "bad_field"),
    ({"version": "2099-01-01", "generation": "2"}, "version", "bad_field"),
    ({"version": "2026-1-1", "generation": "2"}, "version", "bad_field"),
]


@pytest.mark.parametrize(("query", "parameter", "code"), VERSIONS)
def test_version_and_generation_are_required(
    call: Raw, query: dict[str, str], parameter: str, code: str
) -> None:
    error = assert_envelope(call("GET", "/instances", query=query), 400, code)

    assert error["target"]["name"] == parameter
    assert error["target"]["type"] == "parameter"


@pytest.mark.parametrize(
    "version", ["2019-01-01", "2021-06-22", "2024-11-12", "2025-08-26", "2026-10-07"]
)
def test_documented_versions_work(call: Raw, version: str) -> None:
    assert (
        call("GET", "/instances", query={"version": version, "generation": "2"}).status_code == 200
    )


AUTHORIZATIONS = ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer a.b.c"]


@pytest.mark.parametrize("value", AUTHORIZATIONS)
def test_without_a_good_token_401(call: Raw, value: str) -> None:
    assert_envelope(call("GET", "/instances", headers={"Authorization": value}), 401)


def test_the_scheme_word_is_compared_without_case(call: Raw) -> None:
    answer = call("GET", "/instances", headers={"Authorization": f"bearer {call.token}"})

    assert answer.status_code == 200


CONTENT_TYPES = [
    "application/json", "application/merge-patch+json", "application/x-www-form-urlencoded",
    "text/plain", "",
]  # fmt: skip


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_a_body_is_json_whatever_its_type(cloud: Cloud, call: Raw, content_type: str) -> None:
    instance = cloud.create()
    answer = call(
        "PATCH",
        f"/instances/{instance['id']}",
        data=json.dumps({"metadata_service": {"enabled": True}}),
        headers={"Content-Type": content_type},
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata_service"]["enabled"] is True


def test_gzip(cloud: Cloud, call: Raw) -> None:
    body = gzip.compress(json.dumps({"name": cloud.name("pg"), "strategy": "host_spread"}).encode())
    made = call("POST", "/placement_groups", data=body, headers={"Content-Encoding": "gzip"})
    bomb = call(
        "POST", "/placement_groups", data=gzip.compress(b" " * 50_000_000),
        headers={"Content-Encoding": "gzip"},
    )  # fmt: skip
    torn = call("POST", "/placement_groups", data=body[:-9], headers={"Content-Encoding": "gzip"})

    assert made.status_code == 201, made.text
    assert_envelope(bomb, 400, "invalid_request")
    assert_envelope(torn, 400, "invalid_request")


def test_every_independent_error_of_a_body_is_named(cloud: Cloud, call: Raw) -> None:
    body = cloud.prototype(
        name="Not A Name",
        metadata_service={"enabled": "yes", "response_hop_limit": 99},
        keys=[{"id": 7}],
    )
    answer = call("POST", "/instances", json=body)

    assert_envelope(answer, 400)
    assert {error["target"]["name"] for error in answer.json()["errors"]} >= {
        "name",
        "metadata_service.enabled",
        "metadata_service.response_hop_limit",
        "keys[0].id",
    }


def test_references_to_nothing_are_named_together(cloud: Cloud, call: Raw) -> None:
    body = cloud.prototype(image={"id": "r006-none"}, keys=[{"id": "r006-none"}])
    answer = call("POST", "/instances", json=body)

    assert_envelope(answer, 400, "not_found")
    assert {error["target"]["name"] for error in answer.json()["errors"]} >= {
        "image.id",
        "keys[0].id",
    }


PATHS = [
    "/instances/nothing",
    "/instances/a%2Fb",
    "/keys/0717_x",
    "/vpcs/%00",
    "/instance/templates/x",
]


@pytest.mark.parametrize("path", PATHS)
def test_an_id_of_any_shape_that_does_not_exist_is_404(call: Raw, path: str) -> None:
    assert_envelope(call("GET", path), 404, "not_found")


@pytest.mark.differs(
    "VPC API: `/v1/instance/{id}`",
    "so in prose of its page, a slip",
    "404 that names `/v1/instances`",
)
def test_the_singular_path_points_at_the_plural_one(call: Raw) -> None:
    error = assert_envelope(call("GET", "/instance/0717_x"), 404, "not_found")

    assert "/v1/instances" in error["more_info"]


def test_a_method_that_is_not_offered_is_405_with_all_that_are(call: Raw) -> None:
    answer = call("PUT", "/instances/0717_x")

    assert_envelope(answer, 405)
    assert answer.headers["Allow"] == "DELETE, GET, PATCH"


def test_request_ids(call: Raw) -> None:
    one = call("GET", "/instances", headers={"X-Correlation-Id": "abc-1"})
    two = call("GET", "/instances", headers={"Transaction-Id": "t-2"})

    assert one.headers["X-Correlation-Id"] == "abc-1"
    assert two.headers["X-Correlation-Id"] == "t-2"
    assert one.headers["X-Request-Id"] != two.headers["X-Request-Id"]
    assert one.headers["X-Global-Transaction-ID"] == one.headers["X-Request-Id"]


@pytest.mark.differs(
    "VPC API: `If-Match` of another version",
    "the code is not published",
    "412 `precondition_failed`",
)
def test_etag_and_if_match(cloud: Cloud, call: Raw) -> None:
    created = call("POST", "/instances", json=cloud.prototype())
    path = f"/instances/{created.json()['id']}"
    cloud.wait(created.json()["id"], "running")
    old = call("GET", path).headers["ETag"]
    change = {"metadata_service": {"response_hop_limit": 3}}

    changed = call("PATCH", path, json=change, headers={"If-Match": old})
    stale = call("PATCH", path, json=change, headers={"If-Match": old})
    stale_delete = call("DELETE", path, headers={"If-Match": old})
    deleted = call("DELETE", path, headers={"If-Match": changed.headers["ETag"]})

    assert created.headers["ETag"].startswith('W/"')
    assert changed.status_code == 200
    assert changed.headers["ETag"] != old
    assert call("GET", path).status_code in (200, 404)
    assert_envelope(stale, 412, "precondition_failed")
    assert_envelope(stale_delete, 412, "precondition_failed")
    assert deleted.status_code == 204
    assert deleted.content == b""


def test_pages_hold_everything_once_in_order(cloud: Cloud, call: Raw) -> None:
    made = [
        call(
            "POST", "/placement_groups", json={"name": cloud.name("pg"), "strategy": "host_spread"}
        )
        for _ in range(5)
    ]
    seen: list[str] = []
    url = f"{call.base}/placement_groups?limit=2&version=2026-10-06&generation=2"
    while url:
        page = requests.get(
            url, headers={"Authorization": f"Bearer {call.token}"}, timeout=10
        ).json()
        assert page["limit"] == 2
        assert page["first"]["href"].startswith(f"{call.base}/placement_groups?")
        seen += [group["id"] for group in page["placement_groups"]]
        following = page.get("next", {}).get("href")
        url = f"{following}&version=2026-10-06&generation=2" if following else ""

    assert len(seen) == len(set(seen)) == page["total_count"]
    assert seen[:5] == [answer.json()["id"] for answer in reversed(made)]


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"start": "nonsense"}]
)
def test_a_bad_page_is_refused_by_name(call: Raw, query: dict[str, str]) -> None:
    error = assert_envelope(call("GET", "/instances", query={**QUERY, **query}), 400, "bad_field")

    assert error["target"]["name"] == next(iter(query))
    assert error["target"]["type"] == "parameter"


NAMES = ["", "A", "1a", "a_b", "-a", "a-", "a" * 64, "ä", "a b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_is_refused(call: Raw, name: str) -> None:
    body = {"name": name, "strategy": "host_spread"}
    error = assert_envelope(call("POST", "/placement_groups", json=body), 400, "bad_field")

    assert error["target"]["name"] == "name"


@pytest.mark.differs(
    "VPC API: a name that is taken",
    "the code is not published",
    "400 `validation_unique_failed`",
)
def test_a_taken_name_is_refused(cloud: Cloud, call: Raw) -> None:
    body = {"name": cloud.name("pg"), "strategy": "host_spread"}
    call("POST", "/placement_groups", json=body)

    error = assert_envelope(
        call("POST", "/placement_groups", json=body), 400, "validation_unique_failed"
    )
    assert error["target"]["name"] == "name"


def test_hrefs_follow_the_host_that_the_client_used(call: Raw) -> None:
    answer = call("GET", "/regions/us-south", headers={"Host": "control.example:99"})

    assert answer.json()["href"] == "http://control.example:99/v1/regions/us-south"


def test_healthz(call: Raw) -> None:
    assert requests.get(f"{call.api}/healthz", timeout=5).status_code == 200


IDENTITY_REFUSALS = [
    ("GET", "/profiles/Profile-nothing", None, 404, "not_found", "BXNIM"),
    ("POST", "/profiles", {"name": "p"}, 400, "missing_field", "BXNIM0109E"),
    ("GET", "/apikeys/ApiKey-nothing", None, 404, "not_found", "BXNIM"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "number"), IDENTITY_REFUSALS)
def test_the_identity_api_has_a_shape_of_its_own(
    call: Raw, method: str, path: str, body: Any, status: int, code: str, number: str
) -> None:
    """A word in `code`, IAM's number in `message_code` (contract 4.3)."""
    answer = call(method, path, query={}, json=body)
    document = answer.json()

    assert answer.status_code == status
    assert document["status_code"] == str(status)
    assert document["trace"] == document["context"]["transaction_id"]
    assert document["errors"][0]["code"] == code
    assert document["errors"][0]["message_code"].startswith(number)


def test_the_token_endpoint_has_another(call: Raw) -> None:
    form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "x" * 44}
    answer = requests.post(f"{call.api}/identity/token", data=form, timeout=5)
    document = answer.json()

    assert answer.status_code == 400
    assert document["errorCode"] == "BXNIM0415E"
    assert document["errorMessage"] == "Provided API key could not be found."
    assert document["context"]["requestId"] == answer.headers["X-Request-Id"]
    assert "x" * 44 not in answer.text
