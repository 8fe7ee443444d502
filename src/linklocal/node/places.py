"""Attachments that an operator makes: a guest's network namespace, a device of the host.

Each is a place where only one instance's packets arrive. It makes the socket there and keeps the kernel's
defaults there in step with the settings; what it must remember is `record`. It must not serve.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Any, Protocol

from linklocal.document import MetadataService
from linklocal.ids import InstanceId
from linklocal.node import namespaces
from linklocal.node.hosts import ADDRESS, NAME, HostPolicy
from linklocal.node.nftables import DeviceFilter, unsupported
from linklocal.node.rtnetlink import Netlink
from linklocal.node.sockets import (
    DEVICE_MARK,
    NotAttached,
    address_is_local,
    hops,
    listening_socket,
)

NAMED = Path("/run/netns")  # where `ip netns` keeps its namespaces
PORTS = {"http": 80, "https": 443}
_START_TIME = 19  # of a process, in /proc/PID/stat after its name


class Place(Protocol):
    """An operator's attachment. Its methods block; `listen`, `apply` and `close` may change the kernel."""

    id: str
    instance_id: InstanceId
    silent: bool
    label: str

    @property
    def kind(self) -> str: ...

    @property
    def where(self) -> str:
        """What the operator named, for people."""
        ...

    @property
    def hosts(self) -> HostPolicy: ...

    def record(self) -> dict[str, Any] | None:
        """What must be remembered, as JSON; `from_record` reads it. None: it ends with the node."""
        ...

    def occupies(self) -> list[tuple[int, int]]:
        """Identities of the network namespaces that are this attachment's."""
        ...

    def port(self, settings: MetadataService) -> int: ...

    def address(self, settings: MetadataService) -> str: ...

    def listen(self, settings: MetadataService) -> socket.socket:
        """Raises NotAttached."""
        ...

    def apply(self, settings: MetadataService) -> None:
        """Bring what the socket does not decide in step with the settings. Raises OSError."""
        ...

    def settle(self, settings: MetadataService) -> None:
        """The socket of these settings has taken the place of another port's. Never raises."""
        ...

    def fault(self) -> str | None:
        """Why nothing arrives there although it listens; asked of the kernel, at once. Never raises."""
        ...

    def close(self) -> None:
        """Undo what `listen` made besides the socket. Never raises; may be called again."""
        ...

    def forget(self) -> None:
        """It is detached for good: let go of what outlives `close`. Sockets of `listen` go on."""
        ...


class AddressPlace:
    """What the kinds share: the documented address, on the protocol's own port."""

    def __init__(self, id: str, instance_id: InstanceId, *, silent: bool, label: str = "") -> None:
        self.id = id
        self.instance_id = instance_id
        self.silent = silent
        self.label = label

    @property
    def hosts(self) -> HostPolicy:
        return HostPolicy()

    def port(self, settings: MetadataService) -> int:
        return PORTS[settings.protocol]

    def address(self, settings: MetadataService) -> str:
        # The certificate has the name, and no address (metadata contract 1).
        return f"https://{NAME}" if settings.protocol == "https" else f"http://{ADDRESS}"

    def occupies(self) -> list[tuple[int, int]]:
        return []

    def settle(self, settings: MetadataService) -> None:
        """Nothing: the listener has closed the other port's socket."""

    def fault(self) -> str | None:
        return None

    def forget(self) -> None:
        """Nothing: `close` has undone everything."""

    def _record(self, **members: Any) -> dict[str, Any]:
        own = {"id": self.id, "instance": self.instance_id, "silent": self.silent}
        return {**own, "label": self.label, **members}


class NamespacePlace(AddressPlace):
    """A guest's network namespace, by path or by process; the listener is in one of the node's own."""

    kind = "netns"

    def __init__(
        self,
        id: str,
        instance_id: InstanceId,
        *,
        path: str | None = None,
        pid: int | None = None,
        started: int | None = None,
        silent: bool = False,
        label: str = "",
    ) -> None:
        super().__init__(id, instance_id, silent=silent, label=label)
        self._path, self._pid, self._started = path, pid, started
        self._service: int | None = None

    @property
    def where(self) -> str:
        return f"pid {self._pid}" if self._path is None else self._path

    def record(self) -> dict[str, Any]:
        return self._record(kind="netns", path=self._path, pid=self._pid, started=self._started)

    def occupies(self) -> list[tuple[int, int]]:
        found = []
        with contextlib.suppress(OSError, NotAttached):
            found.append(namespaces.identity(self.guest()))
        if self._service is not None:
            status = os.fstat(self._service)
            found.append((status.st_dev, status.st_ino))
        return found

    def guest(self) -> Path:
        """The file of the guest's namespace. Raises NotAttached when it is gone, or the node's own."""
        path = Path(self._path) if self._path is not None else self._of_process()
        try:
            same = namespaces.identity(path) == namespaces.own_identity()
        except OSError as error:
            raise NotAttached(
                f"The namespace {self.where} is not there: {error.strerror}."
            ) from error
        if same:
            raise NotAttached(f"The namespace of {self.where} is the node's own: it has no guest.")
        return path

    def _of_process(self) -> Path:
        assert self._pid is not None
        if self._started is None or self._started != process_start(self._pid):
            raise NotAttached(f"The process {self._pid} has ended.")
        return Path(f"/proc/{self._pid}/ns/net")

    def listen(self, settings: MetadataService) -> socket.socket:
        try:
            if self._service is None:
                self._join(settings)
            assert self._service is not None
            port = self.port(settings)
            return namespaces.inside(
                self._service, lambda: listening_socket(ADDRESS, port, settings)
            )
        except namespaces.Occupied as error:
            self.close()
            raise NotAttached(f"{self.where}: {error} Detach that first.") from error
        except OSError as error:
            self.close()
            advice = " The node needs root for this." if error.errno == errno.EPERM else ""
            raise NotAttached(
                f"{self.where} cannot be attached: {error.strerror}.{advice}"
            ) from error

    def _join(self, settings: MetadataService) -> None:
        with namespaces.opened(self.guest()) as guest:
            service = namespaces.make()
            try:
                namespaces.join(service, guest, self.instance_id, hops(settings))
            except BaseException:
                os.close(service)
                raise
        self._service = service

    def apply(self, settings: MetadataService) -> None:
        if self._service is not None:
            namespaces.set_default_ttl(self._service, hops(settings))

    def close(self) -> None:
        service, self._service = self._service, None
        if service is not None:
            # The kernel would take the veth with the namespace, but only once its last socket is gone.
            with contextlib.suppress(OSError):
                namespaces.part(service)
            os.close(service)


