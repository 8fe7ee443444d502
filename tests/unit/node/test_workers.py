"""A node with two worker processes on real sockets: who answers whom, and what a killed one takes with it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.documents import REGION, full_document
from fakes.server import FakeServer, Refused, pem

from linklocal.clock import SystemClock
from linklocal.document import InstanceDocument, MetadataService
from linklocal.errors import Problem, Target
from linklocal.events import Event
from linklocal.ids import InstanceId
from linklocal.metadata.served import Served
from linklocal.metadata.wire import (
    Certificates,
    IamToken,
    ProfileSelector,
    UpstreamRefused,
    UpstreamUnavailable,
)
from linklocal.node.channel import Channel
from linklocal.node.hosts import HostPolicy
from linklocal.node.identity import NodeSigner
from linklocal.node.upstream_channel import AskParent, decisions
from linklocal.node.workers import Workers, WorkerSettings, shard_of
from linklocal.tokens import SigningKey

from .running import Guest, Node, bearer, running, settings

IDS = [InstanceId(f"0717_00000000-0000-4000-8000-00000000000{n}") for n in range(6)]
SHARDS = [[id for id in IDS if shard_of(id, 2) == shard] for shard in (0, 1)]


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as server:
        yield server


def document(instance_id: InstanceId, **service: Any) -> InstanceDocument:
    made = full_document(
        instance_id=instance_id,
        name=f"vm-{instance_id[-1]}",
        metadata_service=MetadataService(**{"enabled": True, **service}),
    )
    metadata = {**made.metadata, "instance": {**made.metadata["instance"], "id": instance_id}}
    claims = {**made.claims, "iaas": {"instanceID": instance_id}}
    return replace(made, claims=claims, metadata=metadata)


async def addresses(node: Node) -> dict[str, str]:
    return {a["instance"]: a["address"] for a in await node.attachments()}


async def kill(node: Node, shard: int, number: int = signal.SIGKILL) -> int:
    pid: int = (await node.status())["workers"][shard]["pid"]
    os.kill(pid, number)
    return pid


async def back(node: Node, shard: int) -> dict[str, Any]:
    def is_back(status: dict[str, Any]) -> bool:
        worker = status["workers"][shard]
        return worker["restarts"] > 0 and worker["fault"] is None and not status["instance_faults"]

    async with asyncio.timeout(30):
        while not is_back(status := await node.status()):
            await asyncio.sleep(0.05)
    return status


def test_instances_are_spread_and_stay_where_they_are() -> None:
    assert all(SHARDS)
    counts = [0] * 4
    for number in range(1000):
        counts[shard_of(InstanceId(f"0717_{number:032x}"), 4)] += 1
    assert min(counts) > 150


async def test_a_killed_worker_pauses_only_its_instances(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(*(document(id) for id in IDS))
    async with running(settings(tmp_path, server, workers=2)) as node:
        await node.ready()
        at = await addresses(node)
        guests = {id: Guest(at[id]) for id in IDS}
        tokens = {id: await guests[id].token() for id in IDS}
        for id in IDS:
            # Each is answered as itself, and another's token is worth nothing.
            assert (await guests[id].read(tokens[id]))[1]["id"] == id
            foreign = tokens[IDS[IDS.index(id) - 1]]
            assert (await guests[id].read(foreign))[0] == 401
            assert (await guests[id].exchange(tokens[id]))[0] == 200

        dead = await kill(node, 0)
        paused = [asyncio.create_task(Guest(at[id]).read(tokens[id])) for id in SHARDS[0]]
        others, slowest = 0, 0.0
        while not all(task.done() for task in paused):
            for id in SHARDS[1]:
                began = time.monotonic()
                assert (await guests[id].read(tokens[id]))[1]["id"] == id
                slowest, others = max(slowest, time.monotonic() - began), others + 1
        # Whoever called meanwhile was kept waiting by the kernel, not refused; tokens stay good.
        answers = [await task for task in paused]
        assert [(status, read["id"]) for status, read in answers] == [(200, i) for i in SHARDS[0]]
        assert others >= len(SHARDS[1])
        assert slowest < 5

        status = await back(node, 0)
        assert [worker["restarts"] for worker in status["workers"]] == [1, 0]
        assert status["workers"][0]["pid"] != dead
        assert sum(worker["instances"] for worker in status["workers"]) == len(IDS)
        # A second later all is told, and the count of the process that ended is not forgotten.
        await node.until(lambda status: status["limits"]["requests"] >= others + len(SHARDS[1]) * 4)
        await server.until(
            lambda: {e["instance_id"] for e in server_events(server)} >= set(IDS), deadline=20
        )
        pids = [worker["pid"] for worker in status["workers"]]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def server_events(server: FakeServer) -> list[dict[str, Any]]:
    return [event for batch in server.batches.values() for event in batch]


async def test_a_change_is_acknowledged_when_its_worker_enforces_it(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(*(document(id) for id in IDS))
    async with running(settings(tmp_path, server, workers=2)) as node:
        await node.ready()
        at = await addresses(node)
        one, two = SHARDS[0][0], SHARDS[1][0]
        tokens = {id: await Guest(at[id]).token() for id in (one, two)}
        for round in range(6):
            for id in (one, two):
                other = two if id == one else one
                enabled = bool(round % 2)
                await server.applied(await server.put(document(id, enabled=enabled)))
                assert (await Guest(at[id]).read(tokens[id]))[0] == (200 if enabled else 403)
                assert (await Guest(at[other]).read(tokens[other]))[0] in (200, 403)

        # A worker that cannot answer cannot enforce: what comes after it does.
        await kill(node, 0)
        report = await server.applied(await server.put(document(one, enabled=False)))
        assert set(report["faults"]) <= set(SHARDS[0])
        assert (await Guest(at[one]).read(tokens[one]))[0] == 403
        assert (await Guest(at[two]).read(tokens[two]))[0] == 200
        await back(node, 0)
        await server.applied(await server.put(document(one)))
        assert (await Guest(at[one]).read(tokens[one]))[0] == 200
        gone = at[two]
        await server.applied(await server.drop(two))
        with pytest.raises(ConnectionRefusedError):
            await Guest(gone).read(tokens[two])


async def test_https_seeds_and_refusals_of_the_server_come_from_workers_too(
    server: FakeServer, tmp_path: Path
) -> None:
    server.refusals["iam_tokens"] = Refused(400, "profile_not_linked", "There is no such link.")
    await server.put(*(document(id, protocol="https") for id in IDS[:2]))
    async with running(settings(tmp_path, server, workers=2, nocloud=True)) as node:
        await node.ready()
        await node.until(lambda status: not status["instance_faults"])
        context = ssl.create_default_context(cadata=pem(server.ca))
        at = await addresses(node)
        guest = Guest(at[IDS[0]], context)
        token = await guest.token()
        status, seed = await guest.ask("GET", "/nocloud/meta-data")
        assert (status, seed["instance-id"]) == (200, IDS[0])
        status, refusal = await guest.ask(
            "POST",
            "/identity/v1/iam_tokens?version=2025-08-26",
            {**bearer(token), "Content-Type": "application/json"},
            '{"trusted_profile": {"id": "Profile-of-nobody"}}',
        )
        assert (status, refusal["errors"][0]["code"]) == (400, "profile_not_linked")
        assert refusal["errors"][0]["message"] == "There is no such link."
        del server.refusals["iam_tokens"]
        await server.stop()
        status, refusal = await guest.exchange(token)
        assert (status, refusal["errors"][0]["code"]) == (503, "service_error")


class Sink:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    def lost(self, count: int) -> None:
        raise AssertionError("an event was lost")


class Decider:
    """An upstream that refuses, naming the place; or, for `own`, is away."""

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        if profile is None:
            raise UpstreamUnavailable("away")
        target = Target("trusted_profile.name", "field", profile.value)
        raise UpstreamRefused(Problem("profile_not_linked", "No.", target), 400)

    async def certificate(self, identity_token: str, csr: str, expires_in: int) -> Certificates:
        return Certificates((csr, identity_token), 1, expires_in)


async def test_decisions_come_through_the_parent_whole() -> None:
    ours, theirs = socket.socketpair()
    upstream = Decider()
    parent = Channel(ours, decisions(upstream))
    child = Channel(theirs, {})
    asked = AskParent(child)
    try:
        with pytest.raises(UpstreamRefused) as refused:
            await asked.exchange("t", ProfileSelector("name", "shop"))
        problem = refused.value.problem
        assert (problem.code, refused.value.status) == ("profile_not_linked", 400)
        assert problem.target == Target("trusted_profile.name", "field", "shop")
        with pytest.raises(UpstreamUnavailable, match="away"):
            await asked.exchange("t", None)
        assert await asked.certificate("t", "csr", 60) == Certificates(("csr", "t"), 1, 60)
        parent.close()
        await child.ended.wait()
        child.close()
        with pytest.raises(UpstreamUnavailable):
            await asked.exchange("t", None)
    finally:
        parent.close()


async def test_a_worker_that_does_not_answer_is_ended_before_a_change_counts() -> None:
    """It could go on under the old settings, so it must not go on at all."""
    buffer, signer = Sink(), NodeSigner(SigningKey.generate_rsa(), REGION)
    settings = WorkerSettings(100.0, patience=6.0)
    workers = Workers(1, settings, signer, lambda: None, Decider(), buffer)
    await workers.start()
    watching = asyncio.create_task(workers.run())
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    served = Served(document(IDS[0]), signer, SystemClock())
    listener = workers.listener(served, HostPolicy(loopback=True))
    await listener.open(sock, None)
    guest = Guest(f"http://127.0.0.1:{port}")
    token = await guest.token()
    async with asyncio.timeout(20):
        while not buffer.events:
            await asyncio.sleep(0.01)
    assert [event.action for event in buffer.events] == ["is.metadata.jwt-token.create"]
    [before] = workers.view()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGSTOP)

    await listener.change(served.updated(document(IDS[0], enabled=False)), None)

    with pytest.raises(ProcessLookupError):
        os.kill(before.pid, 0)
    assert (await Guest(f"http://127.0.0.1:{port}").read(token))[0] == 403
    await listener.close()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await workers.close()
    signer.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
