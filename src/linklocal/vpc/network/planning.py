"""Planning interfaces: what a body asks for, resolved, locked and checked. Writes nothing.

Used for the interfaces of a new instance, for one added to an instance, and for a virtual network
interface made on its own. `InterfacePlanner` collects every problem of the bodies it is given; a plan
without problems can be written by `writing.py` in the same transaction, and only in that one: the
addresses in it are free because the subnet's lock is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, Table, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.document import ServerKind
from linklocal.errors import Problem, bad_field, missing_field, not_found_field
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import fresh_name, name_problems, name_taken
from linklocal.vpc.network.address_planning import AddressPlanner, PlannedIp
from linklocal.vpc.network.locks import lock_rows, lock_security_groups, lock_subnets
from linklocal.vpc.network.model import (
    AttachedInterfacePrototype,
    FilteringMode,
    IpPrototype,
    NetworkInterfacePrototype,
    VirtualNetworkInterfacePrototype,
)
from linklocal.vpc.network.tables import (
    interface_security_groups,
    network_attachments,
    security_groups,
    subnets,
    virtual_network_interfaces,
)
from linklocal.vpc.references import Identity, resolve
from linklocal.vpc.resource_groups import resolve_resource_group
from linklocal.vpc.rows import own
from linklocal.vpc.scopes import Scope

# Asked for every instance: made once, since to build a statement takes longer than to run it.
_GROUPS_OF = (
    select(interface_security_groups.c.security_group_id)
    .where(interface_security_groups.c.interface_id == bindparam("interface"))
    .order_by(interface_security_groups.c.security_group_id)
)
_DEFAULT_GROUP = select(security_groups.c.id).where(
    security_groups.c.vpc_id == bindparam("vpc"), security_groups.c.is_default
)


@dataclass(frozen=True, slots=True)
class PlannedInterface:
    """One interface, ready to be written.

    `existing_vni_id` is set for a virtual network interface that is already there; `ips` is then empty.
    Otherwise `ips[0]` is the primary address. `name_field` is where the body has the name.
    `resource_group_id` None: the instance's.
    """

    vpc_id: str
    zone: str
    subnet_id: str
    security_group_ids: tuple[str, ...]
    ips: tuple[PlannedIp, ...]
    existing_vni_id: str | None = None
    name: str = ""
    name_field: str = "name"
    allow_ip_spoofing: bool = False
    auto_delete: bool = True
    enable_infrastructure_nat: bool = True
    protocol_state_filtering_mode: FilteringMode = "auto"
    resource_group_id: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One body and where it stands in the request: `field` is its path, "" for the body's root.

    `kind` is "vni" (a virtual network interface, new or existing) or "interface" (the older kind).
    """

    field: str
    body: NetworkInterfacePrototype | VirtualNetworkInterfacePrototype
    kind: str = "vni"

    def member(self, name: str) -> str:
        """The path of a member of the body."""
        return f"{self.field}.{name}" if self.field else name

    def identity(self) -> Identity | None:
        """The existing virtual network interface that is asked for, if one is."""
        return self.body.identity() if isinstance(self.body, AttachedInterfacePrototype) else None


def _named_by(field: str, identity: Identity) -> str:
    """`subnet.crn` for an identity that has only a CRN: the member that a problem is about."""
    return f"{field}.{next(iter(identity.members()), 'id')}"


def _ips_of(item: Wanted) -> list[tuple[IpPrototype, str]]:
    """The addresses that a body asks for, primary first, with their paths."""
    if item.identity() is not None:
        return []
    primary = item.body.primary_ip or IpPrototype()
    found = [(primary, item.member("primary_ip"))]
    if isinstance(item.body, VirtualNetworkInterfacePrototype):
        more = item.body.ips or []
        found += [(ip, item.member(f"ips[{index}]")) for index, ip in enumerate(more)]
    return found


