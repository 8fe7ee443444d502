"""What an instance's page shows of its node and its calls, read from fleet. Decides no rights: callers
have asked the instance's service first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from linklocal.console.calls import BUCKETS, HOUR, Bucket, Call, buckets, metadata_calls
from linklocal.console.services import Services
from linklocal.fleet import placement
from linklocal.fleet.events import QUERY_MOST
from linklocal.fleet.model import PlacementState
from linklocal.ids import InstanceId

SHOWN = 50  # calls listed on the page; the chart and what would break count all


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of the last hour, newest first, and the chart over them. `cut`: there were more."""

    instance_id: str
    all: Sequence[Call]
    chart: Sequence[Bucket]
    now: datetime
    cut: bool

    @property
    def shown(self) -> Sequence[Call]:
        return self.all[:SHOWN]

    @property
    def highest(self) -> int:
        return max(1, *(bucket.answered + bucket.refused for bucket in self.chart))

    @property
    def answered(self) -> int:
        return sum(bucket.answered for bucket in self.chart)

    @property
    def refused(self) -> int:
        return sum(bucket.refused for bucket in self.chart)


async def calls_of(services: Services, instance_id: str) -> Calls:
    """The metadata calls of an instance in the last hour."""
    now = services.context.clock.now()
    async with services.context.database.read() as connection:
        events = await services.events.query(
            connection, instance_id=instance_id, since=now - HOUR, limit=QUERY_MOST
        )
    calls = metadata_calls(events)
    return Calls(instance_id, calls, buckets(calls, now), now, len(events) == QUERY_MOST)


async def calls_mark(services: Services, instance_id: str) -> list[int]:
    """What differs when what `calls_of` shows has: events of the last hour, and the chart's five minutes."""
    now = services.context.clock.now()
    async with services.context.database.read() as connection:
        extent = await services.events.extent(connection, instance_id=instance_id, since=now - HOUR)
    return [*extent, int(now.timestamp() // (HOUR / BUCKETS).total_seconds())]


def mark(value: Any) -> str:
    """A short text that differs when the value does."""
    text = json.dumps(value, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


async def placement_of(services: Services, instance_id: str) -> PlacementState | None:
    """Where the instance is and what its node said last; None while it has no node."""
    async with services.context.database.read() as connection:
        found = await placement.find(connection, [InstanceId(instance_id)])
    return found.get(InstanceId(instance_id))
