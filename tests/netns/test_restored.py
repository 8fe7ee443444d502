"""Attachments outlive the node: what can be is restored, what cannot is reported, nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cloud import clients
from live import running, start

from .conftest import Guest, Host, Wire, ip

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("curl", "curl"),
    pytest.mark.needs("nft", "nftables"),
]


def rules(device: str) -> bool:
    """Whether a rule of this device is there."""
    done = subprocess.run(
        ["nft", "list", "ruleset"], check=True, capture_output=True, text=True, timeout=20
    )
    return f'"{device}"' in done.stdout


def test_after_a_kill(guest: Callable[[], Guest], wire: Callable[[], Wire], tmp_path: Path) -> None:
    """The next start serves who is there; a namespace that is gone is a fault beside them."""
    stays, leaves, there = guest(), guest(), wire()
    dev = start(tmp_path / "state", "--seed", "minimal")
    host = Host(dev, clients(dev))
    first, second, third = (host.instance(response_hop_limit=2) for _ in range(3))
    host.attach(first, "--netns", stays.netns)
    host.attach(second, "--netns", leaves.netns)
    host.attach(third, "--device", there.device)
    assert rules(there.device)
    dev.stop(signal.SIGKILL)
    assert not rules(there.device)
    ip("netns", "del", leaves.netns)

    try:
        with running(tmp_path / "state", "--seed", "minimal") as again:
            host = Host(again, clients(again))
            host.enforced(first, response_hop_limit=2)
            host.enforced(third, response_hop_limit=2)
            assert stays.instance()["id"] == first
            assert there.guest.instance()["id"] == third
            assert rules(there.device)
            faults = {item["kind"]: item["fault"] for item in host.attachments(second)}
            assert faults["port"] is None
            assert "is not there" in faults["netns"]
            assert host.node("detach", third).returncode == 0
            assert not rules(there.device)
            host.attach(third, "--device", there.device)
    finally:
        ip("netns", "add", leaves.netns)  # for the fixture to remove
    assert "linklocal0" not in ip("-n", stays.netns, "link")
    assert not rules(there.device)