class InterfacePlanner:
    """Plans the interfaces of one request; call `plan` once, then look at `problems`."""

    def __init__(
        self,
        connection: AsyncConnection,
        context: VpcContext,
        caller: Caller,
        *,
        zone: str | None,
        server_kind: ServerKind = "instance",
    ) -> None:
        self._connection = connection
        self._context = context
        self._caller = caller
        self._zone = zone
        self._server_kind = server_kind
        self.problems: list[Problem] = []
        self._subnets: dict[str, Row[Any]] = {}
        self._addresses = AddressPlanner(connection, context, caller, self.problems)

    async def plan(self, wanted: Sequence[Wanted]) -> list[PlannedInterface | None]:
        """A plan for each body, None where it has problems. Takes the locks of `locks.py`."""
        existing = [await self._existing(item) for item in wanted]
        subnet_ids = [
            row._mapping["subnet_id"] if row else await self._subnet_id(item)
            for item, row in zip(wanted, existing, strict=True)
        ]
        self._subnets = await lock_subnets(
            self._connection, self._caller, {id for id in subnet_ids if id is not None}
        )
        groups = await self._security_groups(wanted, existing, subnet_ids)
        await self._lock_existing(wanted, existing)
        self._check_existing_once(wanted, existing)
        await self._check_vni_names(wanted)
        for item, subnet_id in zip(wanted, subnet_ids, strict=True):
            if subnet_id is not None:
                for ip, _ in _ips_of(item):
                    self._addresses.note(ip, subnet_id)
        plans: list[PlannedInterface | None] = []
        for item, row, subnet_id, group_ids in zip(
            wanted, existing, subnet_ids, groups, strict=True
        ):
            plans.append(await self._one(item, row, subnet_id, group_ids))
        self._check_same_vpc(wanted, plans)
        return plans

    def _scope(self, table: Table) -> Scope:
        return own(self._context, self._caller, table)

    # What each body names

    async def _existing(self, item: Wanted) -> Row[Any] | None:
        identity = item.identity()
        if identity is None:
            return None
        row, problems = await resolve(
            self._connection,
            virtual_network_interfaces,
            identity,
            item.field,
            scope=self._scope(virtual_network_interfaces),
        )
        self.problems += problems
        described = item.body.model_fields_set - {"id", "crn", "href"}
        for member in sorted(described):
            if getattr(item.body, member) is not None:
                message = (
                    "A virtual network interface is named by `id`, `crn` or `href`, or described: "
                    f"leave `{member}` out, or the identity."
                )
                self.problems.append(bad_field(item.member(member), message))
        return row

    async def _subnet_id(self, item: Wanted) -> str | None:
        if item.identity() is not None:
            return None  # not found: a problem already
        body = item.body
        if body.subnet is not None:
            row, problems = await resolve(
                self._connection,
                subnets,
                body.subnet,
                item.member("subnet"),
                scope=self._scope(subnets),
            )
            self.problems += problems
            return None if row is None else str(row._mapping["id"])
        if body.primary_ip is not None and body.primary_ip.names_existing():
            field = item.member("primary_ip")
            row = await self._addresses.find(body.primary_ip, field)
            return None if row is None else str(row._mapping["subnet_id"])
        message = (
            "Name the subnet by `id`, `crn` or `href`, or an existing reserved ip in `primary_ip`."
        )
        self.problems.append(missing_field(item.member("subnet"), message))
        return None

    async def _security_groups(
        self,
        wanted: Sequence[Wanted],
        existing: Sequence[Row[Any] | None],
        subnet_ids: Sequence[str | None],
    ) -> list[tuple[str, ...]]:
        """The ids of the security groups of each body, locked."""
        asked: list[tuple[str, ...]] = []
        for item, row, subnet_id in zip(wanted, existing, subnet_ids, strict=True):
            if row is not None:
                asked.append(await self._groups_of(row._mapping["id"]))
            elif (subnet := self._subnets.get(subnet_id or "")) is not None:
                asked.append(await self._groups_for(item, subnet._mapping["vpc_id"]))
            else:
                asked.append(())
        await lock_security_groups(self._connection, {id for ids in asked for id in ids})
        return asked

    async def _groups_of(self, interface_id: str) -> tuple[str, ...]:
        found = await self._connection.scalars(_GROUPS_OF, {"interface": interface_id})
        return tuple(found)

    async def _groups_for(self, item: Wanted, vpc_id: str) -> tuple[str, ...]:
        if not item.body.security_groups:
            default = await self._connection.execute(_DEFAULT_GROUP, {"vpc": vpc_id})
            return (str(default.scalar_one()),)
        ids: list[str] = []
        for index, identity in enumerate(item.body.security_groups):
            field = item.member(f"security_groups[{index}]")
            row, problems = await resolve(
                self._connection,
                security_groups,
                identity,
                field,
                scope=self._scope(security_groups),
            )
            self.problems += problems
            if row is None:
                continue
            if row._mapping["vpc_id"] != vpc_id:
                message = "The security group belongs to another VPC than the subnet."
                self.problems.append(
                    bad_field(_named_by(field, identity), message, row._mapping["id"])
                )
            elif row._mapping["id"] not in ids:
                ids.append(row._mapping["id"])
        return tuple(ids)

    async def _lock_existing(
        self, wanted: Sequence[Wanted], existing: Sequence[Row[Any] | None]
    ) -> None:
        ids = {row._mapping["id"] for row in existing if row is not None}
        locked = await lock_rows(self._connection, virtual_network_interfaces, ids)
        used = select(network_attachments.c.virtual_network_interface_id).where(
            network_attachments.c.virtual_network_interface_id.in_(sorted(ids))
        )
        attached = set((await self._connection.execute(used)).scalars()) if ids else set()
        for item, row in zip(wanted, existing, strict=True):
            if row is None:
                continue
            id, identity = row._mapping["id"], item.identity()
            assert identity is not None
            target = _named_by(item.field, identity)
            if id not in locked:  # deleted since it was found
                message = "There is no virtual network interface with this id."
                self.problems.append(not_found_field(target, message, id))
            elif id in attached:
                message = (
                    "The virtual network interface is attached to an instance already: "
                    "delete that attachment first, or use another one."
                )
                self.problems.append(bad_field(target, message, id))

    # Checks across the bodies

    def _check_existing_once(
        self, wanted: Sequence[Wanted], existing: Sequence[Row[Any] | None]
    ) -> None:
        seen: set[str] = set()
        for item, row in zip(wanted, existing, strict=True):
            if row is None:
                continue
            if row._mapping["id"] in seen:
                message = "The virtual network interface is named twice."
                self.problems.append(bad_field(item.field, message, row._mapping["id"]))
            seen.add(row._mapping["id"])

    async def _check_vni_names(self, wanted: Sequence[Wanted]) -> None:
        table, kind = virtual_network_interfaces, "virtual network interface"
        names: set[str] = set()
        for item in wanted:
            name, field = item.body.name, item.member("name")
            if item.kind != "vni" or item.identity() is not None or name is None:
                continue
            found = await name_problems(
                self._connection, self._scope(table), table, kind, name, field
            )
            self.problems += found or ([name_taken(kind, name, field)] if name in names else [])
            names.add(name)

    def _check_same_vpc(
        self, wanted: Sequence[Wanted], plans: Sequence[PlannedInterface | None]
    ) -> None:
        made = [(item, plan) for item, plan in zip(wanted, plans, strict=True) if plan is not None]
        for item, plan in made[1:]:
            if plan.vpc_id != made[0][1].vpc_id:
                message = (
                    "All interfaces of an instance must be in the same VPC as the primary one."
                )
                self.problems.append(bad_field(item.member("subnet"), message, plan.subnet_id))

    # One body

    async def _one(
        self,
        item: Wanted,
        existing: Row[Any] | None,
        subnet_id: str | None,
        group_ids: tuple[str, ...],
    ) -> PlannedInterface | None:
        subnet = self._subnets.get(subnet_id or "")
        if subnet is None:
            if subnet_id is not None:  # deleted since it was found
                message = "There is no subnet with this id."
                self.problems.append(not_found_field(item.member("subnet"), message, subnet_id))
            return None
        s = subnet._mapping
        if self._zone is not None and s["zone"] != self._zone:
            message = (
                f"The subnet is in zone {s['zone']}, not in {self._zone}: choose a subnet there."
            )
            identity = item.body.subnet if existing is None else item.identity()
            member = item.member("subnet") if existing is None else item.field
            target = _named_by(member, identity) if identity is not None else member
            self.problems.append(bad_field(target, message, s["id"]))
        if existing is not None:
            return PlannedInterface(
                vpc_id=s["vpc_id"],
                zone=s["zone"],
                subnet_id=s["id"],
                security_group_ids=group_ids,
                ips=(),
                existing_vni_id=existing._mapping["id"],
            )
        ips = [await self._addresses.plan(ip, field, subnet) for ip, field in _ips_of(item)]
        common = PlannedInterface(
            vpc_id=s["vpc_id"],
            zone=s["zone"],
            subnet_id=s["id"],
            security_group_ids=group_ids,
            ips=tuple(ip for ip in ips if ip is not None),
            name=item.body.name or "",
            name_field=item.member("name"),
            allow_ip_spoofing=bool(item.body.allow_ip_spoofing),
        )
        if None in ips:
            return None
        if isinstance(item.body, VirtualNetworkInterfacePrototype):
            return await self._virtual(item, item.body, common)
        return common

    async def _virtual(
        self, item: Wanted, body: VirtualNetworkInterfacePrototype, plan: PlannedInterface
    ) -> PlannedInterface:
        if body.enable_infrastructure_nat is False and self._server_kind == "instance":
            message = (
                "`enable_infrastructure_nat` false is for bare metal servers only: "
                "leave it out, or send true."
            )
            self.problems.append(bad_field(item.member("enable_infrastructure_nat"), message))
        group_id: str | None = None
        if body.resource_group is not None:
            group_id, problems = await resolve_resource_group(
                self._connection, self._caller, body.resource_group, item.member("resource_group")
            )
            self.problems += problems
        scope = self._scope(virtual_network_interfaces)
        fresh = await fresh_name(self._connection, scope, virtual_network_interfaces)
        return replace(
            plan,
            name=plan.name or fresh,
            auto_delete=body.auto_delete is not False,
            protocol_state_filtering_mode=body.protocol_state_filtering_mode or "auto",
            resource_group_id=group_id,
        )
