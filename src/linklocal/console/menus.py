"""Menus of the console's forms: what may be chosen, however many there are.

A menu offers the first hundred and, where there are more, is searched by name; what is chosen stays in
it. `GET /menus/{name}` answers with the options of a search. Knows no form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from linklocal.console.listing import searched
from linklocal.console.pages import Pages, Visit
from linklocal.console.services import Services
from linklocal.errors import NotAuthorized, NotFound
from linklocal.iam.caller import Caller
from linklocal.iam.http import Page as IamPage
from linklocal.vpc.images.service import ImageFilter
from linklocal.vpc.network.subnets.service import SubnetFilter
from linklocal.vpc.paging import MAX_LIMIT, Page
from linklocal.vpc.profiles.catalog import PROFILES
from linklocal.vpc.rows import View

# Where a subnet may be: in this VPC and zone.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Option:
    """One that may be chosen."""

    value: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Menu:
    """The options of the field `name`, which one is chosen (empty: none), and whether there are more.

    `optional`: none may be chosen.
    """

    name: str
    options: list[Option]
    chosen: str = ""
    more: bool = False
    search: str = ""
    optional: bool = False

    @property
    def text(self) -> str:
        """What the chosen one is called; empty without one."""
        return next((one.text for one in self.options if one.value == self.chosen), "")

    @property
    def note(self) -> str:
        """What more there is to say of the chosen one."""
        return next((one.note for one in self.options if one.value == self.chosen), "")

    def with_first(self) -> Menu:
        """The same; where none is chosen yet, the first one is."""
        first = self.options[0].value if self.options else ""
        return replace(self, chosen=self.chosen or first)

    @property
    def told(self) -> str:
        """What stands under the options when they are not all, or none."""
        if self.more:
            return f"Only {MAX_LIMIT} are shown: search for others."
        return f"None has “{self.search}” in its name." if self.search and not self.options else ""


class Menus:
    """One per server."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    def routes(self) -> list[Route]:
        return [Route("/menus/{name}", self._pages.get(self.options))]

    async def options(self, visit: Visit) -> Response:
        """The options that a search finds, and the one that is chosen."""
        name = visit.path("name")
        search = searched(visit.query(f"{name}_search"))
        picked = bool(visit.query("picked"))
        chosen = visit.query(f"picked_{name}" if picked else name)
        place = (visit.query("vpc"), visit.query("zone"))
        kinds: dict[str, Callable[[], Awaitable[Menu]]] = {
            "image": lambda: self.images(visit.caller, chosen, search),
            "vpc": lambda: self.vpcs(visit.caller, chosen, search),
            "subnet": lambda: self.subnets(visit.caller, place, chosen, search),
            "placement_group": lambda: self.placement_groups(visit.caller, chosen, search),
            "profile_id": lambda: self.trusted_profiles(visit.caller, chosen, search),
            "crn": lambda: self.instances(visit.caller, chosen, search),
        }
        if name not in kinds:
            raise NotFound("name", name)
        listed = picked or name == "profile_id"
        template = "part_choices.html" if listed else "part_options.html"
        return self._pages.render(template, visit, menu=await kinds[name](), picked=picked)

    def profiles(self, chosen: str) -> Menu:
        """Instance profiles: there are a few, the same for everybody."""
        options = [
            Option(
                one.name,
                one.name,
                f"{one.vcpu_count} vCPUs, {one.memory} GiB, {one.architecture}",
            )
            for one in PROFILES
        ]
        return Menu("profile", options, chosen)

    async def images(self, caller: Caller, chosen: str, search: str = "") -> Menu:
        """Images, with what they demand of an instance."""
        service = self._services.images

        def option(view: View) -> Option:
            demanded = view["allowed_use"]["instance"]
            needs = "" if demanded == "true" else f" (needs {demanded})"
            return Option(view["id"], f"{view['name']}{needs}")

        found, _, more = await service.list(caller, _page(search), ImageFilter())
        return await _menu("image", found, more, option, chosen, search, service.get, caller)

    async def vpcs(self, caller: Caller, chosen: str, search: str = "") -> Menu:
        service = self._services.vpcs

        async def one(caller: Caller, id: str) -> View:
            return (await service.get(caller, id))[0]

        found, _, more = await service.list(caller, _page(search))
        return await _menu("vpc", found, more, _named, chosen, search, one, caller)

    async def vpc_with_room(self, caller: Caller, zone: str) -> str:
        """The VPC to begin with: that of the newest subnet of the zone; empty without one."""
        asked = SubnetFilter(zone_name=zone)
        found, _, _ = await self._services.subnets.list(caller, Page(1), asked)
        return str(found[0]["vpc"]["id"]) if found else ""

    async def subnets(self, caller: Caller, place: Place, chosen: str, search: str = "") -> Menu:
        """Subnets of a VPC in a zone. One that is elsewhere is not offered, chosen or not."""
        service, (vpc, zone) = self._services.subnets, place
        asked = SubnetFilter(zone_name=zone, vpc_id=vpc)

        async def one(caller: Caller, id: str) -> View:
            view = await service.get(caller, id)
            if (view["vpc"]["id"], view["zone"]["name"]) != place:
                raise NotFound("id", id)
            return view

        def option(view: View) -> Option:
            return Option(view["id"], f"{view['name']} ({view['ipv4_cidr_block']})")

        found, _, more = await service.list(caller, _page(search), asked)
        return await _menu("subnet", found, more, option, chosen, search, one, caller)

    async def placement_groups(self, caller: Caller, chosen: str, search: str = "") -> Menu:
        """Placement groups, and none."""
        service = self._services.placement_groups
        found, _, more = await service.list(caller, _page(search))
        menu = await _menu(
            "placement_group", found, more, _named, chosen, search, service.get, caller
        )
        return Menu(menu.name, [Option("", "None"), *menu.options], menu.chosen, menu.more, search)

    async def trusted_profiles(self, caller: Caller, chosen: str, search: str = "") -> Menu:
        """Trusted profiles by name. Raises NotAuthorized."""
        service = self._services.iam.profiles

        def option(view: View) -> Option:
            return Option(view["id"], view["name"], view.get("description", ""))

        page = IamPage(size=MAX_LIMIT, sort="name", name_part=search)
        found = await service.list(caller, page)
        more = "more" if found.more else None
        menu = await _menu(
            "profile_id", found.items, more, option, chosen, search, service.get, caller
        )
        return replace(menu, optional=True)

    async def keys(self, caller: Caller) -> list[View]:
        """All SSH keys of the region, newest first: there are never more than a few hundred."""
        found, _, following = await self._services.keys.list(caller, Page(MAX_LIMIT))
        while following is not None:
            page = Page(MAX_LIMIT, following)
            more, _, following = await self._services.keys.list(caller, page)
            found += more
        return found

    async def instances(self, caller: Caller, chosen: str, search: str = "") -> Menu:
        """Instances by CRN. Without a right to see them there is nothing to choose from."""
        try:
            found, total = await self._services.instances.names(caller, _page(search))
            options = [Option(one.crn, one.name) for one in found]
            if chosen and all(option.value != chosen for option in options):
                page = Page(1)
                picked, _ = await self._services.instances.names(caller, page, [chosen])
                options = [*(Option(one.crn, one.name) for one in picked), *options]
        except NotAuthorized:
            return Menu("crn", [])
        return Menu("crn", options, chosen, total > len(found), search)


def _page(search: str) -> Page:
    return Page(MAX_LIMIT, name_part=search)


def _named(view: View) -> Option:
    return Option(view["id"], view["name"])


async def _menu(
    name: str,
    found: list[View],
    more: str | None,
    option: Callable[[View], Option],
    chosen: str,
    search: str,
    one: Callable[[Any, str], Awaitable[View]],
    caller: Caller,
) -> Menu:
    """The options of what was found, before them the chosen one where it is not among them."""
    options = [option(view) for view in found]
    if chosen and all(other.value != chosen for other in options):
        try:
            options.insert(0, option(await one(caller, chosen)))
        except NotFound:
            chosen = ""
    return Menu(name, options, chosen, more is not None, search)
