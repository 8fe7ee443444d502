"""The kernel's options of a metadata socket: hop limit, no delay, the TTL with which a peer's SYN came.

Works on real sockets and on what a transport's `get_extra_info("socket")` gives. Decides nothing.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from ctypes import addressof, create_string_buffer
from typing import Any

from linklocal.document import MetadataService

# Linux numbers; the socket module of Python 3.11 does not name them.
_TCP_SAVE_SYN = 27
_TCP_SAVED_SYN = 28
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_IP_FREEBIND = 15
BACKLOG = 1024
# Of what sockets of a device send, so that a rule tells their resets from those of no socket. None of its
# bits is in the masks of kube-proxy (0xc000), Cilium (0x0f00), Tailscale and Calico (the upper half).
DEVICE_MARK = 0x30A9
_HEADERS = 128  # bytes of IP and TCP header that are asked for


class NotAttached(Exception):
    """There is nowhere to listen for an instance. The message is its fault, for operators."""


def hops(service: MetadataService) -> int:
    """TTL of what is sent for an instance: 1 while its service is disabled (metadata contract 1)."""
    return service.response_hop_limit if service.enabled else 1


def listening_socket(
    host: str, port: int, settings: MetadataService, *, device: str | None = None
) -> socket.socket:
    """A listening TCP socket in the calling thread's namespace. Raises OSError.

    The hop limit is set before anything can arrive: the SYN-ACK carries it. On a `device` it takes only
    what arrives there, also while the address is on no interface, and marks what it sends (needs root).
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        prepare_listener(sock)
        set_hop_limit(sock, hops(settings))
        if device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, DEVICE_MARK)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def address_is_local(address: str, device: str) -> bool:
    """Whether the host takes what comes to the address on that device, of its VRF if it is in one.

    Raises OSError when there is no such device.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        try:
            sock.bind((address, 0))  # the kernel's own check, without IP_FREEBIND
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return False
        return True


def set_silent(sock: socket.socket, silent: bool) -> None:
    """Let the kernel drop what arrives at a listener, without a word; its connections are not touched.

    Raises OSError.
    """
    if silent:
        drop = create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))  # BPF: return 0
        program = struct.pack("@HP", 1, addressof(drop))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        return
    with contextlib.suppress(FileNotFoundError):  # there was none
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


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
