"""Packets as they are on the wire, read from and written to sockets inside a guest."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from linklocal.node import namespaces

from .conftest import ADDRESS, Guest

SYN, RST, ACK, FIN, PUSH = 0x02, 0x04, 0x10, 0x01, 0x08
_ALL = 0x0003  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING
WAIT = 20.0


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

    def __init__(self, guest: Guest, interface: str = "linklocal0") -> None:
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
    with namespaces.opened(f"/run/netns/{guest.netns}") as namespace:
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


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
