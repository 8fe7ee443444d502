"""The node's metrics in Prometheus' text format. The list of `METRICS` is all of them.

Numbers only, no instance ids: any local user can read them, and a series per instance would grow with
the fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from linklocal.clock import Clock
from linklocal.node.local_api import Page
from linklocal.node.status import Status

Value = Callable[[Status, Clock], float]

# Name -> help, and how it is read. Counters end in `_total`.
METRICS: dict[str, tuple[str, Value]] = {
    "linklocal_node_applied_revision": (
        "Every change up to this revision is enforced, or is a fault.",
        lambda status, clock: status.applied_revision,
    ),
    "linklocal_node_sync_age_seconds": (
        "Seconds since the server was last heard; +Inf: never.",
        lambda status, clock: _or_inf(status.sync_age(clock)),
    ),
    "linklocal_node_connected": (
        "1 while the watch stream is open.",
        lambda status, clock: status.connected,
    ),
    "linklocal_node_revoked": (
        "1 when the server has revoked this node.",
        lambda status, clock: status.revoked,
    ),
    "linklocal_node_refusing": (
        "1 while all calls are refused because the snapshot is too old.",
        lambda status, clock: status.refusing,
    ),
    "linklocal_node_documents": (
        "Instances of this node.",
        lambda status, clock: status.documents,
    ),
    "linklocal_node_listeners": (
        "Open listeners.",
        lambda status, clock: len(status.addresses),
    ),
    "linklocal_node_instance_faults": (
        "Instances with a fault.",
        lambda status, clock: len(status.faults()),
    ),
    "linklocal_node_faults": (
        "Faults of the node itself.",
        lambda status, clock: len(status.own_faults()),
    ),
    "linklocal_node_events_waiting": (
        "Events that the server does not have yet.",
        lambda status, clock: status.events_waiting,
    ),
    "linklocal_node_events_dropped_total": (
        "Events that there was no room for.",
        lambda status, clock: status.events_dropped,
    ),
}


def page(status: Status, clock: Clock) -> Page:
    """`GET /metrics`."""
    registry = CollectorRegistry()
    registry.register(_Collector(status, clock))
    return Page(generate_latest(registry), CONTENT_TYPE_LATEST)


class _Collector:
    def __init__(self, status: Status, clock: Clock) -> None:
        self._status = status
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        for name, (documentation, read) in METRICS.items():
            value = float(read(self._status, self._clock))
            if name.endswith("_total"):
                yield CounterMetricFamily(name, documentation, value=value)
            else:
                yield GaugeMetricFamily(name, documentation, value=value)


def _or_inf(value: float | None) -> float:
    return float("inf") if value is None else value
