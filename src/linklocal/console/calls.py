"""What an instance's events say about its metadata calls: a list, a chart, a distance. Pure.

Never a token or user data: events have no field for them. Distances are estimates, from the TTL with
which the caller's packet arrived and the initial TTLs that operating systems use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from linklocal.document import MetadataService
from linklocal.events import Event

HOUR = timedelta(hours=1)
BUCKETS = 12
_INITIAL_TTLS = (64, 128, 255)
_PREFIX = "is.metadata."


@dataclass(frozen=True, slots=True)
class Call:
    """One call, or `count` equal ones. `hops`: the smallest hop limit that reaches the caller, if known."""

    time: datetime
    asked: str
    status: int
    refused: bool
    why: str
    count: int
    protocol: str | None
    hops: int | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """Calls of five minutes."""

    start: datetime
    answered: int
    refused: int


def hops_of(ttl: object) -> int | None:
    """The smallest hop limit whose answers reach a caller whose packet arrived with this TTL."""
    if not isinstance(ttl, int) or not 1 <= ttl <= 255:
        return None
    initial = next(value for value in _INITIAL_TTLS if value >= ttl)
    return initial - ttl + 1


def metadata_calls(events: Iterable[Event]) -> list[Call]:
    """The calls among an instance's events, newest first as they come.

    Reads that were only counted do not repeat protocol and TTL: they have those of the last call of the
    same path, or of the last call at all.
    """
    calls: list[Call] = []
    known: dict[str, tuple[str | None, int | None]] = {}
    last: tuple[str | None, int | None] = (None, None)
    for event in reversed(list(events)):
        if not event.action.startswith(_PREFIX):
            continue
        path = str(event.detail.get("path", ""))
        protocol, hops = event.detail.get("protocol"), hops_of(event.detail.get("peer_ttl"))
        before = known.get(path, last)
        facts = (
            str(protocol) if protocol is not None else before[0],
            hops if hops is not None else before[1],
        )
        known[path] = last = facts
        method = str(event.detail.get("method", "GET"))
        asked = f"{method} {path}" if path else event.action.removeprefix(_PREFIX)
        refused = event.outcome == "failure"
        why = (event.message or event.reason or "") if refused else ""
        calls.append(
            Call(event.time, asked, event.status, refused, why, event.count, facts[0], facts[1])
        )
    calls.reverse()
    return calls


def buckets(calls: Sequence[Call], now: datetime) -> list[Bucket]:
    """Calls of the last hour by five minutes, oldest first."""
    size = HOUR / BUCKETS
    start = now - HOUR
    counts = [[0, 0] for _ in range(BUCKETS)]
    for call in calls:
        if call.time >= start:
            index = min(int((call.time - start) / size), BUCKETS - 1)
            counts[index][call.refused] += call.count
    return [
        Bucket(start + index * size, answered, refused)
        for index, (answered, refused) in enumerate(counts)
    ]


@dataclass(frozen=True, slots=True)
class WouldBreak:
    """Of `calls` that were answered in the last hour, `refused` would not be under other settings."""

    calls: int
    refused: int
    unknown: int  # calls whose distance nobody saw

    @property
    def sentence(self) -> str:
        if not self.calls:
            return "Nothing called in the last hour."
        text = (
            f"{self.refused} of the {self.calls} calls answered in the last hour would have failed."
        )
        if self.unknown:
            text += f" The distance of {self.unknown} is not known."
        return text


def would_break(calls: Iterable[Call], new: MetadataService, now: datetime) -> WouldBreak:
    """What the settings `new` would have refused of the calls of the last hour."""
    total = refused = unknown = 0
    for call in calls:
        if call.refused or call.time < now - HOUR:
            continue
        total += call.count
        other_protocol = call.protocol is not None and call.protocol != new.protocol
        too_far = call.hops is not None and call.hops > new.response_hop_limit
        if not new.enabled or other_protocol or too_far:
            refused += call.count
        elif call.hops is None:
            unknown += call.count
    return WouldBreak(total, refused, unknown)
