"""Which faults a call meets, and for how long they are in force."""

from __future__ import annotations

import pytest
from fakes.clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from linklocal.cli import fault as cli
from linklocal.errors import Conflict, NotFound
from linklocal.ids import InstanceId
from linklocal.metadata.routes import ROUTES
from linklocal.testing.faults import EXCHANGE, KINDS, MOST, OPERATIONS, Faults

ONE, OTHER = InstanceId("0717_one"), InstanceId("0717_other")
READ = "instance.read"


def met(faults: Faults, instance: InstanceId = ONE, operation: str = READ) -> list[str]:
    return [fault.kind for fault in faults.take(instance, operation)]


def test_all_calls_meet_a_fault_without_a_scope() -> None:
    faults = Faults(FakeClock())
    faults.add("500")

    assert met(faults) == met(faults, OTHER, "") == ["500"]


def test_a_scope_is_an_instance_an_operation_or_both() -> None:
    faults = Faults(FakeClock())
    faults.add("500", instance_id=ONE, operation=READ)

    assert met(faults) == ["500"]
    assert met(faults, OTHER) == met(faults, ONE, EXCHANGE) == met(faults, ONE, "") == []


@given(st.integers(1, 20), st.integers(0, 30))
def test_a_count_is_how_many_calls_meet_it(count: int, calls: int) -> None:
    faults = Faults(FakeClock())
    fault = faults.add("429", operation=READ, count=count)

    for _ in range(calls):
        met(faults, operation=EXCHANGE)  # another operation's calls do not use it up
        met(faults)

    assert fault.applied == min(count, calls)
    assert len(faults.all()) == (calls < count)


def test_faults_are_met_in_the_order_in_which_they_were_added() -> None:
    faults = Faults(FakeClock())
    for kind in KINDS:
        faults.add(kind, count=2)

    assert met(faults) == [kind for kind in KINDS if kind != "profile-unlinked"]
    assert met(faults, operation=EXCHANGE) == list(KINDS)
    assert [fault.kind for fault in faults.all()] == ["profile-unlinked"]


def test_removed_is_removed() -> None:
    faults = Faults(FakeClock())
    fault = faults.add("500")

    faults.remove(fault.id)

    assert met(faults) == []
    with pytest.raises(NotFound):
        faults.remove(fault.id)


def test_forgotten_faults_are_not_heaped_up() -> None:
    faults = Faults(FakeClock())
    for _ in range(MOST):
        faults.add("500")
    with pytest.raises(Conflict, match="linklocal fault remove"):
        faults.add("500")

    faults.clear()
    faults.add("500")


def test_a_node_of_several_processes_takes_none() -> None:
    with pytest.raises(Conflict, match="LINKLOCAL_WORKERS"):
        Faults(FakeClock(), workers=2).add("500")


def test_words_are_those_of_the_metadata_api_and_the_command_line() -> None:
    assert {f"is.metadata.{name}" for name in OPERATIONS} == {route.operation for route in ROUTES}
    assert cli.KINDS == KINDS
