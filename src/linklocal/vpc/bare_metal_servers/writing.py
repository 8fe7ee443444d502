"""Writing a planned bare metal server, changing its life cycle, and taking it away. No rights, no checks.

Functions of somebody else's transaction; each ends by telling the node. Links and the placement are an
instance's: only the row is another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.fleet import placement
from linklocal.iam.caller import Caller
from linklocal.iam.links import unlink_instance
from linklocal.ids import AccountId, InstanceId, NodeId, new_zonal_id, vpc_crn
from linklocal.vpc import metadata_service
from linklocal.vpc.bare_metal_servers.load import BareMetalServerRecord
from linklocal.vpc.bare_metal_servers.model import BareMetalServerPrototype
from linklocal.vpc.bare_metal_servers.plan import BareMetalServerPlan, Initialization
from linklocal.vpc.bare_metal_servers.tables import bare_metal_servers
from linklocal.vpc.bare_metal_servers.views import server_view
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.lifecycle import DELETING
from linklocal.vpc.instances.queries import forget_deleted
from linklocal.vpc.instances.writing import take_off_node, write_link
from linklocal.vpc.naming import fresh_name, name_taken, unique
from linklocal.vpc.network.interfaces import create_interfaces, remove_interfaces
from linklocal.vpc.render import publish_instances, render_bare_metal
from linklocal.vpc.rows import own

_KIND = "bare metal server"


async def write_server(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    body: BareMetalServerPrototype,
    plan: BareMetalServerPlan,
    node_id: NodeId | None,
) -> InstanceId:
    """Write a plan of this transaction, place it on a node if one is given, and publish it.

    Raises Invalid (`name`) when another request took the name meanwhile, Conflict or Invalid (`node`)
    when the node cannot take it.
    """
    scope = own(context, caller, bare_metal_servers)
    name = plan.name or await fresh_name(connection, scope, bare_metal_servers)
    id = InstanceId(new_zonal_id(plan.zone))
    crn = vpc_crn(plan.zone, caller.account_id, "bare-metal-server", id)
    settings = metadata_service.created(body.metadata_service)
    row = insert(bare_metal_servers).values(
        id=id,
        account_id=caller.account_id,
        region=context.region.name,
        zone=plan.zone,
        name=name,
        crn=crn,
        vpc_id=plan.interfaces.vpc_id,
        profile=plan.profile.name,
        resource_group_id=plan.resource_group_id,
        metadata_enabled=settings.enabled,
        metadata_protocol=settings.protocol,
        options=plan.options.to_json(),
        boot_disk_id=new_zonal_id(plan.zone),
        desired="running",
        transition="starting",
        revision=None,
        start_epoch=1,
        created_at=context.clock.now(),
        **plan.initialization.columns(),
    )
    with unique(bare_metal_servers, name=name_taken(_KIND, name)):
        await connection.execute(row)
    await create_interfaces(
        connection,
        context,
        caller,
        id,
        plan.interfaces,
        plan.resource_group_id,
        "bare_metal_server",
    )
    profile = plan.initialization.default_trusted_profile
    await write_link(connection, context, id, crn, profile)
    if node_id is not None:
        await placement.place(connection, id, AccountId(caller.account_id), node_id)
    revisions = await publish_instances(connection, context, [id])
    await _update(connection, id, {"revision": revisions.get(id)})
    return id


async def _update(connection: AsyncConnection, id: InstanceId, values: Mapping[str, Any]) -> None:
    table = bare_metal_servers
    await connection.execute(update(table).where(table.c.id == id).values(**values))


async def write_initialization(
    connection: AsyncConnection,
    context: VpcContext,
    record: BareMetalServerRecord,
    initialization: Initialization,
) -> None:
    """Write it, and start the locked server. The automatic link of the profile before goes, the new one's
    is made; links made by hand stay. Tokens from before are no longer accepted."""
    crn = record.row["crn"]
    await unlink_instance(connection, instance_crn=crn, automatic_only=True)
    profile = initialization.default_trusted_profile
    await write_link(connection, context, record.id, crn, profile)
    values = {
        **initialization.columns(),
        "start_epoch": record.row["start_epoch"] + 1,
        "desired": "running",
        "transition": "starting",
    }
    await change_life_cycle(connection, context, record, values)


async def change_life_cycle(
    connection: AsyncConnection,
    context: VpcContext,
    record: BareMetalServerRecord,
    values: Mapping[str, Any],
) -> None:
    """Write new values of a locked server, and publish it with the revision that will mean "done"."""
    after = replace(record, row={**record.row, **values})
    revisions = await context.publisher.put(connection, [render_bare_metal(after)])
    await _update(connection, record.id, {**values, "revision": revisions.get(record.id)})


async def remove_server(
    connection: AsyncConnection, context: VpcContext, record: BareMetalServerRecord
) -> None:
    """Delete a server that is locked, after its interfaces (`lock_interfaces`).

    Frees all it holds, removes every IAM link to it, and leaves what GET shows until the node knows.
    """
    now, id = context.clock.now(), record.id
    await forget_deleted(connection, now)
    await unlink_instance(connection, instance_crn=record.row["crn"])
    await remove_interfaces(connection, id, "bare_metal_server")
    await connection.execute(delete(bare_metal_servers).where(bare_metal_servers.c.id == id))
    view = server_view(record, DELETING)
    await take_off_node(connection, context, record.row, record.placement, view)
