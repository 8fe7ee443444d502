"""Events on their way out: to a rotating file on this host, and in batches to the server.

`record` never waits: it appends to bounded queues, and what finds no room is counted. The file is the local
record (NDJSON, capped in size); the server gets each batch at least once, under an id with which it keeps
it once. It must not look into events nor make them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from linklocal.events import Event, to_line
from linklocal.files import private_folder
from linklocal.node.backoff import Backoff
from linklocal.node.server_answers import NodeRevoked, ServerRefused, ServerUnavailable
from linklocal.node.tally import Tally

BUFFERED = 20_000  # events waiting for the server, at most: about 20 MiB
UNWRITTEN = 20_000  # events waiting for the disk, at most
BATCH = 500
FLUSH_SECONDS = 1.0  # how old an event may get before it is written and sent
FILE_BYTES = 8 * 2**20
FILES = 4  # the current one and three older: 32 MiB at most
DROPPED_MOST = 2**31 - 1

log = structlog.get_logger(__name__)


class EventSink(Protocol):
    """Where batches go; `ControlClient` is it."""

    async def send_events(self, batch: str, dropped: int, events: list[Event]) -> None: ...


@dataclass(slots=True)
class _Batch:
    """A batch that is being sent. Its content and id stay, so that the server keeps it once."""

    id: str
    dropped: int
    events: list[Event]


class EventBuffer:
    """Takes events from the listeners. One per node; `run` carries them on."""

    def __init__(
        self,
        state_dir: Path,
        sink: EventSink | None,
        backoff: Backoff,
        *,
        buffered: int = BUFFERED,
        file_bytes: int = FILE_BYTES,
        files: int = FILES,
        flush_seconds: float = FLUSH_SECONDS,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        per_instance: bool = False,
    ) -> None:
        self._file = RotatingFile(state_dir / "events", file_bytes, files)
        self._sink = sink
        self._backoff = backoff
        self._most = buffered
        self._flush_seconds = flush_seconds
        self._new_id = new_id
        self._unwritten: deque[Event] = deque()
        self._unsent: deque[Event] = deque()
        self._batches: deque[_Batch] = deque()
        self._full = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        # Dropped on the way to the server and not yet reported; in all; dropped before the file.
        self._dropped = 0
        self.dropped_total = 0
        self.unwritten_total = 0
        self.file_fault: str | None = None
        self.tally = Tally(per_instance=per_instance)

    @property
    def waiting(self) -> int:
        """Events that the server does not have yet."""
        return len(self._unsent) + sum(len(batch.events) for batch in self._batches)

    def record(self, event: Event) -> None:
        """Take one event. Never waits and never raises; without room the newest is dropped and counted."""
        self.tally.add(event)
        if len(self._unwritten) < UNWRITTEN:
            self._unwritten.append(event)
        else:
            self.unwritten_total += 1
        if self._sink is None:
            return
        if len(self._unsent) < self._most:
            self._unsent.append(event)
        else:
            self._drop(1)
        if len(self._unsent) >= BATCH:
            self._full.set()

    def lost(self, count: int) -> None:
        """Events there were that never got here: counted, and told the server."""
        self._drop(count)

    async def run(self) -> None:
        """Write and send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_forever())
            if self._sink is not None:
                group.create_task(self._send_forever(self._sink))

    async def close(self) -> None:
        """After `run` has ended: write what is left, and offer the server one last batch."""
        await self._write()
        if self._unwritten:  # came while an earlier write was ending
            await self._write()
        if self._sink is not None and (self._batches or self._unsent):
            with contextlib.suppress(ServerUnavailable, ServerRefused, TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._send_one(self._sink)

    # --- the file ------------------------------------------------------------------------------

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(self._flush_seconds)
            await self._write()

    async def _write(self) -> None:
        """Write what waits. Whoever is cancelled here loses nothing: the write goes on."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        await asyncio.shield(self._writing)

    async def _write_all(self) -> None:
        while self._unwritten:
            events = list(self._unwritten)
            self._unwritten.clear()
            await self._append(events)

    async def _append(self, events: list[Event]) -> None:
        try:
            await asyncio.to_thread(self._file.append, events)
            self.file_fault = None
        except OSError as error:
            self.unwritten_total += len(events)
            self.file_fault = f"events cannot be written to {self._file.path}: {error.strerror}"
            log.warning("Events not written", count=len(events), error=error.strerror)

    # --- the server ------------------------------------------------------------------------------

    async def _send_forever(self, sink: EventSink) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._flush_seconds):
                    await self._full.wait()
            self._full.clear()
            try:
                while self._batches or self._unsent or self._dropped:
                    await self._send_one(sink)
                    self._backoff.reset()
            except (ServerUnavailable, ServerRefused) as error:
                log.debug("Events not sent", error=str(error), waiting=self.waiting)
                await asyncio.sleep(self._backoff.next())

    async def _send_one(self, sink: EventSink) -> None:
        """Send the oldest batch. Raises ServerUnavailable or ServerRefused; the batch then stays."""
        if not self._batches:
            count = min(BATCH, len(self._unsent))
            events = [self._unsent.popleft() for _ in range(count)]
            self._batches.append(_Batch(self._new_id(), self._dropped, events))
            self._dropped = 0
        batch = self._batches[0]
        try:
            await sink.send_events(batch.id, batch.dropped, batch.events)
        except NodeRevoked:
            raise
        except ServerRefused as error:
            if error.status in (401, 403):
                raise
            self._split(batch, error)
            return
        self._batches.popleft()

    def _split(self, batch: _Batch, error: ServerRefused) -> None:
        """The server will not have this batch. Halve it, so that one bad event costs only itself."""
        self._batches.popleft()
        self._dropped = min(self._dropped + batch.dropped, DROPPED_MOST)
        if len(batch.events) <= 1:
            log.warning("Event refused by the server", error=str(error))
            self._drop(len(batch.events))
            return
        middle = len(batch.events) // 2
        for half in (batch.events[middle:], batch.events[:middle]):
            self._batches.appendleft(_Batch(self._new_id(), 0, half))

    def _drop(self, count: int) -> None:
        self._dropped = min(self._dropped + count, DROPPED_MOST)
        self.dropped_total += count


class RotatingFile:
    """`events.ndjson` in a private folder, and `files - 1` older ones at most, `.1` the youngest."""

    def __init__(self, folder: Path, file_bytes: int, files: int) -> None:
        self.path = private_folder(folder) / "events.ndjson"
        self._file_bytes = file_bytes
        self._files = files

    def append(self, events: list[Event]) -> None:
        """Write lines at the end. Blocks on the disk. Raises OSError."""
        lines = b"".join(to_line(event) for event in events)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)
            size = file.tell()
        if size >= self._file_bytes:
            self._rotate()

    def _rotate(self) -> None:
        for number in range(self._files - 1, 0, -1):
            older = self.path if number == 1 else self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        if self._files == 1:
            self.path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
