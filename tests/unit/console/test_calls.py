"""What events say of calls: distances, five-minute buckets, what would break."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from linklocal.console.calls import buckets, hops_of, metadata_calls, would_break
from linklocal.document import MetadataService
from linklocal.events import Event

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def event(minutes: float, *, status: int = 200, count: int = 1, **detail: Any) -> Event:
    return Event(
        NOW - timedelta(minutes=minutes),
        "is.metadata.instance.read",
        "success" if status < 400 else "failure",
        status,
        "trace",
        count=count,
        message="because" if status >= 400 else None,
        detail={"path": "/metadata/v1/instance", **detail},
    )


@pytest.mark.parametrize(
    ("ttl", "hops"),
    [(64, 1), (63, 2), (60, 5), (128, 1), (126, 3), (255, 1), (254, 2), (0, None), (None, None)],
)
def test_distance_from_the_ttl(ttl: int | None, hops: int | None) -> None:
    assert hops_of(ttl) == hops


def test_counted_reads_have_the_facts_of_the_read_that_was_told_in_full() -> None:
    newest_first = [event(1, count=5), event(2, protocol="https", peer_ttl=63, method="GET")]

    calls = metadata_calls(newest_first)

    assert [(c.count, c.protocol, c.hops) for c in calls] == [(5, "https", 2), (1, "https", 2)]
    assert calls[0].asked == "GET /metadata/v1/instance"


def test_events_of_other_kinds_are_no_calls() -> None:
    other = Event(NOW, "is.instance.instance.update", "success", 200, "trace")

    assert metadata_calls([other]) == []


def test_buckets_of_the_last_hour() -> None:
    calls = metadata_calls([event(0), event(1, status=401), event(59, count=3), event(61)])

    found = buckets(calls, NOW)

    assert len(found) == 12
    assert (found[0].answered, found[0].refused) == (3, 0)
    assert (found[-1].answered, found[-1].refused) == (1, 1)
    assert sum(bucket.answered for bucket in found) == 4


@pytest.mark.parametrize(
    ("new", "refused", "unknown"),
    [
        (MetadataService(True, "http", 2), 0, 1),
        (MetadataService(True, "http", 1), 4, 1),
        (MetadataService(True, "https", 64), 7, 0),
        (MetadataService(False, "http", 2), 7, 0),
    ],
)
def test_what_would_break(new: MetadataService, refused: int, unknown: int) -> None:
    """Refused calls and older ones do not count; a distance that nobody saw is said to be unknown."""
    calls = metadata_calls(
        [
            event(1, protocol="http", peer_ttl=64, path="/a", count=2),
            event(2, protocol="http", peer_ttl=63, path="/b", count=4),
            event(3, status=400, protocol="http", peer_ttl=64, path="/c"),
            event(4, protocol="http", path="/d"),
            event(90, protocol="http", peer_ttl=64, path="/a"),
        ][:4]
    )

    found = would_break(calls, new, NOW)

    assert (found.calls, found.refused, found.unknown) == (7, refused, unknown)
