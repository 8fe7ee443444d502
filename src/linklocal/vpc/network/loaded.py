"""Interfaces of instances as loaded from the database, with all that any view of them needs.

A fixed number of queries, however many instances: renames reach thousands of them at once. Both APIs'
views are made from `LoadedInterface`; nothing here makes views.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BindParameter, Label, Select, Table, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import ServerKind
from linklocal.iam.tables import resource_groups
from linklocal.vpc.network.tables import (
    floating_ips,
    interface_security_groups,
    network_attachments,
    network_interfaces,
    reserved_ips,
    security_groups,
    subnets,
    virtual_network_interfaces,
    vpcs,
)


@dataclass(frozen=True, slots=True)
class Named:
    """What a reference to a resource shows: id, CRN and name. The kind is known from the member."""

    id: str
    crn: str
    name: str


@dataclass(frozen=True, slots=True)
class LoadedIp:
    """A reserved ip that is bound."""

    id: str
    address: str
    name: str
    subnet_id: str


@dataclass(frozen=True, slots=True)
class LoadedFloatingIp:
    """A floating ip bound to an interface."""

    id: str
    crn: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class LoadedVirtualInterface:
    """A virtual network interface. `ips` begins with the primary address."""

    id: str
    crn: str
    name: str
    version: int
    zone: str
    mac_address: str
    allow_ip_spoofing: bool
    auto_delete: bool
    enable_infrastructure_nat: bool
    protocol_state_filtering_mode: str
    resource_group_id: str
    resource_group_name: str
    created_at: datetime
    ips: tuple[LoadedIp, ...]


@dataclass(frozen=True, slots=True)
class LoadedInterface:
    """One network attachment (with its `vni`) or one interface of the older kind (`vni` None).

    `position` 0 is the primary one. The read-only child interface of an attachment has the attachment's
    id and name.
    """

    kind: Literal["attachment", "interface"]
    instance_id: str
    id: str
    name: str
    position: int
    created_at: datetime
    vpc: Named
    subnet: Named
    primary_ip: LoadedIp
    allow_ip_spoofing: bool
    security_groups: tuple[Named, ...]
    floating_ips: tuple[LoadedFloatingIp, ...]
    vni: LoadedVirtualInterface | None = None
    server_kind: ServerKind = "instance"  # whose it is: `instance_id` is that server's id

    @property
    def type(self) -> Literal["primary", "secondary"]:
        return "primary" if self.position == 0 else "secondary"

    @property
    def target_id(self) -> str:
        """What addresses, groups and floating ips are bound to: the VNI, or the interface itself."""
        return self.id if self.vni is None else self.vni.id


def columns(table: Table, prefix: str, *names: str) -> list[Label[Any]]:
    return [table.c[name].label(f"{prefix}_{name}") for name in names]


_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
NAMED = ("id", "crn", "name")
FLOATING_IP = ("id", "crn", "name", "address")
PRIMARY_IP = ("id", "address", "name", "subnet_id")
VNI = (
    *NAMED,
    "version",
    "zone",
    "mac_address",
    "allow_ip_spoofing",
    "auto_delete",
    "enable_infrastructure_nat",
    "protocol_state_filtering_mode",
    "created_at",
)


def named_of(row: Any, prefix: str) -> Named:
    return Named(*(row[f"{prefix}_{name}"] for name in NAMED))


def ip_of(row: Any) -> LoadedIp:
    return LoadedIp(*(row[f"ip_{name}"] for name in PRIMARY_IP))


def vni_of(row: Any, ips: Iterable[LoadedIp]) -> LoadedVirtualInterface:
    """The VNI of a row with the columns of `VNI`, its primary address and its group; `ips`: all it has."""
    primary = ip_of(row)
    return LoadedVirtualInterface(
        **{name: row[f"vni_{name}"] for name in VNI},
        resource_group_id=row["group_id"],
        resource_group_name=row["group_name"],
        ips=(primary, *(ip for ip in ips if ip.id != primary.id)),
    )


def _interfaces() -> Select[Any]:
    """Interfaces of the older kind with their subnet, VPC and primary address. Of the instances `ids`."""
    # Without its own `subnet_id`, which would hide the subnet's id under that name.
    own = [column for column in network_interfaces.c if column.name != "subnet_id"]
    return (
        select(
            *own,
            *columns(subnets, "subnet", *NAMED),
            *columns(vpcs, "vpc", *NAMED),
            *columns(reserved_ips, "ip", *PRIMARY_IP),
        )
        .join_from(network_interfaces, subnets, subnets.c.id == network_interfaces.c.subnet_id)
        .join(vpcs, vpcs.c.id == subnets.c.vpc_id)
        .join(reserved_ips, reserved_ips.c.id == network_interfaces.c.primary_ip_id)
        .where(network_interfaces.c.instance_id.in_(_IDS))
    )


def _attachments() -> Select[Any]:
    """Attachments with their VNI, and its subnet, VPC, primary address and resource group.

    Of the servers `ids`.
    """
    vni = virtual_network_interfaces
    return (
        select(
            network_attachments,
            *columns(subnets, "subnet", *NAMED),
            *columns(vpcs, "vpc", *NAMED),
            *columns(reserved_ips, "ip", *PRIMARY_IP),
            *columns(vni, "vni", *VNI),
            *columns(resource_groups, "group", "id", "name"),
        )
        .join_from(
            network_attachments, vni, vni.c.id == network_attachments.c.virtual_network_interface_id
        )
        .join(subnets, subnets.c.id == vni.c.subnet_id)
        .join(vpcs, vpcs.c.id == subnets.c.vpc_id)
        .join(reserved_ips, reserved_ips.c.id == vni.c.primary_ip_id)
        .join(resource_groups, resource_groups.c.id == vni.c.resource_group_id)
        .where(network_attachments.c.instance_id.in_(_IDS))
    )


# Asked for every instance that is made, shown or published: made once, since to build a statement takes
# longer than to run it. Those of targets have the ids of VNIs and of older interfaces as `ids`.
_ATTACHMENTS = _attachments()
_INTERFACES = _interfaces()
_IPS = (
    select(reserved_ips.c.target_id, *(reserved_ips.c[name] for name in PRIMARY_IP))
    .where(reserved_ips.c.target_id.in_(_IDS))
    .order_by(reserved_ips.c.address_number)
)
_SECURITY_GROUPS = (
    select(interface_security_groups.c.interface_id, *(security_groups.c[name] for name in NAMED))
    .join_from(
        interface_security_groups,
        security_groups,
        security_groups.c.id == interface_security_groups.c.security_group_id,
    )
    .where(interface_security_groups.c.interface_id.in_(_IDS))
    .order_by(security_groups.c.name)
)
_FLOATING_IPS = (
    select(floating_ips.c.target_id, *(floating_ips.c[name] for name in FLOATING_IP))
    .where(floating_ips.c.target_id.in_(_IDS))
    .order_by(floating_ips.c.id)
)


async def load_interfaces(
    connection: AsyncConnection, instance_ids: Collection[str]
) -> dict[str, list[LoadedInterface]]:
    """The interfaces of each instance, primary first. Every id asked for is a key. Five queries."""
    ids = sorted(set(instance_ids))
    attached = (await connection.execute(_ATTACHMENTS, {"ids": ids})).mappings().all()
    older = (await connection.execute(_INTERFACES, {"ids": ids})).mappings().all()
    targets = [*(row["vni_id"] for row in attached), *(row["id"] for row in older)]
    ips = await load_ips(connection, targets)
    groups = await load_security_groups(connection, targets)
    floating = await load_floating_ips(connection, targets)

    loaded: dict[str, list[LoadedInterface]] = {id: [] for id in ids}
    for row in attached:
        target = row["vni_id"]
        loaded[row["instance_id"]].append(
            LoadedInterface(
                kind="attachment",
                instance_id=row["instance_id"],
                id=row["id"],
                name=row["name"],
                position=row["position"],
                created_at=row["created_at"],
                vpc=named_of(row, "vpc"),
                subnet=named_of(row, "subnet"),
                primary_ip=ip_of(row),
                allow_ip_spoofing=row["vni_allow_ip_spoofing"],
                security_groups=tuple(groups[target]),
                floating_ips=tuple(floating[target]),
                vni=vni_of(row, ips[target]),
                server_kind=row["server_kind"],
            )
        )
    for row in older:
        loaded[row["instance_id"]].append(
            LoadedInterface(
                kind="interface",
                instance_id=row["instance_id"],
                id=row["id"],
                name=row["name"],
                position=row["position"],
                created_at=row["created_at"],
                vpc=named_of(row, "vpc"),
                subnet=named_of(row, "subnet"),
                primary_ip=ip_of(row),
                allow_ip_spoofing=row["allow_ip_spoofing"],
                security_groups=tuple(groups[row["id"]]),
                floating_ips=tuple(floating[row["id"]]),
            )
        )
    for interfaces in loaded.values():
        interfaces.sort(key=lambda interface: interface.position)
    return loaded


async def load_ips(
    connection: AsyncConnection, targets: Collection[str]
) -> defaultdict[str, list[LoadedIp]]:
    """Reserved ips by what they are bound to, in order of address."""
    found: defaultdict[str, list[LoadedIp]] = defaultdict(list)
    for target, *members in await connection.execute(_IPS, {"ids": sorted(targets)}):
        found[target].append(LoadedIp(*members))
    return found


async def load_security_groups(
    connection: AsyncConnection, targets: Collection[str]
) -> defaultdict[str, list[Named]]:
    """Security groups by the interface they guard, in order of name."""
    found: defaultdict[str, list[Named]] = defaultdict(list)
    for target, *members in await connection.execute(_SECURITY_GROUPS, {"ids": sorted(targets)}):
        found[target].append(Named(*members))
    return found


async def load_floating_ips(
    connection: AsyncConnection, targets: Collection[str]
) -> defaultdict[str, list[LoadedFloatingIp]]:
    """Floating ips by what they are bound to, in order of id."""
    found: defaultdict[str, list[LoadedFloatingIp]] = defaultdict(list)
    for target, *members in await connection.execute(_FLOATING_IPS, {"ids": sorted(targets)}):
        found[target].append(LoadedFloatingIp(*members))
    return found
