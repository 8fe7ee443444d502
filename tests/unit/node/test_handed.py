"""Sockets handed to the node: what is refused and what the message says, and which one listens when."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from linklocal.document import MetadataService
from linklocal.ids import InstanceId
from linklocal.node import namespaces
from linklocal.node.handed import HandedPlace, Refused, check
from linklocal.node.hosts import ADDRESS
from linklocal.node.rtnetlink import Netlink
from linklocal.node.sockets import NotAttached, listening_socket
from linklocal.node.unix_socket import Caller

pytestmark = pytest.mark.root
TTL = "/proc/sys/net/ipv4/ip_default_ttl"
HTTP, HTTPS = MetadataService(enabled=True), MetadataService(enabled=True, protocol="https")


@dataclass
class Sender:
    """A program that hands over: namespaces, sockets in them, and what it says they are."""

    namespaces: list[int] = field(default_factory=list)
    caller: Caller = field(default_factory=lambda: Caller(0, os.getpid()))
    names: list[object] = field(default_factory=list)
    occupied: dict[tuple[int, int], str] = field(default_factory=dict)
    own_user: bool = True

    def namespace(self) -> int:
        """A new one, in which the service's address is."""
        made = namespaces.make()
        self.namespaces.append(made)

        def address() -> None:
            with Netlink() as netlink:
                netlink.add_address(netlink.set_up("lo"), ADDRESS, 32)

        namespaces.inside(made, address)
        return made

    def add(self, name: object, sock: socket.socket | int) -> None:
        self.names.append(name)
        self.caller.descriptors.append(sock if isinstance(sock, int) else sock.detach())

    def listener(self, name: str = "http", port: int = 80, host: str = ADDRESS) -> None:
        """In the first namespace."""
        where = self.namespaces[0] if self.namespaces else self.namespace()
        self.add(name, namespaces.inside(where, lambda: listening_socket(host, port, HTTP)))

    def made(self, *arguments: int, then: Callable[[socket.socket], object]) -> None:
        """A socket of another kind, as `http`."""

        def make() -> socket.socket:
            sock = socket.socket(*arguments)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            then(sock)
            return sock

        self.add("http", namespaces.inside(self.namespace(), make))

    def close(self) -> None:
        self.caller.close()
        for descriptor in self.namespaces:
            os.close(descriptor)


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender()
    yield made
    made.close()


def _own_namespace(sender: Sender) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
    # Of one device, as tests that run beside this one have listeners of others at the same address.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    sock.bind((ADDRESS, 80))
    sock.listen()
    sender.add("http", sock)


