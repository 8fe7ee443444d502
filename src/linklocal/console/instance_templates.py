"""Pages of instance templates: what they hold is shown and cannot be changed, only the name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.forms import id_of
from linklocal.console.pages import Pages, Visit
from linklocal.console.services import Services
from linklocal.errors import NotAuthorized, NotFound
from linklocal.iam.caller import Caller
from linklocal.vpc.templates.model import TemplatePatch


class TemplatePages:
    """One per server. Contract 6, rows 14 and 15."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    def routes(self) -> list[Route]:
        get, change = self._pages.get, self._pages.change
        one = "/templates/{id}"
        return [
            Route("/templates", get(self.list)),
            Route(one, get(self.details)),
            Route(
                f"{one}/rename",
                change(self.rename, "PATCH /v1/instance/templates/{id}", refill=self.details),
                methods=["POST"],
            ),
            Route(
                f"{one}/delete",
                change(self.delete, "DELETE /v1/instance/templates/{id}"),
                methods=["POST"],
            ),
        ]

    async def list(self, visit: Visit) -> Response:
        found = await self._services.templates.list(visit.caller)
        return self._pages.render("templates.html", visit, templates=found)

    async def details(self, visit: Visit) -> Response:
        template = await self._services.templates.get(visit.caller, visit.path("id"))
        image = template.get("image", {})
        target = template.get("default_trusted_profile", {}).get("target", {})
        return self._pages.render(
            "template.html",
            visit,
            template=template,
            typed_name=visit.form.get("name"),
            image=await self._name(self._services.images.get, visit, image),
            target=await self._name(self._services.iam.profiles.get, visit, target),
        )

    async def _name(
        self,
        get: Callable[[Caller, str], Awaitable[Mapping[str, Any]]],
        visit: Visit,
        of: Mapping[str, str],
    ) -> str:
        """The name of what a template refers to; its id, when that is gone or not to be seen."""
        id = id_of(of)
        try:
            return str((await get(visit.caller, id))["name"]) if id else "-"
        except (NotAuthorized, NotFound):
            return id

    async def rename(self, visit: Visit) -> Response:
        id = visit.path("id")
        try:
            patch = TemplatePatch.model_validate({"name": visit.form.get("name").strip()})
        except ValidationError as error:
            raise self._pages.checked(error) from error
        visit.made(await self._services.templates.update(visit.caller, id, patch))
        return self._pages.to(f"/templates/{id}", "Renamed.")

    async def delete(self, visit: Visit) -> Response:
        await self._services.templates.delete(visit.caller, visit.path("id"))
        return self._pages.to("/templates", "Deleted.")
