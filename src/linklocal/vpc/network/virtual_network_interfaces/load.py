"""Virtual network interfaces, attached or not, as the API shows them: ids in, views out. Three queries."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.iam.tables import resource_groups
from linklocal.vpc.network.loaded import (
    NAMED,
    PRIMARY_IP,
    VNI,
    LoadedInterface,
    columns,
    ip_of,
    load_ips,
    load_security_groups,
    named_of,
    vni_of,
)
from linklocal.vpc.network.tables import (
    network_attachments,
    reserved_ips,
    subnets,
    virtual_network_interfaces,
    vpcs,
)
from linklocal.vpc.network.views import virtual_network_interface

_ATTACHMENT = ("id", "instance_id", "server_kind", "name", "position", "created_at")


async def virtual_interface_views(
    connection: AsyncConnection, ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    """VirtualNetworkInterface by id; ids that are not there are left out."""
    vni, attachment = virtual_network_interfaces, network_attachments
    ips = await load_ips(connection, ids)
    groups = await load_security_groups(connection, ids)
    statement = (
        select(
            *columns(vni, "vni", *VNI),
            *columns(subnets, "subnet", *NAMED),
            *columns(vpcs, "vpc", *NAMED),
            *columns(reserved_ips, "ip", *PRIMARY_IP),
            *columns(resource_groups, "group", "id", "name"),
            *columns(attachment, "attachment", *_ATTACHMENT),
        )
        .join_from(vni, subnets, subnets.c.id == vni.c.subnet_id)
        .join(vpcs, vpcs.c.id == subnets.c.vpc_id)
        .join(reserved_ips, reserved_ips.c.id == vni.c.primary_ip_id)
        .join(resource_groups, resource_groups.c.id == vni.c.resource_group_id)
        .outerjoin(attachment, attachment.c.virtual_network_interface_id == vni.c.id)
        .where(vni.c.id.in_(sorted(ids)))
    )
    views: dict[str, dict[str, Any]] = {}
    for row in (await connection.execute(statement)).mappings():
        loaded = vni_of(row, ips[row["vni_id"]])
        vpc, subnet = named_of(row, "vpc"), named_of(row, "subnet")
        guards = tuple(groups[loaded.id])
        attached: LoadedInterface | None = None
        if row["attachment_id"] is not None:
            attached = LoadedInterface(
                kind="attachment",
                **{name: row[f"attachment_{name}"] for name in _ATTACHMENT},
                vpc=vpc,
                subnet=subnet,
                primary_ip=ip_of(row),
                allow_ip_spoofing=loaded.allow_ip_spoofing,
                security_groups=guards,
                floating_ips=(),
                vni=loaded,
            )
        views[loaded.id] = virtual_network_interface(
            loaded, vpc=vpc, subnet=subnet, security_groups=guards, attachment=attached
        )
    return views
