"""Listening sockets that somebody else made and handed to the node by SCM_RIGHTS: checks, and the attachment.

Whoever may make a network namespace (a virtual machine monitor, `enter.py`) makes the sockets in it, one
for each protocol, and tells the node. The node trusts nothing it is told about them: it asks the kernel.
It must not decide who may hand over for which instance: `attaching.py` does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linklocal.document import MetadataService
from linklocal.ids import InstanceId
from linklocal.node import namespaces
from linklocal.node.hosts import ADDRESS
from linklocal.node.places import PORTS, AddressPlace
from linklocal.node.sockets import BACKLOG, NotAttached, hops, set_hop_limit
from linklocal.node.unix_socket import Caller

PROCESS, DEFAULT_TTL = "process", "default_ttl"
NAMES = (*PORTS, DEFAULT_TTL, PROCESS)
# Linux numbers; the modules of Python 3.11 do not name them.
_GET_NAMESPACE = 0x894C  # SIOCGSKNS
_COOKIE = 71  # SO_NETNS_COOKIE
_TTL_FILE = "/sys/net/ipv4/ip_default_ttl"
_TTL = f"/proc{_TTL_FILE}"

Namespace = tuple[int, int]


class Refused(Exception):
    """What was handed over cannot be used. The message says what to change."""


@dataclass(slots=True)
class Handed:
    """What passed the checks; all of it duplicates that belong to whoever holds this."""

    sockets: dict[int, socket.socket] = field(default_factory=dict)  # by port
    namespace: Namespace = (0, 0)
    process: int = -1  # pidfd
    pid: int = 0
    default_ttl: int | None = None

    def close(self) -> None:
        """Let go of everything that is still here."""
        for sock in self.sockets.values():
            sock.close()
        self.sockets = {}
        for descriptor in (self.process, self.default_ttl):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self.process, self.default_ttl = -1, None


def check(
    caller: Caller,
    names: Sequence[object],
    occupied: Mapping[Namespace, str],
    *,
    own_user: bool,
) -> Handed:
    """What the descriptors are, by name in their order. Raises Refused.

    `http`, `https`: listening sockets, one at least. `process`: a pidfd, with whose end the attachment
    ends; without it the caller's own process. `default_ttl`: the file of that setting in the same
    namespace, open for writing, so that packets that no socket sends have the hop limit, too. `own_user`:
    the caller is the node's own user or root. `occupied`: namespaces of other attachments, and whose.
    """
    if caller.truncated:
        raise Refused(
            f"Too many descriptors came, some were lost: send {len(NAMES)} at most, once."
        )
    known = [name for name in names if name in NAMES]
    if len(known) != len(names) or len(set(known)) != len(known):
        raise Refused(f"`descriptors` names each one once: {', '.join(NAMES)}.")
    if len(known) != len(caller.descriptors):
        raise Refused(
            f"{len(caller.descriptors)} descriptors came and {len(known)} are named: send one for each "
            "name, in that order, with SCM_RIGHTS."
        )
    if not set(known) & PORTS.keys():
        raise Refused("No listening socket came: hand over one for http, one for https, or both.")
    handed = Handed()
    ttl = -1
    try:
        for name, descriptor in zip(known, caller.descriptors, strict=True):
            if name in PORTS:
                handed.sockets[PORTS[str(name)]] = _listener(str(name), descriptor)
            elif name == PROCESS:
                handed.process = os.dup(descriptor)
            else:
                ttl = descriptor
        handed.namespace = _one_namespace(handed.sockets.values())
        if handed.namespace == namespaces.own_identity():
            raise Refused(_OWN)
        if handed.namespace in occupied:
            raise Refused(
                f"The sockets' network namespace is used by {occupied[handed.namespace]}: make one for "
                "this attachment alone, or detach that first."
            )
        if ttl >= 0:
            of = None if own_user else next(iter(handed.sockets.values()))
            handed.default_ttl = _ttl_file(ttl, of)
        handed.process = _process(handed.process, caller.pid)
        handed.pid = _pid(handed.process)
    except BaseException:
        handed.close()
        raise
    return handed


_OWN = (
    "The sockets are in the node's own network namespace, where everybody on this host is: make them in "
    "a namespace that only the guest's packets reach."
)


def _listener(name: str, descriptor: int) -> socket.socket:
    duplicate = os.dup(descriptor)
    try:
        sock = socket.socket(fileno=duplicate)
    except OSError as error:
        os.close(duplicate)
        raise Refused(f"{name}: that is no socket: hand over a listening one.") from error
    try:
        _check_listener(name, sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_listener(name: str, sock: socket.socket) -> None:
    wanted = f"{ADDRESS}:{PORTS[name]}"
    if sock.family != socket.AF_INET:
        raise Refused(f"{name}: the socket's family is not IPv4 (AF_INET): bind one to {wanted}.")
    if sock.type != socket.SOCK_STREAM or sock.proto != socket.IPPROTO_TCP:
        raise Refused(f"{name}: the socket does not speak TCP: make it with SOCK_STREAM.")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise Refused(f"{name}: the socket does not listen: call listen() before handing it over.")
    host, port = sock.getsockname()
    if (host, port) != (ADDRESS, PORTS[name]):
        raise Refused(f"{name}: the socket is bound to {host}:{port}: bind it to {wanted}.")
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
        raise Refused(
            f"{name}: the socket has SO_REUSEPORT, with which others could listen beside it: leave it off."
        )


def _one_namespace(sockets: Collection[socket.socket]) -> Namespace:
    found = {_namespace(sock) for sock in sockets}
    if len(found) != 1:
        raise Refused("The sockets are in different network namespaces: make both in one.")
    return found.pop()


def _namespace(sock: socket.socket) -> Namespace:
    try:
        descriptor = _opened_namespace(sock)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise Refused(
                f"The socket's network namespace cannot be seen: {error.strerror}."
            ) from error
        # The kernel tells only who may administer the namespace: root, or who made its user namespace.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as own:
            if _cookie(own) == _cookie(sock):
                raise Refused(_OWN) from error
        raise Refused(
            "The socket's network namespace belongs to another user, so that the node cannot check it: "
            "hand it over to a node that runs as that user, or as root."
        ) from error
    try:
        return _identity(descriptor)
    finally:
        os.close(descriptor)


def _opened_namespace(sock: socket.socket) -> int:
    return fcntl.ioctl(sock.fileno(), _GET_NAMESPACE)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _cookie(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.SOL_SOCKET, _COOKIE, 8)


def _ttl_file(descriptor: int, of: socket.socket | None) -> int:
    """A duplicate for the node to write numbers into. `of`: a socket of somebody who is not trusted."""
    # The file system and name, as the kernel has them.
    name = Path(f"/proc/self/fd/{descriptor}").readlink()
    proc = Path(_TTL).stat().st_dev
    mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    right = str(name).endswith(_TTL_FILE) and os.fstat(descriptor).st_dev == proc
    if not right or mode == os.O_RDONLY:
        raise Refused(f"default_ttl: that is not {_TTL}, open for writing.")
    # A name can be made up with a mount, to have root write elsewhere: it must be the very file.
    if of is not None and _identity(descriptor) != _ttl_identity(of):
        raise Refused(
            f"default_ttl: that is not {_TTL} of the sockets' network namespace in this host's /proc: "
            "open it there, or leave it out."
        )
    return os.dup(descriptor)


def _ttl_identity(sock: socket.socket) -> tuple[int, int]:
    """Of the setting's file in the socket's namespace."""
    try:
        namespace = _opened_namespace(sock)
        try:
            return namespaces.inside(namespace, lambda: namespaces.identity(Path(_TTL)))
        finally:
            os.close(namespace)
    except OSError as error:
        raise Refused(f"default_ttl cannot be checked: {error.strerror}; leave it out.") from error


def _process(pidfd: int, caller: int) -> int:
    gone = "The process to which the attachment was to be tied has ended: name one that runs."
    if pidfd < 0:
        try:
            return os.pidfd_open(caller)
        except OSError as error:
            raise Refused(gone) from error
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError as error:
        raise Refused(gone) from error
    except PermissionError:
        pass  # of another user; it runs
    except OSError as error:
        raise Refused("process: that is no pidfd: make one with pidfd_open().") from error
    return pidfd


def _pid(pidfd: int) -> int:
    with Path(f"/proc/self/fdinfo/{pidfd}").open() as lines:
        return next((int(line[4:]) for line in lines if line.startswith("Pid:")), 0)


class HandedPlace(AddressPlace):
    """An attachment by descriptor: it takes the sockets over. It is not remembered.

    It keeps both sockets bound all the time and lets exactly one of them listen: `shutdown` takes a
    listener back to a bound socket, from which `listen` makes it one again.
    """

    kind = "descriptor"

    def __init__(
        self, id: str, instance_id: InstanceId, handed: Handed, *, uid: int, silent: bool = False
    ) -> None:
        super().__init__(id, instance_id, silent=silent)
        self._sockets, handed.sockets = handed.sockets, {}
        self._ttl, handed.default_ttl = handed.default_ttl, None
        self._namespace = handed.namespace
        self._where = f"process {handed.pid} of user {uid}"
        self.close()  # nothing is accepted before it is served

    @property
    def where(self) -> str:
        return self._where

    def record(self) -> dict[str, Any] | None:
        """None: a descriptor does not outlive the node."""
        return None

    def occupies(self) -> list[Namespace]:
        return [self._namespace]

    def listen(self, settings: MetadataService) -> socket.socket:
        port = self.port(settings)
        sock = self._sockets.get(port)
        if sock is None:
            raise NotAttached(
                f"{self.where} handed over no socket for {settings.protocol} (port {port}): hand over one "
                "for each protocol."
            )
        try:
            self.apply(settings)
            set_hop_limit(sock, hops(settings))
            sock.listen(BACKLOG)
            return sock.dup()
        except OSError as error:
            raise NotAttached(f"{self.where} cannot be served: {error.strerror}.") from error

    def apply(self, settings: MetadataService) -> None:
        if self._ttl is not None:
            os.write(self._ttl, f"{hops(settings)}\n".encode())

    def settle(self, settings: MetadataService) -> None:
        for port, sock in self._sockets.items():
            if port != self.port(settings):
                _stop(sock)

    def close(self) -> None:
        for sock in self._sockets.values():
            _stop(sock)

    def forget(self) -> None:
        sockets, self._sockets = self._sockets, {}
        for sock in sockets.values():
            sock.close()
        if self._ttl is not None:
            os.close(self._ttl)
            self._ttl = None


def _stop(sock: socket.socket) -> None:
    # Only of one that listens: the kernel would keep the mark of a second `shutdown`, and reset every
    # connection that is accepted later at its first byte.
    with contextlib.suppress(OSError):
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.shutdown(socket.SHUT_RD)
