"""Writing a planned instance, and taking one away with all it holds. No rights, no checks, no answers.

Functions of somebody else's transaction; both end by telling the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.fleet import placement
from linklocal.fleet.placement import PlacementState
from linklocal.iam.caller import Caller
from linklocal.iam.links import link_instance, unlink_instance
from linklocal.ids import AccountId, InstanceId, NodeId, new_instance_id, vpc_crn
from linklocal.vpc import metadata_service
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.lifecycle import DELETING
from linklocal.vpc.instances.load import InstanceRecord, load
from linklocal.vpc.instances.plan import InstancePlan
from linklocal.vpc.instances.queries import forget_deleted
from linklocal.vpc.instances.tables import deleted_instances, instance_keys, instances
from linklocal.vpc.instances.views import instance_view
from linklocal.vpc.keys.views import metadata_view
from linklocal.vpc.naming import fresh_name, name_taken, unique
from linklocal.vpc.network.interfaces import create_interfaces, remove_interfaces
from linklocal.vpc.render import render
from linklocal.vpc.rows import own
from linklocal.vpc.volumes.attach import create_volumes, remove_volumes

# Made once, since to build a statement takes longer than to run it.
_PUBLISHED = (
    update(instances)
    .where(instances.c.id == bindparam("of"))
    .values(revision=bindparam("new_revision"))
)
_DELETE_KEYS = delete(instance_keys).where(instance_keys.c.instance_id == bindparam("of"))
_DELETE = delete(instances).where(instances.c.id == bindparam("of"))


async def write_instance(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    plan: InstancePlan,
    *,
    node_id: NodeId | None = None,
) -> InstanceRecord:
    """Write a plan of this transaction, place it on a node if one is given, and publish it.

    Raises Invalid (`name`) when another request took the name meanwhile, Conflict or Invalid (`node`)
    when the node cannot take it.
    """
    now = context.clock.now()
    scope = own(context, caller, instances)
    name = plan.name or await fresh_name(connection, scope, instances)
    id = new_instance_id(plan.zone)
    crn = vpc_crn(plan.zone, caller.account_id, "instance", id)
    row = {
        "id": id,
        "account_id": caller.account_id,
        "region": context.region.name,
        "zone": plan.zone,
        "name": name,
        "crn": crn,
        "version": 1,
        "vpc_id": plan.vpc_id,
        "image_id": plan.image_id,
        "profile": plan.profile.name,
        "placement_group_id": plan.placement_group_id,
        "resource_group_id": plan.resource_group_id,
        "default_trusted_profile": plan.default_trusted_profile,
        "user_data": plan.user_data,
        "software_attachments": [],
        "options": plan.options.to_json(),
        "desired": "running",
        "transition": "starting",
        "revision": None,
        "start_epoch": 1,
        "created_at": now,
        **metadata_service.to_columns(plan.metadata_service),
    }
    with unique(instances, name=name_taken("instance", name)):
        await connection.execute(insert(instances), row)
    await write_keys(connection, id, plan.keys)
    group_id = plan.resource_group_id
    await create_interfaces(connection, context, caller, id, plan.interfaces, group_id)
    await create_volumes(connection, context, caller, id, plan.volumes, group_id)
    await write_link(connection, context, id, crn, plan.default_trusted_profile)
    if node_id is not None:
        await placement.place(connection, id, AccountId(caller.account_id), node_id)
    # Nobody else can see the new row: unlike `publish_instances`, this need not lock it.
    record = (await load(connection, [id]))[id]
    revisions = await context.publisher.put(connection, [render(record)])
    revision = revisions.get(id)
    if revision is not None:
        await connection.execute(_PUBLISHED, {"of": id, "new_revision": revision})
    return replace(record, row={**record.row, "revision": revision})


async def write_keys(connection: AsyncConnection, id: InstanceId, keys: Any) -> None:
    """What an instance is initialized with: the keys, each as it is now, in their order."""
    rows = [
        {
            "instance_id": id,
            "position": position,
            "key_id": key._mapping["id"],
            "snapshot": metadata_view(key),
        }
        for position, key in enumerate(keys)
    ]
    if rows:
        await connection.execute(insert(instance_keys), rows)


async def write_link(
    connection: AsyncConnection,
    context: VpcContext,
    id: InstanceId,
    crn: str,
    default_trusted_profile: dict[str, Any] | None,
) -> None:
    """The automatic link, if the default trusted profile asks for one (contract 2.3)."""
    if default_trusted_profile is None or not default_trusted_profile["auto_link"]:
        return
    await link_instance(
        connection,
        profile_id=default_trusted_profile["target"]["id"],
        instance_crn=crn,
        instance_id=id,
        now=context.clock.now(),
    )


async def change_life_cycle(
    connection: AsyncConnection,
    context: VpcContext,
    record: InstanceRecord,
    values: Mapping[str, Any],
) -> None:
    """Write new values of a locked instance, and publish it with the revision that will mean "done".

    The row is written once, after its document. A second update in one transaction would make PostgreSQL
    check its foreign keys again, and so wait for whoever renames the VPC and waits for this instance.
    """
    id, after = record.id, replace(record, row={**record.row, **values})
    revisions = await context.publisher.put(connection, [render(after)])
    await connection.execute(
        update(instances).where(instances.c.id == id).values(**values, revision=revisions.get(id))
    )


async def put_on_node(
    connection: AsyncConnection,
    context: VpcContext,
    row: Mapping[str, Any],
    placed: PlacementState | None,
    node_id: NodeId,
) -> dict[str, Any] | None:
    """Place a locked instance (or bare metal server) on a node, or move it there.

    Returns the new values of its life-cycle columns, for the caller to write and publish, or None when it
    is there already. Tokens from before a move are void. Raises Invalid (`node`), Conflict.
    """
    id, epoch = InstanceId(row["id"]), row["start_epoch"]
    if placed is None:
        changed = await placement.place(connection, id, AccountId(row["account_id"]), node_id)
    else:
        changed = await placement.move(connection, context.publisher, id, node_id)
        epoch += 1
    if not changed:
        return None
    transition = "starting" if row["desired"] == "running" else "stopping"
    return {"transition": transition, "start_epoch": epoch}


async def remove_instance(
    connection: AsyncConnection, context: VpcContext, record: InstanceRecord
) -> None:
    """Delete an instance that is locked, after its interfaces and volumes: `lock_for_delete`.

    Frees all it holds, removes every IAM link to it, and leaves what GET shows until the node knows.
    """
    now, id = context.clock.now(), record.id
    await forget_deleted(connection, now)
    await unlink_instance(connection, instance_crn=record.row["crn"])
    await remove_interfaces(connection, id)
    await remove_volumes(connection, id)
    await connection.execute(_DELETE_KEYS, {"of": id})
    await connection.execute(_DELETE, {"of": id})
    await take_off_node(
        connection, context, record.row, record.placement, instance_view(record, DELETING)
    )


async def take_off_node(
    connection: AsyncConnection,
    context: VpcContext,
    row: Mapping[str, Any],
    placed: PlacementState | None,
    view: Mapping[str, Any],
) -> None:
    """Drop what is deleted (`row` of an instance or bare metal server) from its node, and keep `view` for GET
    until the node knows."""
    revision = await context.publisher.drop(connection, InstanceId(row["id"]))
    if revision is None or placed is None:
        return
    await connection.execute(
        insert(deleted_instances),
        {
            "id": row["id"],
            "account_id": row["account_id"],
            "region": row["region"],
            "view": view,
            "node_id": placed.node_id,
            "revision": revision,
            "deleted_at": context.clock.now(),
        },
    )
