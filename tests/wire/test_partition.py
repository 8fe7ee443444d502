"""Two processes: a node goes on serving while its server is stopped or gone silent, then catches up."""

from __future__ import annotations

import signal

import pytest
import requests
from processes import Fleet, exchange, identity_token, placed_instance, read, until


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
