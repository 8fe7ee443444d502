"""Hooks as container engines run them: a real process or device, a real node, and the guest that asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from live import clean_environment

from .conftest import Guest, Host, Wire

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("nft", "nftables"),
    pytest.mark.needs("curl", "curl"),
]


def run_hook(
    host: Host, *arguments: str, given: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """As an engine does: no terminal, hardly any environment."""
    done = subprocess.run(
        [sys.executable, "-m", "linklocal", "node", "hook", *arguments],
        env={
            "PYTHONPATH": os.pathsep.join(sys.path),
            "LINKLOCAL_STATE_DIR": str(host.dev.state_dir),
            **environment,
        },
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done


@contextmanager
def processes(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=clean_environment())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def labels(host: Host, instance: str) -> list[str]:
    return [item["label"] for item in host.attachments(instance) if item["kind"] != "port"]


def state(pid: int, instance: str, **changes: Any) -> str:
    annotations = {"linklocal.instance": instance}
    document = {"ociVersion": "1.0.2", "id": "c1", "status": "creating", "pid": pid, "bundle": "/b"}
    return json.dumps({**document, "annotations": annotations, **changes})


def test_an_oci_container_from_create_to_poststop(guest: Callable[[], Guest], host: Host) -> None:
    inside, instance = guest(), host.instance()
    with processes("ip", "netns", "exec", inside.netns, "sleep", "300") as container:
        # `ip` has entered the namespace when it has become the program.
        subprocess.run(
            ["sh", "-c", f"until grep -q sleep /proc/{container.pid}/comm; do :; done"],
            check=True, timeout=20,
        )  # fmt: skip
        done = run_hook(host, "oci", given=state(container.pid, instance))
        assert (done.returncode, done.stderr) == (0, "")
        assert inside.instance()["id"] == instance
        assert labels(host, instance) == ["oci:c1"]

    done = run_hook(host, "oci", given=state(0, instance, status="stopped"))
    assert (done.returncode, done.stderr) == (0, "")
    assert labels(host, instance) == []
    assert inside.status() == 0


def test_a_container_in_the_hosts_network_is_told_in_one_line(host: Host) -> None:
    instance = host.instance()
    done = run_hook(host, "oci", given=state(os.getpid(), instance))
    assert done.returncode == 1
    assert done.stderr.startswith("linklocal: c1: The namespace of pid ")
    assert done.stderr.count("\n") == 1
    assert labels(host, instance) == []


def test_a_libvirt_domain_from_started_to_release(wire: Callable[[], Wire], host: Host) -> None:
    there, instance = wire(), host.instance()
    xml = (
        f"<domain type='kvm'><name>web</name><metadata><l:instance xmlns:l='urn:linklocal:1'>{instance}"
        f"</l:instance></metadata><devices><interface type='ethernet'><target dev='{there.device}'/>"
        "</interface></devices></domain>"
    )
    for operation in ("started", "reconnect"):
        done = run_hook(host, "libvirt", "web", operation, "begin", "-", given=xml)
        assert (done.returncode, done.stderr) == (0, "")
        assert there.guest.instance()["id"] == instance
        assert labels(host, instance) == ["libvirt:web"]

    done = run_hook(host, "libvirt", "web", "release", "end", "destroyed", given=xml)
    assert (done.returncode, done.stderr) == (0, "")
    assert labels(host, instance) == []

    # A device that is not there: the guest does not start, and one that runs goes on.
    lost = xml.replace(there.device, "nowhere")
    for operation, status in (("started", 1), ("reconnect", 0)):
        done = run_hook(host, "libvirt", "web", operation, "begin", "-", given=lost)
        assert done.returncode == status
        assert done.stderr.startswith("linklocal: web: The device nowhere cannot be attached")


def test_an_nspawn_machine_from_its_start_to_its_stop(
    guest: Callable[[], Guest], host: Host, tmp_path: Path
) -> None:
    inside, instance = guest(), host.instance()
    ready = tmp_path / "ready"
    # systemd-nspawn's shape: it stays in the host's network, its child is the container's first process.
    script = f"ip netns exec {inside.netns} sh -c 'touch {ready}; exec sleep 300' & wait"
    with processes("sh", "-c", script) as machine:
        subprocess.run(["sh", "-c", f"until [ -e {ready} ]; do :; done"], check=True, timeout=20)
        told = {"MAINPID": str(machine.pid), "LINKLOCAL_INSTANCE": instance}
        done = run_hook(host, "nspawn", "attach", "web", **told)
        assert (done.returncode, done.stderr) == (0, "")
        assert inside.instance()["id"] == instance
        done = run_hook(host, "nspawn", "detach", "web", LINKLOCAL_INSTANCE=instance)
        assert (done.returncode, done.stderr) == (0, "")
        assert labels(host, instance) == []
        assert inside.status() == 0
        subprocess.run(["pkill", "-P", str(machine.pid)], check=True, timeout=20)
