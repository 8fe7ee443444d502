"""A whole node against a server with faults, asked by a real client on its loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.documents import INSTANCE, full_document
from fakes.server import FakeServer, Refused, pem
from fakes.server import Node as KnownNode

from linklocal.document import NODE_UNKNOWN, Change, InstanceDocument, MetadataService
from linklocal.errors import OperatorError
from linklocal.ids import InstanceId

from .running import VERSION, Guest, Node, running, settings

OTHER = InstanceId("0717_00000000-0000-4000-8000-000000000002")


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as server:
        yield server


def document(instance_id: InstanceId = INSTANCE, **service: Any) -> InstanceDocument:
    """Enabled over http; `service` changes the listener's settings."""
    made = full_document(
        instance_id=instance_id, metadata_service=MetadataService(**{"enabled": True, **service})
    )
    return replace(made, claims={**made.claims, "iaas": {"instanceID": instance_id}})


async def address(node: Node, instance_id: InstanceId = INSTANCE) -> str:
    return {a["instance"]: a["address"] for a in await node.attachments()}[instance_id]


def refused(url: str) -> bool:
    """Whether nothing listens there."""
    host, _, port = url.partition("://")[2].partition(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) != 0


async def closed(guest: Guest) -> bool:
    """Whether the server's end of a kept connection is closed."""
    sock = guest.connection.sock
    return await asyncio.to_thread(sock.recv, 1) == b""


async def test_serves_what_the_server_publishes(server: FakeServer, tmp_path: Path) -> None:
    revision = await server.put(document(response_hop_limit=7))
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        report = await server.applied(revision)
        [attached] = await node.attachments()
        guest = Guest(attached["address"])
        token = await guest.token()
        status, read = await guest.read(token)
        exchanged = await guest.exchange(token)

    assert (status, read["id"]) == (200, INSTANCE)
    assert exchanged[1]["access_token"] == "token-of-default"
    assert report["faults"] == {}
    assert report["addresses"] == {INSTANCE: attached["address"]}
    assert attached == {
        "instance": INSTANCE,
        "name": "web-1",
        "id": "port",
        "kind": "port",
        "where": attached["address"].removeprefix("http://"),
        "address": attached["address"],
        "label": "",
        "when_disabled": "refuse",
        "fault": None,
        "protocol": "http",
        "enabled": True,
        "response_hop_limit": 7,
    }


