"""The form that makes an instance or an instance template, from nothing or from a template.

What is on the form becomes one body (`forms.py`), which *Get sample API call* shows and *Create* sends.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from linklocal.console import samples
from linklocal.console.forms import Form, instance_prototype
from linklocal.console.pages import Pages, Said, Visit
from linklocal.console.samples import Kind
from linklocal.console.services import Services
from linklocal.errors import DomainError, NotAuthorized
from linklocal.iam.http import Page as IamPage
from linklocal.vpc.images.service import ImageFilter
from linklocal.vpc.instances.model import InstancePrototype
from linklocal.vpc.network.subnets.service import SubnetFilter
from linklocal.vpc.paging import MAX_LIMIT, Page
from linklocal.vpc.profiles.catalog import PROFILES
from linklocal.vpc.resource_groups import resolve_resource_group, resource_group_reference
from linklocal.vpc.templates.model import TemplatePrototype

_PARTS = {
    "metadata": "part_create_metadata.html",
    "network": "part_create_network.html",
    "volumes": "part_create_volumes.html",
}
ALL = Page(MAX_LIMIT)


class CreatePages:
    """One per server."""

    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services

    def routes(self) -> list[Route]:
        get, change = self._pages.get, self._pages.change
        made = []
        for path, kind in (("/instances", "instance"), ("/templates", "template")):
            api = "/v1/instances" if kind == "instance" else "/v1/instance/templates"
            page = _Bound(self, "instance" if kind == "instance" else "template")
            made += [
                Route(f"{path}/new", get(page.new)),
                Route(f"{path}/new", change(page.create, f"POST {api}"), methods=["POST"]),
                Route(f"{path}/new/part", change(page.part), methods=["POST"]),
                Route(f"{path}/new/sample", change(page.sample), methods=["POST"]),
            ]
        return made

    async def values(self, visit: Visit, kind: Kind, form: Form, said: Said) -> dict[str, Any]:
        """Everything that a form may choose from, and what is chosen."""
        services, caller = self._services, visit.caller
        images, _, _ = await services.images.list(caller, ALL, ImageFilter())
        vpcs, _, _ = await services.vpcs.list(caller, ALL)
        keys, _, _ = await services.keys.list(caller, ALL)
        groups, _, _ = await services.placement_groups.list(caller, ALL)
        zones = services.context.region.zones
        zone = form.get("zone") or zones[0]
        vpc = form.get("vpc") or (vpcs[0]["id"] if vpcs else "")
        subnets, _, _ = await services.subnets.list(
            caller, ALL, SubnetFilter(zone_name=zone, vpc_id=vpc)
        )
        async with services.context.database.read() as connection:
            group_id, _ = await resolve_resource_group(connection, caller, None)
            resource_group = await resource_group_reference(connection, group_id)
        profiles, profiles_problem = await self._trusted_profiles(visit)
        chosen = form.get("profile_id")
        return {
            "kind": kind,
            "form": form,
            "said": said,
            "region": services.context.region.name,
            "zones": zones,
            "zone": zone,
            "resource_group": resource_group,
            "images": images,
            "profiles": PROFILES,
            "vpcs": vpcs,
            "vpc": vpc,
            "subnets": subnets,
            "keys": keys,
            "placement_groups": groups,
            "trusted_profiles": profiles,
            "trusted_problem": profiles_problem,
            "chosen": next((p for p in profiles if p["id"] == chosen), None),
            "template": form.get("template"),
            "rows": form.all("data_capacity"),
        }

    async def _trusted_profiles(self, visit: Visit) -> tuple[list[dict[str, Any]], str]:
        """The profiles to choose from, or why there are none (contract 6, row 6)."""
        try:
            page = IamPage(size=MAX_LIMIT, sort="name")
            found = (await self._services.iam.profiles.list(visit.caller, page)).items
        except NotAuthorized as error:
            return [], error.problems[0].message
        if not found:
            return [], "The account has no trusted profile: create one under Manage > Access (IAM)."
        return found, ""

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
        model = InstancePrototype if kind == "instance" else TemplatePrototype
        try:
            return model.model_validate(body)
        except ValidationError as error:
            raise self._pages.checked(error) from error

    async def show(self, visit: Visit, kind: Kind, form: Form, said: Said) -> Response:
        values = await self.values(visit, kind, form, said)
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
        path = "/instances" if kind == "instance" else "/templates"
        return self._pages.to(f"{path}/{made['id']}", "Created.")

    async def part(self, visit: Visit, kind: Kind) -> Response:
        """A section of the form again, as what it depends on has changed."""
        form = visit.form
        if visit.query("chosen") and form.get("profile_id"):
            form = form.with_values(auto_link=["on"])  # on as soon as a profile is selected
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


class _Bound:
    """The pages of one kind: instances or templates."""

    def __init__(self, pages: CreatePages, kind: Kind) -> None:
        self._pages = pages
        self._kind: Kind = kind

    async def new(self, visit: Visit) -> Response:
        form = await self._pages.start(visit, self._kind)
        return await self._pages.show(visit, self._kind, form, Said())

    async def create(self, visit: Visit) -> Response:
        return await self._pages.create(visit, self._kind)

    async def part(self, visit: Visit) -> Response:
        return await self._pages.part(visit, self._kind)

    async def sample(self, visit: Visit) -> Response:
        return await self._pages.sample(visit, self._kind)


def _from_template(template: dict[str, Any]) -> dict[str, list[str]]:
    """A template as the fields of the form. Its user data stays in it and is inherited."""
    attachment = template.get("primary_network_attachment", {}).get("virtual_network_interface", {})
    interface = template.get("primary_network_interface")
    subnet = (interface or attachment).get("subnet", {}).get("id", "")
    profile = template.get("default_trusted_profile")
    service = template["metadata_service"]
    policy = template.get("availability_policy", {}).get("host_failure", "restart")
    values = {
        "template": [template["id"]],
        "zone": [template["zone"]["name"]],
        "vpc": [template.get("vpc", {}).get("id", "")],
        "image": [template.get("image", {}).get("id", "")],
        "profile": [template.get("profile", {}).get("name", "")],
        "placement_group": [template.get("placement_target", {}).get("id", "")],
        "subnet": [subnet],
        "template_network": [subnet],
        "interface": ["network_interface" if interface else "network_attachment"],
        "key": [key["id"] for key in template.get("keys", []) if "id" in key],
        "hop_limit": [str(service["response_hop_limit"])],
    }
    if policy != "restart":
        values["restart"] = []
    if service["enabled"]:
        values["metadata"] = ["on"]
    if service["protocol"] == "https":
        values["secure"] = ["on"]
    if profile is not None:
        values["profile_id"] = [profile.get("target", {}).get("id", "")]
        if profile.get("auto_link") is not False:
            values["auto_link"] = ["on"]
    return values
