"""Instances: create, list, read, change, delete, start and stop, place. Decides; knows no HTTP.

Every method is one unit of work and looks at the caller's rights first. On PostgreSQL locks are taken in
one order: what an instance stands on, then the instance, then nodes; it is read and rendered after that.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict
from linklocal.fleet import placement
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId, NodeId
from linklocal.vpc.context import VpcContext
from linklocal.vpc.http import check_if_match, etag
from linklocal.vpc.instances import actions, changes, glance, reinitialize
from linklocal.vpc.instances.lifecycle import CREATED, Condition, derive
from linklocal.vpc.instances.load import InstanceRecord, load
from linklocal.vpc.instances.model import (
    InstanceActionPrototype,
    InstancePatch,
    InstancePrototype,
    ReinitializePrototype,
)
from linklocal.vpc.instances.plan import plan_instance, rights_to_create
from linklocal.vpc.instances.queries import (
    InstanceFilter,
    deleting_view,
    filtered,
    find_instance,
)
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.instances.views import initialization_view, instance_view, software_view
from linklocal.vpc.instances.writing import (
    change_life_cycle,
    put_on_node,
    remove_instance,
    write_instance,
)
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.network.interfaces import lock_interfaces
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.references import raise_if, resolve
from linklocal.vpc.render import publish_instances
from linklocal.vpc.rows import View, ViewPage, of_account, own
from linklocal.vpc.templates.merge import merge_prototypes, mixture_problems
from linklocal.vpc.templates.tables import instance_templates
from linklocal.vpc.volumes.attach import lock_volumes_of

# An instance as answered, and its ETag. `Views`: named here because `list` is a method below.
Shown = tuple[View, str]
Views = list[View]
Names = list[glance.Named]


class InstanceService:
    """One per server. `auto_place`: new instances go to the node with the fewest, as `dev` wants it."""

    def __init__(self, context: VpcContext, *, auto_place: bool) -> None:
        self._context = context
        self._auto_place = auto_place

    async def _require(self, connection: AsyncConnection, caller: Caller, *actions: str) -> None:
        await self._context.authorizer.require(connection, caller, *actions)

    def _condition(self, record: InstanceRecord) -> Condition:
        row = record.row
        return derive(
            row["desired"],
            row["transition"],
            row["revision"],
            record.placement,
            self._context.clock.now(),
        )

    def _shown(self, record: InstanceRecord) -> Shown:
        view = instance_view(record, self._condition(record))
        return view, etag(record.id, record.row["version"])

    async def _record(self, connection: AsyncConnection, id: str) -> InstanceRecord:
        return (await load(connection, [InstanceId(id)]))[InstanceId(id)]

    async def _locked(self, connection: AsyncConnection, caller: Caller, id: str) -> InstanceRecord:
        """The instance, locked in order to change it, and then read.

        Raises NotFound, Conflict while it is still shown as deleting.
        """
        if await deleting_view(connection, self._context, caller, id) is not None:
            raise Conflict("The instance is being deleted.")
        await find_instance(connection, self._context, caller, id, lock=True)
        return await self._record(connection, id)

    # Create

    async def create(self, caller: Caller, prototype: InstancePrototype) -> Shown:
        """The new instance, `pending` (contract 2.4). Raises Invalid, NotAuthorized."""
        async with self._context.database.transaction() as connection:
            prototype = await self._from_template(connection, caller, prototype)
            await self._require(connection, caller, *rights_to_create(prototype))
            plan, problems = await plan_instance(connection, self._context, caller, prototype)
            raise_if(problems)
            assert plan is not None
            region = self._context.region.name
            node = await placement.least_loaded(connection, region) if self._auto_place else None
            record = await write_instance(connection, self._context, caller, plan, node_id=node)
            return instance_view(record, CREATED), etag(record.id, record.row["version"])

    async def _from_template(
        self, connection: AsyncConnection, caller: Caller, prototype: InstancePrototype
    ) -> InstancePrototype:
        """The body with what its `source_template` says where it says nothing itself (contract 2.5)."""
        if prototype.source_template is None:
            return prototype
        reading = "is.instance.instance-template.read"
        await self._require(connection, caller, "is.instance.instance.create", reading)
        row, problems = await resolve(
            connection,
            instance_templates,
            prototype.source_template,
            "source_template",
            scope=own(self._context, caller, instance_templates),
        )
        raise_if(problems)
        assert row is not None
        override = prototype.model_dump(
            by_alias=True, exclude_unset=True, exclude_none=True, exclude={"source_template"}
        )
        source = row._mapping["prototype"]
        raise_if(mixture_problems(source, override))
        return InstancePrototype.model_validate(merge_prototypes(source, override))

    # Read

    async def list(self, caller: Caller, page: Page, asked: InstanceFilter) -> ViewPage:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "is.instance.instance.list")
            statement = filtered(self._context, caller, asked)
            rows, total, following = await select_page(connection, statement, instances, page)
            records = await load(connection, [row._mapping["id"] for row in rows])
            return [self._shown(record)[0] for record in records.values()], total, following

    async def names(
        self, caller: Caller, page: Page, crns: Collection[str] | None = None
    ) -> tuple[Names, int]:
        """Id, name and CRN of one page of instances, of all or of these CRNs, and how many there are."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "is.instance.instance.list")
            statement = of_account(self._context, caller, instances)
            if crns is not None:
                statement = statement.where(instances.c.crn.in_(sorted(crns)))
            return await glance.names(connection, statement, page)

    async def floating_ips(self, caller: Caller, ids: Collection[InstanceId]) -> dict[str, str]:
        """The first floating ip of each of these instances that has one."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "is.floating-ip.floating-ip.list")
            own = of_account(self._context, caller, instances).where(instances.c.id.in_(ids))
            known = await connection.scalars(own.with_only_columns(instances.c.id))
            found = await glance.addresses(connection, [InstanceId(id) for id in known])
            return {str(id): address for id, address in found.items()}

    async def mark(self, caller: Caller, page: Page, asked: InstanceFilter) -> str:
        """A text that differs when what `list` shows of this page has changed; cheap."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "is.instance.instance.list")
            statement = filtered(self._context, caller, asked)
            return repr(await glance.mark(connection, statement, page))

    async def get(self, caller: Caller, id: str) -> Shown:
        """The instance; of one whose delete is not yet acknowledged, its last view. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "is.instance.instance.read")
            view = await deleting_view(connection, self._context, caller, id)
            if view is not None:
                return view, etag(id, 0)
            return self._shown(await self._read(connection, caller, id))

    async def _read(self, connection: AsyncConnection, caller: Caller, id: str) -> InstanceRecord:
        await find_instance(connection, self._context, caller, id)
        return await self._record(connection, id)

    async def initialization(self, caller: Caller, id: str) -> View:
        """InstanceInitialization. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "is.instance.instance.read")
            return initialization_view(await self._read(connection, caller, id))

    async def software_attachments(self, caller: Caller, id: str) -> Views:
        """The software attachments of an instance, without licence keys. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._require(connection, caller, "is.instance.instance.read")
            row = await find_instance(connection, self._context, caller, id)
            return [software_view(id, item) for item in row["software_attachments"]]

    # Change

    async def update(
        self, caller: Caller, id: str, patch: InstancePatch, if_match: str | None
    ) -> Shown:
        """Merge a patch. Raises NotFound, Invalid, Conflict, PreconditionFailed."""
        context = self._context
        async with context.database.transaction() as connection:
            await self._require(connection, caller, "is.instance.instance.update")
            group_id, problems = await changes.resolve_group(connection, context, caller, id, patch)
            record = await self._locked(connection, caller, id)
            check_if_match(if_match, etag(id, record.row["version"]))
            values, found = changes.changed_columns(record, patch, group_id)
            problems += [*found, *changes.require_if_match(patch, if_match)]
            if "name" in values:
                scope = own(context, caller, instances)
                name = values["name"]
                problems += await name_problems(connection, scope, instances, "instance", name)
            raise_if(problems)
            changes.require_stopped(patch, self._condition(record).status)
            if not values:
                return self._shown(record)
            statement = update(instances).where(instances.c.id == id)
            with unique(instances, name=name_taken("instance", patch.name)):
                await connection.execute(
                    statement.values(version=instances.c.version + 1, **values)
                )
            await publish_instances(connection, context, [InstanceId(id)])
            return self._shown(await self._record(connection, id))

    async def delete(self, caller: Caller, id: str, if_match: str | None) -> None:
        """Delete in any state; all that goes with it goes now. Raises NotFound, PreconditionFailed."""
        async with self._context.database.transaction() as connection:
            await self._require(connection, caller, "is.instance.instance.delete")
            await find_instance(connection, self._context, caller, id)
            await lock_interfaces(connection, id)
            await lock_volumes_of(connection, id)
            row = await find_instance(connection, self._context, caller, id, lock=True)
            check_if_match(if_match, etag(id, row["version"]))
            await remove_instance(connection, self._context, await self._record(connection, id))

    async def act(self, caller: Caller, id: str, action: InstanceActionPrototype) -> View:
        """Start, stop or reboot: InstanceAction. Raises NotFound, Conflict."""
        async with self._context.database.transaction() as connection:
            await self._require(connection, caller, "is.instance.instance.operate")
            record = await self._locked(connection, caller, id)
            values = actions.life_cycle(action, record.row)
            await change_life_cycle(connection, self._context, record, values)
            placed = record.placement is not None
            return actions.view(id, action, placed=placed, now=self._context.clock.now())

    async def reinitialize(self, caller: Caller, id: str, body: ReinitializePrototype) -> None:
        """Replace image, keys, user data and default profile of a stopped instance, and start it.

        Raises NotFound, Invalid, Conflict.
        """
        context = self._context
        async with context.database.transaction() as connection:
            await self._require(connection, caller, *reinitialize.rights_to_reinitialize(body))
            profile = (await self._read(connection, caller, id)).profile
            found = await reinitialize.resolve_initialization(
                connection, context, caller, body, profile
            )
            await lock_volumes_of(connection, id)
            record = await self._locked(connection, caller, id)
            reinitialize.check(record, self._condition(record).status, found)
            await reinitialize.write_initialization(connection, context, record, found)

    async def place(self, caller: Caller, id: InstanceId, node_id: NodeId) -> None:
        """Put the instance on a node, or move it there; tokens from before a move are void.

        Raises NotAuthorized, NotFound, Invalid (`node`), Conflict when the node is revoked.
        """
        context = self._context
        async with context.database.transaction() as connection:
            await self._require(connection, caller, "linklocal.node.operate")
            record = await self._locked(connection, caller, id)
            values = await put_on_node(connection, context, record.row, record.placement, node_id)
            if values is not None:
                await change_life_cycle(connection, context, record, values)
