"""What a program inside an instance gets, through IBM's SDK: tokens, profiles, links, roles."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests
from cloud import Cloud
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import BearerTokenAuthenticator, VPCInstanceAuthenticator
from ibm_vpc import VpcV1
from processes import identity_token, read

ON = {"enabled": True}
VERSIONS = ["2022-03-01", "2025-08-26"]


def linked(cloud: Cloud, profile: dict[str, Any], *, auto_link: bool = True) -> dict[str, Any]:
    return cloud.create(
        metadata_service=ON,
        default_trusted_profile={"auto_link": auto_link, "target": {"id": profile["id"]}},
    )


def iam_token(address: str, **selector: str) -> str:
    token: str = VPCInstanceAuthenticator(url=address, **selector).token_manager.get_token()
    return token


def test_with_auto_link_the_first_call_gets_an_iam_token(cloud: Cloud) -> None:
    instance = linked(cloud, cloud.profile())
    address = cloud.dev.address(instance["id"])

    answer = requests.put(
        f"{address}/identity/v1/token",
        params={"version": "2025-08-26"},
        headers={"Metadata-Flavor": "ibm"},
        timeout=5,
    )
    exchanged = requests.post(
        f"{address}/identity/v1/iam_tokens",
        params={"version": "2025-08-26"},
        headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
        timeout=5,
    )

    assert exchanged.status_code == 200, exchanged.text
    assert exchanged.json()["expires_in"] == 3600


def test_without_auto_link_a_link_by_hand_works_at_once_and_unlinking_ends_it(cloud: Cloud) -> None:
    profile = cloud.profile()
    instance = linked(cloud, profile, auto_link=False)
    address = cloud.dev.address(instance["id"])

    with pytest.raises(ApiException) as refused:
        iam_token(address)
    link = cloud.iam.create_link(
        profile_id=profile["id"], cr_type="VSI", link={"crn": instance["crn"]}
    ).result
    token = iam_token(address)
    cloud.iam.delete_link(profile_id=profile["id"], link_id=link["id"])
    with pytest.raises(ApiException) as refused_again:
        iam_token(address)

    for error in (refused, refused_again):
        assert error.value.http_response.json()["errors"][0]["code"] == "profile_not_linked"
    assert token.count(".") == 2
    initialization = cloud.vpc.get_instance_initialization(instance["id"]).result
    assert initialization["default_trusted_profile"]["auto_link"] is False


def test_iam_lists_the_link_while_the_instance_exists(cloud: Cloud) -> None:
    profile = cloud.profile()
    instance = linked(cloud, profile)

    links = cloud.links(profile["id"])
    by_hand = cloud.profile()
    cloud.iam.create_link(profile_id=by_hand["id"], cr_type="VSI", link={"crn": instance["crn"]})
    cloud.vpc.delete_instance(instance["id"])

    assert [instance["crn"]] == [link["link"]["crn"] for link in links]
    assert links[0]["cr_type"] == "VSI"
    assert cloud.links(profile["id"]) == []
    assert cloud.links(by_hand["id"]) == []


@pytest.mark.parametrize("service_version", VERSIONS)
def test_the_sdks_authenticator(cloud: Cloud, service_version: str) -> None:
    """Default profile, by id, by crn, by name; one that is not linked must raise."""
    profile, other = cloud.profile(), cloud.profile()
    instance = linked(cloud, profile)
    address = cloud.dev.address(instance["id"])
    selectors: list[dict[str, str]] = [
        {},
        {"iam_profile_id": profile["id"]},
        {"iam_profile_crn": profile["crn"]},
        {"iam_profile_name": profile["name"]},
    ]

    for selector in selectors:
        authenticator = VPCInstanceAuthenticator(
            url=address, service_version=service_version, **selector
        )
        request: dict[str, Any] = {"headers": {}}
        authenticator.authenticate(request)
        assert request["headers"]["Authorization"].startswith("Bearer ey")
    with pytest.raises(ApiException) as refused:
        VPCInstanceAuthenticator(
            url=address, service_version=service_version, iam_profile_id=other["id"]
        ).token_manager.get_token()
    assert refused.value.status_code == 400


def test_a_profiles_role_decides_what_its_token_may_do(cloud: Cloud) -> None:
    viewer, nobody = cloud.profile(), cloud.profile()
    cloud.grant(viewer["iam_id"], "Viewer")

    def client(profile: dict[str, Any]) -> VpcV1:
        address = cloud.dev.address(linked(cloud, profile)["id"])
        vpc = VpcV1(authenticator=BearerTokenAuthenticator(iam_token(address)))
        vpc.set_service_url(f"{cloud.dev.api}/v1")
        return vpc

    as_viewer, as_nobody = client(viewer), client(nobody)
    seen = as_viewer.list_instances().result
    with pytest.raises(ApiException) as may_not_create:
        as_viewer.create_instance(cloud.prototype())
    with pytest.raises(ApiException) as may_not_list:
        as_nobody.list_instances()

    assert seen["total_count"] >= 2
    for refused in (may_not_create, may_not_list):
        assert refused.value.status_code == 403
        assert "the provided token is not authorized" in refused.value.message


def test_a_rule_admits_an_instance_without_a_link(cloud: Cloud) -> None:
    profile = cloud.profile()
    instance = cloud.create(metadata_service=ON)
    cloud.iam.create_claim_rule(
        profile_id=profile["id"],
        type="Profile-CR",
        cr_type="VSI",
        conditions=[{"claim": "zone", "operator": "EQUALS", "value": json.dumps("us-south-1")}],
    )

    assert iam_token(cloud.dev.address(instance["id"]), iam_profile_id=profile["id"])


@pytest.mark.differs(
    "Metadata: an identity token after a stop, or from another instance",
    "not published",
    "401",
)
def test_a_token_is_good_on_its_own_instance_only_and_not_after_a_stop(cloud: Cloud) -> None:
    one, two = cloud.create(metadata_service=ON), cloud.create(metadata_service=ON)
    address_one, address_two = cloud.dev.address(one["id"]), cloud.dev.address(two["id"])
    token = identity_token(address_one)

    own, foreign = read(address_one, token), read(address_two, token)
    cloud.vpc.create_instance_action(one["id"], "stop")
    cloud.wait(one["id"], "stopped")
    cloud.vpc.create_instance_action(one["id"], "start")
    cloud.wait(one["id"], "running")
    after_stop = read(cloud.dev.address(one["id"]), token)

    assert own.status_code == 200
    assert own.json()["id"] == one["id"]
    assert foreign.status_code == 401
    assert two["id"] not in foreign.text
    assert after_stop.status_code == 401


def test_a_disabled_service_says_so_and_nothing_else(cloud: Cloud) -> None:
    instance = cloud.create(metadata_service=ON)
    address = cloud.dev.address(instance["id"])
    token = identity_token(address)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    url = f"{address}/metadata/v1/instance?version=2025-08-26"
    assert session.get(url, timeout=5).status_code == 200

    cloud.vpc.update_instance(instance["id"], {"metadata_service": {"enabled": False}})
    deadline = time.monotonic() + 10
    while (refused := session.get(url, timeout=5)).status_code == 200:
        assert time.monotonic() < deadline

    assert refused.status_code == 403
    assert refused.json()["errors"][0]["code"] == "unauthorized"
    assert instance["name"] not in refused.text