async def test_curl_reads_with_a_token(server: FakeServer, tmp_path: Path) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node)
        token = await Guest(url).token()
        done = await asyncio.to_thread(
            subprocess.run,
            ["curl", "-sS", "-H", f"Authorization: Bearer {token}",
             f"{url}/metadata/v1/instance/initialization?{VERSION}"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip

    assert json.loads(done.stdout)["user_data"] == "#cloud-config\npackages: [nginx]\n"


async def test_disabling_answers_403_and_closes_kept_connections(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node)
        guest = Guest(url)
        token = await guest.token()
        await server.applied(await server.put(document(enabled=False)))

        assert (await Guest(url).read(token))[0] == 403
        assert await closed(guest)

        await server.applied(await server.put(document()))
        assert (await Guest(url).read(token))[0] == 200


@pytest.mark.parametrize("fault", ["stopped", "black_hole"])
async def test_serves_alone_and_catches_up(server: FakeServer, tmp_path: Path, fault: str) -> None:
    await server.put(document())

    async def lose() -> None:
        if fault == "stopped":
            await server.stop()
        else:
            server.fault = "black_hole"
            server.drop_streams()

    async def serves_alone(node: Node) -> None:
        guest = Guest(await address(node))
        token = await guest.token()
        assert (await guest.read(token))[0] == 200
        began = time.monotonic()
        status, answer = await guest.exchange(token)
        assert (status, answer["errors"][0]["code"]) == (503, "service_error")
        assert time.monotonic() - began < 7

    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        first = await address(node)
        await lose()
        await serves_alone(node)
        await node.until(lambda status: status["server"]["fault"])
    async with running(settings(tmp_path, server, join_token=None)) as node:
        await node.until(lambda status: status["listening"])
        await serves_alone(node)
        assert await address(node) == first
        assert not node.agent.ready.is_set()
        server.fault = None
        server.drop_connections()
        if fault == "stopped":
            await server.start()
        await server.applied(await server.put(document(enabled=False)))
        assert (await Guest(first).ask("GET", "/"))[0] == 403


async def test_serves_a_file_without_any_server(tmp_path: Path) -> None:
    file = tmp_path / "documents.json"
    file.write_text(json.dumps({"documents": [document().to_json()]}))
    alone = settings(tmp_path, join_token=None, snapshot=file, server_url="http://127.0.0.1:1")
    async with running(alone) as node:
        await node.ready()
        guest = Guest(await address(node))
        token = await guest.token()
        read = await guest.read(token)
        exchanged = await guest.exchange(token)
        status = await node.status()

    assert read[0] == 200
    assert exchanged[0] == 503
    assert status["server"] is None
    assert (tmp_path / "node" / "documents").exists() is False


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("{}", "no list"),
        ("[{}]", "document 0"),
        (json.dumps([document().to_json()] * 2), "there twice"),
        (json.dumps([{**document().to_json(), "instance_id": "../x"}]), "no instance id"),
        (json.dumps([document().to_json(), {**document(OTHER).to_json(), "region": "eu-de"}]), "several"),
    ],
)  # fmt: skip
async def test_a_wrong_file_is_named(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "documents.json"
    file.write_text(content)
    with pytest.raises(OperatorError, match=said):
        async with running(settings(tmp_path, snapshot=file)) as node:
            await node.ready()


async def test_stopping_closes_and_keeps_the_port_and_leaving_frees_it(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node)
        await server.applied(await server.put(replace(document(), serving=False)))
        assert refused(url)
        assert await node.attachments() == []
        await server.applied(await server.put(document(OTHER)))
        assert await address(node, OTHER) != url
        await server.applied(await server.put(document()))
        assert await address(node) == url

        await server.applied(await server.drop(INSTANCE))
        assert refused(url)
        third = InstanceId("0717_00000000-0000-4000-8000-000000000003")
        await server.applied(await server.put(document(third)))
        assert await address(node, third) == url


async def test_a_taken_port_is_a_fault_and_is_not_moved(server: FakeServer, tmp_path: Path) -> None:
    revision = await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", int(url.rpartition(":")[2])))
        thief.listen()
        server.reports.clear()
        async with running(settings(tmp_path, server)) as node:
            report = await server.applied(revision)
            assert "something else listens there" in report["faults"][INSTANCE]
            assert await node.attachments() == []
            thief.close()
            await node.until(lambda status: status["listening"])
            assert await address(node) == url
            report = await server.until(
                lambda: next((r for r in server.reports if r["addresses"]), None)
            )
            assert report["faults"] == {}


async def test_without_loopback_ports_nothing_listens_and_says_so(
    server: FakeServer, tmp_path: Path
) -> None:
    revision = await server.put(document())
    async with running(settings(tmp_path, server, loopback_ports=False)):
        report = await server.applied(revision)

    assert "--loopback-ports" in report["faults"][INSTANCE]
    assert report["addresses"] == {}


async def test_a_reset_keeps_serving_until_the_full_set_is_here(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document(), document(OTHER))
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node, OTHER)
        await server.send_raw(Change("reset", 0).to_line().rstrip())
        await server.send_raw(Change("document", 1, document()).to_line().rstrip())
        await server.until(lambda: server.reports)
        assert not refused(url)
        server.reports.clear()
        await server.send_raw(Change("synced", 2).to_line().rstrip())
        await server.applied(2)
        assert refused(url)
        assert [a["instance"] for a in await node.attachments()] == [INSTANCE]


async def test_a_torn_document_is_told_and_fetched_again(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document(), document(OTHER))
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node)
    file = tmp_path / "node" / "documents" / f"{INSTANCE}.json"
    file.write_bytes(file.read_bytes()[:100])
    server.fault = "error"
    async with running(settings(tmp_path, server)) as node:
        status = await node.until(lambda status: status["listening"])
        assert list(status["node_faults"]) == [file.name]
        assert [a["instance"] for a in await node.attachments()] == [OTHER]
        server.fault = None
        await node.ready()
        assert await address(node) == url
        assert (await node.status())["node_faults"] == {}


async def test_a_node_that_was_away_too_long_gets_the_full_set(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document(), document(OTHER))
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
    del server.changes[OTHER]  # its tombstone is pruned
    server.revision = server.pruned = 9
    async with running(settings(tmp_path, server)) as node:
        await server.applied(9)
        assert [a["instance"] for a in await node.attachments()] == [INSTANCE]


async def test_revocation_closes_everything_also_after_a_restart(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node)
        await server.revoke()
        status = await node.until(lambda status: status["server"]["revoked"])
        await node.until(lambda status: not status["listening"])
        assert refused(url)
        assert "revoked" in status["server"]["fault"]
    assert list((tmp_path / "node" / "documents").iterdir()) == []
    async with running(settings(tmp_path, server, join_token=None)) as node:
        await server.until(lambda: server.asked[-1].startswith("/internal/v1/watch"))
        assert (await node.status())["server"]["revoked"]
        assert refused(url)
    # With a new join token it begins anew, as another node with other keys.
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        assert (await node.status())["node_id"] == "node-1"
        assert (await Guest(await address(node)).token()).count(".") == 2
    assert len({node.control["kid"] for node in server.nodes.values()}) == 2


