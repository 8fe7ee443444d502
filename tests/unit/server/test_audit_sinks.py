"""Activity Tracker's shape, and the sinks: rotation, modes, bounded retry, no waiting."""

from __future__ import annotations

import asyncio
import io
import json
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from linklocal.events import Event
from linklocal.server.activity import activity
from linklocal.server.audit_sinks import (
    HTTP_ATTEMPTS,
    QUEUE,
    AuditSinks,
    FileSink,
    HttpSink,
    Record,
    SinkFailed,
    StreamSink,
)

EVENT = Event(
    time=datetime(2026, 11, 1, 8, tzinfo=UTC),
    action="is.vpc.vpc.delete",
    outcome="failure",
    status=403,
    trace="t-1",
    target="r006-1",
    initiator="IBMid-1",
    reason="not_authorized",
    message="no",
    rule="role",
    detail={"account_id": "a1", "api_key_id": "ApiKey-1", "correlation_id": "c-1"},
)


def test_a_refusal_in_activity_trackers_shape() -> None:
    seen = activity(EVENT, "us-south")

    assert seen["eventTime"] == "2026-11-01T08:00:00.000Z"
    assert (seen["action"], seen["outcome"]) == ("is.vpc.vpc.delete", "failure")
    assert seen["severity"] == "critical"
    assert seen["reason"] == {
        "reasonCode": 403,
        "reasonType": "Forbidden",
        "reasonForFailure": "no",
    }
    assert seen["initiator"] == {
        "id": "IBMid-1",
        "typeURI": "service/security/account/user",
        "credential": {"type": "apikey", "id": "ApiKey-1"},
    }
    assert seen["target"] == {"id": "r006-1", "typeURI": "is/vpc/vpc"}
    assert (seen["correlationId"], seen["eventId"]) == ("c-1", "t-1")
    assert seen["requestData"]["rule"] == "role"
    assert seen["logSourceCRN"] == "crn:v1:bluemix:public:is:us-south:a/a1:::"


def test_a_metadata_call_is_initiated_by_its_instance() -> None:
    event = Event(EVENT.time, "is.metadata.instance.read", "success", 200, "t", "0717_1", count=7)
    seen = activity(event, "us-south")

    assert seen["initiator"] == {"id": "0717_1", "typeURI": "service/compute/instance"}
    assert (seen["dataEvent"], seen["requestData"]["count"]) == (True, 7)


async def test_the_file_is_private_and_rotates(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "activity.ndjson"
    sink = FileSink(path, file_bytes=20, files=3)
    for number in range(5):
        await sink.write([{"number": number, "text": "x" * 20}])

    assert sorted(p.name for p in path.parent.iterdir()) == [
        "activity.ndjson.1",
        "activity.ndjson.2",
    ]
    assert json.loads(Path(f"{path}.1").read_text())["number"] == 4
    assert stat.S_IMODE(Path(f"{path}.1").stat().st_mode) == 0o600
    await sink.write([{}])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_file_that_cannot_be_written_is_a_lost_batch(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.mkdir()
    with pytest.raises(SinkFailed, match="cannot be written"):
        await FileSink(path, 100, 2).write([{}])


async def test_lines_on_a_stream() -> None:
    stream = io.BytesIO()
    await StreamSink(stream).write([{"a": 1}, {"a": 2}])
    assert stream.getvalue() == b'{"a":1}\n{"a":2}\n'


class Endpoint:
    """An audit endpoint that answers with these statuses, and a clock that only counts."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.seen: list[httpx.Request] = []
        self.waits: list[float] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        status = self.statuses.pop(0) if self.statuses else 503
        if status == 0:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(status)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def sink(self) -> HttpSink:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return HttpSink(client, "http://audit.test/events", "secret", self.sleep)


async def test_the_endpoint_is_tried_again() -> None:
    endpoint = Endpoint(0, 503, 429, 202)
    await endpoint.sink().write([{"a": 1}])

    assert endpoint.waits == [0.5, 1.0, 2.0]
    assert json.loads(endpoint.seen[-1].content) == [{"a": 1}]
    assert endpoint.seen[-1].headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(("statuses", "tries"), [((400,), 1), ((), HTTP_ATTEMPTS)])
async def test_the_endpoint_is_not_tried_for_ever(statuses: tuple[int, ...], tries: int) -> None:
    endpoint = Endpoint(*statuses)
    with pytest.raises(SinkFailed):
        await endpoint.sink().write([{}])
    assert len(endpoint.seen) == tries


class Stuck:
    """A sink that takes nothing until it is let."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.got: list[Record] = []

    async def write(self, records: Sequence[Record]) -> None:
        await self.go.wait()
        self.got.extend(records)


async def test_a_stuck_sink_holds_up_nobody_and_its_losses_are_counted() -> None:
    stuck, stream = Stuck(), io.BytesIO()
    sinks = AuditSinks("us-south", {"http": stuck, "stdout": StreamSink(stream)})
    async with sinks.running():
        sinks.put([EVENT] * (QUEUE + 5))
        assert sinks.dropped == 10  # five for each: both queues are of the same size
        stuck.go.set()
        async with asyncio.timeout(10):
            await sinks.drained()
    assert len(stuck.got) == QUEUE
    assert stream.getvalue().count(b"\n") == QUEUE
