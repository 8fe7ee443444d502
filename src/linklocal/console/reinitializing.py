"""Reinitialize a stopped instance: image, SSH keys, user data and default trusted profile anew.

The only way to change the default trusted profile of an instance (contract 2.4). The service decides.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.forms import Form, reinitialize_prototype
from linklocal.console.menus import Menu, Menus
from linklocal.console.pages import Pages, Said, Visit
from linklocal.console.services import Services
from linklocal.errors import DomainError, NotAuthorized
from linklocal.vpc.instances.model import ReinitializePrototype


class ReinitializePages:
    """One per server."""

    def __init__(self, pages: Pages, services: Services, menus: Menus) -> None:
        self._pages = pages
        self._services = services
        self._menus = menus

    def routes(self) -> list[Route]:
        get, change = self._pages.get, self._pages.change
        path = "/instances/{id}/reinitialize"
        operation = f"POST /v1{path}"
        return [
            Route(path, get(self.show)),
            Route(path, change(self.reinitialize, operation, refill=self.again), methods=["POST"]),
        ]

    async def show(self, visit: Visit) -> Response:
        """The form with what the instance has now; its user data nobody can read."""
        instance, _ = await self._services.instances.get(visit.caller, visit.path("id"))
        now = await self._services.instances.initialization(visit.caller, instance["id"])
        profile = now.get("default_trusted_profile", {})
        form = Form(
            {
                "image": [instance.get("image", {}).get("id", "")],
                "key": [key["id"] for key in now["keys"] if "deleted" not in key],
                "profile_id": [profile["target"]["id"]] if profile else [],
                "auto_link": ["on"] if profile.get("auto_link", True) else [],
            }
        )
        return await self._form(visit, instance, form, Said())

    async def again(self, visit: Visit) -> Response:
        """The form as it was left when the session ended."""
        instance, _ = await self._services.instances.get(visit.caller, visit.path("id"))
        return await self._form(visit, instance, visit.form, Said())

    async def reinitialize(self, visit: Visit) -> Response:
        """Write it anew and start it; what is refused is said above the form as it was filled in."""
        id = visit.path("id")
        try:
            try:
                body = ReinitializePrototype.model_validate(reinitialize_prototype(visit.form))
            except ValidationError as error:
                raise self._pages.checked(error) from error
            await self._services.instances.reinitialize(visit.caller, id, body)
        except DomainError as error:
            instance, _ = await self._services.instances.get(visit.caller, id)
            return await self._form(visit, instance, visit.form, self._pages.said(error))
        return self._pages.to(f"/instances/{id}", "Reinitialized: it starts now.")

    async def _form(
        self, visit: Visit, instance: dict[str, Any], form: Form, said: Said
    ) -> Response:
        profiles, problem = Menu("profile_id", []), ""
        try:
            profiles = await self._menus.trusted_profiles(visit.caller, form.get("profile_id"))
        except NotAuthorized as error:
            problem = error.problems[0].message
        return self._pages.render(
            "reinitialize.html",
            visit,
            said.status,
            instance=instance,
            form=form,
            said=said,
            image_menu=await self._menus.images(visit.caller, form.get("image")),
            keys=await self._menus.keys(visit.caller),
            profile_menu=profiles,
            trusted_problem=problem,
        )
