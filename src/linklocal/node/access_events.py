"""What one listener answered -> events. Metadata contract 7; nothing secret goes in.

Every token, exchange, certificate and refusal is an event, and so is the first successful read of a path
in a minute. The reads after it are counted and told once a second as one event with a `count`. It must
not block and must not grow with what a client sends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from linklocal.clock import Clock
from linklocal.events import Event
from linklocal.ids import InstanceId
from linklocal.metadata.wire import Request, Response

NO_OPERATION = "is.metadata.request.refuse"  # refused before it was known what was asked for
AGAIN_FULL = 60.0  # seconds after which a read of the same path is told in full again
COUNTED_FOR = 1.0  # seconds that reads are counted before the count is told
PATHS_MAX = 256  # paths counted one by one; beyond them reads are counted by operation
PATH_SHOWN = 200

# Somebody who puts a token into a path must not find it in the log.
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8}[A-Za-z0-9_.-]*")


class EventSink(Protocol):
    """Where events go: a bounded buffer that drops and counts rather than blocks."""

    def record(self, event: Event) -> None: ...


def shown_path(path: str) -> str:
    """A path for an event: no token, no control characters, at most 200 characters of it."""
    text = _TOKEN.sub("<token>", path)[:PATH_SHOWN]
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


@dataclass(slots=True)
class _Reads:
    """Successful reads of one path since they were last told."""

    full_again: float
    path: str | None
    count: int = 0
    since: datetime | None = None
    last: Response | None = None


class AccessEvents:
    """Makes the events of one instance's listener."""

    def __init__(self, instance_id: InstanceId, sink: EventSink, clock: Clock) -> None:
        self._instance_id = instance_id
        self._sink = sink
        self._clock = clock
        self._reads: dict[str, _Reads] = {}
        self._counted: list[_Reads] = []
        self._timer: asyncio.TimerHandle | None = None

    def read(self, path: str, response: Response, facts: Callable[[], dict[str, Any]]) -> None:
        """A successful GET. `facts` is asked for only when the event is told in full."""
        now = self._clock.monotonic()
        reads = self._reads.get(path)
        if reads is None:
            reads = self._begin(path, response)
        if now >= reads.full_again:
            if reads.count:
                self._tell(reads)
            reads.full_again = now + AGAIN_FULL
            self._record(response, {**facts(), "path": shown_path(path)})
            return
        if not reads.count:
            reads.since = self._clock.now()
            self._counted.append(reads)
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(COUNTED_FOR, self.flush)
        reads.count += 1
        reads.last = response

    def other(self, asked: Request | None, path: str, response: Response, **facts: Any) -> None:
        """Anything but a successful GET. `asked` is None when there was no well-formed request."""
        if path:
            facts["path"] = shown_path(path)
        if asked is not None:
            facts["method"] = asked.method
        self._record(response, facts)

    def flush(self) -> None:
        """Tell what was counted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counted, self._counted = self._counted, []
        for reads in counted:
            self._tell(reads)

    def _begin(self, path: str, response: Response) -> _Reads:
        if len(self._reads) >= PATHS_MAX:
            now = self._clock.monotonic()
            self._reads = {k: r for k, r in self._reads.items() if r.count or now < r.full_again}
        shown: str | None = path
        if len(self._reads) >= PATHS_MAX:
            path, shown = response.operation, None
        return self._reads.setdefault(path, _Reads(-1.0, shown))

    def _tell(self, reads: _Reads) -> None:
        if reads.count and reads.last is not None:
            facts: dict[str, Any] = {"method": "GET"}
            if reads.path is not None:
                facts["path"] = shown_path(reads.path)
            self._record(reads.last, facts, reads.count, reads.since)
        reads.count = 0
        reads.last = None

    def _record(
        self,
        response: Response,
        facts: dict[str, Any],
        count: int = 1,
        since: datetime | None = None,
    ) -> None:
        self._sink.record(
            Event(
                time=since or self._clock.now(),
                action=response.operation or NO_OPERATION,
                outcome="success" if response.status < 400 else "failure",
                status=response.status,
                trace=response.trace,
                instance_id=self._instance_id,
                target=self._instance_id,
                reason=response.reason,
                message=response.message,
                rule=response.rule,
                count=count,
                detail={**response.detail, **facts},
            )
        )
