"""Pages of Manage > Access (IAM): trusted profiles with their links and rules, and API keys."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.listing import Asked
from linklocal.console.menus import Menus
from linklocal.console.pages import Pages, Said, Visit
from linklocal.console.services import Services
from linklocal.errors import DomainError, NotAuthorized
from linklocal.iam.api_keys.model import ApiKeyPrototype
from linklocal.iam.caller import Caller
from linklocal.iam.rules import CLAIMS, OPERATORS
from linklocal.iam.trusted_profiles.assuming import able_to_assume
from linklocal.iam.trusted_profiles.model import LinkPrototype, ProfilePrototype, RulePrototype
from linklocal.vpc.instances.glance import Named
from linklocal.vpc.paging import Page as VpcPage

SHOWN = 50  # instances listed that can assume a profile
Model = TypeVar("Model", bound=BaseModel)


class AccessPages:
    """One per server. Contract 6, rows 16 and 17."""

    def __init__(self, pages: Pages, services: Services, menus: Menus) -> None:
        self._pages = pages
        self._menus = menus
        self._services = services
        self._iam = services.iam

    def routes(self) -> list[Route]:
        get, change = self._pages.get, self._pages.change
        one = "/profiles/{id}"
        return [
            Route("/profiles", get(self.profiles)),
            Route(
                "/profiles",
                change(self.create_profile, "POST /v1/profiles", refill=self.profiles),
                methods=["POST"],
            ),
            Route(one, get(self.profile)),
            Route(
                f"{one}/delete",
                change(self.delete_profile, "DELETE /v1/profiles/{id}"),
                methods=["POST"],
            ),
            Route(
                f"{one}/links",
                change(self.create_link, "POST /v1/profiles/{id}/links", refill=self.profile),
                methods=["POST"],
            ),
            Route(
                f"{one}/links/{{link}}/delete",
                change(self.delete_link, "DELETE /v1/profiles/{id}/links/{link}"),
                methods=["POST"],
            ),
            Route(
                f"{one}/rules",
                change(self.create_rule, "POST /v1/profiles/{id}/rules", refill=self.profile),
                methods=["POST"],
            ),
            Route(
                f"{one}/rules/{{rule}}/delete",
                change(self.delete_rule, "DELETE /v1/profiles/{id}/rules/{rule}"),
                methods=["POST"],
            ),
            Route("/api-keys", get(self.api_keys)),
            Route(
                "/api-keys",
                change(self.create_api_key, "POST /v1/apikeys", refill=self.api_keys),
                methods=["POST"],
            ),
            Route(
                "/api-keys/{id}/delete",
                change(self.delete_api_key, "DELETE /v1/apikeys/{id}"),
                methods=["POST"],
            ),
        ]

    def _read(self, model: type[Model], body: dict[str, Any]) -> Model:
        try:
            return model.model_validate({k: v for k, v in body.items() if v not in (None, "")})
        except ValidationError as error:
            raise self._pages.checked(error) from error

    # Trusted profiles

    async def profiles(self, visit: Visit, said: Said | None = None) -> Response:
        asked, said = Asked.of(visit, "/console/profiles"), said or Said()
        found = await self._iam.profiles.list(visit.caller, asked.iam_page(sort="name"))
        return self._pages.render(
            "profiles.html",
            visit,
            said.status,
            listing=asked.iam_listing(found),
            said=said,
            form=visit.form,
        )

    async def create_profile(self, visit: Visit) -> Response:
        body = {
            "name": visit.form.get("name").strip(),
            "description": visit.form.get("description").strip(),
            "account_id": str(visit.caller.account_id),
        }
        try:
            made = await self._iam.profiles.create(visit.caller, self._read(ProfilePrototype, body))
        except DomainError as error:
            return await self.profiles(visit, self._pages.said(error))
        visit.made(made)
        return self._pages.to(f"/profiles/{made['id']}", "Created.")

    async def profile(self, visit: Visit, said: Said | None = None) -> Response:
        """Details with *Trust relationship*, and who can assume the profile now."""
        id, caller, said = visit.path("id"), visit.caller, said or Said()
        profile = await self._iam.profiles.get(caller, id)
        links = await self._iam.links.list(caller, id)
        rules = await self._iam.rules.list(caller, id)
        async with self._iam.database.read() as connection:
            able = await able_to_assume(connection, caller.account_id, id)
        shown = able[:SHOWN]
        first = _position(visit.query("links"), len(links))
        some = links[first : first + SHOWN]
        return self._pages.render(
            "profile.html",
            visit,
            said.status,
            said=said,
            form=visit.form,
            profile=profile,
            links=some,
            links_from=first,
            links_total=len(links),
            links_shown=SHOWN,
            rules=[{**rule, "conditions": _readable(rule["conditions"])} for rule in rules],
            able=shown,
            unshown=len(able) - len(shown),
            by_crn=await self._named(
                caller, {*(one.crn for one in shown), *(link["link"]["crn"] for link in some)}
            ),
            instance_menu=await self._menus.instances(caller, visit.form.get("crn")),
            claims=CLAIMS,
            operators=OPERATORS,
        )

    async def _named(self, caller: Caller, crns: set[str]) -> dict[str, Named]:
        """The instances of these CRNs that the caller may see."""
        try:
            page = VpcPage(max(1, len(crns)))
            found, _ = await self._services.instances.names(caller, page, crns)
        except NotAuthorized:
            return {}  # rights on IAM alone: instances are shown by their CRNs
        return {one.crn: one for one in found}

    async def delete_profile(self, visit: Visit) -> Response:
        await self._iam.profiles.delete(visit.caller, visit.path("id"))
        return self._pages.to("/profiles", "Deleted.")

    async def create_link(self, visit: Visit) -> Response:
        id = visit.path("id")
        body = {
            "cr_type": "VSI",
            "name": visit.form.get("link_name").strip(),
            "link": {"crn": visit.form.get("crn")},
        }
        try:
            visit.made(
                await self._iam.links.create(visit.caller, id, self._read(LinkPrototype, body))
            )
        except DomainError as error:
            return await self.profile(visit, self._pages.said(error))
        return self._pages.to(f"/profiles/{id}", "Link added.")

    async def delete_link(self, visit: Visit) -> Response:
        id = visit.path("id")
        await self._iam.links.delete(visit.caller, id, visit.path("link"))
        return self._pages.to(f"/profiles/{id}", "Link removed.")

    async def create_rule(self, visit: Visit) -> Response:
        id, operator = visit.path("id"), visit.form.get("operator")
        text = visit.form.get("value").strip()
        value: Any = [part.strip() for part in text.split(",")] if operator == "IN" else text
        body = {
            "type": "Profile-CR",
            "cr_type": "VSI",
            "name": visit.form.get("rule_name").strip(),
            "conditions": [
                {
                    "claim": visit.form.get("claim"),
                    "operator": operator,
                    "value": json.dumps(value),
                }
            ],
        }
        try:
            visit.made(
                await self._iam.rules.create(visit.caller, id, self._read(RulePrototype, body))
            )
        except DomainError as error:
            return await self.profile(visit, self._pages.said(error))
        return self._pages.to(f"/profiles/{id}", "Condition added.")

    async def delete_rule(self, visit: Visit) -> Response:
        id = visit.path("id")
        await self._iam.rules.delete(visit.caller, id, visit.path("rule"))
        return self._pages.to(f"/profiles/{id}", "Condition removed.")

    # API keys

    async def api_keys(
        self, visit: Visit, said: Said | None = None, made: dict[str, Any] | None = None
    ) -> Response:
        """The value of a key that was just made is shown on this answer and never again."""
        asked = Asked.of(visit, "/console/api-keys")
        page = asked.iam_page(sort="created_at", descending=True)
        found = await self._iam.api_keys.list(
            visit.caller, page, scope="account", kind="user", iam_id=None
        )
        said = said or Said()
        return self._pages.render(
            "api_keys.html",
            visit,
            said.status,
            listing=asked.iam_listing(found),
            said=said,
            made=made,
            form=visit.form,
        )

    async def create_api_key(self, visit: Visit) -> Response:
        body = {
            "name": visit.form.get("name").strip(),
            "description": visit.form.get("description").strip(),
            "iam_id": visit.caller.iam_id,
        }
        try:
            made = await self._iam.api_keys.create(
                visit.caller, self._read(ApiKeyPrototype, body), lock=False, disable=False
            )
        except DomainError as error:
            return await self.api_keys(visit, self._pages.said(error))
        visit.made(made)
        return await self.api_keys(visit, made=made)

    async def delete_api_key(self, visit: Visit) -> Response:
        await self._iam.api_keys.delete(visit.caller, visit.path("id"))
        return self._pages.to("/api-keys", "Deleted.")


def _position(text: str, total: int) -> int:
    """Where a page of links begins: at what the query says, if there is anything."""
    asked = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return asked if asked < total else 0


def _readable(conditions: list[dict[str, Any]]) -> list[str]:
    """`zone EQUALS us-south-1` of conditions whose values are JSON text."""
    out = []
    for condition in conditions:
        value = json.loads(condition["value"])
        text = ", ".join(value) if isinstance(value, list) else str(value)
        out.append(f"{condition['claim']} {condition['operator']} {text}")
    return out
