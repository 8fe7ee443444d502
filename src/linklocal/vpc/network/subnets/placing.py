"""Where a new subnet lies: its zone and its network, within the address prefixes of its VPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

from linklocal.errors import Problem, bad_field, missing_field
from linklocal.vpc.network.addresses import LONGEST_PREFIX, first_free_network, overlapping
from linklocal.vpc.network.subnets.model import SubnetPrototype


def place_subnet(
    body: SubnetPrototype,
    zone: str | None,
    prefixes: Sequence[Mapping[str, Any]],
    used: Sequence[str],
) -> tuple[str | None, IPv4Network | None, list[Problem]]:
    """Zone and network of a subnet, or what is wrong.

    `zone` is the body's, resolved (None: not given). `prefixes` are the VPC's, `used` the networks of its
    subnets. Targets: `ipv4_cidr_block`, `total_ipv4_address_count`, `zone`.
    """
    if body.ipv4_cidr_block is not None and body.total_ipv4_address_count is not None:
        message = "Send either `ipv4_cidr_block` or `total_ipv4_address_count`, not both."
        return None, None, [bad_field("total_ipv4_address_count", message)]
    if body.ipv4_cidr_block is not None:
        return _by_cidr(IPv4Network(body.ipv4_cidr_block), zone, prefixes, used)
    if body.total_ipv4_address_count is not None:
        return _by_count(body, zone, prefixes, used)
    message = "Send `ipv4_cidr_block`, or `total_ipv4_address_count` and `zone`."
    return None, None, [missing_field("ipv4_cidr_block", message)]


def _by_cidr(
    network: IPv4Network,
    zone: str | None,
    prefixes: Sequence[Mapping[str, Any]],
    used: Sequence[str],
) -> tuple[str | None, IPv4Network | None, list[Problem]]:
    field, problems = "ipv4_cidr_block", []
    if network.prefixlen > LONGEST_PREFIX:
        message = f"A subnet has at least 8 addresses: a prefix length of at most {LONGEST_PREFIX}."
        problems.append(bad_field(field, message, network))
    if (other := overlapping(network, used)) is not None:
        message = (
            f"The network overlaps {other}, which is a subnet of this VPC: choose another one."
        )
        problems.append(bad_field(field, message, network))
    around = next((p for p in prefixes if network.subnet_of(IPv4Network(p["cidr"]))), None)
    if around is None:
        known = ", ".join(f"{p['cidr']} ({p['zone']})" for p in prefixes) or "none"
        message = f"The network lies in no address prefix of the VPC. Its prefixes: {known}."
        problems.append(bad_field(field, message, network))
    elif zone is not None and zone != around["zone"]:
        message = f"The network lies in zone {around['zone']}: leave `zone` out, or choose another network."
        problems.append(bad_field("zone", message, zone))
    return (None if around is None else around["zone"]), network, problems


def _by_count(
    body: SubnetPrototype,
    zone: str | None,
    prefixes: Sequence[Mapping[str, Any]],
    used: Sequence[str],
) -> tuple[str | None, IPv4Network | None, list[Problem]]:
    count, field = body.total_ipv4_address_count or 0, "total_ipv4_address_count"
    problems = []
    if count & (count - 1):
        message = "The number of addresses must be a power of two, such as 256."
        problems.append(bad_field(field, message, count))
    if body.zone is None:
        problems.append(missing_field("zone", "A subnet by number of addresses needs a `zone`."))
    if problems or zone is None:
        return zone, None, problems
    # The default prefix first, as the order in which a zone is filled.
    of_zone = sorted(
        (prefix for prefix in prefixes if prefix["zone"] == zone), key=lambda p: not p["is_default"]
    )
    network = first_free_network(
        [prefix["cidr"] for prefix in of_zone], used, 33 - count.bit_length()
    )
    if network is None:
        message = f"The address prefixes of zone {zone} have no room for {count} addresses."
        problems.append(bad_field(field, message, count))
    return zone, network, problems
