"""The server's metrics: counted by a middleware, and read from the database and the sinks at a scrape.

`METRICS` is the list of all of them. Each server of several has its own counts; what is about nodes is the
same on each. There is no series of an instance, a caller or a path.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from linklocal.clock import Clock
from linklocal.errors import NotAuthenticated
from linklocal.fleet import nodes
from linklocal.fleet.model import Node
from linklocal.settings import Region
from linklocal.store.engine import Database

CALLS: Final = "linklocal_server_calls_total"
SECONDS: Final = "linklocal_server_call_seconds"
REFUSALS: Final = "linklocal_server_refusals_total"
TOKENS: Final = "linklocal_server_tokens_issued_total"
AUDIT_DROPPED: Final = "linklocal_server_audit_dropped_total"
NODE_LAG: Final = "linklocal_server_node_revision_lag"
NODE_AGE: Final = "linklocal_server_node_seen_age_seconds"
NODE_DROPPED: Final = "linklocal_server_node_events_dropped_total"
NODE_INSTANCES: Final = "linklocal_server_node_instances"
METRICS: Final[dict[str, str]] = {
    CALLS: "Calls by operation and outcome (success, refused, failed).",
    SECONDS: "Seconds until an answer begins, by operation.",
    REFUSALS: "Refused calls by the code of their first error.",
    TOKENS: "Access tokens made, by grant; those for instances have the grant of profiles.",
    AUDIT_DROPPED: "Audit events that a sink did not get.",
    NODE_LAG: "Revisions that a node has not applied yet.",
    NODE_AGE: "Seconds since a node was last heard: how old what it serves may be.",
    NODE_DROPPED: "Events that a node had no room for.",
    NODE_INSTANCES: "Instances placed on a node.",
}
NO_OPERATION: Final = "none"  # there is no such path, or it was refused before it was looked at
EXCHANGE: Final = "/internal/v1/iam_tokens"


class Counts:
    """What this process counted. One per server; its registry is its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made = self.registry
        self.calls = Counter(CALLS, METRICS[CALLS], ["operation", "outcome"], registry=made)
        self.seconds = Histogram(SECONDS, METRICS[SECONDS], ["operation"], registry=made)
        self.refusals = Counter(REFUSALS, METRICS[REFUSALS], ["code"], registry=made)
        self.tokens = Counter(TOKENS, METRICS[TOKENS], ["grant"], registry=made)

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Add one answered call."""
        operation = operation_name(scope)
        outcome = "success" if status < 400 else "refused" if status < 500 else "failed"
        self.calls.labels(operation, outcome).inc()
        self.seconds.labels(operation).observe(seconds)
        state = scope.get("state", {})
        if status >= 400:
            problems = state.get("problems", ())
            self.refusals.labels(problems[0].code if problems else str(status)).inc()
        elif scope["path"] in ("/identity/token", EXCHANGE):
            login = state.get("login")
            grant = login.grant if login is not None and login.grant else "instance"
            self.tokens.labels(grant.rpartition(":")[2]).inc()


def operation_name(scope: Scope) -> str:
    """The operation that a call was routed to, as the API's document names it; `NO_OPERATION` for none."""
    if scope["path"].startswith("/console"):
        return "console"
    route = scope.get("route")
    return getattr(route, "operation_id", None) or getattr(route, "name", None) or NO_OPERATION


class CountCalls:
    """The middleware. Counts when an answer begins, so that a stream is not measured by its length."""

    def __init__(self, app: ASGIApp, *, counts: Counts, clock: Clock) -> None:
        self.app = app
        self._counts = counts
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = self._clock.monotonic()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counts.count(scope, message["status"], self._clock.monotonic() - begun)
            await send(message)

        await self.app(scope, receive, send_counted)


class _Fleet:
    """What is read at a scrape; a collector of one scrape."""

    def __init__(self, listed: list[Node], dropped: int, clock: Clock) -> None:
        self._nodes = [node for node in listed if node.revoked_at is None]
        self._dropped = dropped
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(AUDIT_DROPPED, METRICS[AUDIT_DROPPED], value=self._dropped)
        now = self._clock.now()
        lag = GaugeMetricFamily(NODE_LAG, METRICS[NODE_LAG], labels=["node"])
        age = GaugeMetricFamily(NODE_AGE, METRICS[NODE_AGE], labels=["node"])
        lost = CounterMetricFamily(NODE_DROPPED, METRICS[NODE_DROPPED], labels=["node"])
        placed = GaugeMetricFamily(NODE_INSTANCES, METRICS[NODE_INSTANCES], labels=["node"])
        for node in self._nodes:
            seen = node.last_seen_at or node.created_at
            lag.add_metric([node.name], max(0, node.revision - node.applied_revision))
            age.add_metric([node.name], max(0.0, (now - seen).total_seconds()))
            lost.add_metric([node.name], node.events_dropped)
            placed.add_metric([node.name], node.instances)
        yield from (lag, age, lost, placed)


def install_metrics(
    app: FastAPI,
    counts: Counts,
    database: Database,
    clock: Clock,
    region: Region,
    *,
    dropped: Callable[[], int],
    token: SecretStr | None,
) -> None:
    """`GET /metrics`. `dropped`: events that audit sinks did not get. `token`: what a scrape must show."""

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        if token is not None:
            shown = request.headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(shown, f"Bearer {token.get_secret_value()}".encode()):
                raise NotAuthenticated("Send `Authorization: Bearer` with LINKLOCAL_METRICS_TOKEN.")
        async with database.read() as connection:
            listed = await nodes.list_nodes(connection, region.name)
        of_fleet = CollectorRegistry()
        of_fleet.register(_Fleet(listed, dropped(), clock))
        page = generate_latest(counts.registry) + generate_latest(of_fleet)
        return Response(page, media_type=CONTENT_TYPE_LATEST)
