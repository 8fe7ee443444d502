"""The answers that a listener gives by itself, before or instead of `metadata.routes.handle`.

Status, code and text of each; when one is given is decided elsewhere. Metadata contract 2.3.
"""

from __future__ import annotations

import math

from linklocal.metadata import routes
from linklocal.metadata.wire import Response
from linklocal.node.framing import Refusal


def malformed(refusal: Refusal) -> Response:
    """400, 408, 413 or 431: the input is no request, or too slow or too large a one."""
    return routes.refuse(refusal.status, "invalid_request", refusal.message, rule=refusal.rule)


def too_fast(wait: float) -> Response:
    """429: over the instance's rate; `wait` seconds until there is room."""
    return routes.refuse(
        429,
        "rate_limit_exceeded",
        "The instance makes too many calls to the metadata service: keep tokens and documents instead "
        "of asking for each use.",
        rule="rate",
        headers=(("Retry-After", str(max(1, math.ceil(wait)))),),
    )


def too_many_connections(allowed: int) -> Response:
    """429: the instance has more connections than one may have."""
    return routes.refuse(
        429,
        "rate_limit_exceeded",
        f"The instance has {allowed} connections open to the metadata service: close some.",
        rule="connections",
        headers=(("Retry-After", "1"),),
    )


def node_full() -> Response:
    """503: all instances of the node together have more connections than it can hold."""
    return routes.refuse(
        503,
        "service_error",
        "The node has no connection left for any of its instances: try again later.",
        rule="node-connections",
        headers=(("Retry-After", "1"),),
    )


def defect() -> Response:
    """500: an answer could not be made."""
    return routes.refuse(
        500, "service_error", "The metadata service failed: this is its fault.", rule="defect"
    )
