"""What an instance is doing, derived from what was asked of it and what its node acknowledged. Pure.

Nothing stores a status, so none can be left behind by a crash: `instances.desired` says what was asked,
`instances.revision` with which revision of the node, and the node's applied revision says whether that
is done. Until then the status is `instances.transition`, and `status_reasons` says what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from linklocal.clock import rfc3339_ms
from linklocal.fleet.placement import PlacementState

Desired = Literal["running", "stopped"]
Transition = Literal["starting", "stopping", "restarting"]
Status = Literal["pending", "running", "stopped", "starting", "stopping", "restarting", "deleting"]
LifecycleState = Literal["pending", "stable", "updating", "deleting"]
HealthState = Literal["ok", "degraded", "faulted", "inapplicable"]

# A node is heard at least every 15 s; three misses, and its silence is worth telling.
SILENT_AFTER = timedelta(seconds=45)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a status or a health is what it is. `code` is IBM's where IBM has one."""

    code: str
    message: str

    def view(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class Condition:
    """How an instance is."""

    status: Status
    lifecycle_state: LifecycleState = "stable"
    health_state: HealthState = "ok"
    status_reasons: tuple[Reason, ...] = field(default=())
    health_reasons: tuple[Reason, ...] = field(default=())

    def view(self) -> dict[str, Any]:
        """Their members of an instance, the same in the VPC API and in the metadata document."""
        return {
            "health_reasons": [reason.view() for reason in self.health_reasons],
            "health_state": self.health_state,
            "lifecycle_reasons": [],
            "lifecycle_state": self.lifecycle_state,
            "status": self.status,
            "status_reasons": [reason.view() for reason in self.status_reasons],
        }


def asked(desired: Desired) -> Condition:
    """The condition that a document shows: whoever can read it is being served, so it is as asked."""
    return Condition(desired)


DELETING = Condition("deleting", "deleting", "inapplicable")
CREATED = Condition("pending", "pending", "inapplicable")


def derive(
    desired: Desired,
    transition: Transition,
    revision: int | None,
    placement: PlacementState | None,
    now: datetime,
) -> Condition:
    """The condition of an instance.

    `revision` is the node's at the last change of life cycle (None: never published), `placement` where
    the instance is and what the node there said last (None: it has no node). A node that is revoked is
    none: it serves nothing, and what it said last holds no more.
    """
    if placement is None:
        return Condition("stopped") if desired == "stopped" else _unplaced()
    if placement.revoked:
        return Condition("stopped") if desired == "stopped" else _cut_off(placement)
    silence = _silence(placement, now)
    if placement.fault is not None:
        fault = f"Node {placement.node_name} reports: {placement.fault}"
        return Condition(
            transition,
            "updating",
            "degraded",
            (Reason("cannot_start_network", fault),),
            (Reason("node_fault", fault), *silence),
        )
    if placement.applied_revision < (revision or 0):
        waiting = Reason(
            "awaiting_node",
            f"Node {placement.node_name} has applied revision {placement.applied_revision} "
            f"and this change is revision {revision}.",
        )
        return Condition(transition, "updating", "ok", silence or (waiting,))
    if silence and desired == "running":
        return Condition(desired, "stable", "degraded", (), silence)
    return Condition(desired)


def _unplaced() -> Condition:
    message = "No node has this instance: an operator places it with `linklocal node place`."
    reason = Reason("cannot_start_compute", message)
    return Condition("pending", "pending", "inapplicable", (reason,))


def _cut_off(placement: PlacementState) -> Condition:
    """It is on a node that the server refuses: nothing is served to it until it is placed anew."""
    revoked = f"Node {placement.node_name} has been revoked and serves nothing"
    message = f"{revoked}: an operator places the instance anew with `linklocal node place`."
    return Condition(
        "pending",
        "pending",
        "faulted",
        (Reason("cannot_start_compute", message),),
        (Reason("node_revoked", f"{revoked}."),),
    )


def _silence(placement: PlacementState, now: datetime) -> tuple[Reason, ...]:
    """A reason if nothing was heard of the node for a while."""
    if placement.last_seen_at is None:
        return (Reason("node_unreachable", f"Node {placement.node_name} has never been seen."),)
    if now - placement.last_seen_at <= SILENT_AFTER:
        return ()
    since = rfc3339_ms(placement.last_seen_at)
    message = f"Node {placement.node_name} has not been seen since {since}."
    return (Reason("node_unreachable", message),)
