"""The forms around an instance: what it needs made along the way, reinitializing it, and the report."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable

from browser import Visitor
from cloud import Cloud
from guest import Guest, until
from live import Dev
from playwright.sync_api import expect


def public_key() -> str:
    """An Ed25519 public key as OpenSSH writes it."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + secrets.token_bytes(32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} somebody@somewhere"


def test_a_vpc_a_subnet_and_a_key_are_made_without_losing_the_form(
    visitor: Visitor, cloud: Cloud
) -> None:
    page = visitor.page
    visitor.expected = {400}
    network, name = cloud.name("net"), cloud.name("vm")
    visitor.instances()
    page.get_by_role("link", name="Create").click()
    page.get_by_label("Name (required)").fill(name)
    page.get_by_label("User data").fill("#!/bin/sh")

    page.get_by_role("button", name="New VPC").click()
    page.get_by_label("Name of the VPC").fill("Not A Name")
    page.keyboard.press("Enter")
    expect(page.locator("#new-vpc .notice.bad")).to_contain_text("name")
    page.get_by_label("Name of the VPC").fill(network)
    page.locator("#new-vpc").get_by_role("button", name="New VPC").click()
    expect(page.locator("#vpc option:checked")).to_have_text(network)
    expect(page.get_by_text("This VPC has no subnet in us-south-1")).to_be_visible()

    page.get_by_role("button", name="New subnet").click()
    page.get_by_label("Name of the subnet").fill(f"{network}-a")
    page.get_by_label("Number of addresses").fill("512")
    page.locator("#new-subnet").get_by_role("button", name="New subnet").click()
    expect(page.locator("#subnet option:checked")).to_contain_text(f"{network}-a")

    page.get_by_role("button", name="Create an SSH key").click()
    page.get_by_label("Name of the key").fill(key := cloud.name("key"))
    page.get_by_label("Public key").fill(public_key())
    page.locator("#new-key").get_by_role("button", name="Create an SSH key").click()
    expect(page.get_by_role("checkbox", name=key)).to_be_checked()
    expect(page.get_by_label("Name (required)")).to_have_value(name)

    instance = cloud.vpc.get_instance(visitor.create(name)).result
    interface = instance["primary_network_interface"]
    keys = cloud.vpc.get_instance_initialization(instance["id"]).result["keys"]
    assert (instance["vpc"]["name"], interface["subnet"]["name"]) == (network, f"{network}-a")
    assert instance["resource_group"]["name"] == "Default"
    assert [one["name"] for one in keys] == [key]


def test_an_image_and_a_profile_are_changed_in_panels(visitor: Visitor, cloud: Cloud) -> None:
    """By the panel's button alone: what was picked before Cancel or Escape is not chosen."""
    page = visitor.page
    other = cloud.vpc.list_images().result["images"][1]["name"]
    visitor.instances()
    page.get_by_role("link", name="Create").click()
    page.get_by_label("Name (required)").fill(name := cloud.name("vm"))
    first = page.locator("#image-part strong").inner_text()
    found = []
    for leave in (
        page.get_by_role("button", name="Cancel").click,
        lambda: page.keyboard.press("Escape"),
        page.get_by_role("button", name="Select image").click,
    ):
        expect(page.locator("#image-part strong")).to_have_text(first)
        page.get_by_role("button", name="Change image").click()
        expect(page.get_by_role("radio", name=first, exact=True)).to_be_checked()
        page.get_by_label(other, exact=True).check()
        found += visitor.axe() + visitor.wide()
        leave()
    expect(page.locator("#image-part strong")).to_have_text(other)
    page.get_by_role("button", name="Change profile").click()
    visitor.look("light", 400)
    found += visitor.axe() + visitor.wide()
    visitor.look("light")
    page.get_by_label("cx2-2x4").check()
    page.get_by_role("button", name="Select profile").click()
    expect(page.locator("#profile-part")).to_contain_text("2 vCPUs, 4 GiB")
    page.get_by_role("button", name="Create a data volume").click()
    page.get_by_label("Data volume 1").fill("20")

    instance = cloud.vpc.get_instance(visitor.create(name)).result

    assert (instance["image"]["name"], instance["profile"]["name"]) == (other, "cx2-2x4")
    assert len(instance["volume_attachments"]) == 2
    assert not found, "\n".join(found)


def test_reinitializing_changes_the_default_trusted_profile(
    visitor: Visitor, cloud: Cloud, dev: Dev
) -> None:
    before, after = cloud.profile(), cloud.profile()
    chosen = {"target": {"id": before["id"]}, "auto_link": True}
    instance = cloud.create(metadata_service={"enabled": True}, default_trusted_profile=chosen)
    id, page = instance["id"], visitor.page
    visitor.expected = {409}
    visitor.details(instance["name"])
    page.get_by_label(f"Actions of {instance['name']}").click()
    page.get_by_role("link", name="Reinitialize", exact=True).click()
    expect(page.get_by_label(before["name"])).to_be_checked()
    page.get_by_label(after["name"]).check()
    page.get_by_role("button", name="Reinitialize").click()
    expect(page.locator(".notice.bad")).to_contain_text("stop it first")
    expect(page.get_by_label(after["name"])).to_be_checked()

    cloud.vpc.create_instance_action(id, type="stop")
    cloud.wait(id, "stopped")
    page.get_by_role("button", name="Reinitialize").click()

    expect(page.get_by_text("Reinitialized: it starts now.")).to_be_visible()
    expect(page.locator("#metadata")).to_contain_text(after["name"])
    now = cloud.vpc.get_instance_initialization(id).result["default_trusted_profile"]
    assert (now["target"]["id"], now["auto_link"]) == (after["id"], True)
    assert (cloud.links(before["id"]), len(cloud.links(after["id"]))) == ([], 1)
    cloud.wait(id, "running")
    until(lambda: Guest(dev, id).default_profile() == 200)


def test_the_report_names_what_is_found_and_who_has_it(visitor: Visitor, cloud: Cloud) -> None:
    open_ = cloud.create(metadata_service={"enabled": True, "response_hop_limit": 9})
    closed = cloud.create()
    page = visitor.page
    visitor.navigate("Infrastructure", "Compute", "Metadata report")
    page.get_by_role("link", name="Hop limit above 1").click()
    page.get_by_label("Search by name").fill(open_["name"])

    expect(page.get_by_text("1 found", exact=True)).to_be_visible()
    row = page.get_by_role("row", name=open_["name"])
    expect(row).to_contain_text("http, hop limit 9")
    expect(row).to_contain_text("HTTP, Hop limit above 1")
    page.get_by_label("Search by name").fill(closed["name"])
    expect(page.get_by_text("in its name")).to_be_visible()
    page.get_by_role("link", name="Show all instances").click()
    page.get_by_label("Search by name").fill(closed["name"])
    expect(page.get_by_role("row", name=closed["name"])).to_contain_text("Disabled")


def test_the_report_is_for_administrators(visit: Callable[..., Visitor], cloud: Cloud) -> None:
    me = cloud.iam.get_api_keys_details(iam_api_key=cloud.dev.api_key).result["iam_id"]
    key = cloud.iam.create_api_key(name=cloud.name("key"), iam_id=me).result
    cloud.grant(key["id"], "Viewer", subject="apikey_id")
    visitor = visit().sign_in(key["apikey"])
    visitor.expected = {403}

    visitor.navigate("Infrastructure", "Compute", "Metadata report")

    expect(visitor.page.get_by_role("heading", name="Not allowed")).to_be_visible()
