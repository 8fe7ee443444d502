"""Links, addresses and routes of the calling thread's network namespace: the few rtnetlink calls of a node.

Six fixed messages do not justify a netlink library in a process that runs as root. It knows the kernel's
message layout and nothing of instances; which namespace is meant is the caller's business.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from linklocal.node.netlink import NESTED, attribute, attributes, text

# Linux numbers (linux/rtnetlink.h, linux/if_link.h); the socket module does not name them.
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _NEWROUTE = 20, 24
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_IFNAME, _LINKINFO, _IFALIAS, _NET_NS_FD = 3, 18, 20, 28
_INFO_KIND, _INFO_DATA, _INFO_PORT_KIND = 1, 2, 4
_VETH_INFO_PEER = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_UP = 0x1
_TABLE_MAIN, _PROTO_STATIC, _SCOPE_UNIVERSE, _TYPE_UNICAST = 254, 4, 0, 1
_IFINFO = struct.Struct("=BBHiII")
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Link:
    """One interface. `kind` is the kernel's word (`veth`, `tun`), empty for plain devices.

    `port_of`: the kind of what it is a port of (`bridge`, `vrf`), empty if of none.
    """

    index: int
    name: str
    kind: str
    alias: str
    port_of: str = ""


class Netlink:
    """One conversation with the kernel, about the namespace in which it was opened. Methods raise OSError."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._sock.settimeout(_SECONDS)
        self._sock.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()

    def link(self, name: str) -> Link | None:
        """The interface of that name, if there is one."""
        try:
            answer = self._ask(_GETLINK, 0, _ifinfo() + attribute(_IFNAME, text(name)))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        index = _IFINFO.unpack_from(answer)[3]
        values = dict(attributes(answer[_IFINFO.size :]))
        info = dict(attributes(values.get(_LINKINFO, b"")))
        kind, port_of = (_string(info.get(member, b"")) for member in (_INFO_KIND, _INFO_PORT_KIND))
        return Link(index, name, kind, _string(values.get(_IFALIAS, b"")), port_of)

    def add_veth(self, name: str, peer: str, peer_namespace: int) -> None:
        """Make a pair: `name` here, `peer` in the namespace of that descriptor."""
        other = _ifinfo() + attribute(_IFNAME, text(peer))
        other += attribute(_NET_NS_FD, struct.pack("=i", peer_namespace))
        data = attribute(_VETH_INFO_PEER | NESTED, other)
        info = attribute(_INFO_KIND, b"veth\0") + attribute(_INFO_DATA | NESTED, data)
        body = attribute(_IFNAME, text(name)) + attribute(_LINKINFO | NESTED, info)
        self._ask(_NEWLINK, _CREATE | _EXCL, _ifinfo() + body)

    def set_up(self, name: str, alias: str = "") -> int:
        """Bring an interface up; its index. `alias` is a note that `ip link` shows."""
        index = socket.if_nametoindex(name)
        body = attribute(_IFALIAS, text(alias)) if alias else b""
        self._ask(_NEWLINK, 0, _ifinfo(index, _UP, _UP) + body)
        return index

    def delete(self, index: int) -> None:
        """Remove an interface; the other end of a veth goes with it."""
        self._ask(_DELLINK, 0, _ifinfo(index))

    def add_address(self, index: int, address: str, prefix: int) -> None:
        """Give an interface an IPv4 address."""
        packed = socket.inet_aton(address)
        head = struct.pack("=BBBBi", socket.AF_INET, prefix, 0, _SCOPE_UNIVERSE, index)
        body = attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        self._ask(_NEWADDR, _CREATE | _EXCL, head + body)

    def add_route(self, index: int, destination: str | None, gateway: str) -> None:
        """A route over an interface: to one host, or the default route (None)."""
        length = 0 if destination is None else 32
        head = struct.pack(
            "=BBBBBBBBI",
            socket.AF_INET, length, 0, 0, _TABLE_MAIN, _PROTO_STATIC, _SCOPE_UNIVERSE, _TYPE_UNICAST, 0,
        )  # fmt: skip
        body = b"" if destination is None else attribute(_RTA_DST, socket.inet_aton(destination))
        body += attribute(_RTA_GATEWAY, socket.inet_aton(gateway))
        body += attribute(_RTA_OIF, struct.pack("=i", index))
        self._ask(_NEWROUTE, _CREATE | _EXCL, head + body)

    def _ask(self, kind: int, flags: int, body: bytes) -> bytes:
        """Send one request; the first object of the answer. Raises OSError with the kernel's number."""
        self._sequence += 1
        head = struct.pack(
            "=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, self._sequence, 0
        )
        self._sock.send(head + body)
        found = b""
        while True:
            packet = self._sock.recv(65_536)
            while len(packet) >= 16:
                length, answer, _, sequence, _ = struct.unpack_from("=IHHII", packet)
                content, packet = packet[16:length], packet[(length + 3) & ~3 :]
                if sequence != self._sequence:
                    continue
                if answer == _ERROR:
                    number = -struct.unpack_from("=i", content)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                    return found
                if answer == _DONE:
                    return found
                found = found or content


def _ifinfo(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _IFINFO.pack(socket.AF_UNSPEC, 0, 0, index, flags, change)


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")
