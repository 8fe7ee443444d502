"""Events on their way: never waiting, never twice, what is lost is counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from linklocal.errors import Problem
from linklocal.events import Event
from linklocal.node.backoff import Backoff
from linklocal.node.event_buffer import BATCH, EventBuffer, RotatingFile
from linklocal.node.server_answers import NodeRevoked, ServerRefused, ServerUnavailable

BAD = Problem("invalid_value", "no")


def event(n: int = 0, action: str = "is.metadata.instance.read") -> Event:
    return Event(datetime(2026, 11, 24, tzinfo=UTC), action, "success", 200, f"trace-{n}")


class Sink:
    """A server's side: stores batches by id, fails as it is told."""

    def __init__(self) -> None:
        self.batches: dict[str, list[Event]] = {}
        self.calls: list[str] = []
        self.dropped = 0
        self.fails: Callable[[list[Event]], Exception | None] = lambda events: None
        self.loses_answer = False
        self.changed = asyncio.Condition()

    async def send_events(self, batch: str, dropped: int, events: list[Event]) -> None:
        self.calls.append(batch)
        async with self.changed:
            self.changed.notify_all()
        error = self.fails(events)
        if (error is None or self.loses_answer) and batch not in self.batches:
            self.batches[batch] = events
            self.dropped += dropped
        if error is not None:
            raise error

    async def until(self, what: Callable[[], Any]) -> None:
        async with asyncio.timeout(5), self.changed:
            while not what():
                await self.changed.wait()

    @property
    def traces(self) -> list[str]:
        return [event.trace for batch in self.batches.values() for event in batch]


def buffer(folder: Path, sink: Sink | None, **options: Any) -> EventBuffer:
    backoff = Backoff(lambda: 0.0, first=0.01, most=0.02)
    return EventBuffer(folder, sink, backoff, **{"flush_seconds": 0.01, **options})


async def run_until(made: EventBuffer, sink: Sink, what: Callable[[], Any]) -> None:
    task = asyncio.create_task(made.run())
    try:
        await sink.until(what)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_events_reach_server_and_file_in_order(tmp_path: Path) -> None:
    sink = Sink()
    made = buffer(tmp_path, sink)
    for n in range(BATCH * 2 + 1):
        made.record(event(n))
    await run_until(made, sink, lambda: len(sink.traces) == BATCH * 2 + 1)
    await made.close()
    lines = (tmp_path / "events" / "events.ndjson").read_text().splitlines()

    expected = [f"trace-{n}" for n in range(BATCH * 2 + 1)]
    assert sink.traces == expected
    assert [json.loads(line)["trace"] for line in lines] == expected
    assert [len(batch) for batch in sink.batches.values()] == [BATCH, BATCH, 1]
    assert made.waiting == made.dropped_total == 0


async def test_without_room_the_newest_are_dropped_and_the_server_is_told_once(
    tmp_path: Path,
) -> None:
    sink = Sink()
    made = buffer(tmp_path, sink, buffered=10)
    for n in range(15):
        made.record(event(n))
    assert (made.waiting, made.dropped_total) == (10, 5)
    await run_until(made, sink, lambda: sink.batches)
    made.record(event(99))
    await run_until(made, sink, lambda: len(sink.traces) == 11)

    assert sink.dropped == 5
    assert sink.traces == [f"trace-{n}" for n in range(10)] + ["trace-99"]


async def test_a_lost_answer_stores_nothing_twice(tmp_path: Path) -> None:
    sink = Sink()
    sink.fails = lambda events: ServerUnavailable("gone") if len(sink.calls) < 3 else None
    sink.loses_answer = True
    made = buffer(tmp_path, sink)
    made.record(event(1))
    await run_until(made, sink, lambda: len(sink.calls) == 3)

    assert len(set(sink.calls)) == 1
    assert sink.traces == ["trace-1"]


@pytest.mark.parametrize("error", [NodeRevoked(401, BAD), ServerRefused(401, BAD)])
async def test_a_refused_node_keeps_its_events(tmp_path: Path, error: Exception) -> None:
    sink = Sink()
    sink.fails = lambda events: error
    made = buffer(tmp_path, sink)
    made.record(event())
    await run_until(made, sink, lambda: len(sink.calls) >= 2)

    assert made.waiting == 1
    assert made.dropped_total == 0


async def test_one_bad_event_costs_only_itself(tmp_path: Path) -> None:
    sink = Sink()
    sink.fails = lambda events: (
        ServerRefused(400, BAD) if any(e.action == "poison" for e in events) else None
    )
    made = buffer(tmp_path, sink)
    for n in range(20):
        made.record(event(n, "poison" if n == 7 else "fine"))
    await run_until(made, sink, lambda: len(sink.traces) == 19)
    made.record(event(20))
    await run_until(made, sink, lambda: len(sink.traces) == 20)

    assert "trace-7" not in sink.traces
    assert sink.dropped == made.dropped_total == 1


async def test_recording_never_waits_for_anyone(tmp_path: Path) -> None:
    """Nobody runs the buffer, and still 100,000 events are taken and their memory is bounded."""
    made = buffer(tmp_path, Sink())
    for n in range(100_000):
        made.record(event(n))

    assert made.waiting == 20_000
    assert made.dropped_total == 80_000


async def test_without_a_server_only_the_file_is_kept(tmp_path: Path) -> None:
    made = buffer(tmp_path, None)
    made.record(event(1))
    await made.close()

    assert "trace-1" in (tmp_path / "events" / "events.ndjson").read_text()
    assert made.waiting == 0


async def test_a_full_disk_is_a_fault_and_sending_goes_on(tmp_path: Path) -> None:
    sink = Sink()
    made = buffer(tmp_path, sink)
    (tmp_path / "events").rmdir()
    made.record(event(1))
    await made.close()

    assert sink.traces == ["trace-1"]
    assert "cannot be written" in str(made.file_fault)
    (tmp_path / "events").mkdir()
    made.record(event(2))
    await made.close()
    assert made.file_fault is None


def test_the_file_rotates_and_stays_small(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path, 2_000, 3)
    for n in range(200):
        file.append([event(n)])
    files = {p.name: p.stat().st_size for p in tmp_path.iterdir()}
    texts = [(tmp_path / name).read_text() for name in ("events.ndjson.2", "events.ndjson.1")]

    assert set(files) - {"events.ndjson"} == {"events.ndjson.1", "events.ndjson.2"}
    assert max(files.values()) < 2_500
    order = [int(line.split("trace-")[1].split('"')[0]) for t in texts for line in t.splitlines()]
    assert order == sorted(order)
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}
