"""`linklocal dev` as a newcomer and a script meet it: options, restarts, ends, refusals."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from cloud import clients
from guest import until
from live import Dev, clean_environment, linklocal, running, start
from processes import identity_token, read

MEMBERS = {
    "api", "iam", "console", "api_key", "account_id", "region", "ca_cert", "pid", "instances",
}  # fmt: skip


def comparable(dev: Dev) -> dict[str, Any]:
    """What must survive a restart; the API's port is given anew by `--port 0`."""
    kept = {k: v for k, v in dev.ready.items() if k not in ("api", "iam", "console", "pid")}
    return {**kept, "attachments": dev.attachments()}


def test_a_restart_keeps_ids_keys_ports_and_tokens(tmp_path: Path) -> None:
    with running(tmp_path / "state") as dev:
        before = comparable(dev)
        cloud = clients(dev)
        access_token = cloud.vpc.authenticator.token_manager.get_token()
        made = cloud.create(metadata_service={"enabled": True})
        address = dev.address(made["id"])
        token = identity_token(address)
        before["attachments"] = dev.attachments()
        assert dev.stop(signal.SIGINT) == 0
    with running(tmp_path / "state") as dev:
        after = comparable(dev)
        after["instances"] = [i for i in after["instances"] if i["id"] != made["id"]]

        assert after == before
        assert read(address, token).json()["id"] == made["id"]
        listed = requests.get(
            f"{dev.api}/v1/instances",
            params={"version": "2026-10-06", "generation": "2"},
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=5,
        )
        assert listed.status_code == 200
        assert dev.stop(signal.SIGTERM) == 0


