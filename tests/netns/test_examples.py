"""The examples whose guests are attached: a container by its process, virtual machines by their taps."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live import clean_environment

from .conftest import Host, ip

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("nft", "nftables"),
]


def start(host: Host, *command: str) -> subprocess.Popen[str]:
    """A program of examples/, which finds `linklocal` and the state of the running server."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    settings = {"PATH": path, "LINKLOCAL_STATE_DIR": str(host.dev.state_dir)}
    return subprocess.Popen(
        command,
        cwd=EXAMPLES,
        env={**clean_environment(), **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], seconds: float) -> str:
    """What it said. It must succeed in this time; if not, it is ended with all that it started."""
    with process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            said, _ = process.communicate(timeout=30)
            pytest.fail(f"it took too long:\n{said}")
    assert process.returncode == 0, said
    return said


def kinds(host: Host, instance: str) -> list[str]:
    return [item["kind"] for item in host.attachments(instance)]


@pytest.mark.needs("curl", "curl")
@pytest.mark.needs("jq", "jq")
def test_a_container_attached_by_its_process(host: Host) -> None:
    instance = host.instance()

    said = end(start(host, "container/container.sh", instance), 60)

    assert re.search(rf"process 1 of this container runs on \S+ \({instance}\)", said), said
    assert kinds(host, instance) == ["port"]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.needs("qemu-system-x86_64", "qemu-system-x86")
@pytest.mark.needs("apt-get", "apt")
def test_two_virtual_machines_with_the_same_address(host: Host, tmp_path: Path) -> None:
    """At the same time, each behind its own tap: each is told of its own instance."""
    folder = str(tmp_path / "build")
    end(start(host, "qemu/fetch.sh", folder), 300)
    end(start(host, "qemu/initramfs.sh", folder), 60)
    instances = [host.instance(), host.instance()]
    taps = [f"llq{os.getpid()}-{number}" for number in range(2)]

    guests = [
        start(host, "qemu/guest.sh", folder, instance, tap)
        for instance, tap in zip(instances, taps, strict=True)
    ]
    for instance, guest in zip(instances, guests, strict=True):
        said = end(guest, 300)
        lines = dict(re.findall(r"^(token|instance): (\{.*\})\s*$", said, re.MULTILINE))
        assert set(lines) == {"token", "instance"}, said
        assert json.loads(lines["token"])["expires_in"] == 300
        assert json.loads(lines["instance"])["id"] == instance
        assert kinds(host, instance) == ["port"]
    assert not any(tap in ip("link") for tap in taps)
