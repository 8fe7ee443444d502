"""A socket made in one process answers in another: in namespaces that the node joined, and handed over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cloud import clients
from live import running
from packets import ttls

from linklocal.document import MetadataService
from linklocal.node import namespaces
from linklocal.node.handed import DEFAULT_TTL, PROCESS
from linklocal.node.local_api import post
from linklocal.node.places import PORTS
from linklocal.node.sockets import listening_socket

from .conftest import ADDRESS, NAME, VERSION, Guest, Host

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("curl", "curl"),
]
LISTED, UNLISTED = 65_534, 65_533  # user ids
# Run as other users, for whom the checkout and its Python may be closed.
PROGRAM = (Path(__file__).parents[2] / "examples" / "hand-over" / "hand_over.py").read_text()
TTL = "/proc/sys/net/ipv4/ip_default_ttl"
Sockets = dict[str, int]  # descriptors by name
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Shared:
    """A node with two workers, its socket for others, and the instance that the listed user may hand over."""

    host: Host
    socket: Path
    theirs: str

    def post(self, instance: str, sockets: Sockets, process: int) -> None:
        descriptors = {**sockets, PROCESS: process}
        body = {"instance": instance, "descriptors": list(descriptors)}
        post(self.socket, "/v1/hand_over", body, list(descriptors.values()))

    def kill_workers(self) -> None:
        for worker in json.loads(self.host.node("status").stdout)["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)

    def handed_by(self, uid: int, instance: str, *command: str) -> subprocess.CompletedProcess[str]:
        """The example's program of that user, in a user and network namespace of its own."""
        return subprocess.run(
            [
                "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                "unshare", "--user", "--map-root-user", "--net",
                "python3", "-c", PROGRAM, str(self.socket), instance, *command,
            ],
            env={"PATH": PATH}, cwd="/", capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    # Not pytest's own folder, which is closed to other users.
    with tempfile.TemporaryDirectory(prefix="llt") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with running(folder / "state", "--seed", "minimal") as dev:
            theirs = Host(dev, clients(dev)).instance()
        settings = {
            "LINKLOCAL_WORKERS": "2",
            "LINKLOCAL_LOCAL_USERS": json.dumps({LISTED: [theirs]}),
            "LINKLOCAL_LOCAL_SOCKET": str(folder / "node.sock"),
        }
        with running(folder / "state", "--seed", "minimal", settings=settings) as dev:
            yield Shared(Host(dev, clients(dev)), folder / "node.sock", theirs)


def test_namespaces_outlive_the_process_that_answers_in_them(
    guest: Callable[[], Guest], shared: Shared
) -> None:
    sharded, near, other = shared.host, guest(), guest()
    one, two = (sharded.instance(response_hop_limit=1) for _ in range(2))
    sharded.attach(one, "--netns", near.netns)
    sharded.attach(two, "--netns", other.netns)
    assert (near.instance()["id"], other.instance()["id"]) == (one, two)

    shared.kill_workers()

    # Calls wait in the kernel until somebody takes them up; the answer is as before.
    token = near.token("-m", "20")
    status, _ = near.curl(
        "/metadata/v1/instance", "-m", "20", "-H", f"Authorization: Bearer {token}"
    )
    assert status == 200
    assert other.instance("-m", "20")["id"] == two
    assert near.curl("/metadata/v1/instance", "-H", f"Authorization: Bearer {token}")[0] == 200
    sharded.change(one, enabled=False)
    assert near.curl("/metadata/v1/instance", "-H", f"Authorization: Bearer {token}")[0] == 403
    assert sharded.node("detach", two).returncode == 0
    assert other.status() == 0


@contextmanager
def service_of(guest: Guest, instance: str) -> Iterator[Sockets]:
    """What a monitor of virtual machines makes for a guest: a namespace beside it, and the sockets there."""
    settings = MetadataService()
    service = namespaces.make()
    try:
        with namespaces.opened(f"/run/netns/{guest.netns}") as inside:
            namespaces.join(service, inside, instance, 1)

        def made() -> Sockets:
            sockets = {
                name: listening_socket(ADDRESS, port, settings).detach()
                for name, port in PORTS.items()
            }
            return {**sockets, DEFAULT_TTL: os.open(TTL, os.O_WRONLY | os.O_CLOEXEC)}

        sockets = namespaces.inside(service, made)
    finally:
        os.close(service)
    try:
        yield sockets
    finally:
        for descriptor in sockets.values():
            os.close(descriptor)


@contextmanager
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that stands for the guest: it runs until its input is closed."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as started:
        yield started


def nothing_handed(listed: list[dict[str, Any]]) -> bool:
    return all(item["kind"] != "descriptor" for item in listed)


def test_sockets_handed_over_are_answered_until_the_process_ends(
    guest: Callable[[], Guest], shared: Shared
) -> None:
    """Killed workers, another protocol and hop limit, killed workers again: the sockets stay the same."""
    host, inside = shared.host, guest()
    instance = host.instance(response_hop_limit=2)
    secure = ("--cacert", host.dev.ready["ca_cert"], "--resolve", f"{NAME}:443:{ADDRESS}")
    with process() as tied:
        pidfd = os.pidfd_open(tied.pid)
        try:
            with service_of(inside, instance) as sockets:
                shared.post(instance, sockets, pidfd)
        finally:
            os.close(pidfd)
        assert inside.instance()["id"] == instance
        assert ttls(inside, "http") == {2}
        shared.kill_workers()
        assert inside.instance("-m", "20")["id"] == instance

        host.change(instance, protocol="https", response_hop_limit=5)
        assert inside.run("curl", "-s", "-m", "5", f"http://{ADDRESS}/").returncode == 7
        assert inside.instance(*secure, base=f"https://{NAME}")["id"] == instance
        assert ttls(inside, "https") == {5}
        shared.kill_workers()
        assert inside.instance("-m", "20", *secure, base=f"https://{NAME}")["id"] == instance
        assert ttls(inside, "https") == {5}

        host.change(instance, protocol="http")
        assert inside.instance()["id"] == instance
        assert inside.run("curl", "-sk", "-m", "5", f"https://{ADDRESS}/").returncode == 7
        assert tied.stdin is not None
        tied.stdin.close()
    host.until(instance, nothing_handed)
    assert inside.status() == 0


def test_another_user_hands_over_for_its_instance_and_no_other(shared: Shared) -> None:
    """The kernel says who asks: a user without rights on the host, in namespaces of its own."""
    url = f"http://{ADDRESS}/identity/v1/token?{VERSION}"
    mint = ("curl", "-sS", "-m", "20", "-X", "PUT", "-H", "Metadata-Flavor: ibm", url)
    other = shared.host.instance()

    answered = shared.handed_by(LISTED, shared.theirs, *mint)
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)["access_token"]
    shared.host.until(shared.theirs, nothing_handed)  # it ended with its process

    refused = shared.handed_by(LISTED, other, *mint)
    assert refused.returncode == 1
    assert f"User {LISTED} may not use instance {other}" in refused.stderr
    assert "have LINKLOCAL_LOCAL_USERS name it" in refused.stderr

    unknown = shared.handed_by(UNLISTED, shared.theirs, *mint)
    assert unknown.returncode == 1
    assert f"User {UNLISTED} is not on this node's list" in unknown.stderr
    assert "have LINKLOCAL_LOCAL_USERS name the user and its instances" in unknown.stderr
    for instance in (shared.theirs, other):
        assert nothing_handed(shared.host.attachments(instance))
