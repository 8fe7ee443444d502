"""Real namespaces, made by the test and removed with it, and one `linklocal dev` as root."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud, clients
from live import Dev, linklocal, running

from linklocal.node.local_api import fetch

VERSION = "version=2025-08-26"
ADDRESS = "169.254.169.254"
NAME = "api.metadata.cloud.ibm.com"
_numbers = itertools.count(1)


def ip(*arguments: str) -> str:
    return subprocess.run(
        ["ip", *arguments], check=True, capture_output=True, text=True, timeout=20
    ).stdout


@dataclass(frozen=True)
class Guest:
    """A namespace that stands for an instance, or for a container behind one."""

    netns: str

    @property
    def namespace(self) -> str:
        return f"/run/netns/{self.netns}"

    def run(self, *command: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", self.netns, *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def curl(self, path: str, *arguments: str, base: str = f"http://{ADDRESS}") -> tuple[int, str]:
        """HTTP status (0: none came) and body."""
        done = self.run(
            "curl", "-s", "-m", "1.5", "-w", "\n%{http_code}", *arguments, f"{base}{path}?{VERSION}"
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    def token(self, *arguments: str, base: str = f"http://{ADDRESS}") -> str:
        status, body = self.curl(
            "/identity/v1/token", "-X", "PUT", "-H", "Metadata-Flavor: ibm", *arguments, base=base
        )
        assert status == 200, (status, body)
        return str(json.loads(body)["access_token"])

    def instance(self, *arguments: str, base: str = f"http://{ADDRESS}") -> dict[str, Any]:
        token = self.token(*arguments, base=base)
        status, body = self.curl(
            "/metadata/v1/instance", "-H", f"Authorization: Bearer {token}", *arguments, base=base
        )
        assert status == 200, (status, body)
        read: dict[str, Any] = json.loads(body)
        return read

    def status(self, *arguments: str) -> int:
        """Of a call without a token: 400 from a service that answers, 0 from silence."""
        return self.curl("/metadata/v1/instance", *arguments)[0]


@pytest.fixture
def guest() -> Iterator[Callable[[], Guest]]:
    """Makes guests: an empty namespace with the private address that all of them have."""
    made: list[str] = []

    def make() -> Guest:
        netns = f"llt{os.getpid()}-{next(_numbers)}"
        ip("netns", "add", netns)
        made.append(netns)
        ip("-n", netns, "link", "set", "lo", "up")
        ip("-n", netns, "addr", "add", "10.0.0.4/32", "dev", "lo")
        return Guest(netns)

    yield make
    for netns in made:
        ip("netns", "del", netns)


@dataclass(frozen=True)
class Wire:
    """A device of the host and, at its other end, the one guest behind it."""

    device: str
    guest: Guest


@pytest.fixture
def wire(guest: Callable[[], Guest]) -> Iterator[Callable[..., Wire]]:
    """Makes guests at a device of the host, which has the service's address there.

    What no socket sends is routed by the guest's address, which is one of its own if none is given.
    """
    made: list[str] = []

    def make(address: str | None = None) -> Wire:
        address = address or f"169.254.{8 + os.getpid() % 150}.{next(_numbers) % 250 + 2}"
        inside, device = guest(), f"llt{os.getpid()}-{next(_numbers)}"
        peer = ("peer", "name", "linklocal0", "netns", inside.netns)
        ip("link", "add", "name", device, "type", "veth", *peer)
        made.append(device)
        ip("addr", "add", f"{ADDRESS}/32", "peer", address, "dev", device)
        ip("link", "set", device, "up")
        ip("-n", inside.netns, "addr", "add", address, "peer", ADDRESS, "dev", "linklocal0")
        ip("-n", inside.netns, "link", "set", "linklocal0", "up")
        return Wire(device, inside)

    yield make
    for device in made:
        ip("link", "del", device)


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    state_dir = tmp_path_factory.mktemp("netns") / "state"
    with running(state_dir, settings={"LINKLOCAL_NOCLOUD": "true"}) as dev:
        yield dev


@pytest.fixture(scope="session")
def cloud(dev: Dev) -> Cloud:
    return clients(dev)


@dataclass
class Host:
    """The host: the node's command line, and changes that are enforced when a call returns."""

    dev: Dev
    cloud: Cloud

    def instance(self, **service: Any) -> str:
        settings = {"enabled": True, **service}
        return str(self.cloud.create(metadata_service=settings)["id"])

    def attach(self, instance_id: str, *arguments: str) -> dict[str, Any]:
        done = self.node("attach", instance_id, *arguments, "--output", "JSON")
        assert done.returncode == 0, done.stderr
        made: dict[str, Any] = json.loads(done.stdout)
        return made

    def node(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return linklocal("node", *arguments, state_dir=self.dev.state_dir)

    def attachments(self, instance_id: str) -> list[dict[str, Any]]:
        listed = fetch(self.dev.state_dir / "node", "/v1/attachments")
        return [item for item in listed if item["instance"] == instance_id]

    def change(self, instance_id: str, **service: Any) -> None:
        """PATCH, and wait until the node has acknowledged: "enforced" means applied, not sent."""
        self.cloud.vpc.update_instance(instance_id, {"metadata_service": service})
        self.enforced(instance_id, **service)

    def enforced(self, instance_id: str, **service: Any) -> None:
        def are(open_: list[dict[str, Any]]) -> bool:
            served = [item for item in open_ if item["fault"] is None]
            return bool(served) and all(
                item[key] == value for item in served for key, value in service.items()
            )

        self.until(instance_id, are)

    def gone(self, instance_id: str) -> None:
        """Wait until the node has let go of a deleted instance."""
        self.until(instance_id, lambda listed: not listed)

    def until(self, instance_id: str, what: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Poll the node: it has no event to wait on from outside."""
        deadline = time.monotonic() + 30
        while not what(listed := self.attachments(instance_id)):
            assert time.monotonic() < deadline, listed
            time.sleep(0.01)


@pytest.fixture
def host(dev: Dev, cloud: Cloud) -> Host:
    return Host(dev, cloud)


@pytest.fixture
def ca(dev: Dev) -> Path:
    return Path(dev.ready["ca_cert"])
