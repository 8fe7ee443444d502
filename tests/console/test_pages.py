"""Every page: clean by axe in light, dark and at 400 pixels; text stays text; who may enter."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from browser import Visitor
from cloud import Cloud
from guest import until
from live import Dev
from playwright.sync_api import expect

from linklocal.iam.secrets import load_key_file

EVIL = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
PATHS = (
    "instances",
    "instances/new",
    "templates",
    "templates/new",
    "profiles",
    "api-keys",
    "ssh-keys",
    "images",
    "vpcs",
    "subnets",
    "floating-ips",
    "security-groups",
    "nodes",
    "report",
)


def own_pages(cloud: Cloud) -> list[str]:
    """Details of an instance, a template and a profile."""
    demo = cloud.dev.ready["instances"][0]["id"]
    template = cloud.vpc.create_instance_template(cloud.prototype(name=cloud.name("t"))).result
    profile = cloud.profile(description=EVIL)
    return [
        f"instances/{demo}",
        f"instances/{demo}/reinitialize",
        f"instances/{demo}/resize",
        f"instances/{demo}/image",
        f"templates/{template['id']}",
        f"profiles/{profile['id']}",
    ]


def found_in_every_look(visitor: Visitor) -> list[str]:
    """What is wrong with the page in light, in dark and at 400 pixels."""
    visitor.look("light")
    found = [*visitor.axe(), *visitor.wide()]
    # Colours are what differs in the dark; at 400 pixels the page is laid out otherwise.
    visitor.look("dark")
    found += [f"dark: {text}" for text in (*visitor.axe("color-contrast"), *visitor.wide())]
    visitor.look("light", 400)
    return found + [f"narrow: {text}" for text in (*visitor.axe(), *visitor.wide())]


def test_every_page_is_clean(visit: Callable[..., Visitor], cloud: Cloud) -> None:
    visitor = visit()
    visitor.page.goto(f"{cloud.dev.api}/console/sign-in")
    found = found_in_every_look(visitor)
    visitor.sign_in()

    for path in (*PATHS, *own_pages(cloud)):
        answer = visitor.page.goto(f"{cloud.dev.api}/console/{path}")
        assert answer is not None
        assert answer.status == 200, path
        if path == "instances/new":
            visitor.toggle("metadata-toggle")
            visitor.page.locator("cds-toggle#secure-toggle").wait_for()
        found += found_in_every_look(visitor)
        for tab in visitor.page.get_by_role("tab").all()[1:]:
            tab.click()
            found += [*visitor.axe(), *visitor.wide()]

    visitor.page.get_by_role("button", name="Navigation Menu").click()
    found += found_in_every_look(visitor)
    assert not found, "\n".join(found)


def test_what_people_write_stays_text(visitor: Visitor, cloud: Cloud) -> None:
    """Through every field that takes any text; names of VPC resources take none of these characters."""
    visitor.navigate("Manage", "Access (IAM)", "Trusted profiles")
    for label in ("Name (required)", "Description"):
        visitor.page.get_by_label(label).fill(f"{EVIL} {label.split()[0]}")
    visitor.page.get_by_role("button", name="Create profile").click()
    expect(visitor.page.get_by_role("heading", name=EVIL).first).to_be_visible()
    visitor.page.get_by_label("Name of the link").fill(EVIL)
    visitor.page.get_by_label("Instance", exact=True).select_option(label="demo")
    visitor.page.get_by_role("button", name="Add link").click()
    visitor.page.get_by_label("Name of the condition").fill(EVIL)
    visitor.page.get_by_label("Value (IN: with commas)").fill(EVIL)
    visitor.page.get_by_role("button", name="Add condition").click()
    expect(visitor.page.get_by_text(f"zone EQUALS {EVIL}")).to_be_visible()

    visitor.navigate("Manage", "Access (IAM)", "API keys")
    for label in ("Name (required)", "Description"):
        visitor.page.get_by_label(label).fill(EVIL)
    visitor.page.get_by_role("button", name="Create", exact=True).click()
    secret = visitor.page.locator("#new-key").inner_text()
    assert len(secret) >= 32
    visitor.navigate("Manage", "Access (IAM)", "API keys")
    assert secret not in visitor.page.content()

    visitor.expected = {400}
    visitor.navigate("Infrastructure", "Compute", "SSH keys")
    visitor.page.get_by_label("Name", exact=True).fill(EVIL)
    visitor.page.get_by_label("Public key (required)").fill(EVIL)
    visitor.page.get_by_role("button", name="Create").click()
    expect(visitor.page.locator(".notice.bad")).to_be_visible()
    visitor.instances()
    visitor.page.get_by_role("link", name="Create").click()
    visitor.page.get_by_label("Name (required)").fill(EVIL)
    visitor.page.get_by_label("User data").fill(f"</textarea>{EVIL}")
    visitor.page.get_by_role("button", name="Get sample API call").click()
    expect(visitor.page.locator("#sample-curl")).to_contain_text("onerror")
    visitor.page.get_by_role("button", name="Close").click()
    visitor.page.get_by_role("button", name="Create virtual server instance").click()
    expect(visitor.page.locator(".notice.bad")).to_contain_text("name")
    expect(visitor.page.get_by_label("Name (required)")).to_have_value(EVIL)
    visitor.page.goto(f"{cloud.dev.api}/console/instances?search=%3Cscript%3E&notice={EVIL}")
    expect(visitor.page.get_by_text('has "<script>" in its name')).to_be_visible()
    assert "owned" not in visitor.page.title()
    assert visitor.page.locator("img, main script").count() == 0


def test_search_narrows_the_list_as_one_types(visitor: Visitor, cloud: Cloud) -> None:
    """What is found stays live; and a browser has six connections, so each search ends the stream before."""
    one = cloud.create(name=cloud.name("needle"))
    page = visitor.page
    visitor.instances()

    for typed in ("n", "ne", "nee", "need", "needl", "needle", f"{one['name']}x", one["name"]):
        page.get_by_label("Search by name").fill(typed)
        expect(page.locator(f'#live[hx-sse\\:connect*="search={typed}&"]')).to_be_attached()

    expect(page.get_by_text("1 found", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name=one["name"])).to_be_visible()
    expect(page.get_by_role("link", name="demo", exact=True)).to_have_count(0)
    cloud.vpc.create_instance_action(one["id"], type="stop")
    expect(page.get_by_role("row", name=one["name"])).to_contain_text("stopped")


def test_renaming_and_resizing_from_the_list(visitor: Visitor, cloud: Cloud) -> None:
    """Rename asks in a dialog and leaves people in the list; a new profile is chosen on a page."""
    instance, page = cloud.create(), visitor.page
    visitor.expected = {409}
    visitor.instances()
    page.get_by_label(f"Actions of {instance['name']}").click()
    page.get_by_role("button", name="Rename").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("New name").fill(name := cloud.name("renamed"))
    dialog.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("heading", name="Virtual server instances for VPC")).to_be_visible()

    row = page.get_by_role("row", name=name)
    row.get_by_label(f"Actions of {name}").click()
    row.get_by_role("link", name="Resize").click()
    expect(page.get_by_label("(now)")).to_be_checked()
    page.get_by_label("mx2-2x16").check()
    page.get_by_role("button", name="Resize").click()
    expect(page.locator(".notice.bad")).to_contain_text("stop it first")
    cloud.vpc.create_instance_action(instance["id"], type="stop")
    cloud.wait(instance["id"], "stopped")
    page.get_by_role("button", name="Resize").click()
    expect(page.get_by_text("Resized to mx2-2x16.")).to_be_visible()

    now = cloud.vpc.get_instance(instance["id"]).result
    assert (now["name"], now["profile"]["name"], now["memory"]) == (name, "mx2-2x16", 16)


def test_an_image_is_created_of_a_stopped_instance(visitor: Visitor, cloud: Cloud) -> None:
    instance, page = cloud.create(), visitor.page
    visitor.expected = {409}
    visitor.details(instance["name"])
    page.get_by_label(f"Actions of {instance['name']}").click()
    page.get_by_role("link", name="Create image").click()
    page.get_by_label("Name").fill(name := cloud.name("image"))
    page.get_by_role("button", name="Create image").click()
    expect(page.locator(".notice.bad")).to_contain_text("stop it first")
    cloud.vpc.create_instance_action(instance["id"], type="stop")
    cloud.wait(instance["id"], "stopped")

    page.get_by_role("button", name="Create image").click()

    expect(page.get_by_role("rowheader", name=name)).to_be_visible()
    (image,) = cloud.vpc.list_images(name=name).result["images"]
    source = cloud.vpc.get_image(instance["image"]["id"]).result
    assert image["operating_system"] == source["operating_system"]


def test_tabs_and_the_toggle_of_resilience(visitor: Visitor, cloud: Cloud) -> None:
    """Arrow keys go from tab to tab, and the address keeps which one is shown."""
    instance, page = cloud.create(), visitor.page
    visitor.details(instance["name"])
    visitor.toggle("restart")
    policy = {"host_failure": "stop", "preemption": "stop"}
    until(lambda: cloud.vpc.get_instance(instance["id"]).result["availability_policy"] == policy)

    visitor.tab_to("Overview")
    for name in ("Networking", "Storage", "Monitoring", "Overview", "Networking"):
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name=name)).to_be_focused()
        expect(page.get_by_role("tabpanel")).to_have_count(1)
        expect(page.get_by_role("tabpanel", name=name)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Network interfaces")).to_be_visible()
    page.go_back()
    visitor.details(instance["name"])
    page.get_by_role("link", name="All calls").click()
    expect(page.get_by_role("tabpanel", name="Monitoring")).to_be_visible()


def test_rename_and_delete_ask_first(visitor: Visitor, cloud: Cloud) -> None:
    instance = cloud.create()
    visitor.details(instance["name"])
    visitor.page.get_by_label(f"Actions of {instance['name']}").click()
    visitor.page.get_by_role("button", name="Rename").first.click()
    visitor.page.get_by_label("New name").fill(name := cloud.name("renamed"))
    visitor.page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    visitor.page.get_by_role("heading", name=name).first.wait_for()
    assert cloud.vpc.get_instance(instance["id"]).result["name"] == name

    visitor.page.get_by_label(f"Actions of {name}").click()
    visitor.page.get_by_role("button", name="Delete").first.click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(visitor.page.get_by_text("Deleted.")).to_be_visible()
    expect(visitor.page.get_by_role("link", name=name)).to_have_count(0)


def test_tab_space_and_enter_are_enough(visitor: Visitor, cloud: Cloud) -> None:
    """From the list's page, by way of the menu, to the service switched on and another hop limit."""
    instance = cloud.create()
    page = visitor.page
    page.reload()
    visitor.tab_to("Navigation Menu")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Infrastructure")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#menu")).to_be_hidden()
    visitor.tab_to(instance["name"])
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Metadata", exact=True).wait_for()

    visitor.tab_to("Metadata service")
    page.keyboard.press("Space")
    expect(page.locator("cds-toggle#secure")).not_to_have_attribute("disabled", "")
    visitor.tab_to("increase number input")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    visitor.tab_to("Save hop limit")
    page.keyboard.press("Enter")

    service = {"enabled": True, "protocol": "http", "response_hop_limit": 3}
    until(lambda: cloud.wait(instance["id"], "running")["metadata_service"] == service)


