"""What the control plane does and refuses becomes events, with no secret in any of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from linklocal.clock import SystemClock
from linklocal.events import Event
from linklocal.iam.secrets import load_key_file
from linklocal.server.app import ControlPlane, build
from linklocal.settings import ServerSettings

APIKEY = "urn:ibm:params:oauth:grant-type:apikey"
QUERY = {"version": "2026-10-06", "generation": "2"}
KEY = "canary-api-key-" + "k" * 29


class Server:
    """A whole control plane in this process, and an administrator's client of it."""

    def __init__(self, control: ControlPlane, http: httpx.AsyncClient, account_id: str) -> None:
        self.control = control
        self.http = http
        self.account_id = account_id

    async def login(self, key: str = KEY) -> httpx.Response:
        return await self.http.post("/identity/token", data={"grant_type": APIKEY, "apikey": key})

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.http.request(method, path, json=body, params=QUERY, **more)

    async def events(self, action: str | None = None) -> list[Event]:
        async with self.control.database.read() as connection:
            return await self.control.events.query(connection, action=action, limit=1000)


@asynccontextmanager
async def serving(tmp_path: Path, database_url: str, **settings: Any) -> AsyncIterator[Server]:
    made = ServerSettings(
        state_dir=tmp_path,
        database_url=database_url,
        key_file=tmp_path / "server.key",
        **settings,
    )
    load_key_file(tmp_path / "server.key", create=True)  # on PostgreSQL the operator's task
    async with build(made, SystemClock(), url="http://api.test", dev=True) as control:
        account = (await control.bootstrap(KEY)).account_id
        transport = httpx.ASGITransport(control.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
            server = Server(control, http, account)
            token = (await server.login()).json()["access_token"]
            http.headers["Authorization"] = f"Bearer {token}"
            yield server


@pytest.fixture
async def server(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Server]:
    shutil.copyfile(sqlite_template, tmp_path / "linklocal.db")
    async with serving(tmp_path, f"sqlite:///{tmp_path / 'linklocal.db'}") as server:
        yield server


@pytest.fixture
async def server_on_each(tmp_path: Path, database_url: str) -> AsyncIterator[Server]:
    """Once on SQLite, once on PostgreSQL: a whole server takes its time to set up."""
    async with serving(tmp_path, database_url) as server:
        yield server


async def test_a_change_says_who_did_what_to_which(server_on_each: Server) -> None:
    server = server_on_each
    answer = await server.call(
        "POST", "/v1/vpcs", {"name": "web"}, headers={"X-Correlation-Id": "abc-1"}
    )
    made = answer.json()
    (event,) = await server.events("is.vpc.vpc.create")

    assert (event.outcome, event.status, event.target) == ("success", 201, made["id"])
    assert event.trace == answer.headers["x-request-id"]
    assert event.initiator is not None
    assert event.initiator.startswith("IBMid-")
    assert event.detail["crn"] == made["crn"]
    assert event.detail["correlation_id"] == "abc-1"
    assert event.detail["account_id"] == server.account_id
    assert event.detail["api_key_id"].startswith("ApiKey-")

    await server.call("DELETE", f"/v1/vpcs/{made['id']}")
    (event,) = await server.events("is.vpc.vpc.delete")
    assert (event.status, event.target) == (204, made["id"])


async def test_reads_are_events_only_when_refused(server: Server) -> None:
    await server.call("GET", "/v1/vpcs")
    assert await server.events("is.vpc.vpc.read") == []

    missing = "r006-00000000-0000-4000-8000-000000000000"
    answer = await server.call("GET", f"/v1/vpcs/{missing}")
    (event,) = await server.events("is.vpc.vpc.read")
    assert (event.outcome, event.status, event.target) == ("failure", 404, missing)
    assert event.reason == event.rule == "not_found"
    assert event.trace == answer.json()["trace"]


async def test_refusals_name_the_rule(server: Server) -> None:
    profile = (
        await server.call(
            "POST", "/v1/profiles", {"name": "guest", "account_id": server.account_id}
        )
    ).json()
    assume = {
        "grant_type": "urn:ibm:params:oauth:grant-type:assume",
        "access_token": server.http.headers["Authorization"].removeprefix("Bearer "),
        "profile_id": profile["id"],
    }
    token = (await server.http.post("/identity/token", data=assume)).json()["access_token"]
    (login,) = await server.events("iam-identity.trustedprofile.login")
    assert (login.outcome, login.target) == ("success", profile["id"])

    bearer = {"Authorization": f"Bearer {token}"}
    answer = await server.call("POST", "/v1/vpcs", {"name": "no"}, headers=bearer)
    (event,) = await server.events("is.vpc.vpc.create")
    assert answer.status_code == event.status == 403
    assert (event.rule, event.reason) == ("role", "not_authorized")
    assert (event.initiator, event.detail["profile_id"]) == (profile["iam_id"], profile["id"])


async def test_logins_and_refused_logins(server: Server) -> None:
    assert (await server.login("not-a-key")).status_code == 400
    refused, accepted = await server.events("iam-identity.user-apikey.login")

    assert (accepted.outcome, accepted.detail["grant_type"]) == ("success", APIKEY)
    assert accepted.target is not None
    assert accepted.target.startswith("ApiKey-")
    assert (refused.outcome, refused.reason, refused.initiator) == ("failure", "BXNIM0415E", None)


async def test_a_body_that_no_route_sees_and_a_call_without_a_token(server: Server) -> None:
    url = "/v1/vpcs?version=2026-10-06&generation=2"
    await server.http.post(url, content=b"not gzip", headers={"Content-Encoding": "gzip"})
    await server.http.post(url, json={}, headers={"Authorization": ""})
    by_status = {event.status: event for event in await server.events("is.vpc.vpc.create")}

    assert by_status[400].reason == "invalid_request"
    assert by_status[401].initiator is None


async def test_no_secret_is_in_any_event(server: Server) -> None:
    """Wherever a client puts a secret, right or wrong, no event repeats it."""
    bearer = server.http.headers["Authorization"].removeprefix("Bearer ")
    canary = "canary" + "Z9" * 30
    profile = {"name": "p", "account_id": server.account_id}
    await server.call("POST", "/v1/apikeys", {"name": "mine", "apikey": canary, "iam_id": "x"})
    await server.call("POST", "/v1/profiles", {**profile, canary: bearer})
    await server.call("POST", "/v1/instances", {"user_data": canary, "name": bearer})
    await server.call("POST", "/v1/instances", {"user_data": {"x": canary}, "csr": canary})
    await server.call("POST", "/v1/keys", {"public_key": canary, "name": canary})
    await server.call("GET", f"/v1/instances/{bearer}")
    await server.call("DELETE", f"/v1/keys/{canary}")
    await server.login(canary)
    await server.http.post("/identity/token", data={"grant_type": canary, "cr_token": bearer})

    recorded = json.dumps([event.to_json() for event in await server.events()])
    assert len(await server.events()) >= 9
    for secret in (KEY, bearer, bearer.split(".")[1][:40], canary):
        assert secret not in recorded


async def test_administrators_page_through_the_events(server: Server) -> None:
    for name in ("a", "b", "c"):
        await server.call("POST", "/v1/vpcs", {"name": name})
    await server.call("POST", "/v1/vpcs", {"name": "a"})
    url = "/audit/v1/events?action=is.vpc.vpc.create"
    first = (await server.http.get(f"{url}&limit=3")).json()
    second = (await server.http.get(first["next"]["href"])).json()
    failed = (await server.http.get(f"{url}&outcome=failure&since=2026-01-01T00:00:00Z")).json()
    new = (await server.http.get(f"{url}&after={first['newest']}")).json()

    assert [e["reason"]["reasonCode"] for e in first["events"]] == [400, 201, 201]
    assert [e["reason"]["reasonCode"] for e in second["events"]] == [201]
    assert second["next"] is None
    assert [e["eventId"] for e in failed["events"]] == [first["events"][0]["eventId"]]
    assert new["events"] == []
    assert (await server.http.get(f"{url}&since=yesterday")).status_code == 400
    # A number would be seconds since 1970 to a lenient parser; the document says date-time.
    assert (await server.http.get(f"{url}&since=0.5")).status_code == 400


async def test_others_may_not_read_the_events(server: Server) -> None:
    profile = (
        await server.call("POST", "/v1/profiles", {"name": "g", "account_id": server.account_id})
    ).json()
    assume = {
        "grant_type": "urn:ibm:params:oauth:grant-type:assume",
        "access_token": server.http.headers["Authorization"].removeprefix("Bearer "),
        "profile_id": profile["id"],
    }
    token = (await server.http.post("/identity/token", data=assume)).json()["access_token"]
    answer = await server.http.get("/audit/v1/events", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    assert [e.rule for e in await server.events("linklocal.audit-event.read")] == ["role"]


async def test_the_default_sink_is_a_private_file(tmp_path: Path, sqlite_template: Path) -> None:
    shutil.copyfile(sqlite_template, tmp_path / "linklocal.db")
    async with serving(tmp_path, f"sqlite:///{tmp_path / 'linklocal.db'}") as server:
        answer = await server.call("POST", "/v1/vpcs", {"name": "web"})
    path = tmp_path / "audit" / "activity.ndjson"
    lines = [json.loads(line) for line in path.read_text().splitlines()]

    assert [line["action"] for line in lines] == [
        "iam-identity.user-apikey.login",
        "is.vpc.vpc.create",
    ]
    assert lines[1]["target"] == {"id": answer.json()["crn"], "typeURI": "is/vpc/vpc"}
    assert path.stat().st_mode & 0o777 == 0o600
