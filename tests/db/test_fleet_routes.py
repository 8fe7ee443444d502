"""`/internal/v1`: what nodes send is checked and capped; only signed requests get in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fakes.clock import FakeClock
from fakes.fleet import ACCOUNT, Host, document
from fastapi import FastAPI

from linklocal.document import Change
from linklocal.fleet import nodes as fleet_nodes
from linklocal.fleet import placement
from linklocal.fleet.enrolment import NodeAuthenticator, create_join_token
from linklocal.fleet.events import EventStore
from linklocal.fleet.feed import Feed
from linklocal.fleet.publish import FleetPublisher
from linklocal.fleet.routes import fleet_routes
from linklocal.ids import InstanceId
from linklocal.server.errors import install_error_handlers
from linklocal.settings import Region
from linklocal.store.engine import Database
from linklocal.store.wake import Wake

EVENT = {
    "time": "2026-11-24T12:00:00.000Z",
    "action": "is.metadata.instance.read",
    "outcome": "success",
    "status": 200,
    "trace": "t",
    "instance_id": "a",
    "schema": 1,
}


class Server:
    """The routes over a database, one host that joined by them, and a client."""

    def __init__(self, database: Database, clock: FakeClock, client: httpx.AsyncClient) -> None:
        self.database = database
        self.clock = clock
        self.client = client
        self.wake = Wake(database)
        self.events = EventStore(clock)
        self.host = Host("one")

    def app(self) -> FastAPI:
        app = FastAPI()
        install_error_handlers(app)
        app.state.node_authenticator = NodeAuthenticator(self.database, self.clock)
        feed = Feed(self.database, self.wake, poll=0.05)
        region = Region("us-south")
        app.include_router(fleet_routes(self.database, self.clock, region, feed, self.events))
        return app

    async def join_token(self) -> str:
        async with self.database.transaction() as connection:
            return (await create_join_token(connection, now=self.clock.now())).token

    async def enrol(self, **changes: Any) -> httpx.Response:
        body = {**self.host.enrolment(await self.join_token()), **changes}
        return await self.client.post("/internal/v1/enrol", json=body)

    async def post(self, name: str, body: Any) -> httpx.Response:
        path = f"/internal/v1/{name}"
        content, headers = self.host.sign("POST", path, self.clock.now(), body)
        return await self.client.post(path, content=content, headers=headers)

    async def watch(self, after: int | str = 0) -> httpx.Response:
        """Until the stream ends."""
        path = "/internal/v1/watch"
        _, headers = self.host.sign("GET", path, self.clock.now())
        return await self.client.get(path, params={"after": after}, headers=headers)


@pytest.fixture
async def server(database: Database) -> AsyncIterator[Server]:
    async with httpx.AsyncClient(base_url="http://server") as client:
        server = Server(database, FakeClock(), client)
        client._transport = httpx.ASGITransport(server.app())
        enrolled = (await server.enrol()).json()
        server.host.node_id = enrolled["node_id"]
        server.host.identity_kid = enrolled["identity_kid"]
        yield server


def codes(response: httpx.Response) -> list[tuple[str, str | None]]:
    return [
        (error["code"], error.get("target", {}).get("name")) for error in response.json()["errors"]
    ]


async def test_enrol_answers_what_the_node_is(server: Server) -> None:
    server.host = Host("two")
    response = await server.enrol()

    assert response.status_code == 201
    body = response.json()
    assert sorted(body) == ["identity_kid", "name", "node_id", "region"]
    assert (body["name"], body["region"]) == ("two", "us-south")


async def test_enrol_refuses_with_every_reason(server: Server) -> None:
    assert codes(await server.enrol(join_token="x")) == [("unauthenticated", "Authorization")]
    bad = await server.enrol(control_jwk={"kty": "oct"}, identity_jwk={})
    assert bad.status_code == 400
    assert codes(bad) == [("invalid_value", "control_jwk"), ("invalid_value", "identity_jwk")]
    worse = await server.enrol(name="No Name", version="v" * 65)
    assert worse.status_code == 400
    assert sorted(target or "" for _, target in codes(worse)) == ["name", "version"]


async def test_unsigned_requests_do_not_get_in(server: Server) -> None:
    for name in ("status", "events"):
        response = await server.client.post(f"/internal/v1/{name}", json={})
        assert response.status_code in (400, 401)
    body = {"applied_revision": 0}
    assert (await server.client.post("/internal/v1/status", json=body)).status_code == 401
    assert (await server.client.get("/internal/v1/watch")).status_code == 401


async def test_status_is_taken(server: Server) -> None:
    async with server.database.transaction() as connection:
        await placement.place(connection, InstanceId("a"), ACCOUNT, server.host.node_id)
        publisher = FleetPublisher(server.wake, server.clock)
        await publisher.put(connection, [document("a")])
    server.clock.advance(5)

    response = await server.post(
        "status",
        {"applied_revision": 1, "faults": {"a": "why"}, "addresses": {"a": "x"}, "version": "2"},
    )

    assert (response.status_code, response.json()) == (200, {})
    async with server.database.read() as connection:
        state = (await placement.find(connection, [InstanceId("a")]))[InstanceId("a")]
    assert (state.applied_revision, state.fault, state.address) == (1, "why", "x")
    assert state.last_seen_at == server.clock.now()


@pytest.mark.parametrize(
    ("name", "body", "target"),
    [
        ("status", {"applied_revision": -1}, "applied_revision"),
        ("status", {"applied_revision": 2**60}, "applied_revision"),
        ("status", {"applied_revision": True}, "applied_revision"),
        ("status", {"applied_revision": 1, "faults": {"a": "x" * 3000}}, "faults.a"),
        ("status", {"applied_revision": 1, "faults": {"a": "nul \0"}}, "faults.a"),
        ("status", {"applied_revision": 1, "version": "v" * 65}, "version"),
        ("events", {"batch": "", "events": []}, "batch"),
        ("events", {"batch": "1", "events": [EVENT] * 1001}, "events"),
        ("events", {"batch": "1", "dropped": -1, "events": []}, "dropped"),
        ("events", {"batch": "1", "events": [{**EVENT, "time": "noon"}]}, "events[0].time"),
        (
            "events",
            {"batch": "1", "events": [EVENT, {**EVENT, "outcome": "?"}]},
            "events[1].outcome",
        ),
        (
            "events",
            {"batch": "1", "events": [{**EVENT, "detail": {"a": "\0"}}]},
            "events[0].detail",
        ),
        (
            "events",
            {"batch": "1", "events": [{**EVENT, "detail": {"a": "x" * 5000}}]},
            "events[0].detail",
        ),
        ("events", {"batch": "1", "events": [{**EVENT, "detail": {"a": "\ud800"}}]}, None),
    ],
)
async def test_what_cannot_be_kept_is_refused(
    server: Server, name: str, body: Any, target: str | None
) -> None:
    response = await server.post(name, body)

    assert response.status_code == 400
    assert target is None or target in [t for _, t in codes(response)]
    async with server.database.read() as connection:
        assert await server.events.query(connection) == []


async def test_events_are_kept_once(server: Server) -> None:
    async with server.database.transaction() as connection:
        await placement.place(connection, InstanceId("a"), ACCOUNT, server.host.node_id)
    body = {"batch": "1", "dropped": 3, "events": [{**EVENT, "detail": {"path": "/x"}}, EVENT]}
    for _ in range(2):
        assert (await server.post("events", body)).json() == {}

    async with server.database.read() as connection:
        kept = await server.events.query(connection)
        node = await fleet_nodes.get(connection, server.host.node_id)
    assert [event.detail for event in kept] == [{}, {"path": "/x"}]
    assert node is not None
    assert node.events_dropped == 3


async def test_watch_streams_lines_until_the_node_is_revoked(server: Server) -> None:
    async with server.database.transaction() as connection:
        await placement.place(connection, InstanceId("a"), ACCOUNT, server.host.node_id)
        await FleetPublisher(server.wake, server.clock).put(connection, [document("a")])
    server.clock.advance(30)
    watching = asyncio.create_task(server.watch())
    async with asyncio.timeout(20):
        while not server.wake._bells:
            await asyncio.sleep(0.01)
        async with server.database.transaction() as connection:
            node_id = server.host.node_id
            await fleet_nodes.revoke(connection, node_id, now=server.clock.now())
        response = await watching

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    changes = [Change.from_line(line) for line in response.text.splitlines()]
    assert changes in ([Change("document", 1, document("a")), Change("synced", 1)], [])
    async with server.database.read() as connection:
        node = await fleet_nodes.get(connection, server.host.node_id)
    assert node is not None
    assert node.last_seen_at == server.clock.now()
    assert (await server.watch()).json()["errors"][0]["code"] == "node_revoked"


@pytest.mark.parametrize("after", ["-1", "x", "9999999999999999999"])
async def test_watch_needs_a_revision(server: Server, after: str) -> None:
    response = await server.watch(after)

    assert response.status_code == 400
    assert [target for _, target in codes(response)] == ["after"]
