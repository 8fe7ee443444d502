"""Where an instance's packets arrive: its attachment, kept across restarts, and the socket on it.

Kinds differ in how they make the socket and what they must remember, which is all that the rest of the
node sees of an attachment. `port`, a port of 127.0.0.1 that belongs to one instance, is here and made
by the node itself; those that an operator makes are in `places.py`. It must not serve: `listener.py` does.
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
from linklocal.node.places import Place, from_record
from linklocal.node.snapshot import UNREADABLE
from linklocal.node.sockets import NotAttached, listening_socket

LOOPBACK = "127.0.0.1"
PORTS_END = 65_536
_KNOCK_SECONDS = 0.1


class Attachment(Protocol):
    """Where one instance's packets arrive. `id` is its own among those of one instance.

    `silent`: while the service is disabled, calls are dropped instead of refused.
    """

    @property
    def id(self) -> str: ...

    @property
    def silent(self) -> bool: ...

    @property
    def label(self) -> str:
        """What an operator or a hook calls it, to find it again; may be empty."""
        ...

    @property
    def kind(self) -> str: ...

    @property
    def where(self) -> str:
        """The port, namespace or device, for people."""
        ...

    @property
    def hosts(self) -> HostPolicy:
        """The `Host` names that are right there."""
        ...

    def address(self, settings: MetadataService) -> str:
        """The URL under which the instance reaches its service there."""
        ...

    def port(self, settings: MetadataService) -> int:
        """The port that these settings listen on; a change of it needs another socket."""
        ...

    def listen(self, settings: MetadataService) -> socket.socket:
        """A listening socket whose packets have the settings' TTL. Raises NotAttached."""
        ...

    def apply(self, settings: MetadataService) -> None:
        """Bring what the socket does not decide in step with the settings. Raises OSError."""
        ...

    def settle(self, settings: MetadataService) -> None:
        """The socket of these settings has taken the place of another port's. Never raises."""
        ...

    def fault(self) -> str | None:
        """Why nothing arrives there although it listens. Never raises."""
        ...

    def close(self) -> None:
        """Undo what `listen` made besides the socket. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class PortAttachment:
    """A port of 127.0.0.1: for development, because any local user can reach it."""

    number: int
    kind: str = "port"
    id: str = "port"
    silent: bool = False
    label: str = ""

    @property
    def where(self) -> str:
        return f"{LOOPBACK}:{self.number}"

    @property
    def hosts(self) -> HostPolicy:
        return HostPolicy(loopback=True)

    def address(self, settings: MetadataService) -> str:
        # The certificate of loopback listeners names localhost, and no address (metadata contract 1).
        host = "localhost" if settings.protocol == "https" else LOOPBACK
        return f"{settings.protocol}://{host}:{self.number}"

    def listen(self, settings: MetadataService) -> socket.socket:
        try:
            return listening_socket(LOOPBACK, self.number, settings)
        except OSError as error:
            who = _who_has(self.number) if _is_taken(error) else error.strerror
            raise NotAttached(
                f"{LOOPBACK}:{self.number} is this instance's and cannot be listened on: {who}. "
                "It is not moved: free the port."
            ) from error

    def port(self, settings: MetadataService) -> int:
        return self.number

    def apply(self, settings: MetadataService) -> None:
        """Nothing: the default TTL of the host is not the node's."""

    def settle(self, settings: MetadataService) -> None:
        """Nothing: both protocols have the one port."""

    def fault(self) -> None:
        """None: whatever comes to the port arrives."""

    def close(self) -> None:
        """Nothing: the socket is all there is."""


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
        self._placed_folder = private_folder(state_dir / "places")
        self._placed: dict[str, Place] = {}
        self.version = 0  # counts changes of what operators made

    def load(self) -> dict[str, str]:
        """Read what was assigned. Returns file name -> why it was skipped."""
        skipped: dict[str, str] = {}
        for path in whole_files(self._folder):
            try:
                self._ports[InstanceId(path.stem)] = _read_port(path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                skipped[path.name] = f"{type(error).__name__}: {error}"
        for path in whole_files(self._placed_folder):
            try:
                place = from_record(json.loads(path.read_bytes()))
                self._placed[place.id] = place
            except (OSError, *UNREADABLE) as error:
                skipped[path.name] = f"{type(error).__name__}: {error}"
        return skipped

    def add(self, place: Place) -> None:
        """Remember an operator's attachment, on the disk if it can be restored.

        Raises OSError when it cannot be saved.
        """
        record = place.record()
        if record is not None:
            failed = write_files(
                self._placed_folder, {f"{place.id}.json": json.dumps(record).encode()}
            )
            for error in failed.values():
                raise error
        self._placed[place.id] = place
        self.version += 1

    def remove(self, ids: Collection[str]) -> None:
        """Forget operators' attachments; whoever serves there closes them. Raises OSError."""
        failed = remove_files(self._placed_folder, [f"{id}.json" for id in ids])
        for id in ids:
            if f"{id}.json" not in failed and (place := self._placed.pop(id, None)) is not None:
                place.forget()
                self.version += 1
        for error in failed.values():
            raise error

    def placed(self, instance_id: InstanceId | None = None) -> list[Place]:
        """What operators attached, to one instance or all."""
        # Short lists: an instance has one or two.
        return [
            place
            for place in list(self._placed.values())  # a thread may be adding one
            if instance_id is None or place.instance_id == instance_id
        ]

    def of(self, instance_id: InstanceId) -> list[Attachment]:
        """Everything that the instance should be served at."""
        port = self.find(instance_id)
        return [*([] if port is None else [port]), *self.placed(instance_id)]

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
                "Nothing is attached to this instance on the node: attach its network namespace or device "
                "with `linklocal node attach`, or start the node with --loopback-ports to give each "
                "instance a port of its own."
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
        left = set(instance_ids)
        placed = [place.id for place in self._placed.values() if place.instance_id in left]
        if placed:
            self.remove(placed)
        names = {_name(id): id for id in left if id in self._ports}
        failed = remove_files(self._folder, names)
        for name, instance_id in names.items():
            if name not in failed:
                del self._ports[instance_id]
        for error in failed.values():
            raise error

    def assigned(self) -> Collection[InstanceId]:
        """Instances that have an attachment, served or not."""
        return {*self._ports, *(place.instance_id for place in self._placed.values())}


def _name(instance_id: InstanceId) -> str:
    return f"{instance_id}.json"


def port_is_taken(port: int) -> bool:
    """Whether something listens on the loopback port, or it cannot be bound for another reason."""
    try:
        listening_socket(LOOPBACK, port, MetadataService()).close()
    except OSError:
        return True
    return False


def _is_taken(error: OSError) -> bool:
    return error.errno == errno.EADDRINUSE


def _who_has(port: int) -> str:
    """Why a loopback port is taken. Its last owner's connections keep it for a minute after its end."""
    with socket.socket() as connection:
        connection.settimeout(_KNOCK_SECONDS)
        try:
            connection.connect((LOOPBACK, port))
        except ConnectionRefusedError:
            return (
                "connections of what listened there are still closing, which takes up to a minute"
            )
        except OSError:  # not even taken up: it listens and is busy
            pass
    return "something else listens there"


def _read_port(path: Path) -> int:
    data: dict[str, Any] = json.loads(path.read_bytes())
    port = data["port"]
    if data["kind"] != "port" or isinstance(port, bool) or not isinstance(port, int):
        raise ValueError("not a port")
    if not 0 < port < PORTS_END:
        raise ValueError(f"{port} is not a port")
    return port
