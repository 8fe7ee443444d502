"""An instance that calls too often: 429 up to a budget, then silence; its neighbours are served."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fakes.server import FakeServer

from linklocal.cli.main import cli
from linklocal.node.local_api import fetch

from .running import VERSION, Guest, Node, running, settings
from .test_workers import IDS, SHARDS, addresses, document

RATE = 20.0
PATH = f"/metadata/v1/instance?{VERSION}"


def flood(url: str, seconds: float) -> tuple[list[int], list[http.client.HTTPMessage], float]:
    """Calls one after the other on a kept connection: statuses, heads of the 429s, longest wait."""
    connection = http.client.HTTPConnection(url.partition("://")[2], timeout=20)
    statuses, refusals, longest = [], [], 0.0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        connection.request("GET", PATH)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        longest = max(longest, time.monotonic() - began)
        statuses.append(answer.status)
        if answer.status == 429:
            assert body["errors"][0]["code"] == "rate_limit_exceeded"
            refusals.append(answer.headers)
    connection.close()
    return statuses, refusals, longest


async def limits(node: Node) -> dict[str, dict[str, Any]]:
    listed = await asyncio.to_thread(fetch, node.state_dir, "/v1/limits")
    return {item["instance"]: item for item in listed}


@pytest.mark.differs(
    "Metadata: calls over a rate",
    "no limit is published",
    "429 with `Retry-After`, then a pause: `--instance-rate`",
)
@pytest.mark.parametrize("workers", [1, 2])
async def test_429_then_a_pause_then_service_while_others_are_served(
    tmp_path: Path, workers: int
) -> None:
    """Flooder and neighbour are in one process also where there are two: nothing else keeps them apart."""
    loud, quiet = SHARDS[0][:2]
    async with FakeServer() as server:
        await server.put(*(document(id) for id in IDS))
        of = settings(tmp_path, server, workers=workers, instance_rate=RATE)
        async with running(of) as node:
            await node.ready()
            at = await addresses(node)
            neighbour = Guest(at[quiet])
            token = await neighbour.token()
            flooding = asyncio.create_task(asyncio.to_thread(flood, at[loud], 3.5))
            waits, seen = [], []
            while not flooding.done():
                began = time.monotonic()
                assert (await neighbour.read(token))[0] == 200
                waits.append(time.monotonic() - began)
                seen.append((await limits(node))[loud]["paused_seconds"])
                await asyncio.sleep(0.1)
            statuses, refusals, longest = await flooding

            # A second's worth at once, some 429s, then nothing for a second, and so on.
            assert statuses[: int(RATE)] == [400] * int(RATE)
            assert 429 in statuses
            assert statuses[statuses.index(429) :].count(400) >= RATE / 2, "served again"
            assert len(refusals) <= 3 * (RATE * 0.1 + 2), "not one for each call"
            assert all(int(head["Retry-After"]) >= 1 for head in refusals)
            assert longest > 0.5, "calls wait while nothing is taken"
            assert sorted(waits)[len(waits) // 2] < longest / 4
            assert max(seen) > 0

            await node.until(lambda status: not status["limits"]["paused"])
            await node.until(lambda status: status["limits"]["limited"] == len(refusals))
            counted = await limits(node)
            assert counted[loud]["pauses"] >= 1
            assert counted[loud]["limited"] == len(refusals)
            assert (counted[quiet]["pauses"], counted[quiet]["limited"]) == (0, 0)
            assert {item["rate"] for item in counted.values()} == {RATE}


async def test_it_can_be_seen(tmp_path: Path) -> None:
    """The command line, the status and the metrics say whose calls are not taken."""
    async with FakeServer() as server:
        await server.put(*(document(id) for id in IDS[:2]))
        port = at_port()
        of = settings(tmp_path, server, instance_rate=RATE, status_port=port)
        async with running(of) as node:
            await node.ready()
            at = await addresses(node)
            await asyncio.to_thread(flood, at[IDS[0]], 0.9)
            status = await node.until(lambda status: status["limits"]["pauses"])
            shown = await asyncio.to_thread(
                CliRunner().invoke, cli, ["node", "limits", "--state-dir", str(node.state_dir)]
            )
            page = await asyncio.to_thread(metrics, port)

    assert shown.exit_code == 0, shown.output
    [row] = [line for line in shown.output.splitlines() if IDS[0] in line]
    assert str(RATE) in row
    assert status["limits"]["instance_rate"] == RATE
    assert page["linklocal_node_pauses_total"] >= 1
    assert page["linklocal_node_limited_total"] >= 1
    assert page["linklocal_node_requests_total"] >= RATE
    assert page["linklocal_node_workers"] == 0


def at_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.partition(" ") for line in lines if not line.startswith("#"))
    }
