"""The kernel's options of a metadata socket: hop limit, no delay, the TTL with which a peer's SYN came.

Works on real sockets and on what a transport's `get_extra_info("socket")` gives. Decides nothing.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Any

# Linux numbers; the socket module of Python 3.11 does not name them.
_TCP_SAVE_SYN = 27
_TCP_SAVED_SYN = 28
_HEADERS = 128  # bytes of IP and TCP header that are asked for


def set_hop_limit(sock: Any, hops: int) -> None:
    """TTL (IPv4) or hop limit (IPv6) of what the socket sends; a listener hands it to what it accepts.

    Raises OSError when the socket is gone.
    """
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)


def hop_limit(sock: Any) -> int:
    """What `set_hop_limit` set. Raises OSError when the socket is gone."""
    if sock.family == socket.AF_INET6:
        return int(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS))
    return int(sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL))


def prepare_listener(sock: socket.socket) -> None:
    """Options that accepted connections inherit, whoever made the socket. Raises OSError.

    TCP_NODELAY, because asyncio sets it only on sockets made with an explicit protocol number, and
    without it every kept connection answers 40 ms late.
    """
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        # Only the distance shown in events depends on it; some sandboxes do not have it.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_SAVE_SYN, 1)


def syn_ttl(sock: Any) -> int | None:
    """TTL or hop limit with which the peer's SYN arrived: 64 less the hops, from most systems.

    The kernel keeps the SYN once: a second call, or a listener without `prepare_listener`, gives None.
    """
    if sys.platform != "linux":
        return None
    try:
        saved: bytes = sock.getsockopt(socket.IPPROTO_TCP, _TCP_SAVED_SYN, _HEADERS)
    except OSError:
        return None
    if len(saved) < 20:
        return None
    version = saved[0] >> 4
    return saved[8] if version == 4 else saved[7] if version == 6 else None
