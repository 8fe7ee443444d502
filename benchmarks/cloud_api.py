"""A dev server with many instances, made through its own API, for the benchmarks that need a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from live import Dev, start
from machine import SERVER_CORE, on_core

from linklocal.node.local_api import fetch

API_VERSION = {"version": "2026-10-06", "generation": "2"}
ZONE = "us-south-1"
CREATORS = 8  # requests at a time
MOST_WAIT = 180.0


@contextmanager
def dev(state: Path) -> Iterator[Dev]:
    """`linklocal dev` on the server's core; a second start on the same folder has the same state."""
    with on_core(SERVER_CORE):
        running = start(state, "--seed", "minimal")
    try:
        yield running
    finally:
        running.stop()


class Api:
    """The VPC API as the administrator."""

    def __init__(self, client: httpx.AsyncClient, account_id: str) -> None:
        self._client = client
        self._account_id = account_id

    @classmethod
    async def of(cls, server: Dev, client: httpx.AsyncClient) -> Api:
        """Logged in with the server's API key. `client` has the server's URL as its base."""
        grant = "urn:ibm:params:oauth:grant-type:apikey"
        answer = await client.post(
            "/identity/token", data={"grant_type": grant, "apikey": server.api_key}
        )
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return cls(client, str(server.ready["account_id"]))

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises httpx.HTTPStatusError with the body in its notes."""
        answer = await self._client.request(method, path, json=body, params=API_VERSION)
        try:
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            error.add_note(answer.text[:500])
            raise
        return answer.json() if answer.content else None

    async def prototype(self, name: str) -> dict[str, Any]:
        """An instance's body without a name: enabled service, a trusted profile; room for 2,000.

        `name`: of the VPC, the subnet and the profile that are made for it.
        """
        vpc = await self.request("POST", "/v1/vpcs", {"name": name})
        subnet = await self.request(
            "POST",
            "/v1/subnets",
            {
                "name": name,
                "vpc": {"id": vpc["id"]},
                "zone": {"name": ZONE},
                "total_ipv4_address_count": 2048,
            },
        )
        images = (await self.request("GET", "/v1/images"))["images"]
        profile = await self.request(
            "POST", "/v1/profiles", {"name": name, "account_id": self._account_id}
        )
        return {
            "image": {"id": next(i["id"] for i in images if _usable(i))},
            "profile": {"name": "bx2-2x8"},
            "zone": {"name": ZONE},
            "vpc": {"id": vpc["id"]},
            "primary_network_attachment": {
                "virtual_network_interface": {"subnet": {"id": subnet["id"]}}
            },
            "metadata_service": {"enabled": True, "response_hop_limit": 64},
            "default_trusted_profile": {"target": {"id": profile["id"]}},
        }

    async def create(self, count: int, name: str = "crowd", **members: Any) -> list[str]:
        """That many instances in a VPC of that name, with these members; their ids."""
        prototype = {**await self.prototype(name), **members}
        numbers = iter(range(count))
        made: list[str] = []

        async def creator() -> None:
            for number in numbers:
                body = {**prototype, "name": f"{name}-{number}"}
                made.append((await self.request("POST", "/v1/instances", body))["id"])

        await asyncio.gather(*(creator() for _ in range(CREATORS)))
        return made

    async def until_served(self, state: Path, count: int) -> None:
        """Wait until the node listens for that many instances."""
        async with asyncio.timeout(MOST_WAIT):
            while node_status(state)["listening"] < count:
                await asyncio.sleep(0.1)


def _usable(image: dict[str, Any]) -> bool:
    amd64: bool = image["operating_system"]["architecture"] == "amd64"
    return amd64 and image["allowed_use"]["instance"] == "true"


def node_status(state: Path) -> dict[str, Any]:
    """What the dev server's node says of itself, over its Unix socket."""
    status: dict[str, Any] = fetch(state / "node", "/v1/status")
    return status
