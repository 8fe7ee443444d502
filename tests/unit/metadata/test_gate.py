"""Each check before an answer, by itself (metadata contract 2). Their order: `test_routes.py`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from fakes.clock import FakeClock
from fakes.documents import full_document
from unit.metadata.harness import VERSION, Instance, assert_refused

from linklocal.document import MetadataService

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


@pytest.mark.differs(
    "Metadata: `target.name` of a refused `version`",
    "the refused value, in an answer of 2022",
    "`version`; the value is in `target.value`",
)
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


@pytest.mark.differs(
    "Metadata: a `version` in the future",
    "not published",
    "400 after tomorrow, or after the newest SDK's date",
)
@pytest.mark.parametrize(
    ("now", "last"),
    [
        (datetime(2024, 2, 28, 12, tzinfo=UTC), "2026-10-07"),
        (datetime(2026, 10, 5, 23, 59, 59, tzinfo=UTC), "2026-10-07"),
        (datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC), "2028-01-01"),
    ],
)
def test_the_last_version_follows_the_clock_but_not_below_the_newest_client(
    now: datetime, last: str
) -> None:
    instance = Instance(clock=FakeClock(now))
    beyond = date.fromisoformat(last) + timedelta(days=1)

    assert instance.get(INSTANCE, f"version={last}").status == 200
    error = assert_refused(
        instance.get(INSTANCE, f"version={beyond}"), 400, "invalid_version_range", "version"
    )
    assert error["target"] == {"name": "version", "type": "parameter", "value": str(beyond)}


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


@pytest.mark.parametrize("tail", ["limit=1&limit=1", "start=a&start=b"])
def test_a_page_parameter_twice(instance: Instance, tail: str) -> None:
    answer = instance.get("/metadata/v1/placement_groups", f"{VERSION}&{tail}")

    assert_refused(answer, 400, "invalid_value", tail.partition("=")[0])


@pytest.mark.parametrize("query", ["version=%ff", "&".join(f"a{n}=1" for n in range(40))])
def test_a_query_that_cannot_be_read(instance: Instance, query: str) -> None:
    assert_refused(instance.get(INSTANCE, query), 400, "invalid_request")


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


@pytest.mark.differs(
    "Metadata: a token for what a proxy or a browser passes on",
    "not published",
    "400 `forbidden_header`",
)
@pytest.mark.parametrize("name", FORWARDED)
def test_a_forwarded_or_browser_request_gets_no_token(instance: Instance, name: str) -> None:
    answer = instance.ask("PUT", TOKEN, metadata_flavor="ibm", **{name: "x"})

    assert_refused(answer, 400, "forbidden_header", name.replace("_", "-"))
    read = instance.ask("GET", INSTANCE, authorization=f"Bearer {instance.token()}", **{name: "x"})
    assert read.status == 200


@pytest.mark.differs(
    "Metadata: a call without `Authorization`",
    "400 by the wording of its page of codes",
    "400 `missing_field`; 401 for a token that is no good",
)
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
    for value in (f"bEARER {token}", f"Bearer   {token} "):
        assert instance.ask("GET", INSTANCE, authorization=value).status == 200


def test_disable_and_enable_keep_tokens(instance: Instance) -> None:
    token = instance.token()
    instance.served = instance.served.updated(full_document(metadata_service=MetadataService()))
    assert_refused(instance.get(INSTANCE, token=token), 403, "unauthorized")

    instance.served = instance.served.updated(full_document())

    assert instance.get(INSTANCE, token=token).status == 200


def test_disabled_refuses_everything_alike_and_tells_nothing(instance: Instance) -> None:
    instance.served = instance.served.updated(full_document(metadata_service=MetadataService()))
    bodies = set()
    for method, path in (("PUT", TOKEN), ("GET", INSTANCE), ("GET", "/nothing"), ("POST", "/x")):
        answer = instance.ask(method, path, "")
        assert_refused(answer, 403, "unauthorized")
        bodies.add(answer.body.replace(answer.trace.encode(), b""))

    assert len(bodies) == 1
