"""One listener over real loopback sockets: settings at the socket, changes, drains, rates and caps."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from fakes.certificates import client_context, server_context
from fakes.documents import full_document
from fakes.upstream import FakeUpstream
from unit.node.listener_harness import VERSION, Client, Stage, https, listening, until

from linklocal.document import MetadataService
from linklocal.metadata.wire import IamToken, ProfileSelector
from linklocal.node.http import Connection
from linklocal.node.limits import Totals
from linklocal.node.sockets import hop_limit

INSTANCE = f"GET /metadata/v1/instance?{VERSION} HTTP/1.1"


class SlowUpstream(FakeUpstream):
    """An exchange that lasts until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        self.asked.set()
        await self.go_on.wait()
        return await super().exchange(identity_token, profile)


def live_hops(stage: Stage) -> list[int]:
    """Hop limits of the live connections."""
    connections = stage.listener._connections
    return [hop_limit(c._transport.get_extra_info("socket")) for c in connections]


def exchange(token: str) -> str:
    return f"POST /identity/v1/iam_tokens?{VERSION} HTTP/1.1\r\nAuthorization: Bearer {token}"


async def connected(stage: Stage) -> Client:
    """A connection that the listener knows of."""
    before = stage.listener.counters.connections
    client = await stage.connect()
    await until(lambda: stage.listener.counters.connections > before)
    return client


# --- serving ---------------------------------------------------------------------------------------


async def test_an_instance_reads_about_itself() -> None:
    async with listening(Stage()) as stage:
        token = await stage.token()
        answer = await stage.ask(f"{INSTANCE}\r\nAuthorization: Bearer {token}")

    assert answer.status == 200
    assert answer.json()["id"] == stage.document.instance_id


async def test_a_kept_connection_is_used_again() -> None:
    async with listening(Stage()) as stage:
        client = await stage.connect()
        for _ in range(5):
            assert (await client.ask()).status == 404
        await client.close()

    assert stage.listener.counters.connections == 1
    assert stage.listener.counters.requests == 5


async def test_no_delay_whoever_made_the_socket() -> None:
    """asyncio sets TCP_NODELAY only on sockets that were made with a protocol number."""
    async with listening(Stage()) as stage:
        client = await connected(stage)
        sock = stage.listener.sock
        assert sock is not None
        (connection,) = stage.listener._connections
        accepted = connection._transport.get_extra_info("socket")

        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        await client.close()


async def test_a_closed_listener_refuses_and_keeps_nothing() -> None:
    async with listening(Stage()) as stage:
        idle, silent = await connected(stage), await connected(stage)
        await idle.ask()
        await asyncio.wait_for(stage.listener.close(), 5)
        assert await idle.ended() == await silent.ended() == b""
        with pytest.raises(ConnectionError):
            await stage.connect()

    assert stage.listener.connections == stage.totals.connections == 0


async def test_a_defect_is_answered_and_told() -> None:
    """`handle` raises for nothing that a client can send; if it does, the client still gets a reason."""

    stage = Stage()
    async with listening(stage):
        client = await stage.connect()
        stage.listener._served = None  # type: ignore[assignment] # a defect is what is wanted here
        answer = await client.ask()
        await client.close()

    assert answer.status == 500
    assert stage.sink.events[-1].reason == "service_error"


# --- settings --------------------------------------------------------------------------------------


async def test_the_hop_limit_is_on_the_listener_and_on_what_it_accepts() -> None:
    service = MetadataService(enabled=True, response_hop_limit=7)
    async with listening(Stage(full_document(metadata_service=service))) as stage:
        client = await connected(stage)

        assert hop_limit(stage.listener.sock) == 7
        assert live_hops(stage) == [7]
        await client.close()


async def test_the_hop_limit_of_ipv6() -> None:
    service = MetadataService(enabled=True, response_hop_limit=7)
    stage = Stage(full_document(metadata_service=service))
    async with listening(stage, address="::1"):
        reader, writer = await asyncio.open_connection("::1", stage.port)
        client = Client(reader, writer)
        answer = await client.ask()

        assert answer.status == 404
        assert live_hops(stage) == [hop_limit(stage.listener.sock)] == [7]
        await client.close()


