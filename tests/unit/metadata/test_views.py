"""All GET methods, paging, and that repeated reads cost no rendering (metadata contract 4, 5)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fakes.documents import full_document
from unit.metadata.harness import VERSION, Instance, assert_refused

from linklocal.document import LISTS, InstanceDocument
from linklocal.metadata.views import MAX_PAGES_KEPT, PAGINATED
from linklocal.metadata.wire import Request

PATHS = {
    name: ("/metadata/v1/" if name in ("keys", "placement_groups", "virtual_network_interfaces") else
           "/metadata/v1/instance/") + name
    for name in LISTS
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "name"), [("", "instance"), ("/initialization", "initialization")]
)
def test_documents(path: str, name: str) -> None:
    instance = Instance()

    answer = instance.get(f"/metadata/v1/instance{path}")

    assert json.loads(answer.body) == full_document().metadata[name]


@pytest.mark.differs(
    "Metadata: pages of virtual network interfaces and cluster network attachments",
    "not published",
    "as in the VPC API",
)
@pytest.mark.parametrize("name", LISTS)
def test_lists_and_their_items(name: str) -> None:
    instance = Instance()
    items = full_document().metadata[name]

    listed = json.loads(instance.get(PATHS[name]).body)

    assert listed[name] == items
    assert ("first" in listed) == (name in PAGINATED)
    for item in items:
        assert json.loads(instance.get(f"{PATHS[name]}/{item['id']}").body) == item
    assert_refused(instance.get(f"{PATHS[name]}/nothing"), 404, "not_found", "id")


def many(count: int) -> InstanceDocument:
    document = full_document()
    groups = [{"id": f"g{n}", "name": f"n{n}"} for n in range(count)]
    return replace(document, metadata={**document.metadata, "placement_groups": groups})


@pytest.mark.parametrize(("count", "limit"), [(0, 1), (1, 1), (7, 3), (50, 50), (101, 100)])
def test_pages_hold_everything_once(count: int, limit: int) -> None:
    instance = Instance(many(count))
    path = PATHS["placement_groups"]
    seen: list[str] = []
    query: str | None = f"{VERSION}&limit={limit}"
    while query is not None:
        page: dict[str, Any] = json.loads(instance.get(path, query).body)
        assert page["total_count"] == count
        assert page["first"]["href"].endswith(f"{path}?limit={limit}")
        seen += [group["id"] for group in page["placement_groups"]]
        following = page.get("next")
        query = f"{VERSION}&{following['href'].partition('?')[2]}" if following else None

    assert seen == [f"g{n}" for n in range(count)]


def test_an_unknown_start_is_refused() -> None:
    answer = Instance(many(3)).get(PATHS["placement_groups"], f"{VERSION}&start=nothing")

    assert_refused(answer, 400, "invalid_value", "start")


def test_reads_after_the_first_render_nothing_and_ask_nobody() -> None:
    instance = Instance()
    token = instance.token()
    paths = ["/metadata/v1/instance", "/metadata/v1/instance/initialization", *PATHS.values()]
    for path in paths:
        assert instance.get(path, token=token).status == 200
    renderings = instance.served.views.renderings

    for _ in range(100):
        for path in paths:
            assert instance.get(path, token=token).status == 200

    assert instance.served.views.renderings == renderings == len(paths)
    assert instance.upstream.exchanges == []


def test_a_new_document_is_what_the_next_read_shows() -> None:
    instance = Instance()
    token = instance.token()
    instance.get("/metadata/v1/instance", token=token)
    document = full_document()
    metadata = {**document.metadata, "instance": {**document.metadata["instance"], "name": "new"}}

    instance.served = instance.served.updated(replace(document, metadata=metadata))

    assert json.loads(instance.get("/metadata/v1/instance", token=token).body)["name"] == "new"


@pytest.mark.parametrize("name", sorted(PAGINATED))
def test_links_carry_the_url_that_the_client_used(name: str) -> None:
    """Also when another client of the instance used another one a moment ago."""
    instance = Instance()
    headers = {"authorization": f"Bearer {instance.token()}"}
    for base in ("http://169.254.169.254", "https://api.metadata.cloud.ibm.com") * 2:
        request = Request("GET", PATHS[name], VERSION, headers, base=base)
        page = json.loads(instance.send(request).body)
        assert page["first"] == {"href": f"{base}{PATHS[name]}?limit=50"}
        assert (page["limit"], page["total_count"]) == (50, len(page[name]))
        assert "next" not in page


def test_pages_are_kept_and_their_number_is_bounded() -> None:
    instance = Instance(many(100))
    token = instance.token()
    path = PATHS["placement_groups"]
    for _ in range(2):
        for limit in (1, 2):
            assert instance.get(path, f"{VERSION}&limit={limit}", token).status == 200
    assert instance.served.views.renderings == 2

    for start in range(100):
        for limit in (1, 2):
            query = f"{VERSION}&start=g{start}&limit={limit}"
            assert instance.get(path, query, token).status == 200
            assert_refused(instance.get(path, f"{query}&x=1", token), 400, "unknown_field")

    assert len(instance.served.views._pages) <= MAX_PAGES_KEPT


def test_what_is_asked_for_in_vain_is_not_kept() -> None:
    instance = Instance()
    token = instance.token()
    for n in range(100):
        assert instance.get(f"{PATHS['keys']}/r006-{n}", token=token).status == 404
        assert instance.get(PATHS["placement_groups"], f"{VERSION}&start=g{n}", token).status == 400

    assert instance.served.views.renderings == 0
    assert not instance.served.views._kept
    assert not instance.served.views._pages


def test_text_is_utf_8_as_it_was_given() -> None:
    document = full_document()
    text = 'naïve "\u2028" \x00 \U0001f600'
    initialization = {**document.metadata["initialization"], "user_data": text}
    instance = Instance(
        replace(document, metadata={**document.metadata, "initialization": initialization})
    )

    body = instance.get("/metadata/v1/instance/initialization").body

    assert json.loads(body)["user_data"] == text
    assert "naïve".encode() in body
