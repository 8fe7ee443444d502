"""Instance templates: create, list, get, rename, delete. Decides; knows no HTTP.

A template is a checked instance prototype that is kept. Nothing is made for it: no interface, no volume,
no link of the trusted profile. What an instance inherits from it is said in `merge.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Select, delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import Problem, bad_field
from linklocal.iam.caller import Caller
from linklocal.ids import generated_name, new_zonal_id, vpc_crn
from linklocal.vpc import metadata_service
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.plan import plan_instance
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.references import raise_if, resolve
from linklocal.vpc.regions.views import resolve_zone
from linklocal.vpc.resource_groups import (
    resolve_resource_group,
    resource_group_reference,
    resource_group_references,
)
from linklocal.vpc.rows import find_row, of_account, own
from linklocal.vpc.scopes import Scope
from linklocal.vpc.templates.merge import merge_prototypes, mixture_problems
from linklocal.vpc.templates.model import TemplatePatch, TemplatePrototype
from linklocal.vpc.templates.tables import instance_templates
from linklocal.vpc.volumes.profiles import DEFAULT_PROFILE

KIND = "instance template"
# linklocal has no catalogs and no snapshots. A template may name one all the same: an instance made
# from it must name something else to start from, and is told so.
_NOT_RESOLVED = ("catalog_offering", "boot_volume_attachment.volume.source_snapshot")

Views = list[dict[str, Any]]


def template_view(row: Row[Any], resource_group: Mapping[str, Any]) -> dict[str, Any]:
    """InstanceTemplate: the stored prototype, with what the template itself has."""
    t = row._mapping
    view = {
        **t["prototype"],
        "created_at": rfc3339_ms(t["created_at"]),
        "crn": t["crn"],
        "href": f"/v1/instance/templates/{t['id']}",
        "id": t["id"],
        "name": t["name"],
        "resource_group": resource_group,
    }
    if (boot := view.get("boot_volume_attachment")) is not None:
        # Clients take these for granted: the SDK's model requires a volume with a profile, and
        # Terraform's provider reads the other without looking whether it is there.
        volume = {"profile": {"name": DEFAULT_PROFILE.name}, **boot.get("volume", {})}
        whole = {"delete_volume_on_instance_delete": True, **boot, "volume": volume}
        view["boot_volume_attachment"] = whole
    return view


class TemplateService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    def _own(self, caller: Caller) -> Scope:
        return own(self._context, caller, instance_templates)

    def _of(self, caller: Caller) -> Select[Any]:
        return of_account(self._context, caller, instance_templates)

    async def _get(
        self, connection: AsyncConnection, caller: Caller, id: str, *, lock: bool = False
    ) -> Row[Any]:
        return await find_row(connection, self._context, caller, instance_templates, id, lock=lock)

    async def _view(self, connection: AsyncConnection, row: Row[Any]) -> dict[str, Any]:
        group = await resource_group_reference(connection, row._mapping["resource_group_id"])
        return template_view(row, group)

    async def _require(self, connection: AsyncConnection, caller: Caller, verb: str) -> None:
        action = f"is.instance.instance-template.{verb}"
        await self._context.authorizer.require(connection, caller, action)

    async def create(self, caller: Caller, body: TemplatePrototype) -> dict[str, Any]:
        """InstanceTemplate view. Raises Invalid with the targets of an instance create."""
        region = self._context.region
        async with self._context.database.transaction() as connection:
            await self._require(connection, caller, "create")
            prototype, problems = await self._merged(connection, caller, body)
            problems += await name_problems(
                connection, self._own(caller), instance_templates, KIND, body.name
            )
            if prototype is not None:
                problems += await self._check(connection, caller, prototype)
            raise_if(problems)
            assert prototype is not None
            assert prototype.zone is not None
            zone, _ = resolve_zone(region, prototype.zone)
            assert zone is not None
            group_id, _ = await resolve_resource_group(connection, caller, prototype.resource_group)
            id = new_zonal_id(zone)
            name = body.name or generated_name()
            statement = insert(instance_templates).values(
                id=id,
                account_id=caller.account_id,
                region=region.name,
                zone=zone,
                name=name,
                crn=vpc_crn(zone, caller.account_id, "instance-template", id),
                prototype=_stored(prototype),
                resource_group_id=group_id,
                created_at=self._context.clock.now(),
            )
            with unique(instance_templates, name=name_taken(KIND, name)):
                row = (await connection.execute(statement.returning(instance_templates))).one()
            return await self._view(connection, row)

    async def _merged(
        self, connection: AsyncConnection, caller: Caller, body: TemplatePrototype
    ) -> tuple[TemplatePrototype | None, list[Problem]]:
        """The prototype that the body stands for; None and what is wrong when it stands for none."""
        if body.source_template is None:
            return body.model_copy(update={"name": None}), []
        await self._require(connection, caller, "read")
        source, problems = await resolve(
            connection,
            instance_templates,
            body.source_template,
            "source_template",
            scope=self._own(caller),
        )
        if source is None:
            return None, problems
        inherited, given = source._mapping["prototype"], _json(body)
        if problems := mixture_problems(inherited, given):
            return None, problems
        merged = merge_prototypes(inherited, {**given, "name": None})
        return TemplatePrototype.model_validate(merged), []

    async def _check(
        self, connection: AsyncConnection, caller: Caller, prototype: TemplatePrototype
    ) -> list[Problem]:
        """What would keep an instance from being made of this, now; and what no template may have."""
        _, found = await plan_instance(connection, self._context, caller, prototype)
        problems = [
            problem
            for problem in found
            if problem.target is None or not problem.target.name.startswith(_NOT_RESOLVED)
        ]
        return problems + _variant_problems(prototype)

    async def list(self, caller: Caller) -> Views:
        """Views of all templates, newest first: this collection has one page (contract 1.5)."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "list")
            columns = instance_templates.c
            statement = self._of(caller).order_by(columns.created_at.desc(), columns.id.desc())
            rows = (await connection.execute(statement)).all()
            groups = await resource_group_references(
                connection, [row._mapping["resource_group_id"] for row in rows]
            )
            return [template_view(row, groups[row._mapping["resource_group_id"]]) for row in rows]

    async def get(self, caller: Caller, id: str) -> dict[str, Any]:
        """InstanceTemplate view. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "read")
            return await self._view(connection, await self._get(connection, caller, id))

    async def update(self, caller: Caller, id: str, patch: TemplatePatch) -> dict[str, Any]:
        """Rename. Raises NotFound, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._require(connection, caller, "update")
            row = await self._get(connection, caller, id, lock=True)
            name = patch.given().get("name", row._mapping["name"])
            if name == row._mapping["name"]:
                return await self._view(connection, row)
            raise_if(
                await name_problems(connection, self._own(caller), instance_templates, KIND, name)
            )
            statement = (
                update(instance_templates).where(instance_templates.c.id == id).values(name=name)
            )
            with unique(instance_templates, name=name_taken(KIND, name)):
                row = (await connection.execute(statement.returning(instance_templates))).one()
            return await self._view(connection, row)

    async def delete(self, caller: Caller, id: str) -> None:
        """What was made from it stays. Raises NotFound."""
        async with self._context.database.transaction() as connection:
            await self._require(connection, caller, "delete")
            await self._get(connection, caller, id, lock=True)
            await connection.execute(
                delete(instance_templates).where(instance_templates.c.id == id)
            )