async def test_disabled_is_403_with_hop_limit_1() -> None:
    service = MetadataService(enabled=False, response_hop_limit=7)
    async with listening(Stage(full_document(metadata_service=service))) as stage:
        client = await connected(stage)
        answer = await client.ask()

        assert answer.status == 403
        assert answer.json()["errors"][0]["code"] == "unauthorized"  # type: ignore[index] # JSON
        assert hop_limit(stage.listener.sock) == 1
        assert live_hops(stage) == [1]
        await client.close()


async def test_a_new_document_is_seen_on_the_same_connection() -> None:
    async with listening(Stage()) as stage:
        client = await stage.connect()
        await client.ask()
        served = stage.listener.served
        renamed = served.updated(full_document(name="renamed"))
        await stage.listener.change(renamed, None)

        assert stage.listener.served is renamed
        assert (await client.ask()).status == 404
        await client.close()

    assert stage.listener.counters.connections == 1


@pytest.mark.parametrize(
    ("settings", "listener_hops", "old_hops"),
    [
        ({"enabled": False}, 1, 1),
        ({"response_hop_limit": 3}, 3, 3),
        ({"response_hop_limit": 9}, 9, 5),
    ],
)
async def test_a_change_ends_the_connections_there_are(
    settings: dict[str, Any], listener_hops: int, old_hops: int
) -> None:
    """A request in flight finishes, under the smaller of both hop limits."""
    upstream = SlowUpstream()
    service = MetadataService(enabled=True, response_hop_limit=5)
    document = full_document(metadata_service=service)
    async with listening(Stage(document, upstream=upstream)) as stage:
        token = await stage.token()
        idle, busy = await connected(stage), await connected(stage)
        await idle.ask()
        asking = asyncio.create_task(busy.ask(exchange(token)))
        await upstream.asked.wait()

        await stage.listener.change(stage.with_service(**settings), None)

        assert hop_limit(stage.listener.sock) == listener_hops
        assert set(live_hops(stage)) == {old_hops}
        assert await idle.ended() == b""
        upstream.go_on.set()
        answer = await asking
        assert (answer.status, answer.closes) == (200, True)
        assert await busy.ended() == b""
        new = await connected(stage)
        assert live_hops(stage) == [listener_hops]
        await new.close()


async def test_what_does_not_finish_in_time_is_aborted() -> None:
    upstream = SlowUpstream()
    async with listening(Stage(upstream=upstream, drain=0.1)) as stage:
        token = await stage.token()
        busy, silent = await connected(stage), await connected(stage)
        busy.send(f"{exchange(token)}\r\nHost: localhost\r\n\r\n".encode())
        await upstream.asked.wait()

        await stage.listener.change(stage.with_service(enabled=False), None)

        assert await busy.ended() == await silent.ended() == b""


async def test_a_peer_that_has_just_connected_is_answered_under_the_new_settings() -> None:
    async with listening(Stage()) as stage:
        client = await connected(stage)
        await stage.listener.change(stage.with_service(enabled=False), None)

        answer = await client.ask()

        assert (answer.status, answer.closes) == (403, True)


async def test_connections_in_the_kernels_queue_get_the_new_hop_limit() -> None:
    async with listening(Stage()) as stage:
        stage.listener._intake.rest(60)  # nothing is accepted: the connection waits in the kernel
        sock = socket.create_connection(("127.0.0.1", stage.port))
        await stage.listener.change(stage.with_service(response_hop_limit=9), None)
        await stage.listener._intake.wake()
        await until(lambda: stage.listener.connections)

        assert live_hops(stage) == [9]
        sock.close()


# --- https -----------------------------------------------------------------------------------------


async def test_https() -> None:
    async with listening(Stage(https()), server_context()) as stage:
        answer = await stage.ask(tls=client_context())
        kept = await stage.connect(client_context())
        for _ in range(3):
            assert (await kept.ask()).status == 404
        await kept.close()

    assert answer.status == 404


