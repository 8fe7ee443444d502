"""`linklocal doctor` in a guest's namespace and in a container behind it; each fault is mended as it says."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable

import pytest
from live import clean_environment, linklocal

from .conftest import Guest, Host
from .test_attach import container_behind

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("nft", "nftables"),
]


def doctor(guest: Guest) -> str:
    return guest.run(
        "env", *(f"{k}={v}" for k, v in clean_environment().items()),
        sys.executable, "-m", "linklocal", "doctor", "--guest",
    ).stdout  # fmt: skip


def mend(host: Host, said: str, instance: str) -> None:
    """Run on the host what a guest was told, for the instance that the guest is."""
    words = shlex.split(said.splitlines()[1].removeprefix("Run: "))
    done = linklocal(
        *(instance if word == "INSTANCE" else word for word in words[1:]),
        state_dir=host.dev.state_dir,
    )
    assert done.returncode == 0, done.stderr


def test_too_far_away(guest: Callable[[], Guest], host: Host) -> None:
    """The guest is well; its container's answers end on the way, until the hop limit is 2."""
    near, far = guest(), guest()
    instance = host.instance(response_hop_limit=1)
    host.attach(instance, "--netns", near.netns)
    container_behind(near, far)

    assert doctor(near).endswith("OK\n")
    said = doctor(far)
    assert said.startswith("hop-limit: http://169.254.169.254 does not answer")
    mend(host, said, instance)
    host.enforced(instance, response_hop_limit=2)
    assert doctor(far).endswith("OK\n")


def test_secure_access_and_a_disabled_service(guest: Callable[[], Guest], host: Host) -> None:
    """A refused port is told from silence, and from a service that is switched off."""
    inside = guest()
    instance = host.instance(protocol="https")
    host.attach(instance, "--netns", inside.netns)

    said = doctor(inside)
    assert said.startswith("secure-access: http://169.254.169.254 is refused")
    mend(host, said, instance)
    host.enforced(instance, protocol="http")
    assert doctor(inside).endswith("OK\n")
    host.change(instance, enabled=False)
    said = doctor(inside)
    assert said.startswith("disabled: ")
    mend(host, said, instance)
    host.enforced(instance, enabled=True)
    assert doctor(inside).endswith("OK\n")
