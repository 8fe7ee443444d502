"""Who a guest is, from what its engine says: OCI state documents, libvirt's XML, systemd's variables."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.errors import OperatorError
from linklocal.node.guests import (
    Guest,
    nspawn_leader,
    of_libvirt_domain,
    of_nspawn_machine,
    of_oci_state,
)


def state(**changes: Any) -> bytes:
    """As the runtime specification shows it."""
    document = {
        "ociVersion": "1.0.2",
        "id": "oci-container1",
        "status": "creating",
        "pid": 4422,
        "bundle": "/containers/redis",
        "annotations": {"linklocal.instance": "web-1", "myKey": "myValue"},
        **changes,
    }
    return json.dumps({k: v for k, v in document.items() if v is not None}).encode()


@pytest.mark.parametrize("status", ["creating", "created", "running"])
def test_a_container_with_the_annotation_is_attached_by_its_process(status: str) -> None:
    guest = of_oci_state(state(status=status))
    assert guest == Guest("oci:oci-container1", "web-1", {"pid": 4422})


@pytest.mark.parametrize("pid", [0, 4422, None])
def test_a_stopped_container_has_no_place(pid: int | None) -> None:
    guest = of_oci_state(state(status="stopped", pid=pid))
    assert guest == Guest("oci:oci-container1", "web-1", None)


@pytest.mark.parametrize("annotations", [None, {}, {"other": "x"}])
def test_a_container_without_the_annotation_is_no_instance(annotations: object) -> None:
    assert of_oci_state(state(annotations=annotations)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b"\xff",
        state(id=None),
        state(status=None),
        state(annotations=[1]),
    ],
)
def test_what_is_no_state_document_is_told(content: bytes) -> None:
    with pytest.raises(OperatorError, match="no OCI state document"):
        of_oci_state(content)


@pytest.mark.parametrize("pid", [None, 0, -1, True, "4422"])
def test_a_container_that_is_there_has_a_pid(pid: object) -> None:
    with pytest.raises(OperatorError, match="oci-container1 has no pid"):
        of_oci_state(state(pid=pid))


def domain(metadata: str, *interfaces: str) -> bytes:
    """As libvirt gives a started domain to its hooks: shortened, with the names of the taps it made."""
    return f"""<domain type='kvm' id='3'>
  <name>web</name>
  <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
  <metadata>{metadata}</metadata>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {"".join(interfaces)}
  </devices>
</domain>
""".encode()


MARK = "<ll:instance xmlns:ll='urn:linklocal:1'>web-1</ll:instance>"
TAP = "<interface type='ethernet'><target dev='ll-web'/><model type='virtio'/></interface>"
BRIDGED = (
    "<interface type='bridge'><source bridge='br0'/><target dev='vnet0'/></interface>"
    "<interface type='network'><source network='default'/><target dev='vnet1'/></interface>"
)


@pytest.mark.parametrize("operation", ["started", "reconnect", "attach"])
def test_a_domain_is_attached_by_the_tap_that_is_its_own(operation: str) -> None:
    guest = of_libvirt_domain("web", operation, domain(MARK, BRIDGED, TAP))
    assert guest == Guest("libvirt:web", "web-1", {"device": "ll-web"})


def test_a_domain_can_name_its_device() -> None:
    mark = "<instance xmlns='urn:linklocal:1' device='vrf-web'> web-1\n</instance>"
    guest = of_libvirt_domain("web", "started", domain(mark, TAP, TAP.replace("ll-web", "b")))
    assert guest == Guest("libvirt:web", "web-1", {"device": "vrf-web"})


def test_a_domain_that_ended_has_no_place() -> None:
    assert of_libvirt_domain("web", "release", domain(MARK)) == Guest("libvirt:web", "web-1", None)


@pytest.mark.parametrize("metadata", ["", "<instance>web-1</instance>", "<o:x xmlns:o='urn:o'/>"])
def test_a_domain_without_the_element_is_no_instance(metadata: str) -> None:
    assert of_libvirt_domain("web", "started", domain(metadata, TAP)) is None


@pytest.mark.parametrize(
    ("interfaces", "has"),
    [
        ([BRIDGED], "has none"),
        ([TAP, TAP.replace("ll-web", "ll-b")], "has several: ll-web, ll-b"),
        (["<interface type='ethernet'/>"], "has none"),
    ],
)
def test_a_device_that_guests_share_is_no_identity(interfaces: list[str], has: str) -> None:
    with pytest.raises(OperatorError, match=has) as raised:
        of_libvirt_domain("web", "started", domain(MARK, *interfaces))
    assert "<instance device='tap0'>" in raised.value.next_step


@pytest.mark.parametrize(
    "content", [b"", b"<domain>", b"{}", b"<!DOCTYPE d [<!ENTITY a 'aa'>]><domain>&a;</domain>"]
)
def test_what_is_no_domain_is_told(content: bytes) -> None:
    with pytest.raises(OperatorError, match="no XML of domain web"):
        of_libvirt_domain("web", "started", content)


def test_an_element_without_a_name_is_told() -> None:
    with pytest.raises(OperatorError, match="names no instance"):
        of_libvirt_domain("web", "started", domain(MARK.replace("web-1", " "), TAP))


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_or_told(content: bytes) -> None:
    for read in (of_oci_state, lambda text: of_libvirt_domain("web", "started", text)):
        with contextlib.suppress(OperatorError):
            assert read(content) is None


def process(proc: Path, pid: int, parent: int, netns: str, name: str = "x") -> None:
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} 1 1 0 -1")
    (proc / netns).touch()
    os.link(proc / netns, folder / "ns" / "net")


def test_the_leader_of_a_machine_is_the_child_with_a_network_of_its_own(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, "host")
    process(tmp_path, 11, 10, "host", name="helper) S 99")
    process(tmp_path, 12, 10, "guest")
    process(tmp_path, 13, 12, "guest")
    process(tmp_path, 9, 1, "other")
    assert nspawn_leader("web", 10, tmp_path) == 12


def test_a_machine_in_the_hosts_network_is_told(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, "host")
    process(tmp_path, 12, 10, "host")
    with pytest.raises(OperatorError, match="no network namespace of its own") as raised:
        nspawn_leader("web", 10, tmp_path)
    assert "/etc/systemd/nspawn/web.nspawn" in raised.value.next_step


def test_a_machine_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"process 10\) is not there"):
        nspawn_leader("web", 10, tmp_path)


@pytest.mark.parametrize(("instance", "named"), [(None, "web"), ("", "web"), ("vm", "vm")])
def test_a_machine_has_the_name_of_its_instance_unless_told(
    instance: str | None, named: str
) -> None:
    assert of_nspawn_machine("web", instance, None) == Guest("nspawn:web", named, None)
