"""Two servers on one PostgreSQL and a node that is connected to either: no one of them is needed."""

from __future__ import annotations

import base64
import secrets
import signal
from dataclasses import dataclass
from typing import Any

import pytest
from cloud import Cloud, clients
from live import Dev
from postgres import PostgresServer
from processes import (
    Fleet,
    exchange,
    free_port,
    identity_token,
    placed_instance,
    read,
    until,
)


@dataclass
class Replicas:
    """A fleet whose servers `server` and `second` share a database; the node hears the first."""

    fleet: Fleet
    first: Cloud
    second: Cloud
    instance: dict[str, Any]
    address: str

    def set_limit(self, cloud: Cloud, limit: int) -> None:
        cloud.vpc.update_instance(
            self.instance["id"], {"metadata_service": {"response_hop_limit": limit}}
        )

    def served_limit(self) -> int:
        document = read(self.address, identity_token(self.address)).json()
        limit: int = document["metadata_service"]["response_hop_limit"]
        return limit


@pytest.fixture
def replicas(fleet: Fleet, postgres_server: PostgresServer) -> Replicas:
    """Set up as an operator does: upgrade the database once, copy one key file to every server."""
    database_url = postgres_server.url(postgres_server.create())
    fleet.cli("db", "upgrade", "--database-url", database_url)
    key_file = fleet.folder / "shared.key"
    key_file.touch(0o600)
    key_file.write_text(f"linklocal-key-v1 {base64.b64encode(secrets.token_bytes(32)).decode()}\n")
    shared = ("--database-url", database_url, "--key-file", str(key_file))
    first, instance = placed_instance(fleet, *shared)
    url = f"http://127.0.0.1:{free_port()}"
    fleet.start_server(*shared, name="second", url=url)
    ready = {**first.dev.ready, "api": url}
    second = clients(Dev(fleet.processes["second"], fleet.folder / "second", ready))
    address = until(lambda: fleet.address(instance["id"]))
    return Replicas(fleet, first, second, instance, address)


@pytest.mark.timeout(300)
def test_no_replica_is_needed(replicas: Replicas) -> None:
    """What one writes the other reads and the node serves; kill -9 of one stops nothing."""
    fleet, first, second = replicas.fleet, replicas.first, replicas.second

    made = first.vpc.create_instance(first.prototype()).result
    second.vpc.update_instance(made["id"], {"name": "renamed-by-the-second"})
    assert first.vpc.get_instance(made["id"]).result["name"] == "renamed-by-the-second"
    replicas.set_limit(first, 7)
    until(lambda: replicas.served_limit() == 7)
    replicas.set_limit(second, 8)
    until(lambda: replicas.served_limit() == 8)

    fleet.end("node")
    fleet.url = second.dev.api
    fleet.start_node()
    replicas.set_limit(first, 9)
    until(lambda: replicas.served_limit() == 9)

    fleet.end("second", signal.SIGKILL)
    replicas.set_limit(first, 10)
    first.vpc.delete_instance(made["id"])
    assert replicas.served_limit() == 9, "the node serves what it has"

    fleet.end("node")
    fleet.url = first.dev.api
    fleet.start_node()
    until(lambda: replicas.served_limit() == 10)
    answer = exchange(replicas.address, identity_token(replicas.address))
    assert answer.status_code == 200, answer.text
    assert first.vpc.get_instance(replicas.instance["id"]).result["status"] == "running"
