"""The client of the server under faults: bounded in time, and every end is one of three errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.documents import full_document
from fakes.server import JOIN_TOKEN, FakeServer, Refused

from linklocal.clock import SystemClock
from linklocal.document import NODE_REVOKED, NODE_UNKNOWN, Change, NodeStatus
from linklocal.events import Event
from linklocal.metadata.wire import ProfileSelector, UpstreamRefused, UpstreamUnavailable
from linklocal.node.control_client import AT_A_TIME, ControlClient
from linklocal.node.identity import IdentityStore, NodeKeys, NodeSigner, signing_key
from linklocal.node.server_answers import (
    ClockSkewed,
    NodeRevoked,
    ServerRefused,
    ServerUnavailable,
)
from linklocal.tokens import identity_claims

Call = Callable[[ControlClient], Awaitable[Any]]
EVENT = Event(datetime(2026, 11, 24, tzinfo=UTC), "is.metadata.instance.read", "success", 200, "t")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> NodeKeys:
    return IdentityStore(tmp_path_factory.mktemp("state")).keys()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as server:
        yield server


@pytest.fixture
async def client(server: FakeServer, keys: NodeKeys) -> AsyncIterator[ControlClient]:
    """Joined, and quicker to give up than in the field."""
    client = ControlClient(
        server.url,
        keys,
        SystemClock(),
        decision_seconds=0.3,
        answer_seconds=0.3,
        silence_seconds=0.3,
    )
    client.enrolment = await client.enrol(JOIN_TOKEN, "host-1")
    yield client
    await client.close()


async def identity_token(client: ControlClient, keys: NodeKeys) -> str:
    signer = NodeSigner(signing_key(keys, client.enrolment, "us-south"), "us-south")
    now = SystemClock().now()
    claims = {"iaas": {"instanceID": "i"}}
    made = await signer.sign(
        identity_claims(region="us-south", epoch=1, claims=claims, now=now, expires_in=60)
    )
    signer.close()
    return made


async def first_line(client: ControlClient) -> bytes:
    async with client.watch(0) as lines:
        return await anext(lines)


OWN: list[Call] = [
    lambda client: client.enrol(JOIN_TOKEN, "host-1"),
    lambda client: client.report(NodeStatus(1)),
    lambda client: client.send_events("b", 0, [EVENT]),
    lambda client: client.tls_certificate("csr", localhost=False),
    first_line,
]
DECISIONS: list[Call] = [
    lambda client: client.exchange("token", None),
    lambda client: client.certificate("token", "csr", 300),
]


@pytest.mark.parametrize("fault", ["black_hole", "error", "slow", "reset", "garbage"])
@pytest.mark.parametrize("call", [*OWN, *DECISIONS])
async def test_every_fault_ends_soon_as_unavailable(
    server: FakeServer, client: ControlClient, fault: Any, call: Call
) -> None:
    server.fault, server.delay = fault, 5
    expected = UpstreamUnavailable if call in DECISIONS else ServerUnavailable
    began = time.monotonic()
    with pytest.raises(expected):
        await call(client)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("call", [*OWN[1:], *DECISIONS])
async def test_a_stopped_server_is_unavailable_at_once(
    server: FakeServer, client: ControlClient, call: Call
) -> None:
    await server.stop()

    with pytest.raises((ServerUnavailable, UpstreamUnavailable), match="cannot be reached"):
        await call(client)


async def test_the_stream_tells_changes_and_is_given_up_when_silent(
    server: FakeServer, client: ControlClient
) -> None:
    document = full_document()
    await server.put(document)
    async with client.watch(0) as lines:
        told = [Change.from_line(await anext(lines)) for _ in range(2)]
        server.silent = True
        began = time.monotonic()
        with pytest.raises(ServerUnavailable, match="in time"):
            await anext(lines)

    assert told == [Change("document", 1, document), Change("synced", 1)]
    assert time.monotonic() - began < 2


async def test_a_dropped_stream_is_unavailable_and_an_ended_one_ends(
    server: FakeServer, client: ControlClient
) -> None:
    async with client.watch(0) as lines:
        await anext(lines)
        server.drop_streams()
        with pytest.raises(ServerUnavailable):
            await anext(lines)
    async with client.watch(0) as lines:
        await anext(lines)
        await server.revoke()
        assert [line async for line in lines] == []


async def test_a_line_is_cut_at_newlines_only(server: FakeServer, client: ControlClient) -> None:
    odd = "a\u2028b\x85c\x0cd".encode()
    async with client.watch(0) as lines:
        await anext(lines)
        await server.send_raw(odd)
        assert await anext(lines) == odd


@pytest.mark.parametrize("call", [*OWN[1:]])
async def test_a_revoked_node_is_told_so(
    server: FakeServer, client: ControlClient, call: Call
) -> None:
    server.revoked = True

    with pytest.raises(NodeRevoked):
        await call(client)


@pytest.mark.parametrize("code", ["unauthenticated", "unauthorized", NODE_UNKNOWN])
async def test_no_other_refusal_is_a_revocation(
    server: FakeServer, client: ControlClient, code: str
) -> None:
    server.refusals["status"] = Refused(401, code, "No.")

    with pytest.raises(ServerRefused, match="No") as error:
        await client.report(NodeStatus(1))
    assert not isinstance(error.value, NodeRevoked)
    assert error.value.problem.code == code


async def test_a_wrong_clock_is_named_with_its_skew(server: FakeServer, keys: NodeKeys) -> None:
    """FakeClock stands far from the server's time."""
    client = ControlClient(server.url, keys, FakeClock(datetime(2020, 1, 1, tzinfo=UTC)))
    client.enrolment = await client.enrol(JOIN_TOKEN, "host-1")

    with pytest.raises(ClockSkewed, match=r"clock is about \d+ s behind the server's"):
        await client.report(NodeStatus(1))
    with pytest.raises(UpstreamUnavailable, match="clock"):
        await client.exchange("token", None)
    await client.close()