def test_the_ready_file_and_the_secrets_are_private(dev: Dev) -> None:
    ready = dev.state_dir.with_name(f"{dev.state_dir.name}-ready.json")

    assert set(dev.ready) == MEMBERS
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600
    for name in ("apikey", "server.key", "linklocal.db"):
        assert stat.S_IMODE((dev.state_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(dev.state_dir.stat().st_mode) == 0o700
    assert Path(dev.ready["ca_cert"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert requests.get(f"{dev.api}/healthz", timeout=5).status_code == 200


def test_the_banner_has_lines_to_paste(dev: Dev) -> None:
    log = dev.state_dir.with_name(f"{dev.state_dir.name}.log").read_text()
    lines = log[log.index("  t=$(") : log.index("or with IBM's SDK")]
    snippet = log[log.index("  from ibm_cloud_sdk_core") : log.index("Ctrl-C")]

    pasted = subprocess.run(
        ["bash", "-c", lines], capture_output=True, text=True, timeout=20, check=True
    )
    python = "\n".join(line.strip() for line in snippet.splitlines())
    printed = subprocess.run(
        [sys.executable, "-c", python], capture_output=True, text=True, timeout=30, check=True
    )

    assert json.loads(pasted.stdout)["name"] == "demo"
    assert printed.stdout.startswith("ey")
    assert dev.api_key not in log


def test_a_signal_during_the_start_ends_it_cleanly(tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = subprocess.Popen(
        [sys.executable, "-m", "linklocal", "dev", "--port", "0", "--state-dir", str(state)],
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    # The node's folder appears when the signal handlers have been set and the node is about to start.
    while not (state / "node").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 0, errors
    assert b"FAILED" not in errors


def test_a_second_one_on_the_same_state_says_so(dev: Dev) -> None:
    second = linklocal("dev", "--port", "0", state_dir=dev.state_dir)

    assert second.returncode == 2
    assert f"process {dev.ready['pid']}" in second.stderr
    assert "--state-dir" in second.stderr


def test_a_busy_port_names_port_0(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = linklocal("dev", "--port", port, state_dir=tmp_path / "state")

    assert refused.returncode == 2
    assert "--port 0" in refused.stderr


def test_a_taken_loopback_port_is_reported_and_never_moved(tmp_path: Path) -> None:
    with running(tmp_path / "state") as dev:
        attached = dev.attachments()
        instance_id, attachment = next(iter(attached.items()))
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(attachment["address"].rpartition(":")[2])))
        taken.listen()
        with running(tmp_path / "state") as dev:
            instance = clients(dev).vpc.get_instance(instance_id).result

            assert (
                dev.attachments().get(instance_id, attachment)["address"] == attachment["address"]
            )
            assert attachment["address"].rpartition(":")[2] in json.dumps(
                [*instance["status_reasons"], *instance["health_reasons"]]
            )


@pytest.mark.parametrize(("level", "networks"), [("none", 0), ("minimal", 1)])
def test_seed_levels(tmp_path: Path, level: str, networks: int) -> None:
    with running(tmp_path / "state", "--seed", level) as dev:
        cloud = clients(dev)

        assert dev.ready["instances"] == []
        assert len(cloud.vpc.list_vpcs().result["vpcs"]) == networks
        assert len(cloud.vpc.list_subnets().result["subnets"]) == 3 * networks
        assert cloud.vpc.list_images().result["images"]
        assert cloud.vpc.list_region_zones("us-south").result["zones"]
        assert cloud.vpc.list_instance_profiles().result["profiles"]


def test_reset_forgets_everything_but_nothing_of_somebody_else(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(state, "--seed", "none") as dev:
        account = dev.ready["account_id"]
    (state / "diary.txt").write_text("mine")
    refused = linklocal("dev", "--port", "0", "--reset", state_dir=state)
    (state / "diary.txt").unlink()
    with running(state, "--seed", "none", "--reset") as dev:
        account_after = dev.ready["account_id"]

    assert refused.returncode == 2
    assert "diary.txt" in refused.stderr
    assert account != account_after


def test_rotated_keys_leave_old_tokens_valid(dev: Dev) -> None:
    cloud = clients(dev)
    token = cloud.vpc.authenticator.token_manager.get_token()
    kids = {
        key["kid"] for key in requests.get(f"{dev.api}/identity/keys", timeout=5).json()["keys"]
    }

    rotated = linklocal("iam", "rotate-keys", state_dir=dev.state_dir)
    keys = requests.get(f"{dev.api}/identity/keys", timeout=5).json()["keys"]
    answer = requests.get(
        f"{dev.api}/v1/regions",
        params={"version": "2026-10-06", "generation": "2"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )

    assert rotated.returncode == 0, rotated.stderr
    assert {key["kid"] for key in keys} > kids
    assert answer.status_code == 200
    assert clients(dev).vpc.list_regions().result["regions"]


def test_a_command_without_a_server_says_what_to_start(tmp_path: Path) -> None:
    for command in (["node", "list"], ["node", "attachments"], ["is", "instances"], ["ca", "tls"]):
        failed = subprocess.run(
            [sys.executable, "-m", "linklocal", *command],
            env={
                **clean_environment(),
                "LINKLOCAL_STATE_DIR": str(tmp_path),
                "LINKLOCAL_CONFIG_DIR": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert failed.returncode == 1, command
        assert failed.stderr.startswith("FAILED\n")
        assert "\nNext: " in failed.stderr
        assert "linklocal dev" in failed.stderr


def test_https_listener_of_the_loopback_port(tmp_path: Path) -> None:
    """The one port speaks the one protocol; its certificate verifies with the printed root."""
    dev = start(tmp_path / "state")
    try:
        cloud = clients(dev)
        demo = dev.ready["instances"][0]
        cloud.vpc.update_instance(demo["id"], {"metadata_service": {"protocol": "https"}})
        address = demo["metadata"]
        # While the listener changes there is none for a moment.
        until(lambda: dev.attachments().get(demo["id"], {}).get("protocol") == "https")
        https = dev.address(demo["id"])
        token = requests.put(
            f"{https}/identity/v1/token?version=2025-08-26",
            headers={"Metadata-Flavor": "ibm"},
            verify=dev.ready["ca_cert"],
            timeout=5,
        )

        assert https == address.replace("http://127.0.0.1", "https://localhost")
        assert token.status_code == 200
        with pytest.raises(requests.ConnectionError):
            requests.get(address, timeout=5)
    finally:
        dev.stop()
