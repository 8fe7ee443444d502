"""What operators ask the node to do with attachments: checks, remembers, and waits until it is served.

The answers' bodies are `local_api.py`'s JSON. It must not touch sockets: the next round does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any

from linklocal.document import InstanceDocument
from linklocal.ids import InstanceId
from linklocal.node.attachments import Attachments
from linklocal.node.local_api import Page, json_page
from linklocal.node.places import NAMED, DevicePlace, NamespacePlace, Place, process_start
from linklocal.node.sockets import NotAttached

TRIES, TRY_SECONDS = 8, 0.2  # to serve https
WAIT_SECONDS = 2.0  # for a round; less than the client waits
_MEMBERS = {"instance", "netns", "pid", "device", "when_disabled"}


class _Refused(Exception):
    """What was asked for cannot be. The message says what to change."""


class Attaching:
    """`attach` and `detach` of the local API.

    `documents` is what the server placed here; `round_done` waits for a round that begins after the call.
    """

    def __init__(
        self,
        attachments: Attachments,
        documents: Callable[[], Mapping[InstanceId, InstanceDocument]],
        round_done: Callable[[], Any],
        attached: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._attachments = attachments
        self._documents = documents
        self._round_done = round_done
        self._attached = attached

    async def attach(self, body: Mapping[str, Any]) -> Page:
        """`POST /v1/attach`: 201 with the attachment, whose `fault` says why it does not serve yet."""
        try:
            place = self._place(body)
            await asyncio.to_thread(self._attachments.add, place)
        except (_Refused, NotAttached) as error:
            return json_page({"error": str(error)}, 400)
        except OSError as error:
            return json_page({"error": f"It cannot be remembered: {error.strerror}."}, 500)
        made = await self._made(place)
        if made is None or made["fault"] not in (None, "The instance is not running."):
            # Nothing is kept of what never worked: the operator is here and can try again.
            await asyncio.to_thread(self._attachments.remove, [place.id])
            await self._applied()
            fault = made["fault"] if made is not None else "The instance has left this node."
            return json_page({"error": fault}, 400)
        return json_page(made, 201)

    async def _made(self, place: Place) -> dict[str, Any] | None:
        for _ in range(TRIES):
            await self._applied()
            made = next((item for item in self._attached() if item["id"] == place.id), None)
            document = self._documents().get(place.instance_id)
            if made is None or made["fault"] is None or document is None:
                return made
            if document.metadata_service.protocol != "https":
                return made
            # The node asks for its listeners' certificate when one first needs it.
            await asyncio.sleep(TRY_SECONDS)
        return made

    async def detach(self, body: Mapping[str, Any]) -> Page:
        """`POST /v1/detach`: 200 with the ids that were detached; all of an instance, or the one named."""
        try:
            instance_id = self._instance(body.get("instance"))
            wanted = body.get("id")
            ids = [
                place.id
                for place in self._attachments.placed(instance_id)
                if wanted in (None, place.id)
            ]
            if not ids:
                raise _Refused(
                    "No such attachment of this instance: `linklocal node attachments` lists them."
                )
            await asyncio.to_thread(self._attachments.remove, ids)
        except _Refused as error:
            return json_page({"error": str(error)}, 400)
        except OSError as error:
            return json_page({"error": f"It cannot be forgotten: {error.strerror}."}, 500)
        await self._applied()
        return json_page({"detached": ids})

    async def _applied(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                await self._round_done()

    def _instance(self, wanted: object) -> InstanceId:
        documents = self._documents()
        if isinstance(wanted, str):
            if wanted in documents:
                return InstanceId(wanted)
            named = [id for id, document in documents.items() if document.name == wanted]
            if len(named) == 1:
                return named[0]
            if named:
                raise _Refused(f"Several instances are named {wanted}: give the id.")
            known = [
                place.instance_id
                for place in self._attachments.placed()
                if place.instance_id == wanted
            ]
            if known:
                return known[0]
        raise _Refused(
            f"No instance {wanted} is placed on this node: place it with `linklocal node place`."
        )

    def _place(self, body: Mapping[str, Any]) -> Place:
        unknown = sorted(body.keys() - _MEMBERS)
        if unknown:
            raise _Refused(f"Unknown: {', '.join(unknown)}.")
        instance_id = self._instance(body.get("instance"))
        if instance_id not in self._documents():
            raise _Refused("The instance is not placed on this node any more.")
        when = body.get("when_disabled", "refuse")
        if when not in ("refuse", "silent"):
            raise _Refused("`when_disabled` is refuse or silent.")
        silent, id = when == "silent", token_hex(4)
        netns, pid, device = (body.get(name) for name in ("netns", "pid", "device"))
        if [netns, pid, device].count(None) != 2:
            raise _Refused("Name one of netns, pid and device.")
        place: Place
        if isinstance(netns, str) and netns and "\0" not in netns:
            path = netns if netns.startswith("/") else str(NAMED / netns)
            place = NamespacePlace(id, instance_id, path=path, silent=silent)
            place.guest()
        elif isinstance(pid, int) and not isinstance(pid, bool) and pid > 0:
            started = process_start(pid)
            place = NamespacePlace(id, instance_id, pid=pid, started=started, silent=silent)
            place.guest()
        elif isinstance(device, str) and 0 < len(device.encode()) < 16:
            place = DevicePlace(id, instance_id, device=device, silent=silent)
            taken = [p for p in self._attachments.placed() if p.where == place.where]
            if taken and taken[0].kind == "device":
                raise _Refused(
                    f"{device} is attached to {taken[0].instance_id} already: detach that first."
                )
        else:
            raise _Refused("netns is a name or a path, pid a number, device an interface's name.")
        return place
