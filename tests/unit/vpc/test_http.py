"""The VPC API's own rules of HTTP (control-plane contract 1.1, 1.2, 1.5)."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from fakes.vpc_api import client_of, errors
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from linklocal.errors import PreconditionFailed
from linklocal.vpc.http import (
    SDK_VERSION,
    absolute,
    check_if_match,
    check_version,
    collection,
    etag,
    reply,
    vpc_router,
)
from linklocal.vpc.paging import Page

TODAY = date(2026, 11, 24)


def things() -> APIRouter:
    router = vpc_router("things")

    @router.get("/things/{id}")
    async def get(request: Request, id: str) -> JSONResponse:
        return reply(request, {"id": id, "href": f"/v1/things/{id}"}, tag=etag(id, 3))

    @router.get("/things")
    async def list_(request: Request) -> JSONResponse:
        return collection(request, "/v1/things", "things", [], Page(2), 5, "17.a")

    return router


async def get(path: str, public_url: str | None = None, **params: str | None) -> httpx.Response:
    """GET with these parameters only."""
    async with client_of(things(), public_url=public_url) as client:
        client.params = httpx.QueryParams()
        return await client.get(path, params={k: v for k, v in params.items() if v is not None})


@pytest.mark.parametrize("version", ["2019-01-01", "2021-06-22", "2024-02-29", "2026-10-06"])
async def test_every_published_version_works(version: str) -> None:
    answer = await get("/v1/things/a", version=version, generation="2")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("version", "generation", "expected"),
    [
        (None, "2", [("missing_field", "version")]),
        ("", "2", [("bad_field", "version")]),
        ("latest", "2", [("bad_field", "version")]),
        ("2024-1-1", "2", [("bad_field", "version")]),
        ("2023-02-29", "2", [("bad_field", "version")]),
        ("2018-12-31", "2", [("bad_field", "version")]),
        ("2999-01-01", "2", [("bad_field", "version")]),
        ("2024-11-12 ", "2", [("bad_field", "version")]),
        ("２０２４-11-12", "2", [("bad_field", "version")]),
        ("2024-11-12", None, [("missing_field", "generation")]),
        ("2024-11-12", "1", [("bad_field", "generation")]),
        ("2024-11-12", "2.0", [("bad_field", "generation")]),
        (None, None, [("missing_field", "version"), ("missing_field", "generation")]),
    ],
)
async def test_other_versions_and_generations_are_refused_by_name(
    version: str | None, generation: str | None, expected: list[tuple[str, str]]
) -> None:
    answer = await get("/v1/things/a", version=version, generation=generation)

    assert answer.status_code == 400
    assert errors(answer) == expected
    assert {error["target"]["type"] for error in answer.json()["errors"]} == {"parameter"}


@pytest.mark.differs(
    "VPC API: a `version` in the future",
    "not taken more than a day ahead",
    "taken up to the newest SDK's date, too, for clocks that are behind",
)
@pytest.mark.parametrize("today", [date(2020, 1, 1), TODAY])
def test_the_newest_sdk_works_on_a_machine_whose_clock_is_behind(today: date) -> None:
    latest = max(today, SDK_VERSION) + timedelta(days=1)

    assert check_version(latest.isoformat(), today) == latest.isoformat()
    with pytest.raises(PydanticCustomError):
        check_version((latest + timedelta(days=1)).isoformat(), today)


@given(st.text())
def test_any_text_is_a_version_or_refused(text: str) -> None:
    with suppress(PydanticCustomError):
        date.fromisoformat(check_version(text, TODAY))


async def test_the_documented_pattern_is_what_is_always_accepted() -> None:
    async with client_of(things()) as client:
        document = (await client.get("/openapi.json")).json()
    parameters = document["paths"]["/v1/things/{id}"]["get"]["parameters"]
    schema = next(p["schema"] for p in parameters if p["name"] == "version")
    day = date(2018, 1, 1)
    while day < date(2028, 1, 1):
        documented = re.search(schema["pattern"], day.isoformat()) is not None
        if documented:
            assert check_version(day.isoformat(), date(2020, 1, 1))
        assert documented == (date(2019, 1, 1) <= day < date(2026, 1, 1) or day == SDK_VERSION)
        day += timedelta(days=1)


async def test_a_nul_character_is_nobodys_id_and_no_filter() -> None:
    path = await get("/v1/things/a%00b", version="2024-11-12", generation="2")
    query = await get("/v1/things", version="2024-11-12", generation="2", name="a\0b")

    assert (path.status_code, errors(path)) == (404, [("not_found", "id")])
    assert (query.status_code, errors(query)) == (400, [("bad_field", "name")])


async def test_a_parameter_that_is_sent_twice_is_refused() -> None:
    async with client_of(things()) as client:
        client.params = httpx.QueryParams()
        answer = await client.get("/v1/things?version=2024-11-12&generation=2&name=a&name=b")

    assert (answer.status_code, errors(answer)) == (400, [("bad_field", "name")])


async def test_hrefs_are_under_the_url_that_the_client_used() -> None:
    answer = await get("/v1/things/a", version="2024-11-12", generation="2")
    behind_a_proxy = await get(
        "/v1/things/a", public_url="https://cloud.test/", version="2024-11-12", generation="2"
    )

    assert answer.json()["href"] == "http://api.test:8080/v1/things/a"
    assert behind_a_proxy.json()["href"] == "https://cloud.test/v1/things/a"
    assert answer.headers["etag"] == 'W/"a-3"'


async def test_page_links_keep_the_filters() -> None:
    answer = await get(
        "/v1/things", version="2024-11-12", generation="2", **{"vpc.name": "a&b", "limit": "2"}
    )

    assert answer.json() == {
        "first": {"href": "http://api.test:8080/v1/things?vpc.name=a%26b&limit=2"},
        "limit": 2,
        "next": {"href": "http://api.test:8080/v1/things?vpc.name=a%26b&limit=2&start=17.a"},
        "things": [],
        "total_count": 5,
    }


@pytest.mark.parametrize(
    "header", [None, "*", 'W/"a-3"', '"a-3"', 'W/"x-1", W/"a-3"', ' W/"a-3" ', "x, *"]
)
def test_if_match_of_the_current_version_is_let_through(header: str | None) -> None:
    check_if_match(header, etag("a", 3))


@pytest.mark.parametrize("header", ["", 'W/"a-2"', 'W/"b-3"', "a-3", 'W/"a-3"x', "**"])
def test_any_other_if_match_is_refused(header: str) -> None:
    with pytest.raises(PreconditionFailed):
        check_if_match(header, etag("a", 3))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_only_hrefs_of_the_api_are_made_absolute(view: Any) -> None:
    assert absolute(view, "") == view
    assert absolute({"href": "/v1/x", "name": "/v1/x", "in": [view]}, "http://h") == {
        "href": "http://h/v1/x",
        "name": "/v1/x",
        "in": [absolute(view, "http://h")],
    }
    assert absolute({"href": "https://else/v1/x"}, "http://h") == {"href": "https://else/v1/x"}