async def test_before_joining_nothing_is_asked(server: FakeServer, keys: NodeKeys) -> None:
    client = ControlClient(server.url, keys, SystemClock())

    with pytest.raises(UpstreamUnavailable, match="not enrolled"):
        await client.exchange("token", None)
    assert server.asked == []
    await client.close()


async def test_decisions_of_the_server_reach_the_guest(
    server: FakeServer, client: ControlClient, keys: NodeKeys
) -> None:
    token = await identity_token(client, keys)
    made = await client.exchange(token, ProfileSelector("name", "ops"))
    certificates = await client.certificate(token, "csr", 300)

    assert made.access_token == "token-of-ops"
    assert made.expires_at - made.issued_at == 3600
    assert certificates.certificates == ("leaf\n", "intermediate\n")
    assert certificates.expires_at - certificates.issued_at == 300


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        (Refused(400, "profile_not_linked", "Not linked."), UpstreamRefused),
        (Refused(400, "not_found", "No such profile."), UpstreamRefused),
        (Refused(401, "unauthenticated", "Invalid or expired."), UpstreamRefused),
        (Refused(404, "not_found", "No such route."), UpstreamUnavailable),
        (Refused(401, NODE_REVOKED, "Revoked."), UpstreamUnavailable),
        (Refused(401, NODE_UNKNOWN, "Unknown."), UpstreamUnavailable),
        (Refused(429, "rate_limit_exceeded", "Slowly."), UpstreamUnavailable),
        (Refused(500, "internal_error", "Oops."), UpstreamUnavailable),
        (Refused(503, "service_error", "Busy."), UpstreamUnavailable),
    ],
)
async def test_what_is_a_decision_and_what_a_failure(
    server: FakeServer, client: ControlClient, refused: Refused, expected: type[Exception]
) -> None:
    server.refusals["iam_tokens"] = refused

    with pytest.raises(expected) as error:
        await client.exchange("token", None)
    if isinstance(error.value, UpstreamRefused):
        assert error.value.status == refused.status
        assert error.value.problem.code == refused.code


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": 1, "issued_at": 1, "expires_at": 2, "profile_id": "p"},
        {"access_token": "secret", "issued_at": True, "expires_at": 2, "profile_id": "p"},
        {"access_token": "secret", "issued_at": "soon", "expires_at": 2, "profile_id": "p"},
    ],
)
async def test_an_answer_that_is_not_understood_is_none(
    server: FakeServer, client: ControlClient, answer: dict[str, Any]
) -> None:
    server.answers["iam_tokens"] = answer

    with pytest.raises(UpstreamUnavailable, match="not understood") as error:
        await client.exchange("token", None)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("call", DECISIONS)
async def test_a_guest_waits_no_longer_than_said_however_the_server_drips(
    server: FakeServer, keys: NodeKeys, call: Call
) -> None:
    client = ControlClient(server.url, keys, SystemClock(), decision_seconds=0.3)
    client.enrolment = await client.enrol(JOIN_TOKEN, "host-1")
    server.fault = "drip"
    began = time.monotonic()

    with pytest.raises(UpstreamUnavailable, match=r"within 0\.3 s"):
        await call(client)
    assert time.monotonic() - began < 2
    await client.close()


async def test_guests_that_wait_do_not_keep_the_node_from_its_server(
    server: FakeServer, keys: NodeKeys
) -> None:
    client = ControlClient(server.url, keys, SystemClock(), decision_seconds=1)
    client.enrolment = await client.enrol(JOIN_TOKEN, "host-1")
    server.fault = "black_hole"
    waiting = [asyncio.create_task(client.exchange("token", None)) for _ in range(200)]
    await server.until(lambda: sum("iam_tokens" in path for path in server.asked) >= AT_A_TIME)
    server.fault = None
    await client.report(NodeStatus(1))
    began = time.monotonic()
    ends = await asyncio.gather(*waiting, return_exceptions=True)

    # All at once, not one batch of `AT_A_TIME` after another, of which each would take a second.
    assert time.monotonic() - began < len(waiting) / AT_A_TIME
    assert all(isinstance(end, UpstreamUnavailable | UpstreamRefused) for end in ends)
    await client.close()


async def test_a_crowd_waits_for_its_turns_longer_than_for_one_answer(
    server: FakeServer, keys: NodeKeys
) -> None:
    """The bound is on the server's silence, not on how many others it has to answer first."""
    client = ControlClient(server.url, keys, SystemClock(), decision_seconds=2)
    client.enrolment = await client.enrol(JOIN_TOKEN, "host-1")
    server.fault, server.delay = "slow", 0.8
    crowd = [asyncio.create_task(client.exchange("token", None)) for _ in range(4 * AT_A_TIME)]
    began = time.monotonic()
    ends = await asyncio.gather(*crowd, return_exceptions=True)

    assert time.monotonic() - began > 2
    assert [str(end) for end in ends if isinstance(end, UpstreamUnavailable)] == []
    await client.close()


def test_no_proxy_of_the_environment_is_used(
    keys: NodeKeys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def ask() -> None:
        async with FakeServer() as server:
            client = ControlClient(server.url, keys, SystemClock())
            assert (await client.enrol(JOIN_TOKEN, "host-1")).name == "host-1"
            await client.close()

    asyncio.run(ask())
