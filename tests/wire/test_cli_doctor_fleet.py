"""`linklocal doctor` on a node's host: each fault of node or server is made, named, and mended as it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from live import clean_environment
from processes import Fleet, placed_instance, until
from terminal import Done, Terminal

SECONDS = 60.0
STEPS = 3  # commands that one breakage may take
# Until a node that was just started has heard the server and applied what it said.
PASSING = ("behind", "not-running", "not-attached", "listener-refused", "setting-not-applied")


@dataclass
class Host:
    """The machine of a server and a node, its administrator, and an instance there."""

    fleet: Fleet
    user: Terminal
    instance: str

    def node(self, url: str) -> None:
        """The node again, talking to this server."""
        state = str(self.fleet.folder / "node")
        self.fleet.spawn(
            "node", "node", "run", "--state-dir", state, "--server-url", url, "--loopback-ports"
        )

    def follow(self, command: str) -> None:
        """Run it in a shell; what does not end becomes the node or the server of the fleet."""
        name = next((n for n in ("node", "server") if f"linklocal {n} run" in command or
                     f"linklocal {n} --" in command), None)  # fmt: skip
        environment = {**clean_environment(), **self.user.variables, "LINKLOCAL_LOOPBACK_PORTS": "true",
                       "PATH": f"{self.fleet.folder}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
        if name is None:
            subprocess.run(["sh", "-ec", command], env=environment, check=True, timeout=SECONDS)
            return
        before = self.fleet.processes.pop(name, None)
        with (self.fleet.folder / f"{name}.log").open("ab") as log:
            self.fleet.processes[name] = subprocess.Popen(
                ["sh", "-ec", f"exec {command}"], env=environment, stdout=log, stderr=log
            )
        if before is not None:
            before.wait(SECONDS)

    def settled(self, passing: tuple[str, ...] = PASSING) -> Done:
        """What the doctor says when the last change has arrived."""
        deadline = time.monotonic() + SECONDS
        while (done := self.user.run("doctor", self.instance)).stdout.startswith(passing):
            assert time.monotonic() < deadline, done
            time.sleep(0.05)  # of a process that can only be asked
        return done


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("doctor-fleet")
    program = folder / "linklocal"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m linklocal "$@"\n')
    program.chmod(0o755)
    fleet = Fleet(folder)
    try:
        _, instance = placed_instance(fleet)
        # The node's folder as on one host: below the server's.
        (folder / "server" / "node").symlink_to(folder / "node")
        user = Terminal(folder / "server", folder / "config", LINKLOCAL_API=fleet.url,
                        IBMCLOUD_API_KEY=fleet.key)  # fmt: skip
        until(lambda: fleet.address(instance["id"]))
        yield Host(fleet, user, instance["name"])
    finally:
        fleet.end_all()


def no_node(host: Host) -> None:
    host.fleet.end("node")


def cut_off(host: Host) -> None:
    """The node starts with what it has; its server's address is wrong."""
    host.fleet.end("node")
    host.node("http://127.0.0.1:9")


def server_gone(host: Host) -> None:
    host.fleet.end("server", signal.SIGKILL)


BREAKAGES: list[tuple[Callable[[Host], None], str]] = [
    (no_node, "no-node: No node runs with the state folder "),
    (cut_off, "node-cut-off: The node does not reach http://127.0.0.1:9: "),
    (server_gone, "server-down: The server at "),
]


@pytest.mark.parametrize(("breakage", "said"), BREAKAGES, ids=[b.__name__ for b, _ in BREAKAGES])
def test_found_first_and_mended(host: Host, breakage: Callable[[Host], None], said: str) -> None:
    """The host is well before and after each."""
    assert host.settled().status == 0
    breakage(host)
    deadline = time.monotonic() + SECONDS
    while not (done := host.user.run("doctor", host.instance)).stdout.startswith(said):
        assert time.monotonic() < deadline, done
        time.sleep(0.05)  # of a process that can only be asked

    for _ in range(STEPS):
        assert done.status == 1
        name, command = done.stdout.splitlines()[0].partition(":")[0], done.stdout.splitlines()[1]
        host.follow(command.removeprefix("Run: "))
        done = host.settled((*PASSING, "no-node:", f"{name}:"))  # a node ends, then another starts
        if done.status == 0:
            return
    raise AssertionError(done)
