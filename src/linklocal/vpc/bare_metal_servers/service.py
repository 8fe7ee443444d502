"""Bare metal servers: create, list, read, change, delete, start and stop, place. Decides; knows no HTTP.

To the fleet and to IAM a bare metal server is an instance with another kind of document, so placement,
tokens, links and life cycle are an instance's. Locks are taken in the same order.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from sqlalchemy import Select, false, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict
from linklocal.fleet import placement
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId, NodeId
from linklocal.vpc import metadata_service
from linklocal.vpc.bare_metal_servers.load import BareMetalServerRecord, load
from linklocal.vpc.bare_metal_servers.model import (
    BareMetalServerPatch,
    BareMetalServerPrototype,
    InitializationPrototype,
)
from linklocal.vpc.bare_metal_servers.options import chosen
from linklocal.vpc.bare_metal_servers.plan import (
    plan_initialization,
    plan_server,
    rights_to_create,
    rights_to_initialize,
)
from linklocal.vpc.bare_metal_servers.queries import ServerFilter
from linklocal.vpc.bare_metal_servers.tables import bare_metal_servers
from linklocal.vpc.bare_metal_servers.views import initialization_view, server_view
from linklocal.vpc.bare_metal_servers.writing import (
    change_life_cycle,
    remove_server,
    write_initialization,
    write_server,
)
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.lifecycle import CREATED, Condition, derive
from linklocal.vpc.instances.queries import deleting_view
from linklocal.vpc.instances.writing import put_on_node
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.network.locks import lock_interfaces
from linklocal.vpc.network.tables import vpcs
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.references import raise_if
from linklocal.vpc.render import publish_instances
from linklocal.vpc.rows import View, ViewPage, find_row, of_account, own

Act = Literal["start", "stop", "restart"]
_TABLE = bare_metal_servers
# These take a stopped server; `metadata_service`, the name and the bandwidth do not.
_STOPPED_ONLY = ("enable_secure_boot", "trusted_platform_module")


class BareMetalServerService:
    """One per server. `auto_place`: new ones go to the node with the fewest, as `dev` wants it."""

    def __init__(self, context: VpcContext, *, auto_place: bool) -> None:
        self._context = context
        self._auto_place = auto_place

    async def _may(self, connection: AsyncConnection, caller: Caller, *actions: str) -> None:
        await self._context.authorizer.require(connection, caller, *actions)

    def _condition(self, record: BareMetalServerRecord) -> Condition:
        row, now = record.row, self._context.clock.now()
        return derive(row["desired"], row["transition"], row["revision"], record.placement, now)

    def _view(self, record: BareMetalServerRecord) -> View:
        return server_view(record, self._condition(record))

    async def _record(
        self, connection: AsyncConnection, caller: Caller, id: str, parameter: str = "id"
    ) -> BareMetalServerRecord:
        await find_row(connection, self._context, caller, _TABLE, id, parameter=parameter)
        return (await load(connection, [id]))[InstanceId(id)]

    async def _deleting(self, connection: AsyncConnection, caller: Caller, id: str) -> View | None:
        return await deleting_view(connection, self._context, caller, id, "bare_metal_server")

    async def _locked(
        self, connection: AsyncConnection, caller: Caller, id: str
    ) -> BareMetalServerRecord:
        """The server, locked in order to change it, and then read. Raises NotFound, Conflict."""
        if await self._deleting(connection, caller, id) is not None:
            raise Conflict("The bare metal server is being deleted.")
        await find_row(connection, self._context, caller, _TABLE, id, lock=True)
        return (await load(connection, [id]))[InstanceId(id)]

    async def create(self, caller: Caller, body: BareMetalServerPrototype) -> View:
        """The new server, `pending`. Raises Invalid, NotAuthorized."""
        context = self._context
        async with context.database.transaction() as connection:
            await self._may(
                connection,
                caller,
                "is.bare-metal-server.bare-metal-server.create",
                *rights_to_create(body),
            )
            plan, problems = await plan_server(connection, context, caller, body)
            raise_if(problems)
            assert plan is not None
            region = context.region.name
            node = await placement.least_loaded(connection, region) if self._auto_place else None
            id = await write_server(connection, context, caller, body, plan, node)
            return server_view(await self._record(connection, caller, id), CREATED)

    async def list(self, caller: Caller, page: Page, asked: ServerFilter) -> ViewPage:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "is.bare-metal-server.bare-metal-server.list")
            statement = self._filtered(caller, asked)
            rows, total, following = await select_page(connection, statement, _TABLE, page)
            records = await load(connection, [row._mapping["id"] for row in rows])
            return [self._view(record) for record in records.values()], total, following

    def _filtered(self, caller: Caller, asked: ServerFilter) -> Select[Any]:
        statement, s = of_account(self._context, caller, _TABLE), _TABLE.c
        given = {name: value for name, value in asdict(asked).items() if value is not None}
        if given.pop("nothing"):
            return statement.where(false())
        for name, value in given.items():
            if name in ("vpc_crn", "vpc_name"):
                of = select(vpcs.c.id).where(vpcs.c[name.removeprefix("vpc_")] == value)
                statement = statement.where(s.vpc_id.in_(of))
            else:
                statement = statement.where(s[name] == value)
        return statement

    async def get(self, caller: Caller, id: str) -> View:
        """The server; of one whose delete is not yet acknowledged, its last view. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "is.bare-metal-server.bare-metal-server.read")
            view = await self._deleting(connection, caller, id)
            return view or self._view(await self._record(connection, caller, id))

    async def record(
        self, caller: Caller, id: str, parameter: str = "bare_metal_server_id"
    ) -> BareMetalServerRecord:
        """The server for what is read below it: disks, attachments. Raises NotFound (`parameter`)."""
        async with self._context.database.read() as connection:
            await self._may(connection, caller, "is.bare-metal-server.bare-metal-server.read")
            return await self._record(connection, caller, id, parameter)

    async def update(self, caller: Caller, id: str, patch: BareMetalServerPatch) -> View:
        """Merge a patch: all of it or nothing. Raises NotFound, Invalid, Conflict."""
        context, given = self._context, patch.model_fields_set
        async with context.database.transaction() as connection:
            await self._may(connection, caller, "is.bare-metal-server.bare-metal-server.update")
            record = await self._locked(connection, caller, id)
            settings = record.metadata_service
            if "metadata_service" in given:
                settings = metadata_service.patched(settings, patch.metadata_service)
            options, problems = chosen(record.options, patch, record.profile)
            values: dict[str, Any] = {
                "metadata_enabled": settings.enabled,
                "metadata_protocol": settings.protocol,
                "options": options.to_json(),
            }
            if "name" in given and patch.name != record.row["name"]:
                values["name"] = patch.name
                scope = own(context, caller, _TABLE)
                kind = "bare metal server"
                problems += await name_problems(connection, scope, _TABLE, kind, patch.name)
            raise_if(problems)
            self._require_stopped(record, patch)
            with unique(_TABLE, name=name_taken("bare metal server", patch.name)):
                await connection.execute(update(_TABLE).where(_TABLE.c.id == id).values(**values))
            await publish_instances(connection, context, [record.id])
            return self._view(await self._record(connection, caller, id))

    def _require_stopped(self, record: BareMetalServerRecord, patch: BareMetalServerPatch) -> None:
        status = self._condition(record).status
        for member in _STOPPED_ONLY:
            if member in patch.model_fields_set and status != "stopped":
                message = (
                    f"`{member}` can be changed while the server is stopped, and it is {status}: "
                    "stop it first."
                )
                raise Conflict(message, member)

    async def delete(self, caller: Caller, id: str) -> None:
        """Delete in any state; all that goes with it goes now. Raises NotFound."""
        context = self._context
        async with context.database.transaction() as connection:
            await self._may(connection, caller, "is.bare-metal-server.bare-metal-server.delete")
            await find_row(connection, context, caller, _TABLE, id)
            await lock_interfaces(connection, id)
            await find_row(connection, context, caller, _TABLE, id, lock=True)
            await remove_server(connection, context, await self._record(connection, caller, id))

    async def act(self, caller: Caller, id: str, act: Act) -> None:
        """Start, stop or restart. Stopping voids its identity tokens. Raises NotFound, Conflict."""
        context = self._context
        async with context.database.transaction() as connection:
            await self._may(connection, caller, "is.bare-metal-server.bare-metal-server.operate")
            record = await self._locked(connection, caller, id)
            running = record.row["desired"] == "running"
            values: dict[str, Any]
            match act:
                case "start" if running:
                    raise Conflict("The server is running or starting already.")
                case "start":
                    values = {"desired": "running", "transition": "starting"}
                case "stop" | "restart" if not running:
                    raise Conflict("The server is stopped or stopping already.")
                case "stop":
                    epoch = record.row["start_epoch"] + 1
                    values = {"desired": "stopped", "transition": "stopping", "start_epoch": epoch}
                case "restart":
                    values = {"transition": "restarting"}
            await change_life_cycle(connection, context, record, values)

    async def initialization(self, caller: Caller, id: str) -> View:
        """BareMetalServerInitialization. Raises NotFound."""
        return initialization_view(await self.record(caller, id, "id"))

    async def reinitialize(self, caller: Caller, id: str, body: InitializationPrototype) -> View:
        """Replace the initialization of a stopped server, and start it: the only way to change its
        default trusted profile. Raises NotFound, Invalid, Conflict."""
        context = self._context
        async with context.database.transaction() as connection:
            await self._may(
                connection,
                caller,
                "is.bare-metal-server.bare-metal-server.update",
                *rights_to_initialize(body),
            )
            before = await self._record(connection, caller, id)
            secure_boot = before.options.enable_secure_boot
            found, problems = await plan_initialization(
                connection, context, caller, body, before.profile, secure_boot=secure_boot
            )
            raise_if(problems)
            assert found is not None
            record = await self._locked(connection, caller, id)
            status = self._condition(record).status
            if status != "stopped":
                raise Conflict(f"The server is {status}: stop it first.")
            await write_initialization(connection, context, record, found)
            return initialization_view(await self._record(connection, caller, id))

    async def place(self, caller: Caller, id: InstanceId, node_id: NodeId) -> None:
        """Put the server on a node, or move it there; tokens from before a move are void.

        Raises NotAuthorized, NotFound, Invalid (`node`), Conflict when the node is revoked.
        """
        context = self._context
        async with context.database.transaction() as connection:
            await self._may(connection, caller, "linklocal.node.operate")
            record = await self._locked(connection, caller, id)
            values = await put_on_node(connection, context, record.row, record.placement, node_id)
            if values is not None:
                await change_life_cycle(connection, context, record, values)
