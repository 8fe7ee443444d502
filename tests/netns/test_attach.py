"""What a guest gets at 169.254.169.254, and how far away it may be."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from live import linklocal

from .conftest import ADDRESS, NAME, Guest, Host, Wire, ip

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("nft", "nftables"),
    pytest.mark.needs("curl", "curl"),
]
MakeGuest = Callable[[], Guest]


def container_behind(guest: Guest, container: Guest) -> None:
    """The guest forwards for the container and hides its address, as container engines do."""
    ip("-n", guest.netns, "link", "add", "name", "c0", "type", "veth",
       "peer", "name", "eth1", "netns", container.netns)  # fmt: skip
    ip("-n", guest.netns, "addr", "add", "172.17.0.1/24", "dev", "c0")
    ip("-n", guest.netns, "link", "set", "c0", "up")
    ip("-n", container.netns, "addr", "add", "172.17.0.2/24", "dev", "eth1")
    ip("-n", container.netns, "link", "set", "eth1", "up")
    ip("-n", container.netns, "route", "add", "default", "via", "172.17.0.1")
    done = guest.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    assert done.returncode == 0, done.stderr
    rules = "add table ip n; add chain ip n p { type nat hook postrouting priority 100; };"
    done = guest.run("nft", f"{rules} add rule ip n p oifname linklocal0 masquerade")
    assert done.returncode == 0, done.stderr


def test_the_hop_limit_decides_who_is_answered(guest: MakeGuest, host: Host) -> None:
    """Limit 1 reaches the guest and nothing behind it; a change takes effect on the live listener."""
    near, far = guest(), guest()
    instance = host.instance(response_hop_limit=1)
    made = host.attach(instance, "--netns", near.netns)
    container_behind(near, far)

    assert made["address"] == f"http://{ADDRESS}"
    assert near.instance()["id"] == instance
    assert far.status() == 0
    host.change(instance, response_hop_limit=2)
    assert far.instance()["id"] == instance
    assert near.status() == 400
    host.change(instance, response_hop_limit=1)
    assert far.status() == 0
    assert near.status() == 400


def test_the_same_private_address_twice(guest: MakeGuest, host: Host) -> None:
    """Each guest sees its own instance, and a token of one is nothing to the other."""
    one, two = guest(), guest()
    first, second = host.instance(), host.instance()
    host.attach(first, "--netns", one.netns)
    host.attach(second, "--netns", f"/run/netns/{two.netns}")

    assert one.instance()["id"] == first
    assert two.instance()["id"] == second
    status, _ = two.curl("/metadata/v1/instance", "-H", f"Authorization: Bearer {one.token()}")
    assert status == 401


@pytest.mark.differs(
    "Metadata: a change of `protocol` on a running instance",
    "not published",
    "takes effect at once: the port of the other protocol closes",
)
def test_exactly_one_port_listens(guest: MakeGuest, host: Host, ca: Path) -> None:
    """https moves to 443 with the documented name, http to 80 back again."""
    inside = guest()
    instance = host.instance()
    host.attach(instance, "--netns", inside.netns)
    secure = ("--cacert", str(ca), "--resolve", f"{NAME}:443:{ADDRESS}")

    assert inside.run("curl", "-sk", "-m", "1", f"https://{ADDRESS}/").returncode == 7
    host.change(instance, protocol="https")
    assert inside.instance(*secure, base=f"https://{NAME}")["id"] == instance
    assert inside.run("curl", "-s", "-m", "1", f"http://{ADDRESS}/").returncode == 7
    host.change(instance, protocol="http")
    assert inside.instance()["id"] == instance
    assert inside.run("curl", "-sk", "-m", "1", f"https://{ADDRESS}/").returncode == 7


@pytest.mark.differs(
    "Metadata: a disabled service",
    "no response at all",
    "403 `unauthorized` on the instance's own socket; none with `--when-disabled silent`",
)
@pytest.mark.parametrize(("when", "status"), [("refuse", 403), ("silent", 0)])
def test_disabled(guest: MakeGuest, host: Host, when: str, status: int) -> None:
    """A disabled service says why, or nothing at all where the attachment says so."""
    inside = guest()
    instance = host.instance(enabled=False)
    host.attach(instance, "--netns", inside.netns, "--when-disabled", when)

    assert inside.status() == status
    host.change(instance, enabled=True)
    assert inside.status() == 400
    host.change(instance, enabled=False)
    assert inside.status() == status


def test_detaching_leaves_nothing_in_the_guest(guest: MakeGuest, host: Host) -> None:
    inside = guest()
    instance = host.instance()
    assert "linklocal0" not in ip("-n", inside.netns, "link")
    host.attach(instance, "--netns", inside.netns)
    assert "linklocal0" in ip("-n", inside.netns, "link")
    assert [item["kind"] for item in host.attachments(instance)].count("netns") == 1

    assert host.node("detach", instance).returncode == 0
    assert "linklocal0" not in ip("-n", inside.netns, "link")
    assert ADDRESS not in ip("-n", inside.netns, "route")
    assert [item["kind"] for item in host.attachments(instance)] == ["port"]


def test_a_device_where_nothing_would_arrive_is_refused_with_what_to_do(
    wire: Callable[[], Wire], host: Host
) -> None:
    """Without the service's address, or as a port of a bridge; one that loses the address has a fault."""
    there, bridge = wire(), f"llt{os.getpid()}-br"
    instance = host.instance()
    address = f"{ADDRESS}/32"
    peer = json.loads(ip("-j", "addr", "show", "dev", there.device))[0]["addr_info"][0]["address"]
    host.attach(instance, "--device", there.device)
    ip("addr", "del", address, "peer", peer, "dev", there.device)

    advice = f"ip addr add {address} peer GUEST-ADDRESS dev {there.device}"
    assert advice in fault_at_device(host, instance)
    said = linklocal("doctor", instance, state_dir=host.dev.state_dir).stdout
    assert said.startswith("device-address: ")
    assert said.endswith(f"Run: {advice}\n")
    host.node("detach", instance)
    refused = host.node("attach", instance, "--device", there.device)
    assert refused.returncode == 1
    assert advice in refused.stderr

    ip(*advice.replace("GUEST-ADDRESS", peer).split()[1:])
    ip("link", "add", "name", bridge, "type", "bridge")
    try:
        ip("link", "set", there.device, "master", bridge)
        refused = host.node("attach", instance, "--device", there.device)
        assert refused.returncode == 1
        assert "it is a port of a bridge" in refused.stderr
    finally:
        ip("link", "del", bridge)
    host.attach(instance, "--device", there.device)
    assert there.guest.instance()["id"] == instance

    ip("link", "set", there.device, "name", f"{there.device}x")  # as if it were gone
    try:
        assert "is not there any more" in fault_at_device(host, instance)
        ip("link", "add", "name", there.device, "type", "veth", "peer", "name", bridge)
        assert "is another one now" in fault_at_device(host, instance)
        ip("link", "del", bridge)
    finally:
        ip("link", "set", f"{there.device}x", "name", there.device)
    assert host.node("detach", instance).returncode == 0


def fault_at_device(host: Host, instance: str) -> str:
    return next(str(i["fault"]) for i in host.attachments(instance) if i["kind"] == "device")


def test_what_cannot_be_attached_is_refused_with_the_reason(guest: MakeGuest, host: Host) -> None:
    inside = guest()
    instance, other = host.instance(), host.instance()
    host.attach(instance, "--netns", inside.netns)

    for arguments, reason in (
        ((other, "--netns", inside.netns), "linklocal0"),
        ((other, "--netns", "no-such-guest"), "not there"),
        ((other, "--netns", f"/proc/{os.getpid()}/ns/net"), "node's own"),
        ((other, "--device", "no-such-dev"), "not there"),
        (("no-such-instance", "--netns", inside.netns), "placed on this node"),
    ):
        done = host.node("attach", *arguments)
        assert done.returncode == 1
        assert reason in done.stderr, done.stderr
    assert [item["kind"] for item in host.attachments(other)] == ["port"]
    assert inside.instance()["id"] == instance
