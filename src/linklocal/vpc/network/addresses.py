"""Addresses of a subnet: which are the provider's, which are free, and the MAC that goes with one.

The pure part reads and computes; `free_ranges` is the one query. Nothing here locks or writes: who
allocates holds the subnet's lock (`locks.py`) from before the query to the end of the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from sqlalchemy import Integer, Select, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.vpc.network.tables import reserved_ips

# The first four addresses of a subnet and its last one belong to the provider (contract 2.6, subnets).
PROVIDER_FIRST = (
    "ibm-network-address",
    "ibm-default-gateway",
    "ibm-dns-address",
    "ibm-reserved-address",
)
PROVIDER_LAST = "ibm-broadcast-address"
PROVIDER_COUNT = len(PROVIDER_FIRST) + 1
# A subnet has at least 8 addresses, of which 3 are free.
LONGEST_PREFIX = 29
# What floating ips are taken from: documentation addresses (RFC 5737), so that none of them is real.
FLOATING_RANGES = (
    IPv4Network("203.0.113.0/24"),
    IPv4Network("198.51.100.0/24"),
    IPv4Network("192.0.2.0/24"),
)


def check_ipv4(text: str) -> str:
    """An IPv4 address in its one canonical form. Raises PydanticCustomError."""
    try:
        return str(IPv4Address(text))
    except ValueError as error:
        message = "must be an IPv4 address such as 10.240.0.5"
        raise PydanticCustomError("ipv4", message) from error


def check_cidr(text: str) -> str:
    """An IPv4 network in its one canonical CIDR form. Raises PydanticCustomError."""
    try:
        if str(IPv4Network(text)) == text:
            return text
    except ValueError:
        pass  # refused below, like a network in another form (a netmask, no prefix length)
    message = "must be an IPv4 network such as 10.240.0.0/24, with no bit set after the prefix"
    raise PydanticCustomError("cidr", message)


Ipv4 = Annotated[
    str, AfterValidator(check_ipv4), WithJsonSchema({"type": "string", "format": "ipv4"})
]
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
Cidr = Annotated[
    str,
    AfterValidator(check_cidr),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^({_OCTET}\.){{3}}{_OCTET}/(3[0-2]|[12]?[0-9])$",
            "examples": ["10.240.0.0/24"],
        }
    ),
]


def provider_addresses(network: IPv4Network) -> list[tuple[IPv4Address, str]]:
    """The five addresses that nobody may take, with the names under which they are listed."""
    first = [(network[i], name) for i, name in enumerate(PROVIDER_FIRST)]
    return [*first, (network[-1], PROVIDER_LAST)]


def mac_address(address: str) -> str:
    """`02:00:0a:f0:00:05` for 10.240.0.5: locally administered, and different within a VPC."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)


def take_free(
    ranges: Sequence[tuple[int, int]], count: int, taken: Collection[int] = ()
) -> list[int]:
    """The lowest `count` numbers in the half-open `ranges` but not in `taken`; fewer if they end."""
    found: list[int] = []
    for low, high in ranges:
        for number in range(low, high):
            if len(found) == count:
                return found
            if number not in taken:
                found.append(number)
    return found


async def free_ranges(
    connection: AsyncConnection, subnet_id: str, limit: int
) -> list[tuple[int, int]]:
    """Up to `limit` free stretches of a subnet, lowest first, as half-open ranges of address numbers.

    Each stretch holds at least one address. The provider's rows bound the subnet on both sides, so the
    space between two neighbouring rows is all there is.
    """
    asked = {"subnet": subnet_id, "most": limit}
    return [(low, high) for low, high in (await connection.execute(_FREE_RANGES, asked)).all()]


def _free_ranges() -> Select[Any]:
    number = reserved_ips.c.address_number
    between = (
        select((number + 1).label("low"), func.lead(number).over(order_by=number).label("high"))
        .where(reserved_ips.c.subnet_id == bindparam("subnet"))
        .subquery()
    )
    return (
        select(between.c.low, between.c.high)
        .where(between.c.high > between.c.low)
        .order_by(between.c.low)
        .limit(bindparam("most", type_=Integer))
    )


_FREE_RANGES = _free_ranges()  # made once: to build it takes longer than to run it


def overlapping(network: IPv4Network, others: Sequence[str]) -> str | None:
    """The first of `others` (CIDR texts) that shares an address with `network`."""
    return next((other for other in others if network.overlaps(IPv4Network(other))), None)


def first_free_network(
    prefixes: Sequence[str], used: Sequence[str], prefix_length: int
) -> IPv4Network | None:
    """The lowest network of that length inside one of `prefixes` which overlaps none of `used`.

    Jumps over each used network, so the time does not depend on how many addresses there are.
    """
    size = 1 << (32 - prefix_length)
    taken = sorted(
        (int(network.network_address), int(network.broadcast_address) + 1)
        for network in map(IPv4Network, used)
    )
    for prefix in map(IPv4Network, prefixes):
        if prefix.prefixlen > prefix_length:
            continue
        start, end = int(prefix.network_address), int(prefix.broadcast_address) + 1
        for low, high in taken:
            if low < start + size and start < high:
                start = -(-high // size) * size
        if start + size <= end:
            return IPv4Network((start, prefix_length))
    return None