class DevicePlace(AddressPlace):
    """A device of the host (tap, veth, VRF) behind which is only this instance."""

    kind = "device"

    def __init__(
        self,
        id: str,
        instance_id: InstanceId,
        *,
        device: str,
        silent: bool = False,
        label: str = "",
    ) -> None:
        super().__init__(id, instance_id, silent=silent, label=label)
        self._device = device
        self._filter: DeviceFilter | None = None
        self._index: int | None = None  # of the device at which it listens

    @property
    def where(self) -> str:
        return self._device

    def record(self) -> dict[str, Any]:
        return self._record(kind="device", device=self._device)

    def listen(self, settings: MetadataService) -> socket.socket:
        if self._device == "lo":
            raise NotAttached("The device lo is every local user's: it has no one guest.")
        try:
            if self._filter is None:
                self._filter = self._filtered(settings)
            return listening_socket(ADDRESS, self.port(settings), settings, device=self._device)
        except OSError as error:
            self.close()
            reasons = {
                errno.ENODEV: "it is not there",
                errno.EPERM: "the node needs root for this",
                errno.EADDRINUSE: "something else listens there",
            }
            raise self._not_attached(reasons.get(error.errno or 0, error.strerror)) from error

    def _filtered(self, settings: MetadataService) -> DeviceFilter:
        with Netlink() as netlink:
            link = netlink.link(self._device)
        if link is None:
            raise self._not_attached("it is not there")
        if link.port_of not in ("", "vrf"):
            raise self._not_attached(
                f"it is a port of a {link.port_of}, which takes all that arrives: name a device that is none"
            )
        self._index = link.index
        try:
            return DeviceFilter(
                self._device,
                ADDRESS,
                hops(settings),
                self.port(settings),
                mark=DEVICE_MARK,
                routed=link.kind == "vrf",
            )
        except OSError as error:
            if not unsupported(error):
                raise
            raise self._not_attached(
                "this kernel cannot keep all packets there within the hop limit; that takes nf_tables with "
                "its egress hook, of Linux 5.16 or later"
            ) from error

    def fault(self) -> str | None:
        """The listener is at the device that had the name; packets are the host's where the address is."""
        try:
            if self._index is not None and socket.if_nametoindex(self._device) != self._index:
                return (
                    f"The device {self._device} is another one now: detach it, and attach it again."
                )
            is_local = address_is_local(ADDRESS, self._device)
        except OSError:
            # Before it is attached, `listen` says it better.
            return f"The device {self._device} is not there any more." if self._index else None
        if is_local:
            return None
        return (
            f"The device {self._device} has no {ADDRESS}, so nothing arrives: run `ip addr add "
            f"{ADDRESS}/32 peer GUEST-ADDRESS dev {self._device}`."
        )

    def _not_attached(self, why: str | None) -> NotAttached:
        return NotAttached(f"The device {self._device} cannot be attached: {why}.")

    def apply(self, settings: MetadataService) -> None:
        if self._filter is not None:
            self._filter.set(hops(settings), self.port(settings))

    def close(self) -> None:
        rules, self._filter, self._index = self._filter, None, None
        if rules is not None:
            rules.close()


def process_start(pid: int) -> int | None:
    """When the process started, in ticks since boot: with its id, that names it for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[_START_TIME])
    except (OSError, ValueError, IndexError):
        return None


def from_record(data: dict[str, Any]) -> Place:
    """A place from what `record` gave. Raises KeyError, TypeError or ValueError when it is none."""
    id, instance_id, silent = str(data["id"]), InstanceId(data["instance"]), data["silent"] is True
    label = str(data.get("label", ""))  # nodes before this one wrote none
    if data["kind"] == "netns":
        return NamespacePlace(
            id, instance_id, silent=silent, label=label,
            path=data["path"], pid=data["pid"], started=data["started"],
        )  # fmt: skip
    if data["kind"] == "device":
        device = str(data["device"])
        return DevicePlace(id, instance_id, device=device, silent=silent, label=label)
    raise ValueError(f"{data['kind']!r} is no kind of attachment")
