"""Addresses of subnets: parsing, what is free, where a network fits."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from linklocal.vpc.network.addresses import (
    Cidr,
    Ipv4,
    first_free_network,
    mac_address,
    overlapping,
    provider_addresses,
    take_free,
)

SPACE = IPv4Network("10.240.0.0/24")
networks_inside = st.integers(26, 30).flatmap(
    lambda length: st.sampled_from(list(SPACE.subnets(new_prefix=length)))
)


def disjoint(networks: list[IPv4Network]) -> list[IPv4Network]:
    """The networks that overlap none before them."""
    kept: list[IPv4Network] = []
    for network in networks:
        if not any(network.overlaps(other) for other in kept):
            kept.append(network)
    return kept


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.integers(0, 70))
def test_the_lowest_free_numbers_are_taken(used: set[int], avoided: set[int], count: int) -> None:
    """As many as there are, in order, and none that is used or avoided."""
    rows = sorted(used | {-1, 61})
    ranges = [(a + 1, b) for a, b in pairwise(rows) if b > a + 1]

    found = take_free(ranges, count, avoided)

    assert found == [n for n in range(61) if n not in used | avoided][:count]


@given(st.lists(networks_inside, max_size=12), st.integers(26, 30))
def test_a_free_network_is_the_lowest_that_overlaps_nothing(
    used: list[IPv4Network], length: int
) -> None:
    taken = disjoint(used)

    found = first_free_network([str(SPACE)], [str(n) for n in taken], length)

    free = [n for n in SPACE.subnets(new_prefix=length) if not any(n.overlaps(t) for t in taken)]
    assert found == (free[0] if free else None)


def test_a_network_is_looked_for_in_every_prefix() -> None:
    prefixes = ["10.0.0.0/30", "10.1.0.0/24", "10.2.0.0/24"]

    assert first_free_network(prefixes, ["10.1.0.0/24"], 28) == IPv4Network("10.2.0.0/28")
    assert first_free_network(prefixes, [], 20) is None


@given(networks_inside, st.lists(networks_inside, max_size=5))
def test_overlap_names_one_that_shares_an_address(
    network: IPv4Network, others: list[IPv4Network]
) -> None:
    found = overlapping(network, [str(other) for other in others])

    shares = [str(other) for other in others if set(network) & set(other)]
    assert found == (shares[0] if shares else None)


def test_five_addresses_of_a_subnet_are_the_providers() -> None:
    """Contract 2.6: the first four and the last."""
    found = provider_addresses(IPv4Network("10.240.0.0/29"))

    assert [str(address) for address, _ in found] == [
        "10.240.0.0",
        "10.240.0.1",
        "10.240.0.2",
        "10.240.0.3",
        "10.240.0.7",
    ]
    assert all(name.startswith("ibm-") for _, name in found)


@given(st.ip_addresses(v=4))
def test_a_mac_says_its_address(address: IPv4Address) -> None:
    mac = mac_address(str(address))

    assert mac.startswith("02:00:")
    assert bytes.fromhex(mac.replace(":", ""))[2:] == address.packed


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1/24", "10.0.0.0", "10.0.0.0/33", "10.0.0/24", "10.0.0.0/255.255.255.0", "x/8", ""],
)
def test_what_is_no_cidr_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Cidr).validate_python(text)


@pytest.mark.parametrize("text", ["10.0.0.256", "10.0.0", "::1", "010.0.0.1", " 10.0.0.1", "", "1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Ipv4).validate_python(text)


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_every_network_is_a_cidr(address: IPv4Address, length: int) -> None:
    network = str(IPv4Network((int(address), length), strict=False))

    assert TypeAdapter(Cidr).validate_python(network) == network
