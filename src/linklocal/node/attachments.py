"""Where an instance's packets arrive: its attachment, kept across restarts, and the socket on it.

One kind so far, `port`: a port of 127.0.0.1 that belongs to one instance. Other kinds (a network
namespace, a device, a socket handed over) differ in how they make the socket and what they must remember,
which is all that the rest of the node sees of an attachment. It must not serve: `listener.py` does.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from linklocal.document import MetadataService
from linklocal.files import private_folder
from linklocal.ids import InstanceId
from linklocal.node.disk import remove_files, whole_files, write_files
from linklocal.node.hosts import HostPolicy
from linklocal.node.sockets import prepare_listener, set_hop_limit

LOOPBACK = "127.0.0.1"
BACKLOG = 1024
PORTS_END = 65_536


class NotAttached(Exception):
    """There is nowhere to listen for an instance. The message is its fault, for operators."""


class Attachment(Protocol):
    """Where one instance's packets arrive."""

    @property
    def kind(self) -> str: ...

    @property
    def hosts(self) -> HostPolicy:
        """The `Host` names that are right there."""
        ...

    def address(self, settings: MetadataService) -> str:
        """The URL under which the instance reaches its service there."""
        ...

    def listen(self, settings: MetadataService) -> socket.socket:
        """A listening socket whose packets have the settings' TTL. Raises NotAttached."""
        ...


@dataclass(frozen=True, slots=True)
class PortAttachment:
    """A port of 127.0.0.1: for development, because any local user can reach it."""

    port: int
    kind: str = "port"

    @property
    def hosts(self) -> HostPolicy:
        return HostPolicy(loopback=True)

    def address(self, settings: MetadataService) -> str:
        # The certificate of loopback listeners names localhost, and no address (metadata contract 1).
        host = "localhost" if settings.protocol == "https" else LOOPBACK
        return f"{settings.protocol}://{host}:{self.port}"

    def listen(self, settings: MetadataService) -> socket.socket:
        try:
            return listening_socket(LOOPBACK, self.port, settings)
        except OSError as error:
            who = "something else listens there" if _is_taken(error) else error.strerror
            raise NotAttached(
                f"{LOOPBACK}:{self.port} is this instance's and cannot be listened on: {who}. "
                "It is not moved: free the port."
            ) from error


class Attachments:
    """The attachments of a node's instances, one file each. Methods block on the disk.

    `taken` says whether a port cannot be used; only for new assignments, since an assigned one is kept.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        loopback_ports: bool,
        port_base: int,
        taken: Callable[[int], bool] | None = None,
    ) -> None:
        self._folder = private_folder(state_dir / "attachments")
        self._loopback_ports = loopback_ports
        self._port_base = port_base
        self._taken = taken or port_is_taken
        self._ports: dict[InstanceId, int] = {}

    def load(self) -> dict[str, str]:
        """Read what was assigned. Returns file name -> why it was skipped."""
        skipped: dict[str, str] = {}
        for path in whole_files(self._folder):
            try:
                self._ports[InstanceId(path.stem)] = _read_port(path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                skipped[path.name] = f"{type(error).__name__}: {error}"
        return skipped

    def find(self, instance_id: InstanceId) -> Attachment | None:
        """What was assigned to the instance, if it can be used with this node's settings."""
        port = self._ports.get(instance_id)
        return PortAttachment(port) if self._loopback_ports and port is not None else None

    def assign(
        self, instance_ids: Iterable[InstanceId]
    ) -> dict[InstanceId, Attachment | NotAttached]:
        """Each instance's attachment, made and saved on first use, or why it has none."""
        made: dict[InstanceId, int] = {}
        answer: dict[InstanceId, Attachment | NotAttached] = {}
        for instance_id in instance_ids:
            found = self.find(instance_id)
            try:
                answer[instance_id] = found or PortAttachment(self._new_port(instance_id, made))
            except NotAttached as error:
                answer[instance_id] = error
        files = {
            _name(instance_id): json.dumps({"kind": "port", "port": port}).encode()
            for instance_id, port in made.items()
        }
        failed = write_files(self._folder, files)
        for instance_id, port in made.items():
            reason = failed.get(_name(instance_id))
            if reason is None:
                self._ports[instance_id] = port
            else:
                answer[instance_id] = NotAttached(f"Its port cannot be saved: {reason.strerror}.")
        return answer

    def _new_port(self, instance_id: InstanceId, made: dict[InstanceId, int]) -> int:
        if not self._loopback_ports:
            raise NotAttached(
                "Nothing is attached to this instance on the node: start the node with "
                "--loopback-ports to give each instance a port of its own."
            )
        # The lowest that is free: an instance that left makes room for the next one.
        assigned = {*self._ports.values(), *made.values()}
        for port in range(self._port_base, PORTS_END):
            if port not in assigned and not self._taken(port):
                made[instance_id] = port
                return port
        raise NotAttached(f"No port from {self._port_base} on is free.")

    def release(self, instance_ids: Collection[InstanceId]) -> None:
        """These instances have left the node: their ports are free for others. Raises OSError."""
        names = {_name(id): id for id in instance_ids if id in self._ports}
        failed = remove_files(self._folder, names)
        for name, instance_id in names.items():
            if name not in failed:
                del self._ports[instance_id]
        for error in failed.values():
            raise error

    def assigned(self) -> Collection[InstanceId]:
        """Instances that have an attachment, served or not."""
        return set(self._ports)


def _name(instance_id: InstanceId) -> str:
    return f"{instance_id}.json"


def listening_socket(host: str, port: int, settings: MetadataService) -> socket.socket:
    """A listening TCP socket. Raises OSError.

    The hop limit is set before anything can arrive: the SYN-ACK carries it. While disabled it is 1
    (metadata contract 1).
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        prepare_listener(sock)
        set_hop_limit(sock, settings.response_hop_limit if settings.enabled else 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def port_is_taken(port: int) -> bool:
    """Whether something listens on the loopback port, or it cannot be bound for another reason."""
    try:
        listening_socket(LOOPBACK, port, MetadataService()).close()
    except OSError:
        return True
    return False


def _is_taken(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE


def _read_port(path: Path) -> int:
    data: dict[str, Any] = json.loads(path.read_bytes())
    port = data["port"]
    if data["kind"] != "port" or isinstance(port, bool) or not isinstance(port, int):
        raise ValueError("not a port")
    if not 0 < port < PORTS_END:
        raise ValueError(f"{port} is not a port")
    return port
