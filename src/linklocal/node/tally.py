"""Calls of instances added up for the metrics: from events, which workers send here, too. No I/O.

A read costs nothing here: many reads are one event with a `count`. Numbers of single instances are kept
only where asked for, since they grow with the fleet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from linklocal.events import Event

# Upper bounds in seconds, of what the server takes to answer.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TOKENS: Final = {
    "is.metadata.jwt-token.create": "identity",
    "is.metadata.identity-token.create": "identity",
    "is.metadata.computeresource-token.request": "iam",
    "is.metadata.computeresource-token.read": "iam",
    "is.metadata.certificate.create": "certificate",
}


@dataclass(slots=True)
class Tally:
    """What was told since the start. Only ever grows.

    `calls` by action and outcome, `refused` by rule, `issued` by kind, `instances` by id and outcome.
    """

    per_instance: bool = False
    calls: Counter[tuple[str, ...]] = field(default_factory=Counter)
    refused: Counter[tuple[str, ...]] = field(default_factory=Counter)
    issued: Counter[tuple[str, ...]] = field(default_factory=Counter)
    instances: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def add(self, event: Event) -> None:
        """Count an event's calls."""
        self.calls[event.action, event.outcome] += event.count
        if event.outcome == "failure":
            self.refused[(event.rule or event.reason or "unknown",)] += event.count
        elif (kind := TOKENS.get(event.action)) is not None:
            self.issued[(kind,)] += event.count
        if self.per_instance and event.instance_id is not None:
            self.instances[event.instance_id, event.outcome] += event.count


@dataclass(slots=True)
class Timings:
    """How long the server took, by call; seconds. `counts` has one more than `BUCKETS`: beyond them."""

    counts: dict[str, list[int]] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, call: str, seconds: float) -> None:
        """Count one answer, refusal or failure."""
        counts = self.counts.setdefault(call, [0] * (len(BUCKETS) + 1))
        counts[bisect_left(BUCKETS, seconds)] += 1
        self.sums[call] = self.sums.get(call, 0.0) + seconds

    def buckets(self, call: str) -> list[tuple[str, float]]:
        """Upper bound and how many were within it, as Prometheus has them."""
        total, found = 0, []
        for bound, count in zip((*BUCKETS, float("inf")), self.counts[call], strict=True):
            total += count
            found.append(("+Inf" if bound == float("inf") else f"{bound}", float(total)))
        return found