async def test_http_and_https_take_turns_on_one_kernel_listener() -> None:
    async with listening(Stage()) as stage:
        sock = stage.listener.sock
        plain = await stage.connect()
        await plain.ask()

        await stage.listener.change(stage.with_service(protocol="https"), server_context())
        assert await plain.ended() == b""
        secure = await stage.connect(client_context())
        assert (await secure.ask()).status == 404
        # In the clear there is nothing but TLS's own alert.
        refused = await stage.connect()
        refused.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in await refused.ended()

        await stage.listener.change(stage.with_service(protocol="http"), server_context())
        assert await secure.ended() == b""
        assert (await stage.ask()).status == 404
        assert stage.listener.sock is sock


async def test_a_renewed_certificate_is_used_for_new_connections() -> None:
    async with listening(Stage(https()), server_context(1)) as stage:
        old = await stage.connect(client_context(1))
        await stage.listener.change(stage.with_service(), server_context(2))

        assert (await old.ask()).status == 404
        assert (await stage.ask(tls=client_context(2))).status == 404
        with pytest.raises(ssl.SSLCertVerificationError):
            await stage.connect(client_context(1))
        await old.close()


async def test_https_without_a_context_is_refused_and_changes_nothing() -> None:
    async with listening(Stage()) as stage:
        with pytest.raises(ValueError, match="TLS"):
            await stage.listener.change(stage.with_service(protocol="https"), None)

        assert (await stage.ask()).status == 404


async def test_a_handshake_that_stalls_ends_and_leaks_nothing() -> None:
    async with listening(Stage(https(), handshake=0.2), server_context()) as stage:
        before = _sockets()
        stalled = await stage.connect()
        garbage = await stage.connect()
        garbage.send(b"GET / HTTP/1.1\r\n\r\n")

        await stalled.ended()
        await garbage.ended()
        await until(lambda: stage.listener.counters.handshakes_failed == 2)
        await stalled.close()
        await garbage.close()
        await until(lambda: _sockets() == before)
        assert stage.listener.connections == 0


async def test_handshakes_under_way_end_with_the_setting() -> None:
    async with listening(Stage(https(), handshake=60.0), server_context()) as stage:
        before = _sockets()
        stalled = await stage.connect()
        acceptor = stage.listener._intake.acceptor
        await until(lambda: acceptor.handshakes == 1)  # type: ignore[union-attr] # TLS is on

        await stage.listener.change(stage.with_service(protocol="http"), None)

        await stalled.ended()
        await stalled.close()
        # The http acceptor has a duplicate of the listening socket.
        await until(lambda: _sockets() == before + 1)


async def test_handshakes_are_paced_by_the_rate() -> None:
    """They wait rather than being refused: a refusal would need the handshake first."""
    async with listening(Stage(https(), rate=40.0, handshake_cost=20.0), server_context()) as stage:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(4):
            answer = await stage.ask(tls=client_context())
            assert answer.status in (404, 429)
        took = loop.time() - began

    assert took > 0.8  # 4 of 20 at 40 a second, 40 of them in stock


