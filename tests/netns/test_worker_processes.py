"""Namespaces served by worker processes: a socket made in one process answers in another."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator

import pytest
from cloud import clients
from live import running

from .conftest import Guest, Host

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("curl", "curl"),
]
MakeGuest = Callable[[], Guest]


@pytest.fixture
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("workers") / "state"
    with running(folder, "--seed", "minimal", user=("env", "LINKLOCAL_WORKERS=2")) as dev:
        yield Host(dev, clients(dev))


def test_namespaces_outlive_the_process_that_answers_in_them(
    guest: MakeGuest, sharded: Host
) -> None:
    near, other = guest(), guest()
    one, two = (sharded.instance(response_hop_limit=1) for _ in range(2))
    sharded.attach(one, "--netns", near.netns)
    sharded.attach(two, "--netns", other.netns)
    assert (near.instance()["id"], other.instance()["id"]) == (one, two)

    for worker in json.loads(sharded.node("status").stdout)["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)

    # Calls wait in the kernel until somebody takes them up; the answer is as before.
    token = near.token("-m", "20")
    status, _ = near.curl(
        "/metadata/v1/instance", "-m", "20", "-H", f"Authorization: Bearer {token}"
    )
    assert status == 200
    assert other.instance("-m", "20")["id"] == two
    assert near.curl("/metadata/v1/instance", "-H", f"Authorization: Bearer {token}")[0] == 200
    sharded.change(one, enabled=False)
    assert near.curl("/metadata/v1/instance", "-H", f"Authorization: Bearer {token}")[0] == 403
    assert sharded.node("detach", two).returncode == 0
    assert other.status() == 0
