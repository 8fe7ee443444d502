"""The documentation's *in the console* sections, by clicking from the navigation menu.

Each is checked through the API and on the instance's own metadata socket.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browser import Visitor
from cloud import Cloud
from guest import Guest, until
from live import Dev
from playwright.sync_api import expect


def service(cloud: Cloud, id: str) -> tuple[bool, str, int]:
    view = cloud.vpc.get_instance(id).result["metadata_service"]
    return view["enabled"], view["protocol"], view["response_hop_limit"]


def shows(visitor: Visitor, id: str, on: bool) -> None:
    expect(visitor.page.locator(f"cds-toggle#{id}")).to_have_js_property("toggled", on)


def create(visitor: Visitor, name: str) -> None:
    visitor.instances()
    visitor.page.get_by_role("link", name="Create").click()
    visitor.page.get_by_label("Name (required)").fill(name)


def test_enable_and_disable_on_an_existing_instance(
    visitor: Visitor, cloud: Cloud, dev: Dev
) -> None:
    instance = cloud.create()
    guest = Guest(dev, instance["id"])
    assert guest.token("http") == 403
    visitor.details(instance["name"])
    shows(visitor, "access", False)

    visitor.toggle("access")
    expect(visitor.page.locator("cds-toggle#secure")).not_to_have_attribute("disabled", "")

    assert service(cloud, instance["id"]) == (True, "http", 1)
    until(lambda: guest.token("http") == 200)
    shows(visitor, "access", True)
    switch = visitor.page.locator("#access .cds--toggle__switch")
    on = switch.evaluate("e => getComputedStyle(e).backgroundColor")
    red, green, blue = (int(part) for part in on[4:-1].split(",")[:3])
    assert green > max(red, blue) + 40, on

    visitor.toggle("access")
    shows(visitor, "access", False)
    until(lambda: service(cloud, instance["id"]) == (False, "http", 1))
    until(lambda: guest.token("http") == 403)


def test_secure_access_and_hop_limit_on_an_existing_instance(
    visitor: Visitor, cloud: Cloud, dev: Dev
) -> None:
    instance = cloud.create(metadata_service={"enabled": True})
    guest = Guest(dev, instance["id"])
    visitor.details(instance["name"])

    visitor.toggle("secure")
    expect(visitor.page.get_by_text("Only HTTPS on port 443 is answered.")).to_be_visible()
    assert service(cloud, instance["id"]) == (True, "https", 1)
    until(lambda: (guest.token("https"), guest.token("http")) == (200, 0))

    visitor.hop_limit("3")
    expect(visitor.page.get_by_text("Not saved yet. With hop limit 3")).to_be_visible()
    expect(visitor.page.get_by_text("up to 2 hops behind it")).to_be_visible()
    assert service(cloud, instance["id"]) == (True, "https", 1)
    visitor.page.get_by_role("button", name="Save hop limit").click()
    expect(visitor.page.get_by_text("Not saved yet.")).to_have_count(0)
    until(lambda: service(cloud, instance["id"]) == (True, "https", 3))

    # Disabling keeps what was chosen.
    visitor.toggle("access")
    until(lambda: service(cloud, instance["id"]) == (False, "https", 3))


@pytest.mark.root
def test_the_hop_limit_is_the_ttl_of_the_answers(visitor: Visitor, cloud: Cloud, dev: Dev) -> None:
    instance = cloud.create(metadata_service={"enabled": True})
    guest = Guest(dev, instance["id"])
    assert guest.answer_ttl() == 1
    visitor.details(instance["name"])

    visitor.hop_limit("7")
    visitor.page.get_by_role("button", name="Save hop limit").click()

    until(lambda: guest.answer_ttl() == 7)


@pytest.mark.parametrize("text", ["65", "0", "1.5"])
def test_an_invalid_hop_limit_is_refused_in_place(
    visitor: Visitor, cloud: Cloud, dev: Dev, text: str
) -> None:
    instance = cloud.create(metadata_service={"enabled": True, "response_hop_limit": 2})
    visitor.details(instance["name"])
    visitor.expected = {400}

    visitor.hop_limit(text)
    visitor.page.get_by_role("button", name="Save hop limit").click()

    expect(visitor.page.locator(".notice.bad")).to_contain_text(
        "must be a whole number from 1 to 64"
    )
    expect(visitor.page.locator("cds-number-input#hop-limit input")).to_have_value("2")
    assert service(cloud, instance["id"]) == (True, "http", 2)


def test_provisioning_with_everything(visitor: Visitor, cloud: Cloud, dev: Dev) -> None:
    """Secure access, hop limit, trusted profile and auto link, when an instance is created."""
    profile = cloud.profile(description="for the console")
    create(visitor, name := cloud.name("vm"))
    expect(visitor.page.locator("cds-toggle#secure-toggle")).to_have_count(0)
    visitor.toggle("metadata-toggle")
    visitor.toggle("secure-toggle")
    visitor.hop_limit("2")
    expect(visitor.page.locator("cds-toggle#auto-link-toggle")).to_have_count(0)
    visitor.page.get_by_role("button", name="Select a trusted profile").click()
    visitor.page.get_by_label(profile["name"]).check()
    visitor.page.get_by_role("button", name="Select trusted profile").click()
    shows(visitor, "auto-link-toggle", True)
    shows(visitor, "secure-toggle", True)

    id = visitor.create(name)

    assert service(cloud, id) == (True, "https", 2)
    started = cloud.vpc.get_instance_initialization(id).result["default_trusted_profile"]
    assert (started["target"]["id"], started["auto_link"]) == (profile["id"], True)
    (link,) = cloud.links(profile["id"])
    assert link["link"]["crn"] == cloud.vpc.get_instance(id).result["crn"]
    guest = Guest(dev, id)
    until(lambda: (guest.token("https"), guest.token("http")) == (200, 0))
    metadata = visitor.page.locator("#metadata")
    expect(metadata.get_by_role("link", name=profile["name"])).to_be_visible()
    expect(metadata).to_contain_text("Auto link")
    visitor.navigate("Manage", "Access (IAM)", "Trusted profiles")
    visitor.page.get_by_role("link", name=profile["name"]).click()
    expect(visitor.page.get_by_role("link", name=name).first).to_be_visible()


def test_provisioning_without_auto_link(visitor: Visitor, cloud: Cloud, dev: Dev) -> None:
    """The profile has to be linked by hand, which the profile's page does."""
    profile = cloud.profile()
    create(visitor, name := cloud.name("vm"))
    visitor.toggle("metadata-toggle")
    visitor.page.get_by_role("button", name="Select a trusted profile").click()
    visitor.page.get_by_label(profile["name"]).check()
    visitor.page.get_by_role("button", name="Select trusted profile").click()
    visitor.toggle("auto-link-toggle")
    shows(visitor, "auto-link-toggle", False)

    id = visitor.create(name)

    assert cloud.links(profile["id"]) == []
    started = cloud.vpc.get_instance_initialization(id).result["default_trusted_profile"]
    assert started["auto_link"] is False
    guest = Guest(dev, id)
    assert guest.default_profile() == 400

    visitor.navigate("Manage", "Access (IAM)", "Trusted profiles")
    visitor.page.get_by_role("link", name=profile["name"]).click()
    visitor.page.get_by_label("Instance", exact=True).select_option(label=name)
    visitor.page.get_by_role("button", name="Add link").click()
    expect(visitor.page.get_by_text("Link added.")).to_be_visible()

    assert guest.default_profile() == 200
    able = visitor.page.locator("section", has=visitor.page.get_by_text("Who can assume it now"))
    expect(able).to_contain_text(name)