def _sockets() -> int:
    """Open socket descriptors of this process."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists the folder is gone again
            count += str(descriptor.readlink()).startswith("socket:")
    return count


# --- rates and caps --------------------------------------------------------------------------------


async def test_over_the_rate_is_429_and_then_silence_for_a_while() -> None:
    """One refusal costs as much as an answer; so they have a budget of their own."""
    async with listening(Stage(rate=20.0, refusals=0.25, pause=0.3)) as stage:
        client = await stage.connect()
        statuses = []
        while not stage.listener.counters.pauses:
            answer = await client.ask()
            statuses.append(answer.status)
        assert statuses[:20] == [404] * 20
        assert set(statuses[-6:]) == {429}
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["errors"][0]["code"] == "rate_limit_exceeded"  # type: ignore[index] # JSON

        began = asyncio.get_running_loop().time()
        other = await stage.connect()  # the kernel takes it, nobody accepts it yet
        answers = await asyncio.gather(client.ask(), other.ask())
        assert asyncio.get_running_loop().time() - began > 0.2
        assert {a.status for a in answers} <= {404, 429}
        await client.close()
        await other.close()

    assert stage.listener.counters.pauses >= 1
    assert stage.listener.counters.limited >= 6


async def test_connections_without_a_request_count_too() -> None:
    async with listening(Stage(rate=10.0, refusals=0.1, pause=60.0)) as stage:
        for _ in range(12):
            client = await stage.connect()
            await client.close()

        await until(lambda: stage.listener.counters.pauses == 1)


async def test_too_many_connections_of_one_instance() -> None:
    async with listening(Stage(connections=2, over_cap=1)) as stage:
        kept = [await connected(stage), await connected(stage)]
        told = await connected(stage)
        answer = await told.answer()
        cut = await stage.connect()

        assert (answer.status, answer.closes) == (429, True)
        assert await cut.ended() == b""
        assert (await kept[0].ask()).status == 404
        await told.close()
        await kept[0].close()
        await until(lambda: stage.listener.connections == 1)
        assert (await stage.ask()).status == 404
        await kept[1].close()

    assert stage.listener.counters.over_cap == 2
    assert stage.sink.events[0].rule == "connections"


async def test_too_many_connections_of_all_instances() -> None:
    totals = Totals(connections_max=1)
    async with listening(Stage(totals=totals)) as first, listening(Stage(totals=totals)) as second:
        client = await connected(first)
        told = await second.connect()
        answer = await told.answer()

        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await client.ask()).status == 404
        await client.close()
        await told.close()
        await until(lambda: totals.connections == 0)


async def test_deadlines_are_kept_and_counted() -> None:
    limits = {"first_byte": 0.1, "head": 0.1, "body": 0.1, "idle": 0.1, "sweep": 0.02}
    async with listening(Stage(**limits)) as stage:
        silent, slow, idle = await stage.connect(), await stage.connect(), await stage.connect()
        slow.send(b"GET / HTTP/1.1\r\n")
        await idle.ask()

        assert await silent.ended() == b""
        assert await idle.ended() == b""
        assert (await slow.answer()).status == 408
        await slow.close()

    assert stage.listener.counters.deadlines == 2


async def test_idle_connections_of_a_crowd_are_given_up_sooner() -> None:
    limits = {"idle": 60.0, "idle_in_crowd": 0.1, "crowd": 2, "sweep": 0.02}
    async with listening(Stage(**limits)) as stage:
        few = [await connected(stage) for _ in range(2)]
        await asyncio.sleep(0.3)
        assert stage.listener.connections == 2
        many = await connected(stage)

        assert await few[0].ended() == b""
        await until(lambda: stage.listener.connections < 3)
        await many.close()


# --- events ----------------------------------------------------------------------------------------


async def test_events_say_what_happened_and_nothing_secret() -> None:
    async with listening(Stage()) as stage:
        token = await stage.token()
        client = await stage.connect()
        for _ in range(3):
            await client.ask(f"{INSTANCE}\r\nAuthorization: Bearer {token}")
        await client.ask(f"GET /x/{token} HTTP/1.1\r\nAuthorization: Bearer {token}")
        client.send(b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n")
        await client.answer()
        await client.close()

    events = stage.sink.events
    assert [(e.action, e.status, e.count) for e in events] == [
        ("is.metadata.jwt-token.create", 200, 1),
        ("is.metadata.instance.read", 200, 1),
        ("is.metadata.request.refuse", 404, 1),
        ("is.metadata.request.refuse", 400, 1),
        ("is.metadata.instance.read", 200, 2),
    ]
    assert {e.instance_id for e in events} == {stage.document.instance_id}
    assert [e.reason for e in events[2:4]] == ["not_found", "invalid_request"]
    assert [e.outcome for e in events] == ["success", "success", "failure", "failure", "success"]
    assert events[0].detail["peer_ttl"] == 64
    told = " ".join(str(e.to_json()) for e in events)
    assert not any(part in told for part in token.split("."))


@pytest.mark.parametrize("secure", [False, True])
async def test_closed_connections_are_freed_at_once(secure: bool) -> None:
    """Not when the collector comes round: one connection a call is the rule, and TLS is not small."""
    stage, tls = (Stage(https()), server_context()) if secure else (Stage(), None)
    async with listening(stage, tls):
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                await stage.ask(tls=client_context() if secure else None)
            await until(lambda: not stage.listener.connections)
            await until(lambda: not any(isinstance(o, Connection) for o in gc.get_objects()))
        finally:
            gc.enable()
