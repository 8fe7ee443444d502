"""The hop limit on the wire: the TTL of every packet that a guest gets, read from a packet socket."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import ADDRESS, Guest, Host, Wire, ip
from .packets import ACK, FIN, RST, SYN, WAIT, Packet, Tap, connected, forge

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("curl", "curl"),
]
MakeGuest = Callable[[], Guest]
MakeWire = Callable[[], Wire]
PORTS = {"http": 80, "https": 443}
CLOSED = 81
ASK = b"GET /metadata/v1/instance?version=2025-08-26 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"


@contextmanager
def process_in(guest: Guest) -> Iterator[int]:
    with subprocess.Popen(["ip", "netns", "exec", guest.netns, "sleep", "600"]) as process:
        try:
            while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
                pass
            yield process.pid
        finally:
            process.kill()


def has(packets: list[Packet], flags: int, port: int | None = None) -> bool:
    return any(p.flags & flags == flags and port in (None, p.sport) for p in packets)


def ask(guest: Guest, protocol: str) -> bytes:
    """One call that is refused, in a connection that the guest ends."""
    with connected(guest, PORTS[protocol]) as plain:
        if protocol == "http":
            plain.sendall(ASK)
            return plain.recv(65_536)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as secure:
            secure.sendall(ASK)
            return secure.recv(65_536)


def resets(guest: Guest, port: int) -> None:
    """What makes the service's side send packets that are no socket's: a closed port, and stray segments."""
    with pytest.raises(ConnectionRefusedError):
        connected(guest, CLOSED)
    own = guest.run("ip", "-br", "-4", "addr", "show", "linklocal0").stdout.split()[2]
    forge(guest, (own.partition("/")[0], 4444), port, ACK, sequence=1, acknowledged=1)


def every_kind(port: int) -> Callable[[list[Packet]], bool]:
    """SYN-ACK, data, FIN, the reset of a closed port and of a stray segment at the open one."""

    def enough(packets: list[Packet]) -> bool:
        data = any(p.size and p.sport == port for p in packets)
        closing = has(packets, FIN, port) or has(packets, RST, port)
        stray = any(p.flags & RST and p.sport == port and p.dport == 4444 for p in packets)
        return (
            data
            and closing
            and stray
            and has(packets, SYN | ACK, port)
            and has(packets, RST, CLOSED)
        )

    return enough


def ttls(guest: Guest, protocol: str) -> set[int]:
    port = PORTS[protocol]
    with Tap(guest) as tap:
        assert ask(guest, protocol).startswith(b"HTTP/1.1 4")
        resets(guest, port)
        return {packet.ttl for packet in tap.come(every_kind(port))}


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
