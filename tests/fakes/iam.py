"""IAM over a database, with its routes in an app: what tests of tokens, profiles and roles begin with."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fakes.clock import FakeClock
from fakes.fleet import REGION, Host, document, rsa_key
from fastapi import FastAPI

from linklocal import tokens
from linklocal.document import InstanceDocument, MetadataService
from linklocal.fleet import placement
from linklocal.fleet.enrolment import NodeAuthenticator
from linklocal.fleet.publish import FleetPublisher
from linklocal.iam.bootstrap import SetUp
from linklocal.iam.build import Iam, build_iam
from linklocal.iam.caller import Caller
from linklocal.ids import vpc_crn
from linklocal.server.errors import install_error_handlers
from linklocal.server.http import Bodies, RequestIds
from linklocal.settings import Region
from linklocal.store.engine import Database
from linklocal.store.wake import Wake

BASE = "http://iam.test"
ZONE = "us-south-1"


def replica(database: Database, clock: FakeClock, key_file: Path, *, dev: bool = False) -> Iam:
    """IAM of one server process; several may share a database and a key file."""
    return build_iam(
        database, clock, Region(REGION), key_file=key_file, create_key_file=True, dev=dev
    )


def app_of(iam: Iam, database: Database, clock: FakeClock) -> FastAPI:
    """The server's app as far as IAM is concerned: routes, error shapes, middleware."""
    app = FastAPI()
    app.state.authenticator = iam.authenticator
    app.state.node_authenticator = NodeAuthenticator(database, clock)
    app.state.public_url = None
    install_error_handlers(app)
    for router in iam.routers:
        app.include_router(router)
    app.add_middleware(Bodies)
    app.add_middleware(RequestIds)
    return app


@dataclass
class IamServer:
    """A set-up database, IAM over it, and an HTTP client in the same process."""

    database: Database
    clock: FakeClock
    iam: Iam
    app: FastAPI
    http: httpx.AsyncClient
    made: SetUp

    async def token(self, api_key: str | None = None) -> str:
        """An access token for an API key; the admin's when none is named."""
        answer = await self.grant("apikey", apikey=api_key or self.made.api_key or "")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def grant(self, kind: str, **form: str) -> httpx.Response:
        grant_type = kind if kind == "refresh_token" else f"urn:ibm:params:oauth:grant-type:{kind}"
        return await self.http.post("/identity/token", data={"grant_type": grant_type, **form})

    async def caller(self, api_key: str | None = None) -> Caller:
        return await self.iam.authenticator.authenticate(f"Bearer {await self.token(api_key)}")

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> httpx.Response:
        """A request with the admin's token, or with this one; `If_Match="x"` becomes a header."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given["Authorization"] = f"Bearer {token or await self.token()}"
        return await self.http.request(method, path, json=body, headers=given)

    async def profile(self, name: str = "app") -> dict[str, Any]:
        body = {"name": name, "account_id": self.made.account_id}
        answer = await self.call("POST", "/v1/profiles", body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def grant_role(
        self, subject: str, role: str, service: str | None = "is", *, kind: str = "iam_id"
    ) -> httpx.Response:
        """A policy."""
        attributes = [{"name": "accountId", "value": self.made.account_id}]
        if service is not None:
            attributes.append({"name": "serviceName", "value": service})
        body = {
            "type": "access",
            "subjects": [{"attributes": [{"name": kind, "value": subject}]}],
            "roles": [{"role_id": f"crn:v1:bluemix:public:iam::::role:{role}"}],
            "resources": [{"attributes": attributes}],
        }
        return await self.call("POST", "/v1/policies", body)

    async def signed(self, host: Host, path: str, body: Any) -> httpx.Response:
        """A request of a node."""
        content, headers = host.sign("POST", path, self.clock.now(), body)
        return await self.http.post(path, content=content, headers=headers)


@asynccontextmanager
async def iam_server(
    database: Database, key_file: Path, *, dev: bool = False
) -> AsyncIterator[IamServer]:
    """IAM over an empty database, set up."""
    clock = FakeClock()
    iam = replica(database, clock, key_file, dev=dev)
    async with database.transaction() as connection:
        made = await iam.bootstrap(connection)
    app = app_of(iam, database, clock)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        yield IamServer(database, clock, iam, app, http, made)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The app on a real socket, for clients that are not in this process; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        server.capture_signals = _no_signals  # type: ignore[method-assign]  # the test owns them
        task = asyncio.create_task(server.serve(sockets=[sock]))
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def _no_signals() -> nullcontext[None]:
    return nullcontext()


class Instance:
    """An instance placed on a node, and the tokens that the node would give it."""

    def __init__(self, server: IamServer, host: Host, instance_id: str) -> None:
        self.server = server
        self.host = host
        self.id = instance_id
        self.crn = vpc_crn(ZONE, server.made.account_id, "instance", instance_id)
        self.epoch = 1
        self.document = self._document()

    def _document(self, **changes: Any) -> InstanceDocument:
        initialization = {"keys": []}
        claims = {
            "iaas": {
                "crn": self.crn,
                "accountID": self.server.made.account_id,
                "instanceID": self.id,
                "zone": ZONE,
                "region": REGION,
                "profile_name": "bx2-2x8",
                "resource_group_id": self.server.made.resource_group_id,
            },
            "ip_addresses": [{"address": "10.240.0.4"}],
            "subnets": [{"crn": "crn:subnet", "name": "front", "id": "0717-subnet"}],
            "vpc": {"crn": "crn:vpc", "name": "shop", "id": "r006-vpc"},
        }
        values: dict[str, Any] = {
            "account_id": self.server.made.account_id,
            "crn": self.crn,
            "claims": claims,
            "metadata": {"instance": {}, "initialization": initialization},
        }
        return document(self.id, **{**values, **changes})

    async def place(self) -> Instance:
        async with self.server.database.transaction() as connection:
            await placement.place(
                connection,
                self.document.instance_id,
                self.server.made.account_id,
                self.host.node_id,
            )
        return await self.publish()

    async def publish(self, **changes: Any) -> Instance:
        """What the server holds about the instance from now on."""
        self.document = self._document(**changes)
        publisher = FleetPublisher(Wake(self.server.database), self.server.clock)
        async with self.server.database.transaction() as connection:
            await publisher.put(connection, [self.document])
        return self

    async def disable(self) -> None:
        await self.publish(metadata_service=MetadataService(enabled=False))

    async def default_profile(self, profile: dict[str, Any]) -> None:
        target = {key: profile[key] for key in ("id", "crn")}
        initialization = {"default_trusted_profile": {"auto_link": False, "target": target}}
        await self.publish(metadata={"instance": {}, "initialization": initialization})

    def identity_token(
        self,
        *,
        key: tokens.SigningKey | None = None,
        claims: dict[str, Any] | None = None,
        epoch: int = 1,
        expires_in: int = 300,
        region: str = REGION,
    ) -> str:
        """Signed as the node would, or with another key, or with claims that the node made up."""
        key = key or tokens.SigningKey(self.host.identity_kid, rsa_key().private_pem())
        return key.sign(
            tokens.identity_claims(
                region=region,
                epoch=epoch,
                claims=claims or self.document.claims,
                now=self.server.clock.now(),
                expires_in=expires_in,
            )
        )


async def placed(server: IamServer, name: str = "0717_one", node: str = "node-1") -> Instance:
    """A running instance with its metadata service enabled, on a new node."""
    host = await Host(node).join(server.database, server.clock.now())
    return await Instance(server, host, name).place()
