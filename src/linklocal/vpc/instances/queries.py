"""Finding instances: one by id, a filtered list, and those whose delete is not yet acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import ColumnElement, Select, bindparam, delete, false, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.fleet.placement import node_applied
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.options import AffinityPolicy, AvailabilityClass
from linklocal.vpc.instances.tables import deleted_instances, instances
from linklocal.vpc.network.tables import vpcs
from linklocal.vpc.placement_groups.tables import placement_groups
from linklocal.vpc.rows import find_row, of_account, one_by_id, own

# How long a deleted instance is shown as `deleting` when its node does not answer.
DELETING_SHOWN = timedelta(seconds=30)
_FORGET = delete(deleted_instances).where(deleted_instances.c.deleted_at <= bindparam("expired"))


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """What `list_instances` may be narrowed by (contract 2.1). None: not asked."""

    name: str | None = None
    resource_group_id: str | None = None
    vpc_id: str | None = None
    vpc_crn: str | None = None
    vpc_name: str | None = None
    placement_group_id: str | None = None
    placement_group_crn: str | None = None
    placement_group_name: str | None = None
    availability_class: AvailabilityClass | None = None
    affinity_policy: AffinityPolicy | None = None
    # By a resource of a kind that linklocal does not have: matches nothing.
    nothing: bool = False


def _asked(name: str) -> Any:
    return Query(alias=name)


Text = str | None


def instance_filter(
    name: Text = None,
    resource_group_id: Annotated[Text, _asked("resource_group.id")] = None,
    vpc_id: Annotated[Text, _asked("vpc.id")] = None,
    vpc_crn: Annotated[Text, _asked("vpc.crn")] = None,
    vpc_name: Annotated[Text, _asked("vpc.name")] = None,
    placement_group_id: Annotated[Text, _asked("placement_group.id")] = None,
    placement_group_crn: Annotated[Text, _asked("placement_group.crn")] = None,
    placement_group_name: Annotated[Text, _asked("placement_group.name")] = None,
    availability_class: Annotated[AvailabilityClass | None, _asked("availability.class")] = None,
    affinity_policy: Annotated[AffinityPolicy | None, _asked("reservation_affinity.policy")] = None,
    cluster_network_id: Annotated[Text, _asked("cluster_network.id")] = None,
    cluster_network_crn: Annotated[Text, _asked("cluster_network.crn")] = None,
    cluster_network_name: Annotated[Text, _asked("cluster_network.name")] = None,
    dedicated_host_id: Annotated[Text, _asked("dedicated_host.id")] = None,
    dedicated_host_crn: Annotated[Text, _asked("dedicated_host.crn")] = None,
    dedicated_host_name: Annotated[Text, _asked("dedicated_host.name")] = None,
    reservation_id: Annotated[Text, _asked("reservation.id")] = None,
    reservation_crn: Annotated[Text, _asked("reservation.crn")] = None,
    reservation_name: Annotated[Text, _asked("reservation.name")] = None,
    instance_group_id: Annotated[
        Text, _asked("instance_group_membership.instance_group.id")
    ] = None,
    instance_group_crn: Annotated[
        Text, _asked("instance_group_membership.instance_group.crn")
    ] = None,
) -> InstanceFilter:
    """FastAPI dependency."""
    absent = (
        *(cluster_network_id, cluster_network_crn, cluster_network_name),
        *(dedicated_host_id, dedicated_host_crn, dedicated_host_name),
        *(reservation_id, reservation_crn, reservation_name),
        *(instance_group_id, instance_group_crn),
    )
    return InstanceFilter(
        name=name,
        resource_group_id=resource_group_id,
        vpc_id=vpc_id,
        vpc_crn=vpc_crn,
        vpc_name=vpc_name,
        placement_group_id=placement_group_id,
        placement_group_crn=placement_group_crn,
        placement_group_name=placement_group_name,
        availability_class=availability_class,
        affinity_policy=affinity_policy,
        nothing=any(value is not None for value in absent),
    )


def filtered(context: VpcContext, caller: Caller, asked: InstanceFilter) -> Select[Any]:
    """The instances of the account that match every filter."""
    i = instances.c
    conditions: Sequence[tuple[object, ColumnElement[bool]]] = [
        (asked.name, i.name == asked.name),
        (asked.resource_group_id, i.resource_group_id == asked.resource_group_id),
        (asked.vpc_id, i.vpc_id == asked.vpc_id),
        (asked.vpc_crn, i.vpc_id.in_(select(vpcs.c.id).where(vpcs.c.crn == asked.vpc_crn))),
        (asked.vpc_name, i.vpc_id.in_(select(vpcs.c.id).where(vpcs.c.name == asked.vpc_name))),
        (asked.placement_group_id, i.placement_group_id == asked.placement_group_id),
        (asked.placement_group_crn, _in_group("crn", asked.placement_group_crn)),
        (asked.placement_group_name, _in_group("name", asked.placement_group_name)),
        (
            asked.availability_class,
            i.options["availability_class"].as_string() == asked.availability_class,
        ),
        (asked.affinity_policy, i.options["affinity_policy"].as_string() == asked.affinity_policy),
        (asked.nothing or None, false()),
    ]
    chosen = [condition for value, condition in conditions if value is not None]
    return of_account(context, caller, instances).where(*chosen)


def _in_group(column: str, value: str | None) -> ColumnElement[bool]:
    group = placement_groups.c
    return instances.c.placement_group_id.in_(select(group.id).where(group[column] == value))


async def find_instance(
    connection: AsyncConnection, context: VpcContext, caller: Caller, id: str, *, lock: bool = False
) -> Mapping[str, Any]:
    """The row of one instance; `lock` takes it FOR UPDATE. Raises NotFound.

    What an instance stands on (its subnets, keys, placement group) is locked before it, not after.
    """
    row = await find_row(connection, context, caller, instances, id, lock=lock)
    return dict(row._mapping)


async def deleting_view(
    connection: AsyncConnection,
    context: VpcContext,
    caller: Caller,
    id: str,
    resource_type: str = "instance",
) -> dict[str, Any] | None:
    """What GET shows of a deleted instance until its node applied that, or 30 s passed; then None.

    Deleted bare metal servers are kept in the same table: `resource_type` says which of them counts.
    """
    wanted = own(context, caller, deleted_instances).seeking(id)
    found = await connection.execute(one_by_id(deleted_instances, lock=False), wanted)
    row = found.mappings().one_or_none()
    if row is None or row["deleted_at"] <= _expired(context.clock.now()):
        return None
    applied = (await node_applied(connection, [row["node_id"]])).get(row["node_id"], 0)
    view: dict[str, Any] = row["view"]
    shown = view["resource_type"] == resource_type and applied < row["revision"]
    return view if shown else None


async def forget_deleted(connection: AsyncConnection, now: datetime) -> None:
    """Prune what no GET shows any more; done on writes, since nothing runs in the background."""
    await connection.execute(_FORGET, {"expired": _expired(now)})


def _expired(now: datetime) -> datetime:
    return now - DELETING_SHOWN