def _reuse_port(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((ADDRESS, 80))
    sock.listen()


def _two_namespaces(sender: Sender) -> None:
    sender.listener()
    other = sender.namespace()
    sender.add("https", namespaces.inside(other, lambda: listening_socket(ADDRESS, 443, HTTP)))


def _anothers_namespace(sender: Sender) -> None:
    sender.listener()
    status = os.fstat(sender.namespaces[0])
    sender.occupied[(status.st_dev, status.st_ino)] = "an attachment of 0717_other"


def _ended_process(sender: Sender) -> None:
    sender.listener()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        sender.add("process", os.pidfd_open(process.pid))


def _ended_caller(sender: Sender) -> None:
    sender.listener()
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        sender.caller.pid = process.pid


def _with(name: str, path: str, flags: int = os.O_RDONLY) -> Callable[[Sender], None]:
    def add(sender: Sender) -> None:
        sender.listener()
        sender.add(name, os.open(path, flags))

    return add


def _anothers_ttl(sender: Sender) -> None:
    """The host's, of a user who is not trusted."""
    _with("default_ttl", TTL, os.O_WRONLY)(sender)
    sender.own_user = False


def _truncated(sender: Sender) -> None:
    sender.listener()
    sender.caller.truncated = True


def _uncounted(sender: Sender) -> None:
    sender.listener()
    sender.names.append("https")


TABLE: list[tuple[str, Callable[[Sender], None], str]] = [
    ("truncated", _truncated, "some were lost: send 4 at most"),
    ("none", lambda s: None, "hand over one for http, one for https, or both"),
    ("only a process", lambda s: s.add("process", os.pidfd_open(os.getpid())), "No listening socket"),
    ("more names than descriptors", _uncounted, "1 descriptors came and 2 are named"),
    ("a name unknown", lambda s: s.listener("ftp"), "names each one once: http, https"),
    ("a name twice", lambda s: (s.listener(), s.listener("http", 443)), "names each one once"),
    ("a file", lambda s: s.add("http", os.open("/", os.O_RDONLY)), "http: that is no socket"),
    ("IPv6", lambda s: s.made(socket.AF_INET6, socket.SOCK_STREAM, then=lambda k: k.listen()),
     "family is not IPv4"),
    ("a Unix socket", lambda s: s.made(socket.AF_UNIX, socket.SOCK_STREAM, then=lambda k: None),
     "family is not IPv4"),
    ("UDP", lambda s: s.made(socket.AF_INET, socket.SOCK_DGRAM, then=lambda k: k.bind((ADDRESS, 80))),
     "make it with SOCK_STREAM"),
    ("not listening",
     lambda s: s.made(socket.AF_INET, socket.SOCK_STREAM, then=lambda k: k.bind((ADDRESS, 80))),
     "call listen() before"),
    ("another address", lambda s: s.listener(host="127.0.0.1"), "bound to 127.0.0.1:80: bind it to 169"),
    ("any address", lambda s: s.listener(host="0.0.0.0"), "bound to 0.0.0.0:80: bind it to 169"),
    ("another port", lambda s: s.listener(port=8080), ":8080: bind it to 169.254.169.254:80"),
    ("the other's port", lambda s: s.listener("https", 80), "bind it to 169.254.169.254:443"),
    ("SO_REUSEPORT", lambda s: s.made(socket.AF_INET, socket.SOCK_STREAM, then=_reuse_port),
     "SO_REUSEPORT"),
    ("the node's namespace", _own_namespace, "in the node's own network namespace"),
    ("two namespaces", _two_namespaces, "make both in one"),
    ("another's namespace", _anothers_namespace, "used by an attachment of 0717_other"),
    ("no pidfd", _with("process", "/"), "make one with pidfd_open"),
    ("an ended process", _ended_process, "has ended: name one that runs"),
    ("an ended caller", _ended_caller, "has ended: name one that runs"),
    ("another file as default_ttl", _with("default_ttl", "/dev/null", os.O_WRONLY), "that is not /proc"),
    ("default_ttl to read", _with("default_ttl", TTL), "for writing"),
    ("default_ttl of another namespace", _anothers_ttl, "of the sockets' network namespace"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("prepare", "message"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_refused_with_what_to_change(
    sender: Sender, prepare: Callable[[Sender], None], message: str
) -> None:
    prepare(sender)
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(Refused, match=message.replace("(", r"\(").replace(")", r"\)")):
        check(sender.caller, sender.names, sender.occupied, own_user=sender.own_user)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("own_user", [True, False])
def test_the_default_of_the_sockets_namespace_is_theirs_to_hand_over(
    sender: Sender, own_user: bool
) -> None:
    sender.listener()
    file = namespaces.inside(sender.namespaces[0], lambda: os.open(TTL, os.O_WRONLY))
    sender.add("default_ttl", file)
    handed = check(sender.caller, sender.names, {}, own_user=own_user)
    place = HandedPlace("a", InstanceId("0717_a"), handed, uid=1000)
    os.close(handed.process)

    place.apply(MetadataService(enabled=True, response_hop_limit=9))
    assert namespaces.inside(sender.namespaces[0], Path(TTL).read_text) == "9\n"
    assert Path(TTL).read_text() != "9\n"
    place.forget()


def test_a_namespace_that_cannot_be_checked_is_refused(sender: Sender) -> None:
    """A node without rights over a namespace is told by the kernel nothing of it: it must not guess."""
    sender.listener()
    code = (
        "import os, sys\n"
        "from linklocal.node.handed import Refused, check\n"
        "from linklocal.node.unix_socket import Caller\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: check(Caller(65534, os.getpid(), [int(sys.argv[1])]), ['http'], {}, own_user=True)\n"
        "except Refused as error: print(error)\n"
    )
    descriptor = sender.caller.descriptors[0]
    done = subprocess.run(
        [sys.executable, "-c", code, str(descriptor)],
        pass_fds=[descriptor], capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert "belongs to another user" in done.stdout, done.stderr


def _arrives(listener: socket.socket) -> bool:
    """Whether bytes reach a connection that is accepted now."""
    listener.settimeout(20)
    with socket.create_connection((ADDRESS, 80), 20) as client:
        accepted = [listener.accept()[0]]
        while accepted[0].getpeername() != client.getsockname():  # of an earlier client
            accepted[0] = listener.accept()[0]
        with accepted[0]:
            client.sendall(b"x")
            return accepted[0].recv(1) == b"x"


def test_exactly_one_of_both_listens(sender: Sender) -> None:
    sender.listener("http", 80)
    sender.listener("https", 443)
    handed = check(sender.caller, sender.names, {}, own_user=True)
    os.close(handed.process)
    place = HandedPlace("a", InstanceId("0717_a"), handed, uid=0)
    sender.caller.close()

    def answering() -> set[int]:
        found = set()
        for port in (80, 443):
            with socket.socket() as client, contextlib.suppress(ConnectionRefusedError):
                client.connect((ADDRESS, port))
                found.add(port)
        return found

    def inside() -> set[int]:
        return namespaces.inside(sender.namespaces[0], answering)

    assert inside() == set()
    plain = place.listen(HTTP)
    assert inside() == {80}
    secure = place.listen(HTTPS)
    plain.close()
    place.settle(HTTPS)
    assert inside() == {443}
    secure.close()
    place.close()
    assert inside() == set()
    place.close()  # nothing listens any more: a second time must not harm what is accepted later
    again = place.listen(HTTP)
    place.forget()
    assert inside() == {80}
    assert namespaces.inside(sender.namespaces[0], lambda: _arrives(again))
    again.close()
    assert inside() == set()


def test_a_protocol_without_a_socket_is_a_fault(sender: Sender) -> None:
    sender.listener()
    handed = check(sender.caller, sender.names, {}, own_user=True)
    os.close(handed.process)
    place = HandedPlace("a", InstanceId("0717_a"), handed, uid=0)

    with pytest.raises(
        NotAttached, match=r"no socket for https \(port 443\): hand over one for each"
    ):
        place.listen(HTTPS)
    place.forget()
