"""`linklocal report` over calls that were really made."""

from __future__ import annotations

import json
from typing import Any

import requests
from cloud import Cloud
from guest import until
from live import linklocal

FLAVOR = {"Metadata-Flavor": "ibm"}


def reported(cloud: Cloud, instance_id: str) -> dict[str, Any]:
    done = linklocal("report", "--output", "JSON", state_dir=cloud.dev.state_dir)
    assert done.returncode == 0, done.stderr
    (one,) = [one for one in json.loads(done.stdout)["instances"] if one["id"] == instance_id]
    return dict(one)


def test_the_report_tells_what_callers_did(cloud: Cloud) -> None:
    used, unused = cloud.profile(), cloud.profile()
    made = cloud.vpc.create_instance(
        cloud.prototype(
            metadata_service={"enabled": True, "protocol": "http", "response_hop_limit": 2},
            default_trusted_profile={"target": {"id": used["id"]}},
        )
    ).result
    instance = cloud.wait(made["id"], "running")
    cloud.iam.create_link(
        unused["id"], cr_type="VSI", link={"crn": instance["crn"], "namespace": "default"}
    )
    address = cloud.dev.address(made["id"])
    old = {"version": "2025-01-01"}
    token = requests.put(
        f"{address}/instance_identity/v1/token", params=old, headers=FLAVOR, timeout=20
    )
    assert token.status_code == 200, token.text
    bearer = {"Authorization": f"Bearer {token.json()['access_token']}"}
    iam = requests.post(f"{address}/identity/v1/iam_tokens", params=old, headers=bearer, timeout=20)
    assert iam.status_code == 200, iam.text

    until(lambda: reported(cloud, made["id"])["profiles"][0]["last_used_at"] is not None, 30)
    one = reported(cloud, made["id"])
    assert one["findings"] == ["http", "hop_limit", "unused_profile", "legacy_path", "no_nonce"]
    assert one["calls"] | {"last_at": ""} == {
        "tokens": 1, "without_nonce": 1, "legacy_path": 1, "last_at": "",
    }  # fmt: skip
    assert {p["id"]: p["used"] for p in one["profiles"]} == {used["id"]: 1, unused["id"]: 0}

    table = linklocal("report", "--findings", state_dir=cloud.dev.state_dir)
    assert table.returncode == 0, table.stderr
    (line,) = [line for line in table.stdout.splitlines() if line.startswith(instance["name"])]
    assert "2 (1)" in line
    cloud.vpc.delete_instance(made["id"])


def test_only_an_administrator_gets_the_report(cloud: Cloud) -> None:
    """Not without a token, and not as a profile that is Editor of the instances it is about."""
    url, profile = f"{cloud.dev.api}/report/v1/metadata", cloud.profile()
    assert requests.get(url, timeout=20).status_code == 401

    cloud.grant(profile["iam_id"], "Editor")
    assume = {
        "grant_type": "urn:ibm:params:oauth:grant-type:assume",
        "access_token": cloud.vpc.authenticator.token_manager.get_token(),
        "profile_id": profile["id"],
    }
    made = requests.post(f"{cloud.dev.api}/identity/token", data=assume, timeout=20).json()
    bearer = {"Authorization": f"Bearer {made['access_token']}"}
    refused = requests.get(url, headers=bearer, timeout=20)
    assert refused.status_code == 403
    assert refused.json()["errors"][0]["code"] == "not_authorized"