# --- who may enter -------------------------------------------------------------------------------


def key_with_role(cloud: Cloud, role: str) -> str:
    """An API key that has this role on the VPC API and nothing else."""
    me = cloud.iam.get_api_keys_details(iam_api_key=cloud.dev.api_key).result["iam_id"]
    key = cloud.iam.create_api_key(name=cloud.name("key"), iam_id=me).result
    cloud.grant(key["id"], role, subject="apikey_id")
    return str(key["apikey"])


def test_a_viewers_change_is_refused_in_place(visit: Callable[..., Visitor], cloud: Cloud) -> None:
    instance = cloud.create()
    visitor = visit().sign_in(key_with_role(cloud, "Viewer"))
    visitor.details(instance["name"])
    visitor.expected = {403}

    visitor.toggle("access")

    expect(visitor.page.locator(".notice.bad")).to_contain_text("Editor or Administrator")
    expect(visitor.page.locator("cds-toggle#access")).to_have_js_property("toggled", False)
    assert cloud.wait(instance["id"], "running")["metadata_service"]["enabled"] is False


def test_signing_in_and_out(visit: Callable[..., Visitor], dev: Dev) -> None:
    visitor = visit()
    visitor.expected = {400}
    visitor.page.goto(f"{dev.api}/console/nodes")
    visitor.page.wait_for_url("**/console/sign-in")
    visitor.sign_in_by_hand("no-such-key-no-such-key-no-such-key")
    expect(visitor.page.get_by_role("alert")).to_contain_text("not known")
    visitor.sign_in_by_hand()
    visitor.page.wait_for_url("**/console/instances")
    (cookie,) = visitor.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
    assert dev.api_key not in cookie["value"]

    visitor.page.get_by_role("button", name="Sign out").click()

    visitor.page.wait_for_url("**/console/sign-in")
    assert visitor.context.cookies() == []


