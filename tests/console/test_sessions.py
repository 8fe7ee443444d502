"""A console's session through its life: signed in, renewed, ended by time; and what each leaves recorded.

The whole server in this process, with a clock that is moved; no browser.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.clock import FakeClock
from starlette.types import Message, Receive, Scope, Send

from linklocal.console.sessions import COOKIE, LONGEST, REMEMBERED
from linklocal.console.typed import TypedForms
from linklocal.events import Event
from linklocal.iam.secrets import load_key_file
from linklocal.iam.signing_keys import TOKEN_LIFE
from linklocal.server.app import ControlPlane, build
from linklocal.settings import ServerSettings
from linklocal.store.migrations import upgrade

KEY = "canary-api-key-" + "k" * 29
LOGIN = "iam-identity.user-apikey.login"


@dataclass
class Console:
    """A server and one browser of it."""

    control: ControlPlane
    clock: FakeClock
    http: httpx.AsyncClient

    async def sign_in(self, key: str = KEY, **fields: str) -> httpx.Response:
        return await self.http.post("/console/sign-in", data={"api_key": key, **fields})

    async def csrf(self) -> str:
        return hidden(await self.http.get("/console/ssh-keys"), "csrf")

    async def events(self, action: str) -> list[Event]:
        """Oldest first."""
        async with self.control.database.read() as connection:
            found = await self.control.events.query(connection, action=action, limit=1000)
        return list(reversed(found))

    async def key(self) -> dict[str, Any]:
        """A second API key: id and value."""
        headers = await self.logged_in()
        mine = await self.http.get("/v1/apikeys/details", headers={**headers, "IAM-ApiKey": KEY})
        body = {"name": "second", "iam_id": mine.json()["iam_id"]}
        made = await self.http.post("/v1/apikeys", json=body, headers=headers)
        return dict(made.json())

    async def logged_in(self) -> dict[str, str]:
        """Headers of a client of the API."""
        grant = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": KEY}
        token = await self.http.post("/identity/token", data=grant)
        return {"Authorization": f"Bearer {token.json()['access_token']}"}


def hidden(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


@asynccontextmanager
async def serving(folder: Path, clock: FakeClock) -> AsyncIterator[ControlPlane]:
    settings = ServerSettings(
        state_dir=folder,
        database_url=f"sqlite:///{folder / 'linklocal.db'}",
        key_file=folder / "server.key",
    )
    async with build(settings, clock, url="http://api.test", dev=True) as control:
        yield control


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and the keys of a server that was set up, to be copied."""
    folder = tmp_path_factory.mktemp("sessions")
    upgrade(f"sqlite:///{folder / 'linklocal.db'}")
    load_key_file(folder / "server.key", create=True)

    async def set_up() -> None:
        async with serving(folder, FakeClock()) as control:
            await control.bootstrap(KEY)

    asyncio.run(set_up())
    return folder


