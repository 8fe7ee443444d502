"""Who a guest is and where its packets arrive, in the words of what started it: OCI, libvirt, nspawn.

Hooks hand over what they were given; this reads it and looks at the host's processes. It must not speak to
the node (`hooking.py` does), nor to the engine that waits for its hook to end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from linklocal.errors import OperatorError
from linklocal.node import namespaces

ANNOTATION = "linklocal.instance"  # of an OCI container: the instance's id or name
XML_NAMESPACE = "urn:linklocal:1"  # of <instance> in a libvirt domain's <metadata>
LIBVIRT_BEGINS = ("started", "reconnect", "attach")
LIBVIRT_ENDS = ("release",)
_PROC = Path("/proc")
_PARENT = 1  # in /proc/PID/stat after the process's name and its state


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest that is an instance (id or name). `label` is its own on this host, in every call of a hook.

    `place` is what `POST /v1/attach` takes: `{"pid": N}` or `{"device": NAME}`. None: it has ended.
    """

    label: str
    instance: str
    place: dict[str, Any] | None


def of_oci_state(state: bytes) -> Guest | None:
    """The container of an OCI runtime's state document; None: it is no instance.

    Raises OperatorError.
    """
    try:
        read = json.loads(state)
        annotations = read.get("annotations") or {}
        instance, id, status = annotations.get(ANNOTATION), read["id"], read["status"]
    except (ValueError, KeyError, AttributeError) as error:
        raise OperatorError(
            "Standard input has no OCI state document.",
            "Have the runtime run this, as its createRuntime and poststop hook.",
        ) from error
    if instance is None:
        return None
    label = f"oci:{id}"
    if status == "stopped":
        return Guest(label, str(instance), None)
    pid = read.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        raise OperatorError(
            f"The state of container {id} has no pid.",
            "Run this as createRuntime hook: a container that is not created has no namespace.",
        )
    return Guest(label, str(instance), {"pid": pid})


def of_libvirt_domain(domain: str, operation: str, xml: bytes) -> Guest | None:
    """The domain that libvirt's qemu hook is called for; None: it is no instance.

    Raises OperatorError.
    """
    # libvirt writes none, and with it a small document can be one of any size.
    if b"<!DOCTYPE" in xml:
        raise _no_domain(domain)
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - libvirtd's own, and without a DOCTYPE
    except ElementTree.ParseError as error:
        raise _no_domain(domain) from error
    element = root.find(f"metadata/{{{XML_NAMESPACE}}}instance")
    if element is None:
        return None
    label, instance = f"libvirt:{domain}", (element.text or "").strip()
    if not instance:
        raise OperatorError(
            f"<instance> in the metadata of domain {domain} names no instance.",
            "Write the id or name of one between its tags.",
        )
    if operation in LIBVIRT_ENDS:
        return Guest(label, instance, None)
    device = element.get("device") or _own_device(domain, root)
    return Guest(label, instance, {"device": device})


def _own_device(domain: str, root: ElementTree.Element) -> str:
    """The one tap behind which is only this guest."""
    targets = [
        target.get("dev", "")
        for interface in root.iterfind("devices/interface[@type='ethernet']")
        if (target := interface.find("target")) is not None
    ]
    if len(targets) == 1:
        return targets[0]
    names = f"several: {', '.join(targets)}" if targets else "none"
    raise OperatorError(
        f"Domain {domain} needs one <interface type='ethernet'>, with <target dev=.../>, and has {names}; "
        "on a bridge or network other guests' packets arrive, too.",
        "Give it one, or name the device: <instance device='tap0'> in its metadata.",
    )


def _no_domain(domain: str) -> OperatorError:
    return OperatorError(
        f"Standard input has no XML of domain {domain}.",
        "Have libvirt run this, as /etc/libvirt/hooks/qemu.",
    )


def of_nspawn_machine(machine: str, instance: str | None, main_pid: int | None) -> Guest:
    """The container that systemd-nspawn runs as this machine. `main_pid` is its own process; None: it ended.

    Without an `instance`, the machine's name is the instance's. Raises OperatorError.
    """
    place = None if main_pid is None else {"pid": nspawn_leader(machine, main_pid)}
    return Guest(f"nspawn:{machine}", instance or machine, place)


def nspawn_leader(machine: str, main_pid: int, proc: Path = _PROC) -> int:
    """The container's first process: the child of systemd-nspawn that has another network namespace.

    Raises OperatorError.
    """
    try:
        own = namespaces.identity(proc / str(main_pid) / "ns/net")
        children = sorted(_children(main_pid, proc))
    except OSError as error:
        raise OperatorError(
            f"The systemd-nspawn of machine {machine} (process {main_pid}) is not there.",
            "Run this from its unit, as root: deploy/hooks/nspawn.conf.",
        ) from error
    for pid in children:
        try:
            if namespaces.identity(proc / str(pid) / "ns/net") != own:
                return pid
        except OSError:
            continue  # it has ended
    raise OperatorError(
        f"Machine {machine} has no network namespace of its own.",
        f"Give it one in /etc/systemd/nspawn/{machine}.nspawn: VirtualEthernet=yes below [Network].",
    )


def _children(parent: int, proc: Path) -> Iterator[int]:
    for entry in proc.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if len(fields) > _PARENT and fields[_PARENT] == str(parent):
            yield int(entry.name)
