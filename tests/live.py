"""A running `linklocal dev` in a process of its own, for tests that drive it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from linklocal.node.local_api import fetch

START_SECONDS = 60.0
CLIENT_ENVIRONMENT = ("LINKLOCAL_", "IBMCLOUD_", "IBM_", "VPC_")


# Loopback ports of instances, below those that the kernel gives to clients. Each test worker has a part
# of its own: a port that another worker's server took while this one's was killed would be a fault.
PORTS = range(10_000, 32_000)
SLOTS = 8


def first_port() -> int:
    """The first loopback port for instances of this test worker; two runs at once seldom share one."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    span = len(PORTS) // workers
    return PORTS[span * worker + span // SLOTS * (os.getpid() % SLOTS)]


def clean_environment() -> dict[str, str]:
    """The environment without anything that would configure linklocal or IBM's SDKs."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(CLIENT_ENVIRONMENT)}
    return {**kept, "LINKLOCAL_LOOPBACK_PORT_BASE": str(first_port())}


def linklocal(*arguments: str, state_dir: Path) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "linklocal", *arguments],
        env={**clean_environment(), "LINKLOCAL_STATE_DIR": str(state_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Dev:
    """One `linklocal dev` process and what its ready file says."""

    def __init__(
        self, process: subprocess.Popen[bytes], state_dir: Path, ready: dict[str, Any]
    ) -> None:
        self.process = process
        self.state_dir = state_dir
        self.ready = ready

    @property
    def api(self) -> str:
        return str(self.ready["api"])

    @property
    def api_key(self) -> str:
        return str(self.ready["api_key"])

    def attachments(self) -> dict[str, dict[str, Any]]:
        """Instance id -> attachment, as `linklocal node attachments` says, without a process for it."""
        listed = fetch(self.state_dir / "node", "/v1/attachments")
        return {item["instance"]: item for item in listed}

    def address(self, instance_id: str) -> str:
        return str(self.attachments()[instance_id]["address"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and wait; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)


def start(
    state_dir: Path,
    *arguments: str,
    log: Path | None = None,
    user: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Dev:
    """Start `linklocal dev` and wait until everything answers.

    `user`: what runs it as somebody else, before the command. `settings`: variables of its own.
    """
    ready_file = state_dir.with_name(f"{state_dir.name}-ready.json")
    ready_file.unlink(missing_ok=True)
    log = log or state_dir.with_name(f"{state_dir.name}.log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *user,
                sys.executable,
                "-m",
                "linklocal",
                "dev",
                "--port",
                "0",
                "--state-dir",
                str(state_dir),
                "--ready-file",
                str(ready_file),
                *arguments,
            ],
            env={**clean_environment(), **(settings or {})},
            stdout=output,
            stderr=output,
        )
    deadline = time.monotonic() + START_SECONDS
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"linklocal dev did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.02)  # a file appears: there is no event to wait for
    return Dev(process, state_dir, json.loads(ready_file.read_text()))


@contextmanager
def running(
    state_dir: Path,
    *arguments: str,
    user: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Dev]:
    """A dev server inside the block."""
    dev = start(state_dir, *arguments, user=user, settings=settings)
    try:
        yield dev
    finally:
        if dev.process.poll() is None:
            dev.stop()