def _json(body: TemplatePrototype) -> dict[str, Any]:
    """What the body says, as JSON; a `null` says nothing."""
    return body.model_dump(mode="json", by_alias=True, exclude_none=True)


def _stored(prototype: TemplatePrototype) -> dict[str, Any]:
    """The prototype as given, with all members of `metadata_service` and the interfaces' names decided.

    Terraform's provider ends with a crash when an interface of a template has no name.
    """
    settings = metadata_service.created(prototype.metadata_service)
    stored = {**_json(prototype), "metadata_service": metadata_service.view(settings)}
    if "primary_network_interface" in stored:
        stored["primary_network_interface"] = _named(stored["primary_network_interface"])
    if "network_interfaces" in stored:
        stored["network_interfaces"] = [_named(each) for each in stored["network_interfaces"]]
    return stored


def _named(interface: dict[str, Any]) -> dict[str, Any]:
    return {"name": generated_name(), **interface}


def _variant_problems(prototype: TemplatePrototype) -> list[Problem]:
    """What a template starts from: not an existing volume, and one offering of a catalog at most."""
    problems = []
    boot = prototype.boot_volume_attachment
    existing = None if boot is None or boot.volume is None else boot.volume.identity()
    if existing is not None:
        member = next(iter(existing.members()))
        message = (
            "A template cannot start from an existing volume, which one instance alone can have: "
            "name an `image`."
        )
        problems.append(bad_field(f"boot_volume_attachment.volume.{member}", message))
    if (offering := prototype.catalog_offering) is not None:
        if (offering.offering is None) == (offering.version is None):
            message = "Name the catalog's `offering` or its `version` by `crn`, one of them."
            problems.append(bad_field("catalog_offering", message))
        if prototype.image is not None:
            message = "The body starts from an image and a catalog offering: leave one of them out."
            problems.append(bad_field("catalog_offering", message))
        if boot is not None and boot.volume is not None and boot.volume.source_snapshot is not None:
            message = (
                "The body starts from a snapshot and a catalog offering: leave one of them out."
            )
            problems.append(bad_field("catalog_offering", message))
    return problems
