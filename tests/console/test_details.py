"""What the pages of one resource say of it, read without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape

import httpx
import pytest
from cloud import Cloud
from live import Dev


@pytest.fixture
def console(dev: Dev) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{dev.api}/console", follow_redirects=True) as client:
        client.post("/sign-in", data={"api_key": dev.api_key}).raise_for_status()
        yield client


def text(client: httpx.Client, path: str) -> str:
    page = client.get(path)
    assert page.status_code == 200, page.text
    return unescape(page.text)


def test_an_instance_shows_its_networking_and_storage(console: httpx.Client, cloud: Cloud) -> None:
    made = cloud.create()
    target = {"id": made["network_attachments"][0]["virtual_network_interface"]["id"]}
    floating = cloud.vpc.create_floating_ip({"name": cloud.name("ip"), "target": target}).result

    page = text(console, f"/instances/{made['id']}")

    interface, volume = made["primary_network_interface"], made["boot_volume_attachment"]
    assert f"<dt>{interface['name']}</dt><dd>{interface['primary_ip']['address']} in " in page
    assert f"{interface['subnet']['name']} (primary)" in page
    assert f"<dt>{volume['name']}</dt><dd>{volume['volume']['name']} (boot)" in page
    assert f"<dt>Floating IP</dt><dd>{floating['address']}</dd>" in page


def test_a_template_names_what_it_refers_to_in_whatever_way(
    console: httpx.Client, cloud: Cloud
) -> None:
    profile = cloud.profile()
    prototype = cloud.prototype(name=cloud.name("template"))
    image = cloud.vpc.get_image(prototype["image"]["id"]).result
    target = {"id": profile["id"]}, {"crn": profile["crn"]}
    for of, by in zip(target, ("id", "crn"), strict=True):
        body = {
            **prototype,
            "name": cloud.name("template"),
            "image": {by: image[by]},
            "metadata_service": {"enabled": True},
            "default_trusted_profile": {"target": of},
        }
        made = cloud.vpc.create_instance_template(body).result
        page = text(console, f"/templates/{made['id']}")
        assert f"<dd>{image['name']}</dd>" in page
        assert f"<dd>{profile['name']}</dd>" in page
        assert "<dt>Auto link</dt><dd>Yes</dd>" in page
        form = text(console, f"/instances/new?template={made['id']}")
        assert f'name="image" value="{image["id"]}"' in form
        assert f'name="profile_id" value="{profile["id"]}"' in form
        assert f'value="{profile["id"]}" checked' in form


def test_where_an_instance_will_be(console: httpx.Client) -> None:
    form = text(console, "/instances/new")
    assert "<dt>Geography</dt><dd>North America</dd>" in form
    assert "<dt>Region</dt><dd>us-south</dd>" in form


def test_who_may_link_no_profile_is_told_so(dev: Dev, cloud: Cloud) -> None:
    """Those who only see profiles would be refused after they filled in the whole form."""
    cloud.profile()
    me = cloud.iam.get_api_keys_details(iam_api_key=dev.api_key).result["iam_id"]
    key = cloud.iam.create_api_key(name=cloud.name("key"), iam_id=me).result
    for role, service in (("Editor", "is"), ("Viewer", "iam-identity")):
        cloud.grant(key["id"], role, service, subject="apikey_id")
    with httpx.Client(base_url=f"{dev.api}/console") as client:
        client.post("/sign-in", data={"api_key": key["apikey"]})
        page = text(client, "/instances/new")
        _, _, rest = page.partition('name="csrf" value="')
        form = {"csrf": rest.partition('"')[0], "metadata": "on"}
        part = unescape(client.post("/instances/new/part?part=metadata", data=form).text)

    assert "secure-toggle" in part
    assert "iam-identity.profile.linkToResource" in part
    assert "Select a trusted profile" not in part