def test_metadata_off_leaves_the_settings_out(visitor: Visitor, cloud: Cloud, dev: Dev) -> None:
    """*Get sample API call* shows what is on the form, and the same is sent."""
    create(visitor, name := cloud.name("vm"))
    visitor.page.get_by_role("button", name="Get sample API call").click()
    expect(visitor.page.locator("#sample-curl")).to_contain_text("/v1/instances?version=")
    assert "metadata_service" not in visitor.page.inner_text("#sample-text")
    visitor.page.get_by_role("button", name="Close").click()

    visitor.toggle("metadata-toggle")
    expect(visitor.page.locator("cds-toggle#secure-toggle")).to_be_visible()
    visitor.page.get_by_role("button", name="Get sample API call").click()
    sample = visitor.page.locator("#sample-text")
    expect(sample).to_contain_text("--metadata-service true")
    assert '"response_hop_limit": 1' in visitor.page.inner_text("#sample-curl")
    assert "create_instance(" in visitor.page.inner_text("#sample-python")
    visitor.page.get_by_role("button", name="Close").click()
    visitor.toggle("metadata-toggle")
    expect(visitor.page.locator("cds-toggle#secure-toggle")).to_have_count(0)

    id = visitor.create(name)

    assert service(cloud, id) == (False, "http", 1)
    assert Guest(dev, id).token("http") == 403


