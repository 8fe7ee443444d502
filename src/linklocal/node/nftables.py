"""Two rules for what leaves a device of the host from an address, above all for what no socket sends.

Resets of closed ports and the acknowledgements of connections that are over carry the host's default TTL,
whatever a listener's socket says. In a namespace of the node's own the default is the limit; in the host it
is everybody's. So one rule of nftables lowers the TTL, at the device alone: other devices' packets do not
meet it, and other packets of this device pass it untouched.

The host also resets what comes to a closed port by the address of the sender, at whichever device that is.
The guest of another device, where that port is closed, could claim to be this one's and have its connections
reset. So of the port that listens here only resets of its own sockets pass: the kernel gives them the mark
of their socket, and those of none have no mark.

The rules are in a table that belongs to the socket that made it: it ends with the node, however that ends,
and a firewall that is loaded anew ("flush ruleset") leaves it alone. Two rules do not justify a library.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence

from linklocal.node.netlink import NESTED, attribute, text

# Linux numbers (linux/netfilter/nf_tables.h); the socket module does not name them.
_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END, _ERROR = 16, 17, 2
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE, _DELETE_RULE = 0, 3, 6, 8
_REQUEST, _ACK, _EXCL, _CREATE, _APPEND = 0x1, 0x4, 0x200, 0x400, 0x800
_IPV4, _NETDEV = 2, 5  # families
_LOCAL_OUT, _EGRESS = 3, 1  # hooks of the two
_OWNER = 2  # NFT_TABLE_F_OWNER
_MANGLE = -150  # priority: before filters look
_REGISTER = 1
_EQUAL, _UNEQUAL, _GREATER = 0, 1, 4
_PROTOCOL, _MARK, _OUT_NAME, _TRANSPORT = 1, 3, 7, 16  # what `meta` loads
_NETWORK_HEADER, _TRANSPORT_HEADER, _INET_CHECKSUM = 1, 2, 1
_TTL, _CHECKSUM, _SOURCE = 8, 10, 12  # offsets in an IPv4 header
_SOURCE_PORT, _FLAGS, _RESET = 0, 13, b"\x04"  # offsets in a TCP header, and a flag
_SECONDS = 5.0
_CHAIN = "out"


class DeviceFilter:
    """The rules of one device. Methods block for a moment, and raise OSError.

    `port` is the one that listens there, on sockets with `mark`. `routed`: the device is a VRF, through
    which packets are routed without being sent on it; its one rule, the limit, is met by every packet of
    the host, and no packet of another device is routed into it.
    """

    def __init__(
        self,
        device: str,
        address: str,
        hop_limit: int,
        port: int,
        *,
        mark: int,
        routed: bool = False,
    ) -> None:
        self._device, self._address, self._routed = device, address, routed
        self._mark = mark
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._sequence = 0
        try:
            self._sock.settimeout(_SECONDS)
            self._sock.bind((0, 0))
            # The port is the socket's own in its namespace, so no other node's table has this name.
            self._table = f"linklocal-{self._sock.getsockname()[0]}"
            self._send([*self._place(), *self._rules(hop_limit, port)])
        except BaseException:
            self._sock.close()
            raise

    def set(self, hop_limit: int, port: int) -> None:
        """Another limit and port, for every packet from now on; there is none without the rules."""
        delete = self._message(_DELETE_RULE, 0, _of(self._table))
        self._send([delete, *self._rules(hop_limit, port)])

    def close(self) -> None:
        """The rules end; packets carry what their sockets and the host say."""
        self._sock.close()

    def _place(self) -> list[tuple[int, int, bytes]]:
        table = attribute(1, text(self._table)) + attribute(2, struct.pack(">I", _OWNER))
        hook = _LOCAL_OUT if self._routed else _EGRESS
        where = attribute(1, struct.pack(">I", hook)) + attribute(2, struct.pack(">i", _MANGLE))
        if not self._routed:
            where += attribute(3, text(self._device))
        chain = attribute(1, text(self._table)) + attribute(3, text(_CHAIN))
        chain += attribute(4 | NESTED, where) + attribute(7, text("filter"))
        return [
            self._message(_NEW_TABLE, _CREATE | _EXCL, table),
            self._message(_NEW_CHAIN, _CREATE | _EXCL, chain),
        ]

    def _rules(self, hop_limit: int, port: int) -> list[tuple[int, int, bytes]]:
        limit = [
            # `ip ttl > LIMIT ip ttl set LIMIT`
            _load(_TTL, 1),
            _compare(_GREATER, bytes([hop_limit])),
            # With its neighbour, the protocol: the header's checksum counts in pairs.
            _load(_TTL, 2),
            _replace(mask=b"\x00\xff", value=bytes([hop_limit, 0])),
            _store(_TTL, 2),
        ]
        own = [
            # `tcp sport PORT tcp flags & rst != 0 meta mark != MARK drop`
            _meta(_TRANSPORT),
            _compare(_EQUAL, bytes([socket.IPPROTO_TCP])),
            _load(_SOURCE_PORT, 2, _TRANSPORT_HEADER),
            _compare(_EQUAL, struct.pack(">H", port)),
            # Nothing but resets is sent without a socket, and a firewall may clear marks of what has one.
            _load(_FLAGS, 1, _TRANSPORT_HEADER),
            _replace(mask=_RESET, value=b"\0"),
            _compare(_UNEQUAL, b"\0"),
            _meta(_MARK),
            _compare(_UNEQUAL, struct.pack("=I", self._mark)),
            _drop(),
        ]
        return [self._rule(limit)] if self._routed else [self._rule(own), self._rule(limit)]

    def _rule(self, then: Sequence[bytes]) -> tuple[int, int, bytes]:
        """`ip saddr ADDRESS ...`, of this device's IPv4 packets."""
        if self._routed:
            name = self._device.encode().ljust(16, b"\0")
            steps = [_meta(_OUT_NAME), _compare(_EQUAL, name)]
        else:
            steps = [_meta(_PROTOCOL), _compare(_EQUAL, struct.pack(">H", 0x0800))]
        steps += [_load(_SOURCE, 4), _compare(_EQUAL, socket.inet_aton(self._address)), *then]
        expressions = b"".join(attribute(1 | NESTED, step) for step in steps)
        body = _of(self._table) + attribute(4 | NESTED, expressions)
        return self._message(_NEW_RULE, _CREATE | _APPEND, body)

    def _message(self, kind: int, flags: int, body: bytes) -> tuple[int, int, bytes]:
        family = _IPV4 if self._routed else _NETDEV
        return _SUBSYSTEM << 8 | kind, flags | _ACK, struct.pack(">BBH", family, 0, 0) + body

    def _send(self, messages: Sequence[tuple[int, int, bytes]]) -> None:
        """All of them or none. Raises OSError with the kernel's number."""
        border = struct.pack(">BBH", 0, 0, _SUBSYSTEM)
        waiting: set[int] = set()
        packet = b""
        for kind, flags, body in [(_BATCH_BEGIN, 0, border), *messages, (_BATCH_END, 0, border)]:
            self._sequence += 1
            if flags & _ACK:
                waiting.add(self._sequence)
            head = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, self._sequence, 0)
            packet += head + body
        self._sock.send(packet)
        first = 0
        while waiting and not first:
            answer = self._sock.recv(65_536)
            while len(answer) >= 16:
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", answer)
                number = struct.unpack_from("=i", answer, 16)[0] if kind == _ERROR else 0
                # A batch that cannot be read at all is answered at its border.
                waiting.discard(sequence)
                first = first or -number
                answer = answer[(length + 3) & ~3 :]
        if first:
            raise OSError(first, os.strerror(first))


