"""Where a new subnet lies: every refusal has its place in the body."""

from __future__ import annotations

from typing import Any

import pytest

from linklocal.vpc.network.subnets.model import SubnetPrototype
from linklocal.vpc.network.subnets.placing import place_subnet

PREFIXES = [
    {"cidr": "10.240.0.0/18", "zone": "us-south-1", "is_default": True},
    {"cidr": "10.240.64.0/18", "zone": "us-south-2", "is_default": True},
    {"cidr": "10.9.0.0/28", "zone": "us-south-1", "is_default": False},
]


def place(zone: str | None = None, used: tuple[str, ...] = (), **members: Any) -> Any:
    if zone is not None:
        members["zone"] = {"name": zone}
    body = SubnetPrototype.model_validate({"vpc": {"id": "v"}, **members})
    found_zone, network, problems = place_subnet(body, zone, PREFIXES, used)
    if problems:
        return [(problem.code, problem.target.name) for problem in problems if problem.target]
    return found_zone, str(network)


def test_by_network_the_prefix_says_the_zone() -> None:
    assert place(ipv4_cidr_block="10.240.64.0/24") == ("us-south-2", "10.240.64.0/24")


def test_by_number_the_default_prefix_is_filled_first() -> None:
    placed = place("us-south-1", ("10.240.0.0/24",), total_ipv4_address_count=256)

    assert placed == ("us-south-1", "10.240.1.0/24")


def test_by_number_another_prefix_follows_a_full_one() -> None:
    placed = place("us-south-1", ("10.240.0.0/18",), total_ipv4_address_count=8)

    assert placed == ("us-south-1", "10.9.0.0/29")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, [("missing_field", "ipv4_cidr_block")]),
        (
            {"ipv4_cidr_block": "10.240.0.0/24", "total_ipv4_address_count": 8},
            [("bad_field", "total_ipv4_address_count")],
        ),
        ({"ipv4_cidr_block": "10.240.0.0/30"}, [("bad_field", "ipv4_cidr_block")]),
        ({"ipv4_cidr_block": "192.168.0.0/24"}, [("bad_field", "ipv4_cidr_block")]),
        ({"ipv4_cidr_block": "10.240.5.0/24"}, [("bad_field", "ipv4_cidr_block")]),
        ({"ipv4_cidr_block": "10.240.0.0/24", "zone": "us-south-2"}, [("bad_field", "zone")]),
        ({"total_ipv4_address_count": 8}, [("missing_field", "zone")]),
        (
            {"total_ipv4_address_count": 9},
            [("bad_field", "total_ipv4_address_count"), ("missing_field", "zone")],
        ),
        (
            {"total_ipv4_address_count": 65536, "zone": "us-south-2"},
            [("bad_field", "total_ipv4_address_count")],
        ),
        (
            {"total_ipv4_address_count": 8, "zone": "us-south-3"},
            [("bad_field", "total_ipv4_address_count")],
        ),
    ],
)
def test_what_does_not_fit_is_refused(members: dict[str, Any], expected: list[Any]) -> None:
    assert place(used=("10.240.5.0/25",), **members) == expected
