"""A hook and its node: attached once, where the guest is now; found again by its label; never for ever."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from linklocal.errors import OperatorError
from linklocal.node import hooking
from linklocal.node.guests import Guest
from linklocal.node.local_api import Page, json_page, serving
from linklocal.node.unix_socket import Caller

OWN = os.getpid()  # a process whose namespace can be looked at; the fake node takes any
WEB = Guest("oci:web", "web-1", {"pid": OWN})
TAP = Guest("libvirt:web", "web-1", {"device": "ll-web"})
GONE = Guest("oci:web", "web-1", None)
OTHERS = {
    "instance": "0717_b",
    "name": "b",
    "id": "9",
    "kind": "netns",
    "where": f"pid {OWN}",
    "label": "",
    "fault": None,
}


class FakeNode:
    """Keeps what it is told, and what it was asked."""

    def __init__(self) -> None:
        self.listed: list[dict[str, Any]] = [OTHERS]
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refusal: str | None = None

    async def attach(self, body: Mapping[str, Any], caller: Caller) -> Page:
        self.asked.append(("attach", dict(body)))
        if self.refusal is not None:
            return json_page({"error": self.refusal}, 400)
        where = f"pid {body['pid']}" if "pid" in body else body["device"]
        made = {"instance": "0717_a", "name": body["instance"], "id": str(len(self.asked))}
        kind = "netns" if "pid" in body else "device"
        made.update(kind=kind, where=where, label=body["label"])
        self.listed.append({**made, "fault": None})
        return json_page(self.listed[-1], 201)

    async def detach(self, body: Mapping[str, Any], caller: Caller) -> Page:
        self.asked.append(("detach", dict(body)))
        self.listed = [item for item in self.listed if item["id"] != body["id"]]
        return json_page({"detached": [body["id"]]})

    def serving(self, folder: Path) -> Any:
        pages = {"/v1/attachments": lambda: json_page(self.listed)}
        return serving(folder, pages, {"/v1/attach": self.attach, "/v1/detach": self.detach})


async def hooked(node: FakeNode, folder: Path, *calls: tuple[Callable[..., None], Guest]) -> None:
    async with node.serving(folder):
        for call, guest in calls:
            await asyncio.to_thread(call, folder, guest, 0.0)


async def test_a_guest_is_attached_and_detached_by_its_label(tmp_path: Path) -> None:
    node = FakeNode()
    await hooked(node, tmp_path, (hooking.attach, WEB), (hooking.detach, GONE))
    assert node.asked == [
        ("attach", {"instance": "web-1", "label": "oci:web", "pid": OWN}),
        ("detach", {"instance": "0717_a", "id": "1"}),
    ]
    assert node.listed == [OTHERS]


@pytest.mark.parametrize("guest", [WEB, TAP], ids=["pid", "device"])
async def test_a_guest_that_is_attached_there_is_left_alone(tmp_path: Path, guest: Guest) -> None:
    """So that libvirt's reconnect drops no connection of a guest that runs."""
    node = FakeNode()
    await hooked(node, tmp_path, (hooking.attach, guest), (hooking.attach, guest))
    assert [what for what, _ in node.asked] == ["attach"]


async def test_containers_of_one_namespace_are_attached_once(tmp_path: Path) -> None:
    """And the second one's end takes nothing from the first."""
    node, second = FakeNode(), Guest("oci:second", "web-1", {"pid": OWN})
    ended = Guest("oci:second", "web-1", None)
    await hooked(
        node, tmp_path, (hooking.attach, WEB), (hooking.attach, second), (hooking.detach, ended)
    )
    assert [what for what, _ in node.asked] == ["attach"]


@pytest.mark.parametrize(
    "change",
    [{"where": "pid 1000000000"}, {"fault": "The process has ended."}, {"name": "another"}],
)
async def test_what_was_attached_otherwise_is_replaced(
    tmp_path: Path, change: dict[str, str]
) -> None:
    node = FakeNode()
    async with node.serving(tmp_path):
        await asyncio.to_thread(hooking.attach, tmp_path, WEB, 0.0)
        node.listed[-1].update(change)
        await asyncio.to_thread(hooking.attach, tmp_path, WEB, 0.0)
    assert [what for what, _ in node.asked] == ["attach", "detach", "attach"]
    assert [item["where"] for item in node.listed] == [f"pid {OWN}", f"pid {OWN}"]


async def test_a_guest_that_was_never_attached_is_detached(tmp_path: Path) -> None:
    node = FakeNode()
    await hooked(node, tmp_path, (hooking.detach, GONE))
    assert node.asked == []


async def test_the_nodes_reason_is_told(tmp_path: Path) -> None:
    node = FakeNode()
    node.refusal = "No instance web-1 is placed on this node: place it with `linklocal node place`."
    with pytest.raises(OperatorError, match="linklocal node place"):
        await hooked(node, tmp_path, (hooking.attach, WEB))


async def test_a_node_that_is_starting_is_waited_for(tmp_path: Path) -> None:
    node = FakeNode()
    attaching = asyncio.create_task(asyncio.to_thread(hooking.attach, tmp_path, WEB, 30.0))
    await asyncio.sleep(0)
    async with node.serving(tmp_path):
        await attaching
    assert [what for what, _ in node.asked] == ["attach"]


def test_a_node_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(OperatorError, match="No node runs"):
        hooking.attach(tmp_path, WEB, 0.2)
    assert 0.2 <= time.monotonic() - began < 5


def test_input_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"{}")
    os.close(writing)
    assert hooking.read_input(reading) == b"{}"
    os.close(reading)


def test_input_that_does_not_end_is_given_up() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"{")
    with pytest.raises(OperatorError, match=r"does not end within 0\.1 s"):
        hooking.read_input(reading, 0.1)
    os.close(reading)
    os.close(writing)


def test_input_that_is_closed_is_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(OperatorError, match=r"cannot be read: Bad file descriptor"):
        hooking.read_input(reading)


def test_input_without_measure_is_given_up() -> None:
    with Path("/dev/zero").open("rb") as endless, pytest.raises(OperatorError):
        hooking.read_input(endless.fileno())