async def test_a_server_that_lost_its_database_is_joined_again(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document(), document(OTHER))
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node, OTHER)
        guest = Guest(await address(node))
        old = await guest.token()
        server.nodes = {"node-x": KnownNode("node-x", "other", {"kid": "x"}, {})}
        server.changes.clear()
        server.revision = 0
        server.reports.clear()
        server.drop_streams()
        await server.put(document())
        await server.applied(1)
        assert refused(url)
        fresh = Guest(await address(node))
        assert (await fresh.read(old))[0] == 401
        assert (await fresh.read(await fresh.token()))[0] == 200


async def test_an_unknown_node_without_a_token_serves_on_and_says_why(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
    server.refusals["watch"] = Refused(401, NODE_UNKNOWN, "The key is no node's.")
    async with running(settings(tmp_path, server, join_token=None)) as node:
        status = await node.until(lambda status: status["server"]["fault"])
        guest = Guest(await address(node))
        assert (await guest.read(await guest.token()))[0] == 200
    assert "no node's" in status["server"]["fault"]
    assert not status["server"]["revoked"]


async def test_a_wrong_clock_is_named_and_closes_nothing(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        server.clock_offset = -600
        server.drop_streams()
        status = await node.until(lambda status: "clock" in (status["server"]["fault"] or ""))
        assert not refused(await address(node))

    assert re.search(r"about (599|600|601) s ahead of", status["server"]["fault"])
    assert status["server"]["clock_skew_seconds"] == pytest.approx(600, abs=3)


async def test_too_old_a_snapshot_refuses_until_the_server_is_heard(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document())
    server.heartbeat = 0.2
    async with running(settings(tmp_path, server, max_snapshot_age=1.0)) as node:
        await node.ready()
        url = await address(node)
        token = await Guest(url).token()
        await server.stop()
        await node.until(lambda status: status["refusing_because_of_age"])
        assert (await Guest(url).read(token))[0] == 403
        await server.start()
        await node.until(lambda status: not status["refusing_because_of_age"])
        assert (await Guest(url).read(token))[0] == 200


async def test_a_document_that_cannot_be_read_holds_up_no_other(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document(), document(OTHER))
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        newer = {**document(response_hop_limit=9).to_json(), "schema": 99}
        line = {"type": "document", "revision": 3, "document": newer}
        await server.send_raw(json.dumps(line).encode())
        server.revision = 3
        report = await server.applied(await server.put(document(OTHER, enabled=False)))
        assert "upgrade the node" in report["faults"][INSTANCE]
        shown = {a["instance"]: a for a in await node.attachments()}
        assert shown[OTHER]["enabled"] is False
        assert shown[INSTANCE]["response_hop_limit"] == 1
    server.asked.clear()
    async with running(settings(tmp_path, server)) as node:
        watched = await server.until(lambda: [a for a in server.asked if "watch" in a])
    # What could not be read is asked for again, for a newer node may read it.
    assert watched == ["/internal/v1/watch?after=2"]


@pytest.mark.parametrize("line", [b"nonsense", b'{"type":"surprise","revision":1}', b"[]"])
async def test_a_broken_stream_is_opened_anew(
    server: FakeServer, tmp_path: Path, line: bytes
) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        await server.send_raw(line)
        await server.applied(await server.put(document(OTHER)))
        assert len(await node.attachments()) == 2


async def test_bursts_become_few_steps_and_the_last_word_counts(
    server: FakeServer, tmp_path: Path
) -> None:
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        ids = [InstanceId(f"0717_00000000-0000-4000-8000-{n:012}") for n in range(40)]
        for limit in range(1, 21):
            await server.put(*(document(i, response_hop_limit=limit) for i in ids))
        await server.applied(server.revision)
        shown = await node.attachments()

    assert {a["response_hop_limit"] for a in shown} == {20}
    assert len(shown) == len({a["address"] for a in shown}) == 40


async def test_https_needs_a_certificate_and_renews_without_closing(
    server: FakeServer, tmp_path: Path
) -> None:
    server.refusals["tls_certificate"] = Refused(503, "service_error", "not now")
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        url = await address(node)
        plain = Guest(url)
        await plain.token()
        report = await server.applied(await server.put(document(protocol="https")))
        # Tightening never waits: what cannot become https is closed.
        assert "certificate" in report["faults"][INSTANCE]
        assert refused(url)
        server.refusals.clear()
        await node.until(lambda status: status["listening"])
        secure = await address(node)
        assert secure == url.replace("http://127.0.0.1", "https://localhost")
        trust = ssl.create_default_context(cadata=pem(server.ca))
        guest = Guest(secure, trust)
        assert (await guest.read(await guest.token()))[0] == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await Guest(secure.replace("localhost", "127.0.0.1"), trust).token()
        await server.applied(await server.put(document()))
        assert await address(node) == url
        assert await closed(guest)
    # The certificate is kept: the next start needs no server for it.
    await server.put(document(protocol="https"))
    server.refusals["tls_certificate"] = Refused(503, "service_error", "not now")
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        assert (await Guest(await address(node), trust).token()).count(".") == 2


async def test_reads_ask_the_server_nothing(server: FakeServer, tmp_path: Path) -> None:
    """Over hundreds of reads only what a node says by itself arrives: events in batches, its status."""
    await server.put(document())
    lists = ("/instance/network_interfaces", "/instance/volume_attachments", "/keys")
    reads = 0
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        guest = Guest(await address(node))
        token = await guest.token()
        asked_before = len(server.asked)
        for _ in range(50):
            for path in ("/instance", "/instance/initialization", *lists):
                url = f"/metadata/v1{path}?{VERSION}"
                status, body = await guest.ask("GET", url, {"Authorization": f"Bearer {token}"})
                assert status == 200, body
                reads += 1
        asked = server.asked[asked_before:]
        await server.stop()
        assert (await guest.read(token))[0] == 200

    assert reads == 250
    assert set(asked) <= {"/internal/v1/events", "/internal/v1/status"}
    assert len(asked) < reads / 10


async def test_events_arrive_once_and_without_tokens(server: FakeServer, tmp_path: Path) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        token = await Guest(await address(node)).token()
        events = await server.until(lambda: [e for b in server.batches.values() for e in b])
    local = (tmp_path / "node" / "events" / "events.ndjson").read_text()

    assert events[0]["action"] == "is.metadata.jwt-token.create"
    assert events[0]["instance_id"] == INSTANCE
    assert json.loads(local.splitlines()[0]) == events[0]
    assert token not in local + json.dumps(events)


async def test_ends_in_time_while_a_guest_waits_for_a_silent_server(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document())
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        guest = Guest(await address(node))
        token = await guest.token()
        server.fault = "black_hole"
        waiting = asyncio.create_task(guest.exchange(token))
        await server.until(lambda: server.asked[-1].endswith("iam_tokens"))
        began = time.monotonic()
        node.stop.set()
        await node.task
        assert time.monotonic() - began < 2
    with contextlib.suppress(OSError, http.client.HTTPException):
        await waiting


async def test_needs_a_join_token_that_the_server_takes(server: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no join token") as missing:
        async with running(settings(tmp_path, server, join_token=None)) as node:
            await node.ready()
    with pytest.raises(OperatorError, match="unknown or expired") as wrong:
        async with running(settings(tmp_path, server, join_token="stale")) as node:
            await node.ready()

    assert "join-token" in missing.value.next_step
    assert "join-token" in wrong.value.next_step


async def test_waits_for_a_server_that_is_not_there_yet(server: FakeServer, tmp_path: Path) -> None:
    await server.put(document())
    await server.stop()
    async with running(settings(tmp_path, server)) as node:
        await node.until(lambda status: status["server"]["fault"])
        await server.start()
        await node.ready()
        assert len(await node.attachments()) == 1


async def test_a_state_folder_has_one_node(server: FakeServer, tmp_path: Path) -> None:
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        with pytest.raises(OperatorError, match="in use by linklocal node"):
            async with running(settings(tmp_path, server)) as second:
                await second.ready()
        assert (await node.status())["server"]["connected"]


async def test_nothing_in_the_state_folder_is_for_others(
    server: FakeServer, tmp_path: Path
) -> None:
    await server.put(document(protocol="https"))
    async with running(settings(tmp_path, server)) as node:
        await node.ready()
        await node.until(lambda status: status["listening"])
        folder = tmp_path / "node"
        modes = {p: p.stat().st_mode & 0o777 for p in (folder, *folder.rglob("*"))}

    assert len(modes) > 10
    lock = folder / "lock"
    assert {m for p, m in modes.items() if p.is_dir()} == {0o700}
    assert {m for p, m in modes.items() if not p.is_dir() and p != lock} == {0o600}


async def test_status_port_tells_numbers(server: FakeServer, tmp_path: Path) -> None:
    await server.put(document())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with running(settings(tmp_path, server, status_port=port)) as node:
        await node.ready()
        metrics = await asyncio.to_thread(
            subprocess.run, ["curl", "-sS", f"http://127.0.0.1:{port}/metrics"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        health = await Guest(f"http://127.0.0.1:{port}").ask("GET", "/healthz")

    assert "linklocal_node_applied_revision 1.0" in metrics.stdout
    assert INSTANCE not in metrics.stdout
    assert health == (200, {"ok": True})
