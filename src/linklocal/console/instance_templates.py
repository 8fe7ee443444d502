"""Pages of instance templates: what they hold is shown and cannot be changed, only the name."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.pages import Pages, Visit
from linklocal.console.services import Services
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
                change(self.rename, "PATCH /v1/instance/templates/{id}"),
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
        return self._pages.render("template.html", visit, template=template)

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
