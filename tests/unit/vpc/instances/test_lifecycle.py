"""Status is derived: from what was asked, with which revision, and what the node acknowledged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.fleet.model import PlacementState
from linklocal.ids import InstanceId, NodeId
from linklocal.vpc.instances.lifecycle import SILENT_AFTER, asked, derive

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def placed(**changes: Any) -> PlacementState:
    values: dict[str, Any] = {
        "instance_id": InstanceId("0717_a"),
        "node_id": NodeId("node-1"),
        "node_name": "host-1",
        "applied_revision": 5,
        "last_seen_at": NOW,
        "revoked": False,
        "fault": None,
        "address": None,
        "document_revision": 5,
    }
    return PlacementState(**{**values, **changes})


DESIRED = st.sampled_from(["running", "stopped"])
TRANSITION = st.sampled_from(["starting", "stopping", "restarting"])
REVISION = st.none() | st.integers(0, 10)
PLACEMENT = st.none() | st.builds(
    placed,
    applied_revision=st.integers(0, 10),
    last_seen_at=st.none() | st.timedeltas(timedelta(0), timedelta(hours=1)).map(lambda d: NOW - d),
    revoked=st.booleans(),
    fault=st.none() | st.just("no port"),
)


@given(DESIRED, TRANSITION, REVISION, PLACEMENT)
def test_a_status_is_reached_only_when_the_node_has_said_so(
    desired: Any, transition: Any, revision: int | None, placement: PlacementState | None
) -> None:
    condition = derive(desired, transition, revision, placement, NOW)

    if placement is None or placement.revoked:
        assert condition.status == ("stopped" if desired == "stopped" else "pending")
        return
    done = placement.applied_revision >= (revision or 0) and placement.fault is None
    assert condition.status == (desired if done else transition)
    assert (condition.lifecycle_state == "stable") is done


@given(DESIRED, TRANSITION, REVISION, PLACEMENT)
def test_what_is_not_as_asked_says_why(
    desired: Any, transition: Any, revision: int | None, placement: PlacementState | None
) -> None:
    condition = derive(desired, transition, revision, placement, NOW)

    assert bool(condition.status_reasons) is (condition.lifecycle_state != "stable")
    assert bool(condition.health_reasons) is (condition.health_state in ("degraded", "faulted"))
    for reason in condition.view()["status_reasons"] + condition.view()["health_reasons"]:
        assert reason["code"]
        assert reason["message"].endswith(".") or "no port" in reason["message"]


@pytest.mark.parametrize(
    ("age", "health"),
    [(timedelta(0), "ok"), (SILENT_AFTER, "ok"), (SILENT_AFTER + timedelta(seconds=1), "degraded")],
)
def test_a_silent_node_degrades_health_and_not_status(age: timedelta, health: str) -> None:
    condition = derive("running", "starting", 5, placed(last_seen_at=NOW - age), NOW)

    assert (condition.status, condition.health_state) == ("running", health)


def test_an_instance_on_a_revoked_node_gets_nothing_and_says_so() -> None:
    condition = derive("running", "starting", 5, placed(revoked=True, fault="no port"), NOW)

    assert (condition.status, condition.health_state) == ("pending", "faulted")
    assert [reason.code for reason in condition.health_reasons] == ["node_revoked"]
    said = condition.status_reasons[0]
    assert said.code == "cannot_start_compute"
    assert "host-1 has been revoked" in said.message
    assert "linklocal node place" in said.message


def test_a_stopped_instance_needs_nothing_of_its_node() -> None:
    condition = derive("stopped", "stopping", 5, placed(last_seen_at=None), NOW)

    assert (condition.status, condition.health_state) == ("stopped", "ok")


def test_waiting_names_the_node_and_both_revisions() -> None:
    condition = derive("running", "starting", 6, placed(), NOW)

    assert condition.status_reasons[0].message == (
        "Node host-1 has applied revision 5 and this change is revision 6."
    )


def test_a_document_shows_what_was_asked() -> None:
    assert asked("running").view()["status"] == "running"
    assert asked("running").view()["health_state"] == "ok"
