"""Planning addresses: which reserved ip a body means, or which new address it gets. Writes nothing.

Every call needs the subnet's lock (`locks.lock_subnets`): what is free here stays free until the
transaction ends, so two concurrent requests can never be given the same address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Problem, bad_field, not_found_field
from linklocal.iam.caller import Caller
from linklocal.vpc.context import VpcContext
from linklocal.vpc.naming import fresh_name, name_reserved, name_taken
from linklocal.vpc.network.addresses import free_ranges, provider_addresses, take_free
from linklocal.vpc.network.model import IpPrototype
from linklocal.vpc.network.tables import reserved_ips, subnets
from linklocal.vpc.references import href_id
from linklocal.vpc.scopes import Scope

_OF_SUBNET = select(reserved_ips).where(reserved_ips.c.subnet_id == bindparam("subnet"))


@dataclass(frozen=True, slots=True)
class PlannedIp:
    """An address to bind: the reserved ip `existing_id`, or a new one."""

    subnet_id: str
    address: IPv4Address
    name: str
    auto_delete: bool
    existing_id: str | None = None


class AddressPlanner:
    """Plans the addresses of one request; appends what is wrong to `problems`."""

    def __init__(
        self,
        connection: AsyncConnection,
        context: VpcContext,
        caller: Caller,
        problems: list[Problem],
    ) -> None:
        self._connection = connection
        self._context = context
        self._caller = caller
        self._problems = problems
        # What this request has taken and no table shows yet.
        self._asked: dict[str, set[int]] = {}  # subnet -> addresses that bodies name
        self._taken: dict[str, set[int]] = {}  # subnet -> addresses planned
        self._names: dict[str, set[str]] = {}  # subnet -> names of new reserved ips
        self._bound: set[str] = set()  # existing reserved ips

    def note(self, body: IpPrototype, subnet_id: str) -> None:
        """An address that a later body names must not be chosen for an earlier one."""
        if body.address is not None:
            self._asked.setdefault(subnet_id, set()).add(int(IPv4Address(body.address)))

    async def find(self, body: IpPrototype, field: str) -> Row[Any] | None:
        """The reserved ip that the body names by `id` or `href`, wherever it is; None is a problem."""
        ids = {
            member: value if member == "id" else href_id(value)
            for member, value in (("id", body.id), ("href", body.href))
            if value is not None
        }
        if len(set(ids.values())) > 1:
            message = (
                f"`id` and `href` of `{field}` name different addresses: send only one of them."
            )
            self._problems.append(bad_field(f"{field}.href", message, body.href))
            return None
        member, id = next(iter(ids.items()))
        statement = (
            select(reserved_ips)
            .join(subnets, subnets.c.id == reserved_ips.c.subnet_id)
            .where(
                reserved_ips.c.id == id,
                subnets.c.account_id == self._caller.account_id,
                subnets.c.region == self._context.region.name,
            )
        )
        row: Row[Any] | None = (await self._connection.execute(statement)).one_or_none()
        if row is None:
            message = f"There is no reserved ip with this {member}."
            self._problems.append(not_found_field(f"{field}.{member}", message, id))
        return row

    async def plan(self, body: IpPrototype, field: str, subnet: Row[Any]) -> PlannedIp | None:
        """The address for one body in a locked subnet; None after a problem. `field` "": the root."""
        if body.names_existing():
            return await self._existing(body, field, subnet)
        s = subnet._mapping
        prefix = f"{field}." if field else ""
        before = len(self._problems)
        name = await self._name(body.name, f"{prefix}name", s["id"])
        address = (
            await self._next_free(s, f"{prefix}address")
            if body.address is None
            else await self._specific(IPv4Address(body.address), s, f"{prefix}address")
        )
        if address is None or len(self._problems) > before:
            return None
        return PlannedIp(s["id"], address, name, body.auto_delete is not False)

    async def _existing(self, body: IpPrototype, field: str, subnet: Row[Any]) -> PlannedIp | None:
        member = "id" if body.id is not None else "href"
        for other in ("address", "name", "auto_delete"):
            if getattr(body, other) is not None:
                message = f"`{other}` belongs to a new address: leave it out beside `{member}`."
                self._problems.append(bad_field(f"{field}.{other}", message))
        row = await self.find(body, field)
        if row is None:
            return None
        r = row._mapping
        if r["subnet_id"] != subnet._mapping["id"]:
            message = "The reserved ip is in another subnet."
        elif r["target_id"] is not None or r["owner"] == "provider":
            message = "The reserved ip is in use: choose one that is not bound."
        elif r["id"] in self._bound:
            message = "The reserved ip is named twice."
        else:
            self._bound.add(r["id"])
            address = IPv4Address(r["address"])
            return PlannedIp(r["subnet_id"], address, r["name"], r["auto_delete"], r["id"])
        self._problems.append(bad_field(f"{field}.{member}", message, r["id"]))
        return None

    async def _name(self, name: str | None, field: str, subnet_id: str) -> str:
        if name is None:
            scope = Scope(_OF_SUBNET, {"subnet": subnet_id})
            return await fresh_name(self._connection, scope, reserved_ips)
        names = self._names.setdefault(subnet_id, set())
        self._problems += name_reserved(name, field)
        taken = select(reserved_ips.c.id).where(
            reserved_ips.c.subnet_id == subnet_id, reserved_ips.c.name == name
        )
        if name in names or (await self._connection.execute(taken)).first() is not None:
            self._problems.append(ip_name_taken(name, field))
        names.add(name)
        return name

    async def _specific(self, address: IPv4Address, subnet: Any, field: str) -> IPv4Address | None:
        network = IPv4Network(subnet["ipv4_cidr_block"])
        taken = self._taken.setdefault(subnet["id"], set())
        if address not in network:
            message = f"The address is not in the subnet, which is {network}."
        elif address in {reserved for reserved, _ in provider_addresses(network)}:
            message = "The first four addresses and the last one of a subnet are the provider's."
        elif int(address) in taken or await self._in_table(address, subnet["id"]):
            message = "The address is taken: choose another one, or leave it out to get the next free one."
        else:
            taken.add(int(address))
            return address
        self._problems.append(bad_field(field, message, address))
        return None

    async def _in_table(self, address: IPv4Address, subnet_id: str) -> bool:
        used = select(reserved_ips.c.id).where(
            reserved_ips.c.subnet_id == subnet_id, reserved_ips.c.address == str(address)
        )
        return (await self._connection.execute(used)).first() is not None

    async def _next_free(self, subnet: Any, field: str) -> IPv4Address | None:
        taken = self._taken.setdefault(subnet["id"], set())
        avoid = taken | self._asked.get(subnet["id"], set())
        # Each stretch holds at least one address, so this many hold one that is not to be avoided.
        ranges = await free_ranges(self._connection, subnet["id"], limit=len(avoid) + 1)
        found = take_free(ranges, 1, avoid)
        if not found:
            message = (
                f"The subnet {subnet['ipv4_cidr_block']} has no free address left: "
                "choose another subnet."
            )
            self._problems.append(bad_field(field, message))
            return None
        taken.add(found[0])
        return IPv4Address(found[0])


def ip_name_taken(name: str, field: str = "name") -> Problem:
    """Names of reserved ips are unique per subnet, not per region."""
    message = f"There is already a reserved ip named {name!r} in this subnet: choose another name."
    return replace(name_taken("reserved ip", name, field), message=message)