def test_the_printed_code_signs_in_once(visit: Callable[..., Visitor], dev: Dev) -> None:
    log = Path(f"{dev.state_dir}.log").read_text()
    (url,) = [word for word in log.split() if "/console/sign-in?code=" in word]
    first, second = visit(), visit()
    second.expected = {400}

    first.page.goto(url)
    second.page.goto(url)

    first.page.wait_for_url("**/console/instances")
    expect(second.page.get_by_role("alert")).to_contain_text("has been used or has expired")


def test_a_session_that_has_ended_asks_to_sign_in(visitor: Visitor, cloud: Cloud) -> None:
    (cookie,) = visitor.context.cookies()
    visitor.details("demo")
    visitor.context.add_cookies([{**cookie, "value": cookie["value"][:-4] + "AAAA"}])
    visitor.expected = {401}

    visitor.toggle("access")

    visitor.page.wait_for_url("**/console/sign-in?expired=1")
    expect(visitor.page.get_by_text("Your session has ended")).to_be_visible()


def test_what_was_typed_comes_back_after_the_time_of_a_session(
    visitor: Visitor, cloud: Cloud
) -> None:
    """Whether the form was sent, or a part of it was asked for."""
    page = visitor.page
    visitor.expected = {401}
    for number, button in enumerate(("Create virtual server instance", "Get sample API call")):
        visitor.instances()
        page.get_by_role("link", name="Create", exact=True).click()
        page.locator("#name").fill(name := f"typed-{number}")
        page.get_by_label("User data").fill("#!/bin/sh\necho typed")
        visitor.toggle("metadata-toggle")
        visitor.hop_limit("5")
        let_time_pass(visitor)

        page.get_by_role("button", name=button).click()
        expect(page.get_by_text("What you typed is kept.")).to_be_visible()
        found = visitor.axe()
        visitor.sign_in_by_hand()
        page.get_by_role("button", name="Back to the form").wait_for()
        found += visitor.axe()
        page.get_by_role("button", name="Back to the form").click()

        expect(page.locator("#name")).to_have_value(name)
        expect(page.get_by_label("User data")).to_have_value("#!/bin/sh\necho typed")
        expect(page.locator("cds-number-input#hop-limit input")).to_have_value("5")
        assert not found, found
    visitor.create(name)
    made = cloud.vpc.list_instances(name=name).result["instances"]
    assert [one["metadata_service"]["response_hop_limit"] for one in made] == [5]


