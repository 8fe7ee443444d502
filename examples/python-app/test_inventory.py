"""How the program is tested: `pytest` in this folder, with `linklocal[pytest]` and `ibm-vpc` installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from ibm_cloud_sdk_core import ApiException
from inventory import NotAllowed, names

from linklocal.pytest_plugin.double import Instance, Linklocal

EXCHANGE = "computeresource-token.request"


@pytest.fixture(autouse=True)
def on_the_instance(linklocal: Linklocal, linklocal_instance: Instance) -> Iterator[None]:
    """Every test runs as on an instance of its own."""
    with linklocal.sdk(linklocal_instance):
        yield


def test_lists_all_instances(linklocal: Linklocal, linklocal_instance: Instance) -> None:
    linklocal.create_instance("another")

    assert names() == sorted(["another", "demo", linklocal_instance.name])


def test_nothing_is_left_of_the_test_before(linklocal_instance: Instance) -> None:
    assert names() == sorted(["demo", linklocal_instance.name])


def test_waits_as_long_as_it_is_told(linklocal: Linklocal) -> None:
    waits: list[float] = []
    linklocal.fault("429", operation=EXCHANGE, retry_after=7, count=2)

    assert "demo" in names(waits.append)
    assert waits == [7.0, 7.0]


def test_gives_up_in_the_end(linklocal: Linklocal) -> None:
    with linklocal.fault("500") as fault:
        with pytest.raises(ApiException):
            names(lambda seconds: None)
        assert fault.applied == 3
    assert "demo" in names()


@pytest.mark.parametrize("kind", ["truncated-body", "expired-token", "key-rotated"])
def test_gets_over_a_fault_that_passes(linklocal: Linklocal, kind: str) -> None:
    linklocal.fault(kind, operation=EXCHANGE, count=1)

    assert "demo" in names(lambda seconds: None)


def test_says_what_to_do_without_a_profile(linklocal: Linklocal) -> None:
    linklocal.fault("profile-unlinked")

    with pytest.raises(NotAllowed, match="Link a trusted profile"):
        names()


def test_as_a_program(linklocal: Linklocal, linklocal_instance: Instance) -> None:
    """Another process, and other code: what it needs is in the environment, where IBM's SDK looks."""
    program = "from ibm_vpc import VpcV1; print(VpcV1.new_instance().list_instances().result)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert linklocal_instance.id in done.stdout, done.stderr
