"""More than a hundred of something: lists have further pages, searches and menus reach all of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from browser import Visitor
from cloud import Cloud
from playwright.sync_api import expect

MANY = 101


def network(cloud: Cloud) -> dict[str, Any]:
    """A VPC with a subnet: that of the newest is what the form begins with."""
    vpc: dict[str, Any] = cloud.vpc.create_vpc(name=cloud.name("net")).result
    cloud.vpc.create_subnet(
        {
            "name": cloud.name("subnet"),
            "vpc": {"id": vpc["id"]},
            "zone": {"name": "us-south-1"},
            "total_ipv4_address_count": 256,
        }
    )
    return vpc


@pytest.fixture(scope="module")
def oldest(cloud: Cloud) -> Iterator[dict[str, str]]:
    """Names of a VPC (with a subnet) and a profile (the last by name), with a hundred others before each."""
    vpc = network(cloud)
    profile = cloud.iam.create_profile(name=cloud.name("zz"), account_id=cloud.account_id).result
    with ThreadPoolExecutor(4) as at_once:
        names = [cloud.name("many") for _ in range(MANY)]
        vpcs = list(at_once.map(lambda name: cloud.vpc.create_vpc(name=name), names))
        profiles = list(
            at_once.map(
                lambda name: cloud.iam.create_profile(name=name, account_id=cloud.account_id), names
            )
        )
        network(cloud)
        yield {"vpc": vpc["name"], "profile": profile["name"]}
        list(at_once.map(lambda made: cloud.vpc.delete_vpc(made.result["id"]), vpcs))
        list(at_once.map(lambda made: cloud.iam.delete_profile(made.result["id"]), profiles))


def test_lists_go_on_and_are_searched_as_a_whole(visitor: Visitor, oldest: dict[str, str]) -> None:
    page = visitor.page
    for menu, name in (
        (("Infrastructure", "Network", "VPCs"), oldest["vpc"]),
        (("Manage", "Access (IAM)", "Trusted profiles"), oldest["profile"]),
    ):
        visitor.navigate(*menu)
        expect(page.get_by_role("rowheader")).to_have_count(50)
        page.get_by_role("link", name="Next page").click()
        page.wait_for_url("**start=*")
        page.get_by_role("link", name="Next page").click()
        expect(page.get_by_role("rowheader", name=name)).to_be_visible()
        page.get_by_role("link", name="First page").click()
        expect(page.get_by_role("rowheader", name=name)).to_have_count(0)
        page.get_by_label("Search by name").fill(name.upper())
        expect(page.get_by_role("rowheader", name=name)).to_be_visible()
        expect(page.get_by_role("rowheader")).to_have_count(1)


def test_menus_reach_all_by_a_search(
    visitor: Visitor, cloud: Cloud, oldest: dict[str, str]
) -> None:
    page = visitor.page
    visitor.instances()
    page.get_by_role("link", name="Create").click()
    page.get_by_label("Name (required)").fill(name := cloud.name("vm"))
    expect(page.locator("#vpc option", has_text=oldest["vpc"])).to_have_count(0)
    expect(page.locator("#vpc option", has_text="search for others")).to_have_count(1)
    page.get_by_label("Search Virtual private cloud by name").fill(oldest["vpc"])
    page.get_by_label("Virtual private cloud", exact=True).select_option(label=oldest["vpc"])
    expect(page.get_by_label("Subnet", exact=True)).to_be_visible()
    assert visitor.axe() + visitor.wide() == []

    visitor.toggle("metadata-toggle")
    page.get_by_role("button", name="Select a trusted profile").click()
    page.get_by_label("Search trusted profiles by name").fill(oldest["profile"])
    page.get_by_label(oldest["profile"]).check()
    page.get_by_role("button", name="Select trusted profile").click()
    expect(page.locator("cds-toggle#auto-link-toggle")).to_be_visible()
    id = visitor.create(name)

    profile = cloud.vpc.get_instance_initialization(id).result["default_trusted_profile"]
    assert cloud.vpc.get_instance(id).result["vpc"]["name"] == oldest["vpc"]
    assert cloud.iam.get_profile(profile["target"]["id"]).result["name"] == oldest["profile"]
