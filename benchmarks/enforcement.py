"""From the PATCH's response to enforcement: the node's applied revision, and what a guest sees."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import httpx
import uvloop
from cloud_api import Api, dev, node_status
from keepalive import Guest
from live import Dev
from machine import CLIENT_CORE, on_core, quantile
from servers import INSTANCE_PATH, port_of

CHANGES = 200
INSTANCES = 20
MOST_WAIT = 10.0


def changes(folder: Path, seconds: float) -> Iterator[str]:
    """`metadata_service.enabled` of one of 20 instances, off and on."""
    del seconds
    state = folder / "state"
    with dev(state) as server, on_core(CLIENT_CORE):
        applied, seen = uvloop.run(_measure(server, state))
    for title, delays in (("applied revision", applied), ("seen on the wire", seen)):
        yield (
            f"PATCH response -> {title}: p50 {quantile(delays, 0.5) * 1e3:.1f} ms  "
            f"p99 {quantile(delays, 0.99) * 1e3:.1f} ms  ({len(delays)} changes; aim p99 20 ms)"
        )


async def _measure(server: Dev, state: Path) -> tuple[list[float], list[float]]:
    applied: list[float] = []
    seen: list[float] = []
    async with httpx.AsyncClient(base_url=server.api, timeout=30) as client:
        api = await Api.of(server, client)
        ids = await api.create(INSTANCES)
        await api.until_served(state, INSTANCES)
        port = await _port(state, ids[0])
        enabled = True
        for number in range(2 * CHANGES):
            before = int(node_status(state)["applied_revision"])
            enabled = not enabled
            body = {"metadata_service": {"enabled": enabled}}
            await api.request("PATCH", f"/v1/instances/{ids[0]}", body)
            begin = perf_counter()
            if number % 2:
                await _until_applied(state, before + 1)
                applied.append(perf_counter() - begin)
            else:
                await _until_seen(port, 400 if enabled else 403)
                seen.append(perf_counter() - begin)
                await _until_applied(state, before + 1)
    return applied, seen


async def _port(state: Path, instance_id: str) -> int:
    from linklocal.node.local_api import attachments_of

    listed = await attachments_of(state / "node")
    return next(port_of(i["address"]) for i in listed if i["instance"] == instance_id)


async def _until_applied(state: Path, revision: int) -> None:
    async with asyncio.timeout(MOST_WAIT):
        while node_status(state)["applied_revision"] < revision:
            await asyncio.sleep(0)


async def _until_seen(port: int, expected: int) -> None:
    """A GET without a token is 403 while the service is disabled and 400 otherwise."""
    async with asyncio.timeout(MOST_WAIT):
        while True:
            try:
                guest = await Guest.connect(port)
                status, _ = await guest.call("GET", INSTANCE_PATH, {})
                guest.close()
            except OSError:
                continue  # the connection was cut by the change itself
            if status == expected:
                return
