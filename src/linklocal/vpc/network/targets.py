"""What addresses, floating ips and security groups are bound to: VNIs and older network interfaces.

All of these keep a `target_id`; here it is looked up, shown as a reference, and used as a filter.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import ColumnElement, and_, false, literal, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.vpc.network.loaded import LoadedIp, Named
from linklocal.vpc.network.tables import (
    network_interfaces,
    reserved_ips,
    subnets,
    virtual_network_interfaces,
)
from linklocal.vpc.network.views import (
    reserved_ip_reference,
    subnet_reference,
    virtual_network_interface_reference,
)

VNI_TYPE = "virtual_network_interface"
INTERFACE_TYPE = "network_interface"


@dataclass(frozen=True, slots=True)
class Target:
    """A VNI (`instance_id` None) or an interface of an instance (`crn` empty)."""

    id: str
    crn: str
    name: str
    primary_ip: LoadedIp
    subnet: Named
    instance_id: str | None = None

    def short_reference(self) -> dict[str, Any]:
        """What a reserved ip shows: no addresses, no subnet."""
        if self.instance_id is None:
            return virtual_network_interface_reference(self)
        return {
            "href": f"/v1/instances/{self.instance_id}/network_interfaces/{self.id}",
            "id": self.id,
            "name": self.name,
            "resource_type": INTERFACE_TYPE,
        }

    def reference(self) -> dict[str, Any]:
        """What floating ips and security groups show."""
        view = {**self.short_reference(), "primary_ip": reserved_ip_reference(self.primary_ip)}
        if self.instance_id is None:
            view["subnet"] = subnet_reference(self.subnet)
        return view


async def load_targets(
    connection: AsyncConnection, ids: Collection[str | None]
) -> dict[str, Target]:
    """Targets by id, with two queries. Ids of nothing are left out."""
    wanted = sorted({id for id in ids if id is not None})
    found: dict[str, Target] = {}
    for table in (virtual_network_interfaces, network_interfaces):
        of_vni = table is virtual_network_interfaces
        statement = (
            select(
                table.c.id,
                table.c.crn if of_vni else literal("").label("crn"),
                table.c.name,
                literal(None).label("instance_id") if of_vni else table.c.instance_id,
                reserved_ips.c.id.label("ip_id"),
                reserved_ips.c.address,
                reserved_ips.c.name.label("ip_name"),
                subnets.c.id.label("subnet_id"),
                subnets.c.crn.label("subnet_crn"),
                subnets.c.name.label("subnet_name"),
            )
            .join_from(table, reserved_ips, reserved_ips.c.id == table.c.primary_ip_id)
            .join(subnets, subnets.c.id == table.c.subnet_id)
            .where(table.c.id.in_(wanted))
        )
        for row in (await connection.execute(statement)).mappings():
            found[row["id"]] = Target(
                id=row["id"],
                crn=row["crn"],
                name=row["name"],
                primary_ip=LoadedIp(row["ip_id"], row["address"], row["ip_name"], row["subnet_id"]),
                subnet=Named(row["subnet_id"], row["subnet_crn"], row["subnet_name"]),
                instance_id=row["instance_id"],
            )
    return found


@dataclass(frozen=True, slots=True)
class TargetFilter:
    """`target.id`, `target.crn`, `target.name`, `target.resource_type` of a list. None: not asked."""

    id: str | None = None
    crn: str | None = None
    name: str | None = None
    resource_type: str | None = None

    def condition(self, target_id: Any) -> ColumnElement[bool] | None:
        """The rows whose `target_id` column matches all that was asked; None: everything does."""
        vni, interface = virtual_network_interfaces, network_interfaces
        if self == TargetFilter():
            return None
        of_vni: list[ColumnElement[bool]] = []
        of_interface: list[ColumnElement[bool]] = []
        if self.id is not None:
            of_vni.append(vni.c.id == self.id)
            of_interface.append(interface.c.id == self.id)
        if self.name is not None:
            of_vni.append(vni.c.name == self.name)
            of_interface.append(interface.c.name == self.name)
        if self.crn is not None:
            of_vni.append(vni.c.crn == self.crn)
            of_interface.append(false())  # an interface has no CRN
        if self.resource_type is not None:
            of_vni.append(true() if self.resource_type == VNI_TYPE else false())
            of_interface.append(true() if self.resource_type == INTERFACE_TYPE else false())
        return or_(
            target_id.in_(select(vni.c.id).where(and_(*of_vni))),
            target_id.in_(select(interface.c.id).where(and_(*of_interface))),
        )


def target_filter(
    target_id: Annotated[str | None, Query(alias="target.id")] = None,
    target_crn: Annotated[str | None, Query(alias="target.crn")] = None,
    target_name: Annotated[str | None, Query(alias="target.name")] = None,
    target_resource_type: Annotated[str | None, Query(alias="target.resource_type")] = None,
) -> TargetFilter:
    """FastAPI dependency."""
    return TargetFilter(target_id, target_crn, target_name, target_resource_type)
