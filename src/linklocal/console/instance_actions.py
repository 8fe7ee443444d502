"""What the *Actions* menu of an instance does, from the list or from its details (contract 6, rows 2 and 3).

Reinitializing has a page of its own (`reinitializing.py`). The VNC and serial consoles of IBM's menu are
not offered: linklocal runs no consoles, and the API answers 501 for their tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.instances import InstancePages
from linklocal.console.pages import Pages, Said, Visit
from linklocal.console.services import Services
from linklocal.errors import DomainError
from linklocal.vpc.http import SDK_VERSION
from linklocal.vpc.images.model import ImagePrototype
from linklocal.vpc.instances.model import InstanceActionPrototype, InstancePatch
from linklocal.vpc.profiles.catalog import PROFILES, stored

Model = TypeVar("Model", bound=BaseModel)


class InstanceActions:
    """One per server."""

    def __init__(self, pages: Pages, services: Services, shown: InstancePages) -> None:
        self._pages = pages
        self._services = services
        self._shown = shown

    def routes(self) -> list[Route]:
        get, change = self._pages.get, self._pages.change
        one, patch = "/instances/{id}", "PATCH /v1/instances/{id}"
        resize = change(self.resize, patch, refill=self.resize_form)
        image = change(self.create_image, "POST /v1/images", refill=self.image_form)
        rename = change(self.rename, patch, refill=self._shown.details)
        act = change(self.act, "POST /v1/instances/{id}/actions")
        delete = change(self.delete, "DELETE /v1/instances/{id}")
        return [
            Route(f"{one}/rename", rename, methods=["POST"]),
            Route(f"{one}/action", act, methods=["POST"]),
            Route(f"{one}/restart", change(self.set_restart, patch), methods=["POST"]),
            Route(f"{one}/resize", get(self.resize_form)),
            Route(f"{one}/resize", resize, methods=["POST"]),
            Route(f"{one}/image", get(self.image_form)),
            Route(f"{one}/image", image, methods=["POST"]),
            Route(f"{one}/delete", delete, methods=["POST"]),
        ]

    def _read(self, model: type[Model], body: Mapping[str, Any]) -> Model:
        try:
            return model.model_validate(body)
        except ValidationError as error:
            raise self._pages.checked(error) from error

    async def _instance(self, visit: Visit) -> dict[str, Any]:
        return (await self._services.instances.get(visit.caller, visit.path("id")))[0]

    async def _patch(self, visit: Visit, body: Mapping[str, Any]) -> None:
        patch, id = self._read(InstancePatch, body), visit.path("id")
        instance, _ = await self._services.instances.update(visit.caller, id, patch, None)
        visit.made(instance)

    def _back(self, visit: Visit, notice: str) -> Response:
        """To where the menu was opened."""
        listed = visit.form.get("back") == "list"
        return self._pages.to("/instances" if listed else f"/instances/{visit.path('id')}", notice)

    async def rename(self, visit: Visit) -> Response:
        await self._patch(visit, {"name": visit.form.get("name").strip()})
        return self._back(visit, "Renamed.")

    async def set_restart(self, visit: Visit) -> Response:
        """Host failure auto restart. What is refused is said in place, and the toggle put back."""
        policy, said = "restart" if visit.form.has("restart") else "stop", Said()
        try:
            await self._patch(visit, {"availability_policy": {"host_failure": policy}})
        except DomainError as error:
            said = self._pages.said(error)
        instance = await self._instance(visit)
        return self._pages.render(
            "part_resilience.html", visit, said.status, instance=instance, said=said
        )

    async def act(self, visit: Visit) -> Response:
        """Start, stop, reboot; `force` as a separate choice."""
        body: dict[str, Any] = {"type": visit.form.get("type")}
        if visit.form.has("force"):
            body["force"] = True
        action = self._read(InstanceActionPrototype, body)
        id = visit.path("id")
        visit.made(await self._services.instances.act(visit.caller, id, action))
        return self._back(visit, f"Asked to {action.type}.")

    async def delete(self, visit: Visit) -> Response:
        await self._services.instances.delete(visit.caller, visit.path("id"), None)
        return self._pages.to("/instances", "Deleted.")

    # Another profile

    async def resize_form(self, visit: Visit, said: Said | None = None) -> Response:
        """The profiles that the instance may have, its own chosen."""
        instance, told = await self._instance(visit), said or Said()
        now = stored(instance["profile"]["name"])
        return self._pages.render(
            "resize.html",
            visit,
            told.status,
            instance=instance,
            said=told,
            profiles=[one for one in PROFILES if one.architecture == now.architecture],
            chosen=visit.form.get("profile") or now.name,
        )

    async def resize(self, visit: Visit) -> Response:
        name = visit.form.get("profile")
        try:
            await self._patch(visit, {"profile": {"name": name}})
        except DomainError as error:
            return await self.resize_form(visit, self._pages.said(error))
        return self._pages.to(f"/instances/{visit.path('id')}", f"Resized to {name}.")

    # An image of its boot volume

    async def image_form(self, visit: Visit, said: Said | None = None) -> Response:
        told = said or Said()
        instance = await self._instance(visit)
        return self._pages.render(
            "create_image.html", visit, told.status, instance=instance, said=told, form=visit.form
        )

    async def create_image(self, visit: Visit) -> Response:
        instance, name = await self._instance(visit), visit.form.get("name").strip()
        volume = instance["boot_volume_attachment"]["volume"]["id"]
        body = {"name": name or None, "source_volume": {"id": volume}}
        try:
            prototype = self._read(ImagePrototype, body)
            made = await self._services.images.create(
                visit.caller, prototype, SDK_VERSION.isoformat()
            )
        except DomainError as error:
            return await self.image_form(visit, self._pages.said(error))
        visit.made(made)
        return self._pages.to("/images", f"Created {made['name']}.")
