"""A server (or several on one database) and a node, each a process of its own, for tests from outside."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    """Servers and one node, each a process of its own. Commands and the node talk to `url`."""

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

    def start_server(self, *arguments: str, name: str = "server", url: str | None = None) -> None:
        url = url or self.url
        state, port = str(self.folder / name), url.rpartition(":")[2]
        self.spawn(name, "server", "--state-dir", state, "--port", port, *arguments)

        def answers() -> bool:
            assert self.processes[name].poll() is None, self.log(name)
            return requests.get(f"{url}/healthz", timeout=2).ok

        until(answers)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

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

    def end_all(self) -> None:
        """End what still runs, stopped processes too."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(10)

    def address(self, instance_id: str) -> str | None:
        listed = json.loads(
            self.cli(
                "node", "attachments", "--output", "JSON", "--state-dir", str(self.folder / "node")
            )
        )
        found = [item["address"] for item in listed if item["instance"] == instance_id]
        return found[0] if found else None


def placed_instance(fleet: Fleet, *arguments: str) -> tuple[Cloud, dict[str, Any]]:
    """A server (with more arguments), a node that joined it, and an instance placed there by hand."""
    fleet.start_server(*arguments)
    fleet.key = re.findall(r"First API key \(shown once\): (\S+)", fleet.log("server"))[0]
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
