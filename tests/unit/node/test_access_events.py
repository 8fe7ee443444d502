"""Which events a listener makes of its answers, without sockets."""

from __future__ import annotations

import asyncio
from typing import Any

from fakes.clock import FakeClock
from fakes.documents import INSTANCE
from unit.node.listener_harness import Sink

from linklocal.metadata.wire import Request, Response
from linklocal.node.access_events import (
    COUNTED_FOR,
    NO_OPERATION,
    PATHS_MAX,
    AccessEvents,
    shown_path,
)

READ = "is.metadata.instance.read"


def read(trace: str = "t", operation: str = READ) -> Response:
    return Response(200, b"{}", trace, operation, detail={"version": "2025-08-26"})


def facts() -> dict[str, Any]:
    return {"peer_ttl": 64}


def make() -> tuple[AccessEvents, Sink, FakeClock]:
    sink, clock = Sink(), FakeClock()
    return AccessEvents(INSTANCE, sink, clock), sink, clock


async def test_the_first_read_in_a_minute_is_told_in_full() -> None:
    events, sink, clock = make()

    events.read("/a", read("one"), facts)
    clock.advance(59)
    events.read("/a", read("two"), facts)
    clock.advance(1)
    events.read("/a", read("three"), facts)

    first, counted, again = sink.events
    assert first.detail == {"version": "2025-08-26", "peer_ttl": 64, "path": "/a"}
    assert (first.trace, first.count, counted.trace, counted.count) == ("one", 1, "two", 1)
    assert (again.trace, again.count) == ("three", 1)


async def test_the_reads_after_it_are_counted() -> None:
    events, sink, clock = make()
    events.read("/a", read(), facts)
    began = clock.now()
    for n in range(7):
        events.read("/a", read(f"{n}"), facts)
    events.read("/b", read(), facts)
    clock.advance(0.5)

    events.flush()
    events.flush()

    assert [(e.detail["path"], e.count) for e in sink.events] == [("/a", 1), ("/b", 1), ("/a", 7)]
    assert sink.events[-1].time == began
    assert sink.events[-1].trace == "6"


async def test_counts_are_told_by_themselves() -> None:
    events, sink, _ = make()
    events.read("/a", read(), facts)
    events.read("/a", read(), facts)

    async with asyncio.timeout(10 * COUNTED_FOR):
        while len(sink.events) < 2:
            await asyncio.sleep(0.01)

    assert sink.events[-1].count == 1


async def test_what_is_kept_does_not_grow_with_the_paths() -> None:
    events, sink, _ = make()
    for _ in range(2):
        for n in range(10 * PATHS_MAX):
            events.read(f"/{n}", read(), facts)
    events.flush()

    assert len(events._reads) <= PATHS_MAX + 1
    assert sum(e.count for e in sink.events) == 20 * PATHS_MAX


async def test_old_paths_make_room() -> None:
    events, sink, clock = make()
    for n in range(PATHS_MAX):
        events.read(f"/{n}", read(), facts)
    clock.advance(61)
    sink.events.clear()

    events.read("/new", read(), facts)

    assert sink.events[0].detail["path"] == "/new"
    assert len(events._reads) == 1


async def test_every_refusal_and_every_token_is_told() -> None:
    events, sink, _ = make()
    refused = Response(404, b"{}", "t", reason="not_found", message="m", rule="path")
    token = Response(200, b"{}", "t", "is.metadata.jwt-token.create", detail={"nonce": True})
    for _ in range(3):
        events.other(Request("GET", "/x"), "/x", refused)
        events.other(Request("PUT", "/t"), "/t", token)
    events.other(None, "", refused)

    assert len(sink.events) == 7
    assert sink.events[0].action == NO_OPERATION
    assert (sink.events[0].reason, sink.events[0].rule) == ("not_found", "path")
    assert sink.events[0].outcome == "failure"
    assert sink.events[1].outcome == "success"
    assert sink.events[1].detail == {"nonce": True, "path": "/t", "method": "PUT"}
    assert sink.events[-1].detail == {}


def test_shown_paths() -> None:
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IlZTSS1DUl91cyJ9.eyJpc3MiOiJWU0kifQ.c2lnbmF0dXJl"

    assert shown_path("/metadata/v1/keys/r006-1") == "/metadata/v1/keys/r006-1"
    assert shown_path(f"/x/{token}") == "/x/<token>"
    assert shown_path("/" + "x" * 190 + token) == "/" + "x" * 190 + "<token>"
    assert len(shown_path("/" + "x" * 500)) == 200
    assert shown_path("/a\r\n\x1b[31m\x00") == "/a\\x0d\\x0a\\x1b[31m\\x00"
