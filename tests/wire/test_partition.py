"""Two processes: a node goes on serving while its server is stopped or gone silent, then catches up."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cloud import Cloud, clients
from live import Dev, clean_environment

WAIT_SECONDS = 30.0
# A decision that cannot be had must be refused within this time, also when the server only hangs.
REFUSAL_SECONDS = 10.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def until(what: Callable[[], Any]) -> Any:
    """Poll until it is truthy; a refused connection counts as not yet."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if value := what():
                return value
        except (requests.RequestException, FileNotFoundError):
            pass
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Fleet:
    """One server and one node, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.key = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def spawn(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "linklocal", *arguments],
                env=clean_environment(),
                stdout=log,
                stderr=log,
            )

    def cli(self, *arguments: str) -> str:
        environment = {"LINKLOCAL_API": self.url, "IBMCLOUD_API_KEY": self.key}
        done = subprocess.run(
            [sys.executable, "-m", "linklocal", *arguments],
            env={**clean_environment(), **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_server(self) -> None:
        state, port = str(self.folder / "server"), self.url.rpartition(":")[2]
        self.spawn("server", "server", "--state-dir", state, "--port", port)
        until(lambda: requests.get(f"{self.url}/healthz", timeout=2).ok)

    def start_node(self, *arguments: str) -> None:
        state = str(self.folder / "node")
        self.spawn(
            "node", "node", "run", "--state-dir", state, "--server-url", self.url,
            "--name", "host-1", "--loopback-ports", *arguments,
        )  # fmt: skip

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(15)

    def address(self, instance_id: str) -> str | None:
        listed = json.loads(
            self.cli(
                "node", "attachments", "--output", "JSON", "--state-dir", str(self.folder / "node")
            )
        )
        found = [item["address"] for item in listed if item["instance"] == instance_id]
        return found[0] if found else None


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    for process in fleet.processes.values():
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)


def placed_instance(fleet: Fleet) -> tuple[Cloud, dict[str, Any]]:
    """A server, a node that joined it, and an instance that an operator placed there."""
    fleet.start_server()
    log = (fleet.folder / "server.log").read_text()
    fleet.key = re.findall(r"First API key \(shown once\): (\S+)", log)[0]
    fleet.start_node("--join-token", fleet.cli("node", "join-token").strip())
    until(lambda: "host-1" in fleet.cli("node", "list"))
    account = requests.get(
        f"{fleet.url}/v1/apikeys/details",
        headers={"IAM-ApiKey": fleet.key, "Authorization": bearer(fleet)},
        timeout=5,
    ).json()["account_id"]
    ready = {"api": fleet.url, "api_key": fleet.key, "account_id": account}
    cloud = clients(Dev(fleet.processes["server"], fleet.folder / "server", ready))
    vpc = cloud.vpc.create_vpc().result
    cloud.vpc.create_subnet(
        {"vpc": {"id": vpc["id"]}, "zone": {"name": "us-south-1"}, "total_ipv4_address_count": 256}
    )
    profile = cloud.profile()
    instance = cloud.vpc.create_instance(
        cloud.prototype(
            metadata_service={"enabled": True},
            default_trusted_profile={"target": {"id": profile["id"]}},
        )
    ).result
    unplaced = cloud.vpc.get_instance(instance["id"]).result
    assert unplaced["status"] == "pending"
    assert "linklocal node place" in unplaced["status_reasons"][0]["message"]
    fleet.cli("node", "place", instance["id"], "host-1")
    return cloud, cloud.wait(instance["id"], "running")


def bearer(fleet: Fleet) -> str:
    form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": fleet.key}
    answer = requests.post(f"{fleet.url}/identity/token", data=form, timeout=5)
    return f"Bearer {answer.json()['access_token']}"


def identity_token(address: str) -> str:
    answer = requests.put(
        f"{address}/identity/v1/token?version=2025-08-26",
        headers={"Metadata-Flavor": "ibm"},
        timeout=5,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def read(address: str, token: str) -> requests.Response:
    return requests.get(
        f"{address}/metadata/v1/instance?version=2025-08-26",
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )


def exchange(address: str, token: str) -> requests.Response:
    return requests.post(
        f"{address}/identity/v1/iam_tokens?version=2025-08-26",
        headers={"Authorization": f"Bearer {token}"},
        timeout=REFUSAL_SECONDS,
    )


def assert_serves_alone(address: str, instance_id: str) -> None:
    token = identity_token(address)
    document = read(address, token)
    refused = exchange(address, token)

    assert document.json()["id"] == instance_id
    assert refused.status_code == 503, refused.text
    assert refused.json()["errors"][0]["code"] == "service_error"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", ["stopped", "silent"])
def test_a_node_serves_alone_and_catches_up(fleet: Fleet, fault: str) -> None:
    cloud, instance = placed_instance(fleet)
    address = until(lambda: fleet.address(instance["id"]))
    assert exchange(address, identity_token(address)).status_code == 200

    if fault == "stopped":
        fleet.end("server")
    else:
        fleet.processes["server"].send_signal(signal.SIGSTOP)
    assert_serves_alone(address, instance["id"])
    fleet.end("node")
    fleet.start_node()
    until(lambda: requests.get(address, timeout=2).status_code == 404)
    assert_serves_alone(address, instance["id"])

    if fault == "stopped":
        fleet.start_server()
    else:
        fleet.processes["server"].send_signal(signal.SIGCONT)
    cloud.vpc.update_instance(instance["id"], {"metadata_service": {"response_hop_limit": 7}})
    until(
        lambda: (
            read(address, identity_token(address)).json()["metadata_service"]["response_hop_limit"]
            == 7
        )
    )
    assert exchange(address, identity_token(address)).status_code == 200
    cloud.vpc.update_instance(instance["id"], {"metadata_service": {"enabled": False}})
    until(lambda: requests.get(address, timeout=2).status_code == 403)


def test_a_revoked_node_serves_nothing(fleet: Fleet) -> None:
    _, instance = placed_instance(fleet)
    address = until(lambda: fleet.address(instance["id"]))
    identity_token(address)

    fleet.cli("node", "revoke", "host-1", "--force")

    def refused() -> bool:
        try:
            requests.get(address, timeout=2)
        except requests.ConnectionError:
            return True
        return False

    until(refused)
