"""Packets as they are on the wire, read from and written to sockets inside a guest; and their TTLs."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from linklocal.node import namespaces
from linklocal.node.hosts import ADDRESS
from linklocal.node.namespaces import GUEST_LINK
from linklocal.node.places import PORTS

SYN, RST, ACK, FIN, PUSH = 0x02, 0x04, 0x10, 0x01, 0x08
_ALL = 0x0003  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING
WAIT = 20.0
CLOSED = 81  # a port at which nothing listens
ASK = b"GET /metadata/v1/instance?version=2025-08-26 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"


class Guest(Protocol):
    """Whatever has a network namespace."""

    @property
    def namespace(self) -> str:
        """The path of its file."""
        ...


@dataclass(frozen=True)
class Packet:
    """One TCP segment over IPv4."""

    ttl: int
    source: str
    destination: str
    sport: int
    dport: int
    sequence: int
    acknowledged: int
    flags: int
    size: int  # of what it carries

    @classmethod
    def read(cls, raw: bytes) -> Packet | None:
        """None: it is something else."""
        if len(raw) < 40 or raw[0] >> 4 != 4 or raw[9] != socket.IPPROTO_TCP:
            return None
        start = (raw[0] & 15) * 4
        sport, dport, sequence, acknowledged, offset, flags = struct.unpack_from(
            "!HHIIBB", raw, start
        )
        size = struct.unpack_from("!H", raw, 2)[0] - start - (offset >> 4) * 4
        source, destination = socket.inet_ntoa(raw[12:16]), socket.inet_ntoa(raw[16:20])
        return cls(
            raw[8], source, destination, sport, dport, sequence, acknowledged, flags & 0x3F, size
        )


class Tap:
    """Everything that passes an interface of a guest from here on."""

    def __init__(self, guest: Guest, interface: str = GUEST_LINK) -> None:
        def listen() -> socket.socket:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
            sock.bind((interface, _ALL))
            return sock

        self._sock = within(guest, listen)

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def come(self, until: Callable[[list[Packet]], bool]) -> list[Packet]:
        """What came from the service, once it is enough."""
        found: list[Packet] = []
        while not until(found):
            outgoing, packet = self._next()
            if not outgoing and packet.source == ADDRESS:
                found.append(packet)
        return found

    def first(self, such: Callable[[Packet], bool]) -> Packet:
        """The first such packet, in either direction."""
        while True:
            _, packet = self._next()
            if such(packet):
                return packet

    def _next(self) -> tuple[bool, Packet]:
        while True:
            ready, _, _ = select.select([self._sock], [], [], WAIT)
            assert ready, "no more packets came"
            raw, address = self._sock.recvfrom(65_536)
            packet = Packet.read(raw)
            if packet is not None:
                return address[2] == _OUTGOING, packet


def within(guest: Guest, work: Callable[[], socket.socket]) -> socket.socket:
    """A socket made in the guest's namespace."""
    with namespaces.opened(guest.namespace) as namespace:
        return namespaces.inside(namespace, work)


def connected(guest: Guest, port: int) -> socket.socket:
    """A connection of the guest to its service."""
    return within(guest, lambda: socket.create_connection((ADDRESS, port), WAIT))


def forge(
    guest: Guest,
    source: tuple[str, int],
    port: int,
    flags: int,
    *,
    sequence: int,
    acknowledged: int,
) -> None:
    """Send a segment that claims to be from somebody, as root in a guest can."""
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(ADDRESS)
    segment = struct.pack(
        "!HHIIBBHHH", source[1], port, sequence, acknowledged, 5 << 4, flags, 1024, 0, 0
    )
    check = _checksum(addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(segment)) + segment)
    segment = segment[:16] + struct.pack("!H", check) + segment[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, socket.IPPROTO_TCP, 0)
    raw = within(guest, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
    with raw:
        raw.sendto(head + addresses + segment, (ADDRESS, 0))


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
    with contextlib.suppress(ConnectionRefusedError):
        connected(guest, CLOSED)
    with within(guest, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.connect((ADDRESS, port))
        own = sock.getsockname()[0]
    forge(guest, (own, 4444), port, ACK, sequence=1, acknowledged=1)


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
    """Of every kind of packet that the service sends: refusals and resets included."""
    port = PORTS[protocol]
    with Tap(guest) as tap:
        assert ask(guest, protocol).startswith(b"HTTP/1.1 4")
        resets(guest, port)
        return {packet.ttl for packet in tap.come(every_kind(port))}


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
