"""A boot storm: a thousand instances come up at once, right after a cold start of `linklocal dev`."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import httpx
import uvloop
from cloud_api import Api, dev
from keepalive import FLAVOR, Guest
from machine import CLIENT_CORE, cpu_seconds, on_core, quantile
from servers import VERSION, port_of

INSTANCES = 1000
CALLS = 30
_READS = (
    "/metadata/v1/instance",
    "/metadata/v1/instance/initialization",
    "/metadata/v1/instance/network_interfaces",
    "/metadata/v1/keys",
)
_MORE = (
    "/metadata/v1/instance/volume_attachments",
    "/metadata/v1/instance/network_attachments",
    "/metadata/v1/placement_groups",
    *_READS,
)
_IAM = f"/identity/v1/iam_tokens?{VERSION}"


def boots(folder: Path, seconds: float) -> Iterator[str]:
    """Create through the API, stop, start, and let everybody boot."""
    del seconds
    state = folder / "state"
    with dev(state) as server, on_core(CLIENT_CORE):
        begin = perf_counter()
        uvloop.run(_create(server, state))
        took = perf_counter() - begin
    each = took / INSTANCES * 1e3
    yield f"{INSTANCES} instances created through the API in {took:.1f} s ({each:.0f} ms each)"
    begin = perf_counter()
    with dev(state) as server:
        yield f"cold start with them until ready: {perf_counter() - begin:.1f} s"
        ports = [port_of(item["metadata"]) for item in server.ready["instances"]]
        before = cpu_seconds(server.process.pid)
        with on_core(CLIENT_CORE):
            took, boots, errors = uvloop.run(_storm(ports))
        cpu = cpu_seconds(server.process.pid) - before
    yield (
        f"{len(ports)} boots of {CALLS} calls over 2 connections: {took:.1f} s to the last one, "
        f"p50 {quantile(boots, 0.5):.1f} s, server CPU {cpu:.1f} s (aim 8 s)"
    )
    shown = ", ".join(f"{count} x {text}" for text, count in errors.most_common(5))
    yield f"errors: {sum(errors.values())} (aim 0){': ' if shown else ''}{shown}"


async def _create(server: object, state: Path) -> None:
    from live import Dev

    assert isinstance(server, Dev)
    async with httpx.AsyncClient(base_url=server.api, timeout=60) as client:
        api = await Api.of(server, client)
        await api.create(INSTANCES)
        await api.until_served(state, INSTANCES)


async def _storm(ports: list[int]) -> tuple[float, list[float], Counter[str]]:
    """Seconds to the last boot, seconds of each, and what went wrong."""
    errors: Counter[str] = Counter()
    begin = perf_counter()

    async def boot(port: int) -> float:
        try:
            await _boot(port, errors)
        except OSError as error:
            errors[f"{type(error).__name__}: {error}"[:120]] += 1
        return perf_counter() - begin

    boots = await asyncio.gather(*(boot(port) for port in ports))
    return perf_counter() - begin, list(boots), errors


async def _boot(port: int, errors: Counter[str]) -> None:
    first = await Guest.connect(port)
    token = await first.token()
    authorization = {"Authorization": f"Bearer {token}"}

    async def read(guest: Guest, path: str) -> None:
        status, body = await guest.call("GET", f"{path}?{VERSION}", authorization)
        if status != 200:
            errors[f"GET {path}: {status} {body[:80]!r}"] += 1

    for path in _READS:
        await read(first, path)
    status, body = await first.call("POST", _IAM, {**authorization, **FLAVOR}, {})
    if status != 200 or not json.loads(body)["access_token"]:
        errors[f"POST iam_tokens: {status} {body[:160]!r}"] += 1
    second = await Guest.connect(port)
    left = CALLS - len(_READS) - 2

    async def rest(guest: Guest, count: int) -> None:
        for number in range(count):
            await read(guest, _MORE[number % len(_MORE)])

    await asyncio.gather(rest(first, left // 2), rest(second, left - left // 2))
    first.close()
    second.close()
