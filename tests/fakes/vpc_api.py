"""Some routes of the VPC API in an app with the real error handling, for a client in the same process."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from pydantic import TypeAdapter
from starlette.routing import Match

from linklocal.errors import NotAuthenticated
from linklocal.iam.caller import Caller
from linklocal.ids import AccountId
from linklocal.server.errors import install_error_handlers

ACCOUNT = AccountId("a" * 32)
CALLER = Caller(ACCOUNT, "IBMid-1", "user", "token-1")
VERSION = {"version": "2026-10-06", "generation": "2"}


class FakeAuthenticator:
    """Every caller with an `Authorization` header is `caller`."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def authenticate(self, authorization: str | None) -> Caller:
        if authorization is None:
            raise NotAuthenticated("Send a token.")
        return self.caller


def app_of(*routers: APIRouter, caller: Caller = CALLER, public_url: str | None = None) -> FastAPI:
    """An app with these routes, in which `caller` is calling."""
    app = FastAPI()
    for router in routers:
        app.include_router(router)
    install_error_handlers(app)
    app.state.routers = routers
    app.state.authenticator = FakeAuthenticator(caller)
    app.state.public_url = public_url
    return app


def client_of(
    *routers: APIRouter, caller: Caller = CALLER, public_url: str | None = None
) -> httpx.AsyncClient:
    """A client of `app_of`, logged in, that sends `version` and `generation`.

    It fails on an answer that is not what the OpenAPI document says.
    """
    app = app_of(*routers, caller=caller, public_url=public_url)

    async def check(response: httpx.Response) -> None:
        await response.aread()
        _check_documented(app, response)

    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://api.test:8080",
        headers={"Authorization": "Bearer token"},
        params=VERSION,
        event_hooks={"response": [check]},
    )


def _check_documented(app: FastAPI, response: httpx.Response) -> None:
    """The status and the model of a success are those of the route."""
    request = response.request
    scope = {"type": "http", "path": request.url.path, "method": request.method, "headers": []}
    for router in app.state.routers:
        for route in router.routes:
            if response.is_success and route.matches(scope)[0] is Match.FULL:
                assert response.status_code == (route.status_code or 200)
                if route.response_model is not None:
                    TypeAdapter(route.response_model).validate_json(response.content, strict=True)


async def pages(client: httpx.AsyncClient, path: str, **params: str) -> list[dict[str, Any]]:
    """Every page of a collection, by its `next` links, as IBM's SDK follows them."""
    found: list[dict[str, Any]] = []
    while True:
        page = (await client.get(path, params={**client.params, **params})).json()
        found.append(page)
        if "next" not in page:
            return found
        params["start"] = httpx.URL(page["next"]["href"]).params["start"]


def errors(response: httpx.Response) -> list[tuple[str, str]]:
    """`(code, target)` of every error of the answer, in its order."""
    return [
        (error["code"], error.get("target", {}).get("name", ""))
        for error in response.json()["errors"]
    ]
