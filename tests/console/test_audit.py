"""A change through the console leaves the event that the same change through the API leaves."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from cloud import Cloud
from live import Dev, linklocal


def events(dev: Dev, action: str, target: str) -> list[dict[str, Any]]:
    """The recorded events of an action on a resource, as an administrator reads them."""
    done = linklocal(
        "audit", "query", "--action", action, "--output", "JSON", state_dir=dev.state_dir
    )
    assert done.returncode == 0, done.stderr
    return [event for event in json.loads(done.stdout) if target in event["target"].get("id", "")]


def same(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What must be equal whichever way a change came."""
    differs = ("eventId", "eventTime", "id", "correlationId", "requestData", "message")
    return [{k: v for k, v in event.items() if k not in differs} for event in events]


def test_changes_and_refusals_are_recorded_as_the_apis(dev: Dev, cloud: Cloud) -> None:
    instance = cloud.create()
    id = instance["id"]
    cloud.vpc.update_instance(id, {"metadata_service": {"enabled": True}})
    (by_api,) = events(dev, "is.instance.instance.update", id)
    with httpx.Client(base_url=f"{dev.api}/console", follow_redirects=True) as client:
        page = client.post("/sign-in", data={"api_key": dev.api_key})
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert token is not None
        csrf = {"csrf": token[1]}
        hop = {**csrf, "setting": "response_hop_limit"}

        assert client.post(f"/instances/{id}/metadata", data={**hop, "hop_limit": "2"}).is_success
        refused = client.post(f"/instances/{id}/metadata", data={**hop, "hop_limit": "65"})
        forged = client.post(f"/instances/{id}/metadata", data={**hop, "csrf": "x"})
        made = client.post("/profiles", data={**csrf, "name": cloud.name("audited")})
        network = cloud.name("net")
        assert client.post("/instances/new/vpc", data={**csrf, "new_vpc_name": network}).is_success
        running = client.post(f"/instances/{id}/reinitialize", data={**csrf, "image": "none"})
        assert client.get(f"/instances/{id}").is_success

    assert (refused.status_code, forged.status_code) == (400, 403)
    found = {event["eventId"]: event for event in events(dev, "is.instance.instance.update", id)}
    changed = [e for e in found.values() if e["outcome"] == "success" and e != by_api]
    assert same(changed) == same([by_api])
    trace = refused.headers["x-request-id"]
    assert found[trace]["outcome"] == "failure"
    assert found[trace]["requestData"]["field"] == "metadata_service.response_hop_limit"
    assert found[forged.headers["x-request-id"]]["outcome"] == "failure"
    assert len(found) == 4
    profile = made.url.path.rpartition("/")[2]
    (creation,) = events(dev, "iam-identity.account-profile.create", profile)
    assert creation["outcome"] == "success"
    (vpc,) = [v["id"] for v in cloud.vpc.list_vpcs().result["vpcs"] if v["name"] == network]
    (creation,) = events(dev, "is.vpc.vpc.create", vpc)
    assert creation["outcome"] == "success"
    (refusal,) = events(dev, "is.instance.instance.reinitialize", id)
    assert (running.status_code, refusal["outcome"]) == (400, "failure")
