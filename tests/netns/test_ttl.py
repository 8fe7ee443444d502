"""The hop limit on the wire: the TTL of every packet that a guest gets, read from a packet socket."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packets import ASK, FIN, RST, WAIT, Tap, connected, has, ttls

from .conftest import ADDRESS, Guest, Host, Wire, ip

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("curl", "curl"),
]
MakeGuest = Callable[[], Guest]
MakeWire = Callable[[], Wire]


@contextmanager
def process_in(guest: Guest) -> Iterator[int]:
    with subprocess.Popen(["ip", "netns", "exec", guest.netns, "sleep", "600"]) as process:
        try:
            while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
                pass
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [
        ("netns", "http"),
        ("netns", "https"),
        ("pid", "http"),
        ("device", "http"),
        ("device", "https"),
    ],
)
def test_every_packet_carries_the_limit(
    guest: MakeGuest, wire: MakeWire, host: Host, kind: str, protocol: str
) -> None:
    """Also refusals and what no socket sends; what changes, changes all; 1 while disabled."""
    instance = host.instance(response_hop_limit=7, protocol=protocol)
    if kind == "device":
        there = wire()
        inside = there.guest
        host.attach(instance, "--device", there.device)
    elif kind == "netns":
        inside = guest()
        host.attach(instance, "--netns", inside.netns)
    else:
        inside = guest()
        with process_in(inside) as pid:
            host.attach(instance, "--pid", str(pid))

    assert ttls(inside, protocol) == {7}
    host.change(instance, response_hop_limit=3)
    assert ttls(inside, protocol) == {3}
    host.change(instance, response_hop_limit=64)
    assert ttls(inside, protocol) == {64}
    host.change(instance, enabled=False)
    assert ttls(inside, protocol) == {1}


def test_a_connection_that_is_over_keeps_the_limit(
    guest: MakeGuest, wire: MakeWire, host: Host
) -> None:
    """Segments after the service's end of a connection, which the kernel answers without its socket."""
    near, there = guest(), wire()
    for inside, where in (
        (near, ("--netns", near.netns)),
        (there.guest, ("--device", there.device)),
    ):
        instance = host.instance(response_hop_limit=5)
        host.attach(instance, *where)
        with Tap(inside) as tap, connected(inside, 80) as connection:
            connection.sendall(ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while connection.recv(65_536):
                pass
            connection.sendall(b"late")  # the other side has closed
            packets = tap.come(lambda packets: has(packets, FIN) and has(packets, RST))
        assert {packet.ttl for packet in packets} == {5}


def test_other_traffic_keeps_its_own(guest: MakeGuest, wire: MakeWire, host: Host) -> None:
    """Neither what the guest sends, to its service or elsewhere, nor the host's to others at the device."""
    inside, far, there = guest(), guest(), wire()
    first, second = host.instance(response_hop_limit=1), host.instance(response_hop_limit=1)
    host.attach(first, "--netns", inside.netns)
    host.attach(second, "--device", there.device)
    ip("-n", inside.netns, "link", "add", "name", "c0", "type", "veth",
       "peer", "name", "eth1", "netns", far.netns)  # fmt: skip
    ip("-n", inside.netns, "addr", "add", "172.17.0.1/24", "dev", "c0")
    ip("-n", inside.netns, "link", "set", "c0", "up")
    ip("-n", far.netns, "link", "set", "eth1", "up")

    with Tap(inside) as tap:
        inside.status()
        assert tap.first(lambda packet: packet.destination == ADDRESS).ttl == 64
    with Tap(inside, "c0") as tap:
        ip(
            "-n",
            inside.netns,
            "neigh",
            "add",
            "172.17.0.2",
            "lladdr",
            "02:00:00:00:00:02",
            "dev",
            "c0",
        )
        inside.run("curl", "-s", "-m", "0.2", "http://172.17.0.2/")
        assert tap.first(lambda packet: packet.destination == "172.17.0.2").ttl == 64
    assert inside.run("cat", "/proc/sys/net/ipv4/ip_default_ttl").stdout == "64\n"
    ip("addr", "add", "172.18.0.1/24", "dev", there.device)
    ip("-n", there.guest.netns, "addr", "add", "172.18.0.2/24", "dev", "linklocal0")
    with Tap(there.guest) as tap, socket.socket() as sock:
        sock.settimeout(WAIT)
        with pytest.raises(ConnectionRefusedError):
            sock.connect(("172.18.0.2", 9))
        assert tap.first(lambda packet: packet.source == "172.18.0.1").ttl == 64
