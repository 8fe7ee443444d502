"""The form that makes an instance or an instance template, from nothing or from a template.

What is on the form becomes one body (`forms.py`), which *Get sample API call* shows and *Create* sends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console import samples
from linklocal.console.forms import Form, id_of, instance_prototype, number
from linklocal.console.menus import Menu, Menus
from linklocal.console.pages import Pages, Said, Visit
from linklocal.console.samples import Kind
from linklocal.console.services import Services
from linklocal.errors import DomainError, NotAuthorized
from linklocal.vpc.instances.model import InstancePrototype
from linklocal.vpc.keys.model import KeyPrototype
from linklocal.vpc.network.subnets.model import SubnetPrototype
from linklocal.vpc.network.vpcs.model import VpcPrototype
from linklocal.vpc.resource_groups import resource_groups_of
from linklocal.vpc.templates.model import TemplatePrototype

LINK = "iam-identity.profile.linkToResource"  # what an instance with a profile takes
# By the first part of a region's name; a region that is called otherwise is shown without.
_GEOGRAPHIES = {
    "us": "North America",
    "ca": "North America",
    "br": "South America",
    "eu": "Europe",
    "jp": "Asia Pacific",
    "au": "Asia Pacific",
    "in": "Asia Pacific",
}
Model = TypeVar("Model", bound=BaseModel)
_PARTS = {
    "image": "part_create_image.html",
    "profile": "part_create_profile.html",
    "keys": "part_create_keys.html",
    "metadata": "part_create_metadata.html",
    "network": "part_create_network.html",
    "volumes": "part_create_volumes.html",
}


_PICKED = ("image", "profile", "profile_id")  # fields that are chosen in a panel


@dataclass(frozen=True, slots=True)
class Added(Said):
    """What was wrong with something made along the way: `of` a `key`, `vpc` or `subnet`."""

    of: str = ""


class CreatePages:
    """One per server."""

    def __init__(self, pages: Pages, services: Services, menus: Menus) -> None:
        self._pages = pages
        self._services = services
        self._menus = menus

    def routes(self) -> list[Route]:
        get, change = self._pages.get, self._pages.change
        made = []
        for path, kind in (("/instances", "instance"), ("/templates", "template")):
            api = "/v1/instances" if kind == "instance" else "/v1/instance/templates"
            page = _Bound(self, "instance" if kind == "instance" else "template")
            made += [
                Route(f"{path}/new", get(page.new)),
                Route(
                    f"{path}/new",
                    change(page.create, f"POST {api}", refill=page.again),
                    methods=["POST"],
                ),
                Route(f"{path}/new/part", change(page.part, refill=page.again), methods=["POST"]),
                Route(
                    f"{path}/new/sample", change(page.sample, refill=page.again), methods=["POST"]
                ),
            ]
            for of, add in (("key", page.key), ("vpc", page.vpc), ("subnet", page.subnet)):
                refilled = change(add, f"POST /v1/{of}s", refill=page.again)
                made.append(Route(f"{path}/new/{of}", refilled, methods=["POST"]))
        return made

    async def values(
        self, visit: Visit, kind: Kind, form: Form, said: Said, added: Added | None = None
    ) -> dict[str, Any]:
        """Everything that a form may choose from, and what is chosen."""
        services, caller, menus = self._services, visit.caller, self._menus
        zones = services.context.region.zones
        zone = form.get("zone") or zones[0]
        vpcs = await menus.vpcs(caller, form.get("vpc") or await menus.vpc_with_room(caller, zone))
        vpc = vpcs.chosen or (vpcs.options[0].value if vpcs.options else "")
        async with services.context.database.read() as connection:
            groups = await resource_groups_of(connection, caller)
        trusted, problem = await self._trusted_profiles(visit, form.get("profile_id"))
        return {
            "kind": kind,
            "form": form,
            "said": said,
            "added": added or Added(),
            "region": services.context.region.name,
            "geography": _GEOGRAPHIES.get(services.context.region.name.partition("-")[0], ""),
            "zones": zones,
            "zone": zone,
            "resource_groups": groups,
            "image_menu": (await menus.images(caller, form.get("image"))).with_first(),
            "profile_menu": menus.profiles(form.get("profile")).with_first(),
            "vpc_menu": replace(vpcs, chosen=vpc),
            "subnet_menu": await menus.subnets(caller, (vpc, zone), form.get("subnet")),
            "keys": await menus.keys(caller),
            "group_menu": await menus.placement_groups(caller, form.get("placement_group")),
            "trusted_menu": trusted,
            "trusted_problem": problem,
            "template": form.get("template"),
            "rows": form.all("data_capacity"),
        }

    async def _trusted_profiles(self, visit: Visit, chosen: str) -> tuple[Menu, str]:
        """The profiles to choose from, or why there are none (contract 6, row 6)."""
        try:
            async with self._services.iam.database.read() as connection:
                await self._services.iam.roles.require(connection, visit.caller, LINK)
            menu = await self._menus.trusted_profiles(visit.caller, chosen)
        except NotAuthorized as error:
            return Menu("profile_id", []), error.problems[0].message
        if not menu.options:
            return (
                menu,
                "The account has no trusted profile: create one under Manage > Access (IAM).",
            )
        return menu, ""

    async def start(self, visit: Visit, kind: Kind) -> Form:
        """The form as it first appears: defaults, or what the template says."""
        values: dict[str, list[str]] = {
            "restart": ["on"],
            "hop_limit": ["1"],
            "boot_capacity": ["100"],
        }
        if not visit.query("template"):
            return Form({**values, "profile": ["bx2-2x8"]})
        template = await self._services.templates.get(visit.caller, visit.query("template"))
        return Form({**values, **_from_template(template)})

    def prototype(self, kind: Kind, body: dict[str, Any]) -> InstancePrototype:
        return self._read(InstancePrototype if kind == "instance" else TemplatePrototype, body)

    async def show(
        self, visit: Visit, kind: Kind, form: Form, said: Said, of: str = ""
    ) -> Response:
        """The whole form; `of`: the panel that is open in it."""
        values = await self.values(visit, kind, form, said, Added(of=of))
        return self._pages.render("create.html", visit, said.status, **values)

    async def create(self, visit: Visit, kind: Kind) -> Response:
        try:
            prototype = self.prototype(kind, instance_prototype(visit.form))
            if isinstance(prototype, TemplatePrototype):
                made = await self._services.templates.create(visit.caller, prototype)
            else:
                made, _ = await self._services.instances.create(visit.caller, prototype)
        except DomainError as error:
            return await self.show(visit, kind, visit.form, self._pages.said(error))
        visit.made(made)
        if kind == "instance":  # where its status is seen to become that of a running one
            return self._pages.to("/instances", f"Created {made['name']}.")
        return self._pages.to(f"/templates/{made['id']}", "Created.")

    async def part(self, visit: Visit, kind: Kind) -> Response:
        """A section of the form again, as what it depends on has changed."""
        form = visit.form
        if (picked := visit.query("picked")) in _PICKED:
            form = form.with_values(**{picked: form.all(f"picked_{picked}")})
            if picked == "profile_id":
                form = form.with_values(auto_link=["on"])  # as soon as a profile is selected
        values = await self.values(visit, kind, form, Said())
        values["rows"] = [*form.all("data_capacity"), *([""] if visit.query("add") else [])]
        template = _PARTS.get(visit.query("part"), _PARTS["metadata"])
        return self._pages.render(template, visit, **values)

    async def sample(self, visit: Visit, kind: Kind) -> Response:
        """What is on the form as curl, CLI and Python."""
        body = instance_prototype(visit.form)
        api = self._pages.base_url(visit.request)
        return self._pages.render(
            "part_sample.html",
            visit,
            curl=samples.curl(kind, body, api),
            cli=samples.cli(kind, body),
            python=samples.python(kind, body, api),
        )

    # What the instance needs, made from its form: nothing that was typed is lost.

    async def key(self, visit: Visit, kind: Kind) -> Response:
        """An SSH key, which is then checked."""
        body = {
            "name": visit.form.get("new_key_name").strip() or None,
            "public_key": visit.form.get("new_key_public_key").strip(),
        }
        form, added = visit.form, Added()
        try:
            made = await self._services.keys.create(visit.caller, self._read(KeyPrototype, body))
            visit.made(made)
            chosen = [*form.all("key"), made["id"]]
            form = form.with_values(key=chosen, new_key_name=[], new_key_public_key=[])
        except DomainError as error:
            added = self._added(error, "key")
        return await self._again(visit, kind, "keys", form, added)

    async def vpc(self, visit: Visit, kind: Kind) -> Response:
        """A VPC, which is then chosen."""
        form, added = visit.form, Added()
        body = {"name": form.get("new_vpc_name").strip() or None}
        try:
            made, _ = await self._services.vpcs.create(visit.caller, self._read(VpcPrototype, body))
            visit.made(made)
            form = form.with_values(vpc=[made["id"]], subnet=[], new_vpc_name=[])
        except DomainError as error:
            added = self._added(error, "vpc")
        return await self._again(visit, kind, "network", form, added)

    async def subnet(self, visit: Visit, kind: Kind) -> Response:
        """A subnet of the VPC and the zone that are chosen; it is then chosen itself."""
        form, added = visit.form, Added()
        body = {
            "name": form.get("new_subnet_name").strip() or None,
            "vpc": {"id": form.get("vpc")},
            "zone": {"name": form.get("zone")},
            "total_ipv4_address_count": number(form.get("new_subnet_count").strip() or "256"),
        }
        try:
            prototype = self._read(SubnetPrototype, body)
            made = await self._services.subnets.create(visit.caller, prototype)
            visit.made(made)
            form = form.with_values(subnet=[made["id"]], new_subnet_name=[], new_subnet_count=[])
        except DomainError as error:
            added = self._added(error, "subnet")
        return await self._again(visit, kind, "network", form, added)

    def _read(self, model: type[Model], body: dict[str, Any]) -> Model:
        try:
            return model.model_validate(body)
        except ValidationError as error:
            raise self._pages.checked(error) from error

    def _added(self, error: DomainError, of: str) -> Added:
        said = self._pages.said(error)
        return Added(said.problems, said.by_field, said.status, of)

    async def _again(
        self, visit: Visit, kind: Kind, part: str, form: Form, added: Added
    ) -> Response:
        """The section once more, with what was made or with what was wrong."""
        visit.request.state.problems = added.problems
        values = await self.values(visit, kind, form, Said(), added)
        return self._pages.render(_PARTS[part], visit, added.status, **values)


class _Bound:
    """The pages of one kind: instances or templates."""

    def __init__(self, pages: CreatePages, kind: Kind) -> None:
        self._pages = pages
        self._kind: Kind = kind

    async def new(self, visit: Visit) -> Response:
        form = await self._pages.start(visit, self._kind)
        return await self._pages.show(visit, self._kind, form, Said())

    async def again(self, visit: Visit) -> Response:
        """The whole form as it was filled, with the panel open that was filled last."""
        of = visit.request.url.path.rpartition("/")[2]
        return await self._pages.show(visit, self._kind, visit.form, Said(), of)

    async def create(self, visit: Visit) -> Response:
        return await self._pages.create(visit, self._kind)

    async def part(self, visit: Visit) -> Response:
        return await self._pages.part(visit, self._kind)

    async def sample(self, visit: Visit) -> Response:
        return await self._pages.sample(visit, self._kind)

    async def key(self, visit: Visit) -> Response:
        return await self._pages.key(visit, self._kind)

    async def vpc(self, visit: Visit) -> Response:
        return await self._pages.vpc(visit, self._kind)

    async def subnet(self, visit: Visit) -> Response:
        return await self._pages.subnet(visit, self._kind)


def _from_template(template: dict[str, Any]) -> dict[str, list[str]]:
    """A template as the fields of the form. Its user data stays in it and is inherited."""
    attachment = template.get("primary_network_attachment", {}).get("virtual_network_interface", {})
    interface = template.get("primary_network_interface")
    subnet = id_of((interface or attachment).get("subnet"))
    profile = template.get("default_trusted_profile")
    service = template["metadata_service"]
    policy = template.get("availability_policy", {}).get("host_failure", "restart")
    values = {
        "template": [template["id"]],
        "zone": [id_of(template["zone"])],
        "vpc": [id_of(template.get("vpc"))],
        "image": [id_of(template.get("image"))],
        "profile": [id_of(template.get("profile"))],
        "placement_group": [id_of(template.get("placement_target"))],
        "subnet": [subnet],
        "template_network": [subnet],
        "interface": ["network_interface" if interface else "network_attachment"],
        "key": [id for key in template.get("keys", []) if (id := id_of(key))],
        "hop_limit": [str(service["response_hop_limit"])],
    }
    if policy != "restart":
        values["restart"] = []
    if service["enabled"]:
        values["metadata"] = ["on"]
    if service["protocol"] == "https":
        values["secure"] = ["on"]
    if profile is not None:
        values["profile_id"] = [id_of(profile.get("target"))]
        if profile.get("auto_link") is not False:
            values["auto_link"] = ["on"]
    return values
