"""A node in this process, and a client that asks it as an instance would."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.server import JOIN_TOKEN, FakeServer
from live import first_port
from pydantic import SecretStr

from linklocal.clock import Clock, SystemClock
from linklocal.node.agent import Agent, build
from linklocal.node.local_api import attachments_of, fetch
from linklocal.settings import NodeSettings

VERSION = "version=2025-08-26"
DEADLINE = 10.0


def settings(folder: Path, server: FakeServer | None = None, **changes: Any) -> NodeSettings:
    """Of a node with loopback ports of this test worker, which joins `server`."""
    values: dict[str, Any] = {
        "state_dir": folder / "node",
        "node_name": "host-1",
        "loopback_ports": True,
        "loopback_port_base": first_port(),
        "join_token": SecretStr(JOIN_TOKEN),
    }
    if server is not None:
        values["server_url"] = server.url
    return NodeSettings(**{**values, **changes})


@dataclass
class Node:
    """A running node."""

    agent: Agent
    task: asyncio.Task[None]
    stop: asyncio.Event
    state_dir: Path

    async def ready(self) -> None:
        waiting = asyncio.create_task(self.agent.ready.wait())
        await asyncio.wait(
            {waiting, self.task}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED
        )
        if self.task.done():
            self.task.result()
        assert waiting.done()

    async def status(self) -> dict[str, Any]:
        status: dict[str, Any] = await asyncio.to_thread(fetch, self.state_dir, "/v1/status")
        return status

    async def attachments(self) -> list[dict[str, Any]]:
        return await attachments_of(self.state_dir)

    async def until(self, what: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Poll the status: it has no event to wait on from outside."""
        async with asyncio.timeout(DEADLINE):
            while not what(status := await self.status()):
                await asyncio.sleep(0.02)
        return status


@asynccontextmanager
async def running(of: NodeSettings, clock: Clock | None = None) -> AsyncIterator[Node]:
    """A node inside the block; it must end within two seconds."""
    stop = asyncio.Event()
    agent = build(of, clock or SystemClock(), random=lambda: 0.0)
    task = asyncio.create_task(agent.run(stop))
    try:
        async with asyncio.timeout(DEADLINE):
            while not (task.done() or (of.state_dir / "node.sock").exists()):
                await asyncio.sleep(0.01)
        yield Node(agent, task, stop, of.state_dir)
    finally:
        stop.set()
        done, _ = await asyncio.wait({task}, timeout=2.5)
        if not done:
            task.cancel()
            await asyncio.wait({task})
            raise AssertionError("the node did not end in time")
    task.result()


class Guest:
    """One kept connection to a listener, used from threads."""

    def __init__(self, address: str, context: ssl.SSLContext | None = None) -> None:
        scheme, _, authority = address.partition("://")
        self.connection: http.client.HTTPConnection
        if scheme == "https":
            self.connection = http.client.HTTPSConnection(authority, timeout=8, context=context)
        else:
            self.connection = http.client.HTTPConnection(authority, timeout=8)

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        return await asyncio.to_thread(self._ask, method, path, headers or {}, body)

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: str | None
    ) -> tuple[int, dict[str, Any]]:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    async def token(self) -> str:
        status, made = await self.ask(
            "PUT", f"/identity/v1/token?{VERSION}", {"Metadata-Flavor": "ibm"}
        )
        assert status == 200, made
        return str(made["access_token"])

    async def read(self, token: str) -> tuple[int, dict[str, Any]]:
        return await self.ask("GET", f"/metadata/v1/instance?{VERSION}", bearer(token))

    async def exchange(self, token: str) -> tuple[int, dict[str, Any]]:
        return await self.ask("POST", f"/identity/v1/iam_tokens?{VERSION}", bearer(token))

    def close(self) -> None:
        self.connection.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