def test_templates_hold_the_setting_and_cannot_change_it(
    visitor: Visitor, cloud: Cloud, dev: Dev
) -> None:
    visitor.navigate("Infrastructure", "Compute", "Instance templates")
    visitor.page.get_by_role("link", name="New instance template").click()
    visitor.page.get_by_label("Name (required)").fill(template := cloud.name("template"))
    visitor.toggle("metadata-toggle")
    visitor.hop_limit("4")
    visitor.page.get_by_role("button", name="Create instance template").click()
    visitor.page.get_by_role("heading", name=template).wait_for()
    assert visitor.page.locator("cds-toggle").count() == 0
    expect(visitor.page.locator("section", has_text="Hop limit")).to_contain_text("Enabled")

    visitor.page.get_by_role("link", name="Create virtual server instance").click()
    shows(visitor, "metadata-toggle", True)
    visitor.page.get_by_label("Name (required)").fill(name := cloud.name("vm"))
    id = visitor.create(name)

    assert service(cloud, id) == (True, "http", 4)
    assert Guest(dev, id).token("http") == 200

    visitor.navigate("Infrastructure", "Compute", "Instance templates")
    visitor.page.get_by_role("link", name=template).click()
    visitor.page.get_by_role("link", name="Override into a new template").click()
    visitor.page.get_by_label("Name (required)").fill(other := cloud.name("template"))
    visitor.toggle("metadata-toggle")
    expect(visitor.page.locator("cds-toggle#secure-toggle")).to_have_count(0)
    visitor.page.get_by_role("button", name="Create instance template").click()
    visitor.page.get_by_role("heading", name=other).wait_for()
    made = {t["name"]: t for t in cloud.vpc.list_instance_templates().result["templates"]}
    assert made[template]["metadata_service"]["enabled"] is True
    assert made[other]["metadata_service"]["enabled"] is False


def test_an_image_that_demands_https_refuses_and_the_toggle_goes_back(
    visitor: Visitor, cloud: Cloud
) -> None:
    image = next(
        image
        for image in cloud.vpc.list_images().result["images"]
        if "https" in image["allowed_use"]["instance"]
    )
    instance = cloud.create(
        image={"id": image["id"]}, metadata_service={"enabled": True, "protocol": "https"}
    )
    visitor.details(instance["name"])
    visitor.expected = {400}

    visitor.toggle("secure")

    expect(visitor.page.locator(".notice.bad")).to_contain_text("https")
    shows(visitor, "secure", True)
    assert service(cloud, instance["id"]) == (True, "https", 1)


def test_one_browser_sees_what_another_changes(visit: Callable[..., Visitor], cloud: Cloud) -> None:
    instance = cloud.create()
    first, second = visit().sign_in(), visit().sign_in()
    first.details(instance["name"])
    second.details(instance["name"])

    first.toggle("access")

    shows(second, "access", True)
    second.instances()
    first.page.get_by_label(f"Actions of {instance['name']}").click()
    first.page.get_by_role("button", name="Stop", exact=True).click()
    row = second.page.get_by_role("row", name=instance["name"])
    expect(row).to_contain_text("stopped")


def test_one_browser_is_told_that_another_deleted(visitor: Visitor, cloud: Cloud) -> None:
    """In place, with no request that fails, and the stream of events is let go."""
    instance = cloud.create()
    visitor.details(instance["name"])

    cloud.vpc.delete_instance(instance["id"])

    expect(visitor.page.get_by_text("This instance was deleted.")).to_be_visible()
    expect(visitor.page.locator("#live[hx-sse\\:connect]")).to_have_count(0)
    visitor.page.get_by_role("link", name="All instances").click()
    expect(visitor.page.get_by_role("link", name=instance["name"])).to_have_count(0)


def test_calls_appear_and_say_what_would_break(visitor: Visitor, cloud: Cloud, dev: Dev) -> None:
    instance = cloud.create(metadata_service={"enabled": True, "response_hop_limit": 2})
    guest = Guest(dev, instance["id"])
    visitor.details(instance["name"])
    visitor.tab("Monitoring")
    expect(visitor.page.get_by_text("Nothing has called in the last hour.")).to_be_visible()

    guest.read()

    calls = visitor.page.locator("#calls")
    expect(calls).to_contain_text("GET /metadata/v1/instance")
    expect(calls).to_contain_text("2 answered")
    expect(visitor.page.locator("#monitoring")).to_contain_text("2 answered")
    visitor.page.reload()
    expect(calls).to_be_visible()  # the tab is in the address
    visitor.tab("Overview")
    expect(visitor.page.locator("#monitoring")).to_contain_text("GET /metadata/v1/instance")
    expect(visitor.page.locator("#secure-form")).to_contain_text(
        "2 of the 2 calls answered in the last hour would have failed"
    )
    visitor.hop_limit("1")
    expect(visitor.page.locator("#path")).to_contain_text("0 of the 2 calls answered")
    expect(visitor.page.locator("#path")).to_contain_text("an estimate")
    assert "eyJ" not in visitor.page.content()
