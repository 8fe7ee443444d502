"""Network namespaces of the kernel: enter one in a thread of its own, make one, join one to a guest.

The service namespace of an instance has no name: it lives as long as the node holds its descriptor, so
nothing of it outlives a killed node. It must not decide who is attached where, nor serve.

    guest namespace                          service namespace (out of the guest's reach)
    linklocal0 169.254.169.253/31 ───veth─── service 169.254.169.252/31, 169.254.169.254/32
    route 169.254.169.254 via .252           default route via .253, default TTL = hop limit
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from linklocal.node.hosts import ADDRESS
from linklocal.node.rtnetlink import Netlink

GUEST_LINK = "linklocal0"
SERVICE_LINK = "service"
GUEST_ADDRESS = "169.254.169.253"
SERVICE_ADDRESS = "169.254.169.252"
ALIAS = "linklocal "  # and the instance's id: marks a link that a node made
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_DEFAULT_TTL = Path("/proc/sys/net/ipv4/ip_default_ttl")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_OWN = Path("/proc/self/ns/net")
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


class Occupied(Exception):
    """The guest's namespace has something where the node would put its own. The message says what."""


def inside(namespace: int, work: Callable[[], T]) -> T:
    """Do the work in a namespace, given by descriptor. Raises what the work raises, and OSError.

    In a thread of its own, because a namespace is entered by thread; the thread ends with the work.
    """
    return _in_thread(lambda: _call(_libc.setns(namespace, _NEW_NETWORK)), work)


def make() -> int:
    """A new network namespace; its descriptor, with which it ends. Raises OSError (EPERM without root)."""
    return _in_thread(
        lambda: _call(_libc.unshare(_NEW_NETWORK)),
        lambda: os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC),
    )


@contextmanager
def opened(path: str | Path) -> Iterator[int]:
    """The descriptor of a namespace's file inside the block. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def identity(path: Path) -> tuple[int, int]:
    """What tells namespaces apart, of one's file. Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino


def own_identity() -> tuple[int, int]:
    """The identity of the node's own namespace."""
    return identity(_OWN)


def join(service: int, guest: int, instance_id: str, hop_limit: int) -> None:
    """Connect a new service namespace with a guest's. Raises OSError, or Occupied.

    What a node that was killed left for the same instance is removed first.
    """
    inside(guest, lambda: _clear(instance_id))

    def serve() -> None:
        with Netlink() as netlink:
            netlink.add_veth(SERVICE_LINK, GUEST_LINK, guest)
            netlink.set_up("lo")
            index = netlink.set_up(SERVICE_LINK)
            netlink.add_address(index, SERVICE_ADDRESS, 31)
            netlink.add_address(index, ADDRESS, 32)
            netlink.add_route(index, None, GUEST_ADDRESS)
        _FORWARD.write_text("0")
        _DEFAULT_TTL.write_text(str(hop_limit))

    def reach() -> None:
        with Netlink() as netlink:
            index = netlink.set_up(GUEST_LINK, ALIAS + instance_id)
            netlink.add_address(index, GUEST_ADDRESS, 31)
            netlink.add_route(index, ADDRESS, SERVICE_ADDRESS)

    try:
        inside(service, serve)
        inside(guest, reach)
    except OSError:
        with contextlib.suppress(OSError):
            part(service)
        raise


def part(service: int) -> None:
    """Take the veth away, and with it everything that `join` made in the guest. Raises OSError."""

    def remove() -> None:
        with Netlink() as netlink:
            link = netlink.link(SERVICE_LINK)
            if link is not None:
                netlink.delete(link.index)

    inside(service, remove)


def set_default_ttl(service: int, hop_limit: int) -> None:
    """TTL of what no socket sends: the kernel's resets. Raises OSError."""
    inside(service, lambda: _DEFAULT_TTL.write_text(str(hop_limit)))


def _clear(instance_id: str) -> None:
    with Netlink() as netlink:
        link = netlink.link(GUEST_LINK)
        if link is None:
            return
        if link.kind != "veth" or link.alias != ALIAS + instance_id:
            whose = f" ({link.alias})" if link.alias else ""
            raise Occupied(f"The namespace has an interface {GUEST_LINK}{whose} already.")
        netlink.delete(link.index)


def _in_thread(enter: Callable[[], None], work: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            enter()
            results.append(work())
        except BaseException as error:  # handed to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _call(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