def unsupported(error: OSError) -> bool:
    """Whether the kernel has no such rules, or not at devices: nf_tables since 5.16 has both."""
    return error.errno in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL, errno.ENOENT)


def _of(table: str) -> bytes:
    return attribute(1, text(table)) + attribute(2, text(_CHAIN))


def _expression(name: str, *members: bytes) -> bytes:
    return attribute(1, text(name)) + attribute(2 | NESTED, b"".join(members))


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def _value(kind: int, content: bytes) -> bytes:
    return attribute(kind | NESTED, attribute(1, content))


def _meta(key: int) -> bytes:
    return _expression("meta", _number(1, _REGISTER), _number(2, key))


def _compare(how: int, content: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER), _number(2, how), _value(3, content))


def _load(offset: int, length: int, header: int = _NETWORK_HEADER) -> bytes:
    return _expression(
        "payload",
        _number(1, _REGISTER), _number(2, header), _number(3, offset), _number(4, length),
    )  # fmt: skip


def _store(offset: int, length: int) -> bytes:
    return _expression(
        "payload",
        _number(5, _REGISTER), _number(2, _NETWORK_HEADER), _number(3, offset), _number(4, length),
        _number(6, _INET_CHECKSUM), _number(7, _CHECKSUM), _number(8, 0),
    )  # fmt: skip


def _replace(mask: bytes, value: bytes) -> bytes:
    return _expression(
        "bitwise",
        _number(1, _REGISTER), _number(2, _REGISTER), _number(3, len(mask)),
        _value(4, mask), _value(5, value),
    )  # fmt: skip


def _drop() -> bytes:
    verdict = attribute(2 | NESTED, _number(1, 0))  # NF_DROP
    return _expression("immediate", _number(1, 0), attribute(2 | NESTED, verdict))