@pytest.fixture
async def console(tmp_path: Path, template: Path) -> AsyncIterator[Console]:
    folder = shutil.copytree(template, tmp_path / "state")
    clock = FakeClock()
    async with serving(folder, clock) as control:
        transport = httpx.ASGITransport(control.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
            yield Console(control, clock, http)


async def test_a_session_is_renewed_until_its_time_is_over(console: Console) -> None:
    await console.sign_in()
    first = console.http.cookies[COOKIE]
    assert (await console.http.get("/console/nodes")).status_code == 200
    assert console.http.cookies[COOKIE] == first

    for _ in range(int(LONGEST.total_seconds() // TOKEN_LIFE) - 1):
        console.clock.advance(TOKEN_LIFE)
        assert (await console.http.get("/console/nodes")).status_code == 200
    assert console.http.cookies[COOKIE] != first
    console.clock.advance(TOKEN_LIFE)
    answer = await console.http.get("/console/nodes")

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in?expired=1")
    stream = await console.http.get("/console/instances/events")
    assert stream.status_code == 401


async def test_a_stream_ends_to_be_opened_again_with_a_renewed_session(console: Console) -> None:
    """A stream cannot set a cookie once it has begun."""
    await console.sign_in()
    begun = asyncio.Event()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message.get("body"):
                begun.set()
            await send(message)

        await console.control.app(scope, receive, sending)

    transport = httpx.ASGITransport(watched)
    cookies = console.http.cookies
    async with httpx.AsyncClient(
        transport=transport, base_url="http://api.test", cookies=cookies
    ) as browser:
        for renewed in (False, True):
            begun.clear()
            stream = asyncio.create_task(browser.get("/console/instances/events"))
            await asyncio.wait_for(begun.wait(), 30)
            console.clock.advance(TOKEN_LIFE)
            answer = await asyncio.wait_for(stream, 30)
            assert answer.text.startswith(": here")
            assert ("set-cookie" in answer.headers) == renewed


async def test_logins_and_renewals_are_recorded_as_the_apis(console: Console) -> None:
    assert (await console.sign_in("no-such-key-no-such-key")).status_code == 400
    made = await console.key()  # logs in through the API
    await console.sign_in(made["apikey"])
    console.clock.advance(TOKEN_LIFE)
    await console.http.get("/console/nodes")
    await console.http.get("/console/nodes")
    headers = await console.logged_in()
    await console.http.delete(f"/v1/apikeys/{made['id']}", headers=headers)
    console.clock.advance(TOKEN_LIFE)
    assert (await console.http.get("/console/nodes")).status_code == 303

    refused, api, signed_in, renewed, _, gone = await console.events(LOGIN)
    assert (refused.outcome, refused.status, refused.initiator) == ("failure", 400, None)
    assert (signed_in.outcome, signed_in.status) == ("success", api.status)
    assert signed_in.initiator == renewed.initiator == api.initiator
    assert signed_in.target == renewed.target == made["id"]
    assert signed_in.detail["operation"] == api.detail["operation"] == "create_token"
    assert signed_in.detail["grant_type"] == api.detail["grant_type"]
    assert renewed.detail["grant_type"] == gone.detail["grant_type"] == "refresh_token"
    assert (gone.outcome, gone.reason) == ("failure", refused.reason)
    assert not [one for one in (refused, api, signed_in, renewed, gone) if KEY in str(one)]


async def test_refused_reads_are_recorded_as_the_apis(console: Console) -> None:
    await console.sign_in()
    missing = "0717_00000000-0000-4000-8000-000000000000"

    for path in ("", "/preview", "/reinitialize"):
        answer = await console.http.get(f"/console/instances/{missing}{path}")
        assert answer.status_code == 404
    assert (await console.http.get("/console/instances")).status_code == 200

    found = await console.events("is.instance.instance.read")
    facts = [(e.outcome, e.status, e.target, e.instance_id, e.reason) for e in found]
    assert facts == [("failure", 404, missing, missing, "not_found")] * 3
    assert found[-1].trace == answer.headers["x-request-id"]
    assert found[-1].initiator


async def test_parts_of_an_instance_that_is_gone_are_no_refusals(console: Console) -> None:
    """A page that is open asks for them, and its browser would report an error of a wrong page."""
    await console.sign_in()
    gone = "/console/instances/0717_00000000-0000-4000-8000-000000000000"

    assert "was deleted" in (await console.http.get(f"{gone}/status")).text
    for part in ("metadata", "calls"):
        assert (await console.http.get(f"{gone}/{part}")).status_code == 204
    assert not await console.events("is.instance.instance.read")


FORMS = {
    "ssh-keys": {"name": "typed-name", "public_key": "ssh-ed25519 typed"},
    "profiles": {"name": "typed-name", "description": "typed <b>text</b>"},
    "api-keys": {"name": "typed-name", "description": "typed text"},
    "instances/new": {
        "name": "typed-name",
        "metadata": "on",
        "user_data": "#!typed",
        "hop_limit": "9",
    },
    "templates/new": {"name": "typed-name", "user_data": "#!typed"},
    "instances/new/part": {"name": "typed-name", "user_data": "#!typed"},
    "instances/new/key": {"name": "typed-name", "new_key_public_key": "ssh-ed25519 typed"},
    "instances/new/vpc": {"name": "typed-name", "new_vpc_name": "typed-vpc"},
    "templates/new/subnet": {"name": "typed-name", "new_subnet_name": "typed-subnet"},
}


async def test_what_was_typed_when_the_session_ended_comes_back(console: Console) -> None:
    """Sealed in the sign-in page; nothing is changed until it is sent once more."""
    await console.sign_in()
    for path, typed in FORMS.items():
        form = {**typed, "csrf": await console.csrf()}
        console.clock.advance(LONGEST.total_seconds() + 60)
        late = await console.http.post(f"/console/{path}", data=form)
        assert (late.status_code, "What you typed is kept." in late.text) == (401, True), path
        assert "typed-name" not in late.text
        wrong = await console.sign_in("no-such-key-no-such-key", typed=hidden(late, "typed"))
        back = await console.sign_in(typed=hidden(wrong, "typed"))
        assert (back.status_code, "typed-name" in back.text) == (200, False)

        fields = {"csrf": hidden(back, "csrf"), "typed": hidden(back, "typed")}
        filled = await console.http.post(f"/console/{path}", data=fields)

        assert filled.status_code == 200
        for name, value in typed.items():
            assert value == "on" or escape(value, quote=False) in filled.text, (path, name)
        assert ("secure-toggle" in filled.text) == ("metadata" in typed)
        panels = re.findall(r'<dialog id="new-(\w+)".* data-shown>', filled.text)
        assert panels == [of for of in ("key", "vpc", "subnet") if path.endswith(f"/{of}")]

    async with console.control.database.read() as connection:
        found = await console.control.events.query(connection, limit=100)
    assert {e.action for e in found if e.outcome == "success"} == {LOGIN}
    # A page that was open all the time goes on, as its user is the same.
    assert (await console.http.post("/console/profiles", data=form)).status_code == 303


async def test_a_new_name_that_was_typed_comes_back(console: Console) -> None:
    headers = await console.logged_in()
    query = {"version": "2026-10-06", "generation": "2"}

    async def make(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await console.http.post(path, json=body, headers=headers, params=query)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    images = (await console.http.get("/v1/images", headers=headers, params=query)).json()["images"]
    vpc, zone = await make("/v1/vpcs", {}), {"name": "us-south-1"}
    subnet = await make(
        "/v1/subnets", {"vpc": {"id": vpc["id"]}, "zone": zone, "total_ipv4_address_count": 8}
    )
    attachment = {"virtual_network_interface": {"subnet": {"id": subnet["id"]}}}
    template = await make(
        "/v1/instance/templates",
        {
            "name": "kept",
            "zone": zone,
            "image": {"id": images[0]["id"]},
            "profile": {"name": "bx2-2x8"},
            "primary_network_attachment": attachment,
        },
    )
    await console.sign_in()
    form = {"name": "typed-name", "csrf": await console.csrf()}
    console.clock.advance(LONGEST.total_seconds() + 60)
    path = f"/console/templates/{template['id']}/rename"

    late = await console.http.post(path, data=form)
    back = await console.sign_in(typed=hidden(late, "typed"))
    fields = {"csrf": hidden(back, "csrf"), "typed": hidden(back, "typed")}
    page = await console.http.post(path, data=fields)

    assert '<dialog id="rename" data-shown' in page.text
    assert hidden(page, "name") == "typed-name"
    assert "<h1>kept</h1>" in page.text


async def test_only_a_form_of_the_ended_session_is_kept(console: Console) -> None:
    """Another site can send a form, and the browser sends the cookie along: it must not be filled in."""
    await console.sign_in()
    csrf = await console.csrf()
    console.clock.advance(LONGEST.total_seconds() + 60)
    form = FORMS["profiles"]

    for fields in (form, {**form, "csrf": "x"}):
        answer = await console.http.post("/console/profiles", data=fields)
        assert (answer.status_code, 'name="typed"' in answer.text) == (401, False)
    late = await console.http.post("/console/profiles", data={**form, "csrf": csrf})
    sealed = hidden(late, "typed")
    (refused, *_) = await console.events("iam-identity.account-profile.create")
    assert (refused.outcome, refused.status, refused.reason) == ("failure", 401, "not_authorized")

    # Not without the new session's token, not at another page, not for ever.
    back = await console.sign_in(typed=sealed)
    at = "/console/profiles"
    assert (await console.http.post(at, data={"typed": sealed})).status_code == 403
    fields = {"csrf": hidden(back, "csrf"), "typed": sealed}
    assert (await console.http.post("/console/api-keys", data=fields)).status_code == 400
    assert (await console.http.post(at, data=fields)).status_code == 200
    console.clock.advance(REMEMBERED.total_seconds())
    await console.sign_in()
    fields["csrf"] = await console.csrf()
    assert (await console.http.post(at, data=fields)).status_code == 400


async def test_a_part_of_a_form_turns_into_the_page_to_sign_in(console: Console) -> None:
    await console.sign_in()
    csrf = await console.csrf()
    console.clock.advance(LONGEST.total_seconds() + 60)

    late = await console.http.post(
        "/console/instances/new/part?part=metadata",
        data={"name": "typed-name", "csrf": csrf},
        headers={"HX-Request": "true"},
    )

    assert (late.status_code, late.headers["hx-retarget"]) == (401, "body")
    assert hidden(late, "typed")


async def test_another_user_does_not_get_what_was_typed(console: Console) -> None:
    await console.sign_in()
    form = {**FORMS["profiles"], "csrf": await console.csrf()}
    console.clock.advance(LONGEST.total_seconds() + 60)
    late = await console.http.post("/console/profiles", data=form)

    sealed = TypedForms(console.control.iam.sealer, console.clock)
    assert sealed.open(hidden(late, "typed"), "IBMid-somebody-else") is None
    (login,) = await console.events(LOGIN)
    assert sealed.open(hidden(late, "typed"), str(login.initiator)) is not None