def let_time_pass(visitor: Visitor) -> None:
    """The visitor's session becomes one whose twelve hours are over, sealed as the server does it."""
    (cookie,) = visitor.context.cookies()
    sealer = load_key_file(visitor.dev.state_dir / "server.key", create=False)
    plain = sealer.open(cookie["value"].strip('"'), "console-session")
    assert plain is not None
    ended = {**json.loads(plain), "ends": int(time.time()) - 60}
    value = sealer.seal(json.dumps(ended).encode(), "console-session")
    visitor.context.add_cookies([{**cookie, "value": value}])


def test_no_change_without_the_sessions_token(visitor: Visitor, cloud: Cloud) -> None:
    """Another site's form has the cookie at most, never the token in the page."""
    instance = cloud.create()
    (cookie,) = visitor.context.cookies()
    url = f"{cloud.dev.api}/console/instances/{instance['id']}"
    form = {"setting": "enabled", "enabled": "on"}
    with httpx.Client(cookies={cookie["name"]: cookie["value"]}) as client:
        for csrf in ({}, {"csrf": ""}, {"csrf": "é" * 32}):
            answer = client.post(f"{url}/metadata", data={**form, **csrf})
            assert answer.status_code == 403
        assert client.post(f"{url}/delete", data={}).status_code == 403
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    instance = cloud.wait(instance["id"], "running")
    assert instance["metadata_service"]["enabled"] is False


def test_an_unknown_page_says_so(visitor: Visitor, cloud: Cloud) -> None:
    visitor.expected = {404}
    for path in ("nothing", "instances/0717_nothing", "profiles/nothing"):
        answer = visitor.page.goto(f"{cloud.dev.api}/console/{path}")
        assert answer is not None
        assert answer.status == 404
        expect(visitor.page.get_by_role("heading", name="Not found")).to_be_visible()
