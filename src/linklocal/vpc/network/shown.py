"""Which instances show a network resource: those to publish when it changes. Queries only.

Bare metal servers are among them: their tokens say where in the network they are.

The resource must be locked before, so that no instance can begin to show it in between.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, select, union, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.ids import InstanceId
from linklocal.vpc.bare_metal_servers.tables import bare_metal_servers
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.network.tables import (
    interface_security_groups,
    network_attachments,
    network_interfaces,
    virtual_network_interfaces,
)


async def instances_in_vpc(connection: AsyncConnection, vpc_id: str) -> Sequence[InstanceId]:
    """Instances of a VPC."""
    each = (
        select(table.c.id).where(table.c.vpc_id == vpc_id)
        for table in (instances, bare_metal_servers)
    )
    return sorted(InstanceId(id) for id in await connection.scalars(union_all(*each)))


async def instances_in_subnet(connection: AsyncConnection, subnet_id: str) -> Sequence[InstanceId]:
    """Instances with an interface in a subnet."""
    return await _with_interfaces(
        connection,
        virtual_network_interfaces.c.subnet_id == subnet_id,
        network_interfaces.c.subnet_id == subnet_id,
    )


async def instances_with_targets(
    connection: AsyncConnection, target_ids: Collection[str]
) -> Sequence[InstanceId]:
    """Instances that have one of these: ids of VNIs or of interfaces of the older kind."""
    ids = sorted(target_ids)
    return await _with_interfaces(
        connection, virtual_network_interfaces.c.id.in_(ids), network_interfaces.c.id.in_(ids)
    )


async def instances_with_security_group(
    connection: AsyncConnection, group_id: str
) -> Sequence[InstanceId]:
    """Instances with an interface that a security group guards."""
    guarded = select(interface_security_groups.c.interface_id).where(
        interface_security_groups.c.security_group_id == group_id
    )
    return await _with_interfaces(
        connection,
        virtual_network_interfaces.c.id.in_(guarded),
        network_interfaces.c.id.in_(guarded),
    )


async def _with_interfaces(
    connection: AsyncConnection, vni: ColumnElement[bool], interface: ColumnElement[bool]
) -> Sequence[InstanceId]:
    attached = (
        select(network_attachments.c.instance_id)
        .join(
            virtual_network_interfaces,
            virtual_network_interfaces.c.id == network_attachments.c.virtual_network_interface_id,
        )
        .where(vni)
    )
    older = select(network_interfaces.c.instance_id).where(interface)
    found = (await connection.execute(union(attached, older))).scalars()
    return sorted(InstanceId(id) for id in found)
