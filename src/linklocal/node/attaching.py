"""What operators ask the node to do with attachments: checks, remembers, and waits until it is served.

The answers' bodies are `local_api.py`'s JSON. It must not touch sockets: the next round does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any

from linklocal.document import InstanceDocument
from linklocal.ids import InstanceId
from linklocal.node.attachments import Attachments
from linklocal.node.handed import HandedPlace, Refused, check
from linklocal.node.local_api import Page, json_page
from linklocal.node.local_users import LocalUsers
from linklocal.node.places import NAMED, DevicePlace, NamespacePlace, Place, process_start
from linklocal.node.sockets import NotAttached
from linklocal.node.unix_socket import Caller

TRIES, TRY_SECONDS = 8, 0.2  # to serve https
WAIT_SECONDS = 2.0  # for a round; less than the client waits
_MEMBERS = {"instance", "netns", "pid", "device", "when_disabled", "label"}
LABEL_MOST = 255  # characters


class Attaching:
    """`attach`, `hand_over` and `detach` of the local API.

    `documents` is what the server placed here; `round_done` waits for a round that begins after the call.
    """

    def __init__(
        self,
        attachments: Attachments,
        documents: Callable[[], Mapping[InstanceId, InstanceDocument]],
        round_done: Callable[[], Any],
        attached: Callable[[], list[dict[str, Any]]],
        users: LocalUsers | None = None,
    ) -> None:
        self._attachments = attachments
        self._documents = documents
        self._round_done = round_done
        self._attached = attached
        self._users = users or LocalUsers()
        self._watched: dict[str, int] = {}  # attachment -> pidfd
        self._ending: set[asyncio.Task[None]] = set()

    async def attach(self, body: Mapping[str, Any], caller: Caller) -> Page:
        """`POST /v1/attach`: 201 with the attachment, whose `fault` says why it does not serve yet."""
        try:
            place = self._place(body)
        except (Refused, NotAttached) as error:
            return json_page({"error": str(error)}, 400)
        return await self._add(place)

    async def hand_over(self, body: Mapping[str, Any], caller: Caller) -> Page:
        """`POST /v1/hand_over`: as `attach`, with listening sockets beside the body (`handed.check`).

        `descriptors` names them in their order. When the process ends, so does the attachment.
        """
        try:
            unknown = sorted(body.keys() - {"instance", "descriptors", "when_disabled"})
            if unknown:
                raise Refused(f"Unknown: {', '.join(unknown)}.")
            instance_id, silent = self._of(body, caller)
            names = body.get("descriptors")
            if not isinstance(names, list):
                raise Refused("`descriptors` is a list of names, one for each descriptor.")
            own_user = self._users.owns_node(caller.uid)
            handed = check(caller, names, self._occupied(), own_user=own_user)
        except Refused as error:
            return json_page({"error": str(error)}, 400)
        pidfd, handed.process = handed.process, -1
        place = HandedPlace(token_hex(4), instance_id, handed, uid=caller.uid, silent=silent)
        self._watched[place.id] = pidfd
        page = await self._add(place)
        if page.status == 201 and place.id in self._watched:
            asyncio.get_running_loop().add_reader(pidfd, self._ended, place.id)
        else:
            self._unwatch(place.id)
        return page

    async def _add(self, place: Place) -> Page:
        try:
            await asyncio.to_thread(self._attachments.add, place)
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

    def _occupied(self) -> dict[tuple[int, int], str]:
        return {
            namespace: f"an attachment of {place.instance_id} ({place.where})"
            for place in self._attachments.placed()
            for namespace in place.occupies()
        }

    def _ended(self, id: str) -> None:
        """The process to which an attachment is tied has ended."""
        self._unwatch(id)
        task = asyncio.get_running_loop().create_task(self._remove(id))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _remove(self, id: str) -> None:
        await asyncio.to_thread(self._attachments.remove, [id])
        await self._applied()

    def _unwatch(self, id: str) -> None:
        pidfd = self._watched.pop(id, None)
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)

    def close(self) -> None:
        """Watch nothing more: the node ends."""
        for id in list(self._watched):
            self._unwatch(id)

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

    async def detach(self, body: Mapping[str, Any], caller: Caller) -> Page:
        """`POST /v1/detach`: 200 with the ids that were detached; all of an instance, or the one named."""
        try:
            instance_id = self._instance(body.get("instance"), caller)
            wanted = body.get("id")
            ids = [
                place.id
                for place in self._attachments.placed(instance_id)
                if wanted in (None, place.id)
            ]
            if not ids:
                raise Refused(
                    "No such attachment of this instance: `linklocal node attachments` lists them."
                )
            await asyncio.to_thread(self._attachments.remove, ids)
            for id in ids:
                self._unwatch(id)
        except Refused as error:
            return json_page({"error": str(error)}, 400)
        except OSError as error:
            return json_page({"error": f"It cannot be forgotten: {error.strerror}."}, 500)
        await self._applied()
        return json_page({"detached": ids})

    async def _applied(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                await self._round_done()

    def _instance(self, wanted: object, caller: Caller | None = None) -> InstanceId:
        """The instance of that name or id, if the caller may use it."""
        found = self._find(wanted)
        if caller is not None and not self._users.may_use(caller.uid, found):
            raise Refused(
                f"User {caller.uid} may not use instance {found}: have LINKLOCAL_LOCAL_USERS name it."
            )
        return found

    def _of(self, body: Mapping[str, Any], caller: Caller | None = None) -> tuple[InstanceId, bool]:
        """The instance, and whether its attachment is silent while disabled."""
        instance_id = self._instance(body.get("instance"), caller)
        if instance_id not in self._documents():
            raise Refused("The instance is not placed on this node any more.")
        when = body.get("when_disabled", "refuse")
        if when not in ("refuse", "silent"):
            raise Refused("`when_disabled` is refuse or silent.")
        return instance_id, when == "silent"

    def _find(self, wanted: object) -> InstanceId:
        documents = self._documents()
        if isinstance(wanted, str):
            if wanted in documents:
                return InstanceId(wanted)
            named = [id for id, document in documents.items() if document.name == wanted]
            if len(named) == 1:
                return named[0]
            if named:
                raise Refused(f"Several instances are named {wanted}: give the id.")
            known = [
                place.instance_id
                for place in self._attachments.placed()
                if place.instance_id == wanted
            ]
            if known:
                return known[0]
        raise Refused(
            f"No instance {wanted} is placed on this node: place it with `linklocal node place`."
        )

    def _place(self, body: Mapping[str, Any]) -> Place:
        unknown = sorted(body.keys() - _MEMBERS)
        if unknown:
            raise Refused(f"Unknown: {', '.join(unknown)}.")
        instance_id, silent = self._of(body)
        id = token_hex(4)
        label = body.get("label", "")
        if not isinstance(label, str) or len(label) > LABEL_MOST or not label.isprintable():
            raise Refused(f"`label` is a text of {LABEL_MOST} printable characters at most.")
        netns, pid, device = (body.get(name) for name in ("netns", "pid", "device"))
        if [netns, pid, device].count(None) != 2:
            raise Refused("Name one of netns, pid and device.")
        place: Place
        if isinstance(netns, str) and netns and "\0" not in netns:
            path = netns if netns.startswith("/") else str(NAMED / netns)
            place = NamespacePlace(id, instance_id, path=path, silent=silent, label=label)
            place.guest()
        elif isinstance(pid, int) and not isinstance(pid, bool) and pid > 0:
            started = process_start(pid)
            place = NamespacePlace(
                id, instance_id, pid=pid, started=started, silent=silent, label=label
            )
            place.guest()
        elif isinstance(device, str) and 0 < len(device.encode()) < 16:
            place = DevicePlace(id, instance_id, device=device, silent=silent, label=label)
            taken = [p for p in self._attachments.placed() if p.where == place.where]
            if taken and taken[0].kind == "device":
                raise Refused(
                    f"{device} is attached to {taken[0].instance_id} already: detach that first."
                )
            if (fault := place.fault()) is not None:
                raise Refused(fault)
        else:
            raise Refused("netns is a name or a path, pid a number, device an interface's name.")
        return place
