"""What a hook does with a guest: attach it to its instance, and detach it, by the node's Unix socket.

A container engine waits for its hook, so everything here has a deadline. What one call attached another
finds again by the guest's label, which the node keeps. It must not print or exit: `cli/hooks.py` does.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from linklocal.errors import OperatorError
from linklocal.node import namespaces
from linklocal.node.guests import Guest
from linklocal.node.local_api import NodeAway, fetch, post

INPUT_MOST = 4 * 2**20  # bytes; a domain with a thousand disks has less
INPUT_SECONDS = 5.0
RETRY_SECONDS = 0.1

T = TypeVar("T")


def read_input(descriptor: int, seconds: float = INPUT_SECONDS) -> bytes:
    """Everything up to the end of a pipe or file. Raises OperatorError when that does not come in time."""
    deadline, read = time.monotonic() + seconds, bytearray()
    why = f"does not end within {seconds:g} s and {INPUT_MOST} bytes"
    try:
        while len(read) <= INPUT_MOST:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            data = os.read(descriptor, 65_536)
            if not data:
                return bytes(read)
            read += data
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    raise OperatorError(
        f"Standard input {why}.",
        "Let what runs the container run this: it writes who the guest is there.",
    )


def attach(state_dir: Path, guest: Guest, wait: float) -> None:
    """Attach the guest where it is now, and nowhere else. Nothing happens where it is already.

    Nor for one in the network namespace of another guest that is the same instance: containers of a pod.
    `wait`: seconds that a node may take to be there, as while a host starts. Raises OperatorError.
    """
    assert guest.place is not None
    listed = _once_there(lambda: _attachments(state_dir), wait)
    served = [made for made in listed if made["fault"] is None and made["kind"] != "port"]
    for made in served:
        same = guest.instance in (made["instance"], made["name"])
        if same and _is_there(made, guest):
            return
    for made in listed:
        if made.get("label") == guest.label:
            _detach(state_dir, made)
    body = {"instance": guest.instance, "label": guest.label, **guest.place}
    post(state_dir, "/v1/attach", body)


def detach(state_dir: Path, guest: Guest, wait: float) -> None:
    """Detach the guest wherever it was attached; it may be nowhere. Raises OperatorError."""
    for made in _once_there(lambda: _attachments(state_dir), wait):
        if made.get("label") == guest.label:
            _detach(state_dir, made)


def _attachments(state_dir: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = fetch(state_dir, "/v1/attachments")
    return listed


def _is_there(made: dict[str, Any], guest: Guest) -> bool:
    """Whether an attachment is where the guest is."""
    assert guest.place is not None
    if "device" in guest.place:
        return bool(made["where"] == guest.place["device"])
    if made["kind"] != "netns":
        return False
    where = str(made["where"])
    path = f"/proc/{where.removeprefix('pid ')}/ns/net" if where.startswith("pid ") else where
    try:
        own = namespaces.identity(Path(f"/proc/{guest.place['pid']}/ns/net"))
        return namespaces.identity(Path(path)) == own
    except OSError:
        return False


def _detach(state_dir: Path, made: dict[str, Any]) -> None:
    post(state_dir, "/v1/detach", {"instance": made["instance"], "id": made["id"]})


def _once_there(ask: Callable[[], T], wait: float) -> T:
    deadline = time.monotonic() + wait
    while True:
        try:
            return ask()
        except NodeAway:
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_SECONDS)  # a socket appears: there is nothing to wait on
