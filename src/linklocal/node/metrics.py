"""The node's metrics in Prometheus' text format. The list of `METRICS` is all of them.

Numbers only, no instance ids unless a setting asks for them: any local user can read them, and a series
per instance grows with the fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

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
    "linklocal_node_connections": (
        "Connections of all instances.",
        lambda status, clock: status.usage.connections,
    ),
    "linklocal_node_requests_total": (
        "Calls that were answered, refusals included.",
        lambda status, clock: status.usage.counters.requests,
    ),
    "linklocal_node_refused_total": (
        "Answers with a status of 400 or more.",
        lambda status, clock: status.usage.counters.refused,
    ),
    "linklocal_node_malformed_total": (
        "Input that was refused before it was a call.",
        lambda status, clock: status.usage.counters.framing,
    ),
    "linklocal_node_deadlines_total": (
        "Connections that were ended because they were too slow, or idle.",
        lambda status, clock: status.usage.counters.deadlines,
    ),
    "linklocal_node_limited_total": (
        "Calls answered 429 because an instance made too many.",
        lambda status, clock: status.usage.counters.limited,
    ),
    "linklocal_node_over_cap_total": (
        "Connections refused because there were too many.",
        lambda status, clock: status.usage.counters.over_cap,
    ),
    "linklocal_node_pauses_total": (
        "Times that a listener took no calls for a while, because 429 did not help.",
        lambda status, clock: status.usage.counters.pauses,
    ),
    "linklocal_node_paused": (
        "Instances whose calls are not taken just now.",
        lambda status, clock: len(status.paused),
    ),
    "linklocal_node_handshakes_failed_total": (
        "TLS handshakes that came to nothing.",
        lambda status, clock: status.usage.counters.handshakes_failed,
    ),
    "linklocal_node_workers": (
        "Worker processes that run; 0: the node serves by itself.",
        lambda status, clock: sum(worker["pid"] is not None for worker in status.workers),
    ),
    "linklocal_node_worker_restarts_total": (
        "Worker processes that ended and were started again.",
        lambda status, clock: sum(worker["restarts"] for worker in status.workers),
    ),
}

# Name -> help, labels, and the numbers by the values of the labels.
LABELLED: dict[
    str, tuple[str, tuple[str, ...], Callable[[Status], Mapping[tuple[str, ...], int]]]
] = {
    "linklocal_node_calls_total": (
        "Calls by operation (the action of its event) and outcome; reads are counted up to 1 s later.",
        ("operation", "outcome"),
        lambda status: status.tally.calls,
    ),
    "linklocal_node_refusals_total": (
        "Refused calls by the rule that refused them.",
        ("rule",),
        lambda status: status.tally.refused,
    ),
    "linklocal_node_issued_total": (
        "Identity tokens, IAM tokens and certificates that instances got.",
        ("kind",),
        lambda status: status.tally.issued,
    ),
    "linklocal_node_instance_calls_total": (
        "Calls by instance and outcome; only with LINKLOCAL_METRICS_PER_INSTANCE.",
        ("instance", "outcome"),
        lambda status: status.tally.instances,
    ),
}
SERVER_SECONDS = "linklocal_node_server_seconds"
SERVER_SECONDS_HELP = "How long the server took to answer the node, by call, failures included."


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
        for name, (documentation, labels, numbers) in LABELLED.items():
            family = CounterMetricFamily(name, documentation, labels=labels)
            for values, number in numbers(self._status).items():
                family.add_metric(values, number)
            yield family
        timings = self._status.timings
        seconds = HistogramMetricFamily(SERVER_SECONDS, SERVER_SECONDS_HELP, labels=("call",))
        for call in timings.counts:
            seconds.add_metric((call,), timings.buckets(call), timings.sums[call])
        yield seconds


def _or_inf(value: float | None) -> float:
    return float("inf") if value is None else value
