"""`linklocal doctor` on a node's host: each fault of node or server is made, named, and mended as it says.

The machine's clock and its own disk are left alone: the node's clock is set wrong inside its process, and
its folder moves to a small disk of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
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
    id: str

    def node(self, url: str) -> None:
        """The node again, talking to this server."""
        state = str(self.fleet.folder / "node")
        self.fleet.spawn(
            "node", "node", "run", "--state-dir", state, "--server-url", url, "--loopback-ports"
        )

    def follow(self, command: str) -> None:
        """Run it in a shell; what does not end becomes the node or the server of the fleet."""
        if command.startswith("du "):
            self.free(command)
            return
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

    def free(self, command: str) -> None:
        """Delete the largest file that the command shows."""
        done = subprocess.run(
            ["sh", "-ec", command], stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS
        )
        shown = [Path(line.split("\t", 1)[1]) for line in done.stdout.splitlines()]
        [path for path in shown if path.is_file()][-1].unlink()

    def settled(self, passing: tuple[str, ...] = PASSING) -> Done:
        """What the doctor says when the last change has arrived."""
        deadline = time.monotonic() + SECONDS
        while (done := self.user.run("doctor", self.instance)).stdout.startswith(passing):
            assert time.monotonic() < deadline, done
            time.sleep(0.2)  # of a process that can only be asked, and is not asked for nothing
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
        yield Host(fleet, user, instance["name"], instance["id"])
    finally:
        fleet.end_all()
        if (folder / "node").is_mount():
            subprocess.run(["umount", folder / "node"], check=True)


def no_node(host: Host) -> None:
    host.fleet.end("node")


def cut_off(host: Host) -> None:
    """The node starts with what it has; its server's address is wrong."""
    host.fleet.end("node")
    host.node("http://127.0.0.1:9")


def server_gone(host: Host) -> None:
    host.fleet.end("server", signal.SIGKILL)


def port_taken(host: Host) -> None:
    """Another program is faster than the node after a restart."""
    port = host.fleet.address(host.id).rpartition(":")[2]  # type: ignore[union-attr]  # it is served
    host.fleet.end("node")
    host.fleet.processes["thief"] = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", port],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: requests.get(f"http://127.0.0.1:{port}", timeout=2).ok)
    host.node(host.fleet.url)


def node_stopped(host: Host) -> None:
    host.fleet.processes["node"].send_signal(signal.SIGSTOP)


def node_revoked(host: Host) -> None:
    host.fleet.cli("node", "revoke", host.user.json("node", "list")[0]["name"], "--force")
    shown = host.user.json("is", "instance", host.instance)
    assert (shown["status"], shown["health_state"]) == ("pending", "faulted")
    assert "linklocal node place" in shown["status_reasons"][0]["message"]
    assert shown["health_reasons"][0]["code"] == "node_revoked"


CLOCK = """
import sys
from datetime import timedelta
from pathlib import Path
from linklocal.cli.main import main
from linklocal.clock import SystemClock
right, off = SystemClock.now, Path(sys.argv.pop(1))
SystemClock.now = lambda self: right(self) + timedelta(seconds=400 if off.exists() else 0)
main()
"""


def clock_wrong(host: Host) -> None:
    """The node's clock is 400 s ahead until `timedatectl` is called."""
    folder = host.fleet.folder
    (folder / "clock").touch()
    (folder / "timedatectl").write_text(f"#!/bin/sh\nrm {folder}/clock\n")
    (folder / "timedatectl").chmod(0o755)
    host.fleet.end("node")
    with (folder / "node.log").open("ab") as log:
        host.fleet.processes["node"] = subprocess.Popen(
            [sys.executable, "-c", CLOCK, str(folder / "clock"), "node", "run", "--state-dir",
             str(folder / "node"), "--server-url", host.fleet.url, "--loopback-ports"],
            env=clean_environment(), stdout=log, stderr=log,
        )  # fmt: skip


def attachment_gone(host: Host) -> None:
    """The guest's namespace went with a restart of the host, where the node's own record stayed."""
    name = f"ll-doctor-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        host.user.ok("node", "attach", host.instance, "--netns", name)
        host.fleet.end("node")
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
    host.node(host.fleet.url)


def disk_full(host: Host) -> None:
    """The node's folder moves to a disk of 2 MB, which something else fills; then a setting changes."""
    node, kept = host.fleet.folder / "node", host.fleet.folder / "kept"
    host.fleet.end("node")
    node.rename(kept)
    node.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", node], check=True)
    subprocess.run(["cp", "-a", f"{kept}/.", node], check=True)
    host.node(host.fleet.url)
    assert host.settled((*PASSING, "no-node")).status == 0
    with (node / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    host.user.ok(
        "is", "instance-update", host.instance, "--metadata-service-response-hop-limit", "3"
    )


ROOT = pytest.mark.root
BREAKAGES: list[Any] = [
    (no_node, "no-node: No node runs with the state folder "),
    (cut_off, "node-cut-off: The node does not reach http://127.0.0.1:9: "),
    (server_gone, "server-down: The server at "),
    (port_taken, "node-fault: attachments: 127.0.0.1:"),
    (node_stopped, "node-stopped: The node (process "),
    (clock_wrong, "clock: The clocks of node and server are 400 s apart."),
    (node_revoked, "node-revoked: Node host-1 is revoked."),
    pytest.param(attachment_gone, "attachment-gone: ",
                 marks=[ROOT, pytest.mark.needs("ip", "iproute2")]),
    pytest.param(disk_full, "disk-full: ", marks=[ROOT, pytest.mark.needs("mount", "mount")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("breakage", "said"), BREAKAGES, ids=lambda value: getattr(value, "__name__", "found")
)
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
