"""Where Activity Tracker events go besides the database: a file, standard output, an HTTP endpoint.

Fed after the commit that stored an event, so a sink never has what the database does not. Giving an event
to the sinks never waits and never fails a call: the queue is bounded, what finds no room is counted.
Delivery is at most once per process; the database is the record that can be asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import httpx
import structlog

from linklocal.events import Event
from linklocal.files import private_folder
from linklocal.server.activity import activity
from linklocal.settings import ServerSettings

QUEUE = 10_000  # events that wait
BATCH = 500  # events in one write or one POST
HTTP_ATTEMPTS = 5
HTTP_FIRST_WAIT = 0.5  # seconds; doubled after each attempt
HTTP_TIMEOUT = 10.0
CLOSE_SECONDS = 2.0  # what the sinks get when the server ends

Sleep = Callable[[float], Awaitable[None]]
Record = dict[str, Any]

log = structlog.get_logger(__name__)


class SinkFailed(Exception):
    """These events were not delivered and will not be tried again; the text says why."""


class Sink(Protocol):
    async def write(self, records: Sequence[Record]) -> None:
        """Deliver. Raises SinkFailed."""


class FileSink:
    """JSON lines in a private file; `files - 1` older ones at most, `.1` the youngest."""

    def __init__(self, path: Path, file_bytes: int, files: int) -> None:
        private_folder(path.parent)
        self._path = path
        self._file_bytes = file_bytes
        self._files = max(1, files)

    async def write(self, records: Sequence[Record]) -> None:
        try:
            await asyncio.to_thread(self._append, _lines(records))
        except OSError as error:
            raise SinkFailed(f"{self._path} cannot be written: {error.strerror}") from error

    def _append(self, lines: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)
            size = file.tell()
        if size >= self._file_bytes:
            self._rotate()

    def _rotate(self) -> None:
        names = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, self._files))]
        if len(names) == 1:
            self._path.unlink()
        for older, newer in reversed(list(zip(names[1:], names[:-1], strict=True))):
            if newer.exists():
                newer.replace(older)


class StreamSink:
    """JSON lines on a stream: standard output, for a collector of a container's logs."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    async def write(self, records: Sequence[Record]) -> None:
        try:
            await asyncio.to_thread(self._write, _lines(records))
        except OSError as error:
            raise SinkFailed(f"standard output cannot be written: {error.strerror}") from error

    def _write(self, lines: bytes) -> None:
        self._stream.write(lines)
        self._stream.flush()


class HttpSink:
    """POSTs a JSON list. Tries again a few times on 429, 5xx and no answer; never on another 4xx."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, token: str | None, sleep: Sleep
    ) -> None:
        self._client = client
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._sleep = sleep

    async def write(self, records: Sequence[Record]) -> None:
        wait = HTTP_FIRST_WAIT
        for attempt in range(1, HTTP_ATTEMPTS + 1):
            try:
                answer = await self._client.post(
                    self._url, json=list(records), headers=self._headers
                )
            except httpx.HTTPError as error:
                said = type(error).__name__
            else:
                if answer.is_success:
                    return
                said = f"status {answer.status_code}"
                if answer.status_code != 429 and answer.status_code < 500:
                    raise SinkFailed(f"the audit endpoint refused: {said}")
            if attempt < HTTP_ATTEMPTS:
                await self._sleep(wait)
                wait *= 2
        raise SinkFailed(f"the audit endpoint did not take it in {HTTP_ATTEMPTS} tries: {said}")


class _Feeder:
    """The queue and the task of one sink, so that a slow one holds up no other."""

    def __init__(self, name: str, sink: Sink) -> None:
        self._name = name
        self._sink = sink
        self._waiting: deque[Record] = deque()
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.dropped = 0

    def put(self, records: Sequence[Record]) -> None:
        room = QUEUE - len(self._waiting)
        self._waiting.extend(records[:room])
        self.dropped += max(0, len(records) - room)
        if self._waiting:
            self._idle.clear()
            self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                try:
                    await self._sink.write(batch)
                except SinkFailed as error:
                    self.dropped += len(batch)
                    log.warning(
                        "Audit events lost", sink=self._name, count=len(batch), error=str(error)
                    )
            self._idle.set()

    async def drained(self) -> None:
        await self._idle.wait()


class AuditSinks:
    """All sinks of a server. `put` is called for every event that the database has taken."""

    def __init__(self, region: str, sinks: dict[str, Sink]) -> None:
        self._region = region
        self._feeders = [_Feeder(name, sink) for name, sink in sinks.items()]

    def put(self, events: Sequence[Event]) -> None:
        """Hand over; never waits."""
        if self._feeders:
            records = [activity(event, self._region) for event in events]
            for feeder in self._feeders:
                feeder.put(records)

    @property
    def dropped(self) -> int:
        """Events that a sink did not get, over all sinks."""
        return sum(feeder.dropped for feeder in self._feeders)

    async def drained(self) -> None:
        """Wait until nothing waits any more."""
        await asyncio.gather(*(feeder.drained() for feeder in self._feeders))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver inside the block, and for up to two seconds after it."""
        tasks = [asyncio.create_task(feeder.run()) for feeder in self._feeders]
        try:
            yield
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.drained()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def audit_sinks(settings: ServerSettings) -> AsyncIterator[AuditSinks]:
    """The sinks that the settings name, delivering inside the block."""
    async with AsyncExitStack() as stack:
        sinks: dict[str, Sink] = {}
        if "file" in settings.audit_sinks:
            path = settings.audit_file or settings.state_dir / "audit" / "activity.ndjson"
            sinks["file"] = FileSink(path, settings.audit_file_bytes, settings.audit_files)
        if "stdout" in settings.audit_sinks:
            sinks["stdout"] = StreamSink(sys.stdout.buffer)
        if settings.audit_url is not None:
            token = settings.audit_token
            client = await stack.enter_async_context(httpx.AsyncClient(timeout=HTTP_TIMEOUT))
            secret = token.get_secret_value() if token else None
            sinks["http"] = HttpSink(client, settings.audit_url, secret, asyncio.sleep)
        made = AuditSinks(settings.region, sinks)
        await stack.enter_async_context(made.running())
        yield made


def _lines(records: Sequence[Record]) -> bytes:
    return b"".join(
        json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records
    )
