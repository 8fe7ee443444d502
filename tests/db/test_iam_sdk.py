"""IBM's own IAM SDKs, unmodified, against the routes: every answer must pass their `from_dict`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fakes.iam import IamServer, iam_server, placed, served
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import (
    ContainerAuthenticator,
    IAMAssumeAuthenticator,
    IAMAuthenticator,
)
from ibm_platform_services.iam_identity_v1 import (
    ApiKey,
    ApiKeyList,
    IamIdentityV1,
    ProfileClaimRule,
    ProfileClaimRuleList,
    ProfileIdentitiesResponse,
    ProfileIdentityRequest,
    ProfileIdentityResponse,
    ProfileLink,
    ProfileLinkList,
    TrustedProfile,
    TrustedProfilesList,
)
from ibm_platform_services.iam_policy_management_v1 import (
    IamPolicyManagementV1,
    PoliciesPager,
    PolicyTemplateMetaData,
)

from linklocal.store.engine import Database


@dataclass
class Sdk:
    """Both clients. They block, so whole scenarios run in a thread."""

    url: str
    server: IamServer
    identity: IamIdentityV1
    policies: IamPolicyManagementV1

    async def run(self, scenario: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(scenario)


@pytest.fixture
async def sdk(database: Database, tmp_path: Path) -> AsyncIterator[Sdk]:
    async with iam_server(database, tmp_path / "server.key") as server, served(server.app) as url:
        authenticator = IAMAuthenticator(server.made.api_key, url=url)
        # The SDK compares token times with the machine's clock, so the server's clock follows it.
        token = await server.token()
        authenticator.token_manager.access_token = token
        authenticator.token_manager.expire_time = authenticator.token_manager.refresh_time = 2**40
        identity = IamIdentityV1(authenticator=authenticator)
        identity.set_service_url(url)
        policies = IamPolicyManagementV1(authenticator=authenticator)
        policies.set_service_url(url)
        yield Sdk(url, server, identity, policies)


async def test_api_keys(sdk: Sdk) -> None:
    made, iam = sdk.server.made, sdk.identity

    def scenario() -> None:
        created = iam.create_api_key(
            name="ci", iam_id=made.iam_id, description="for CI", entity_lock="true"
        ).result
        assert len(ApiKey.from_dict(created).apikey) >= 44
        assert iam.get_api_keys_details(iam_api_key=created["apikey"]).result["id"] == created["id"]
        read = iam.get_api_key(created["id"]).result
        assert ApiKey.from_dict(read).apikey == ""
        assert read["locked"] is True
        with pytest.raises(ApiException) as locked:
            iam.update_api_key(created["id"], if_match="*", name="other")
        with pytest.raises(ApiException) as kept:
            iam.delete_api_key(created["id"])
        assert [locked.value.status_code, kept.value.status_code] == [409, 409]
        assert "unlock" in locked.value.message
        iam.unlock_api_key(created["id"])
        with pytest.raises(ApiException) as stale:
            iam.update_api_key(created["id"], if_match=created["entity_tag"], name="other")
        assert stale.value.status_code == 409
        tag = iam.get_api_key(created["id"]).result["entity_tag"]
        updated = iam.update_api_key(
            created["id"],
            if_match=tag,
            name="other",
            description="",
            expires_at="2099-01-01T00:00+0000",
        ).result
        assert ApiKey.from_dict(updated).name == "other"
        assert "description" not in updated
        assert updated["expires_at"] == "2099-01-01T00:00:00.000Z"
        listed = iam.list_api_keys(account_id=made.account_id, scope="account", type="user").result
        assert {key.name for key in ApiKeyList.from_dict(listed).apikeys} == {"admin", "other"}
        assert iam.list_api_keys(type="serviceid").result["apikeys"] == []
        iam.disable_api_key(created["id"])
        assert iam.get_api_key(created["id"]).result["disabled"] is True
        iam.enable_api_key(created["id"])
        iam.delete_api_key(created["id"])
        with pytest.raises(ApiException) as gone:
            iam.get_api_key(created["id"])
        assert gone.value.status_code == 404

    await sdk.run(scenario)


async def test_profiles_links_and_rules(sdk: Sdk) -> None:
    account, iam = sdk.server.made.account_id, sdk.identity
    crn = f"crn:v1:bluemix:public:is:us-south-1:a/{account}::instance:0717_one"

    def scenario() -> None:
        profile = iam.create_profile(
            name="app", account_id=account, description="d", email="a@example.com"
        ).result
        assert TrustedProfile.from_dict(profile).crn.endswith(
            f"a/{account}::profile:{profile['id']}"
        )
        assert profile["iam_id"] == f"iam-{profile['id']}"
        with pytest.raises(ApiException) as twice:
            iam.create_profile(name="app", account_id=account)
        assert twice.value.status_code == 409
        with pytest.raises(ApiException) as foreign:
            iam.create_profile(name="x", account_id="f" * 32)
        assert foreign.value.status_code == 403
        updated = iam.update_profile(
            profile["id"], if_match=profile["entity_tag"], name="web", description="", email=""
        ).result
        assert updated["entity_tag"] != profile["entity_tag"]
        assert {"description", "email"}.isdisjoint(updated)
        with pytest.raises(ApiException) as stale:
            iam.update_profile(profile["id"], if_match=profile["entity_tag"], name="x")
        assert stale.value.status_code == 409
        iam.update_profile(profile["id"], if_match="*", name="app")

        link = iam.create_link(profile["id"], cr_type="VSI", link={"crn": crn}, name="one").result
        assert ProfileLink.from_dict(link).link.crn == crn
        with pytest.raises(ApiException) as again:
            iam.create_link(profile["id"], cr_type="VSI", link={"crn": crn})
        assert again.value.status_code == 409
        ProfileLinkList.from_dict(iam.list_links(profile["id"]).result)
        assert iam.get_link(profile["id"], link["id"]).result == link
        iam.delete_link_by_parameters(profile["id"], type="VSI", crn=crn)
        with pytest.raises(ApiException) as unlinked:
            iam.delete_link(profile["id"], link["id"])
        assert unlinked.value.status_code == 404

        conditions = [{"claim": "zone", "operator": "EQUALS", "value": json.dumps("us-south-1")}]
        rule = iam.create_claim_rule(
            profile["id"], type="Profile-CR", cr_type="VSI", conditions=conditions
        ).result
        assert ProfileClaimRule.from_dict(rule).expiration == 3600
        changed = iam.update_claim_rule(
            profile["id"], rule["id"], if_match=rule["entity_tag"], type="Profile-CR",
            cr_type="VSI", conditions=conditions, name="zone one",
        ).result  # fmt: skip
        assert changed["name"] == "zone one"
        assert iam.get_claim_rule(profile["id"], rule["id"]).result == changed
        rules = ProfileClaimRuleList.from_dict(iam.list_claim_rules(profile["id"]).result)
        assert len(rules.rules) == 1
        iam.delete_claim_rule(profile["id"], rule["id"])
        iam.delete_profile(profile["id"])
        with pytest.raises(ApiException) as gone:
            iam.list_links(profile["id"])
        assert gone.value.status_code == 404

    await sdk.run(scenario)


async def test_pages_are_followed_to_the_end_and_back(sdk: Sdk) -> None:
    account, iam = sdk.server.made.account_id, sdk.identity

    def scenario() -> None:
        names = [f"profile-{n:02}" for n in range(23)]
        for name in reversed(names):
            iam.create_profile(name=name, account_id=account)
        seen, token = [], None
        while True:
            page = iam.list_profiles(
                account_id=account, pagesize=5, sort="name", order="desc", pagetoken=token
            ).result
            seen += [profile["name"] for profile in page["profiles"]]
            if "next" not in page:
                break
            token = parse_qs(urlsplit(page["next"]).query)["pagetoken"][0]
        assert seen == names[::-1]
        page = iam.list_profiles(account_id=account, pagesize=20).result
        TrustedProfilesList.from_dict(page)
        assert page["first"].startswith(f"{sdk.url}/v1/profiles?")
        assert (page["offset"], page["limit"], "previous" in page) == (0, 20, False)
        token = page["next"].rpartition("pagetoken=")[2]
        last = iam.list_profiles(account_id=account, pagesize=20, pagetoken=token).result
        assert (len(last["profiles"]), "next" in last, "previous" in last) == (3, False, True)
        one = iam.list_profiles(account_id=account, name="profile-07").result["profiles"]
        assert [profile["name"] for profile in one] == ["profile-07"]
        for wrong in ("x", "b2Zmc2V0Oi0x", "é"):
            with pytest.raises(ApiException) as refused:
                iam.list_profiles(account_id=account, pagetoken=wrong)
            assert refused.value.status_code == 400

    await sdk.run(scenario)


async def test_policies(sdk: Sdk) -> None:
    account, iam = sdk.server.made.account_id, sdk.identity

    def body(subject: str, role: str) -> dict[str, Any]:
        attributes = [
            {"name": "serviceName", "value": "is"},
            {"name": "accountId", "value": account, "operator": "stringEquals"},
        ]
        return {
            "type": "access",
            "subjects": [{"attributes": [{"name": "iam_id", "value": subject}]}],
            "roles": [{"role_id": f"crn:v1:bluemix:public:iam::::role:{role}"}],
            "resources": [{"attributes": attributes}],
        }

    def scenario() -> None:
        profile = iam.create_profile(name="app", account_id=account).result
        answer = sdk.policies.create_policy(**body(profile["iam_id"], "Viewer"), description="d")
        policy = answer.result
        PolicyTemplateMetaData.from_dict(policy)
        assert policy["href"] == f"{sdk.url}/v1/policies/{policy['id']}"
        with pytest.raises(ApiException) as twice:
            sdk.policies.create_policy(**body(profile["iam_id"], "Editor"))
        assert twice.value.status_code == 409
        with pytest.raises(ApiException) as stale:
            sdk.policies.replace_policy(
                policy["id"], if_match="x", **body(profile["iam_id"], "Editor")
            )
        assert stale.value.status_code == 409
        tag = sdk.policies.get_policy(policy["id"]).headers["ETag"]
        replaced = sdk.policies.replace_policy(
            policy["id"], if_match=tag, **body(profile["iam_id"], "Editor")
        ).result
        assert replaced["roles"][0]["display_name"] == "Editor"
        found = PoliciesPager(
            client=sdk.policies, account_id=account, iam_id=profile["iam_id"]
        ).get_all()
        assert [one["id"] for one in found] == [policy["id"]]
        with pytest.raises(ApiException) as nobody:
            sdk.policies.create_policy(**body("iam-Profile-nobody", "Viewer"))
        assert nobody.value.status_code == 400
        iam.delete_profile(profile["id"])
        assert sdk.policies.list_policies(account).result["policies"] == []
        with pytest.raises(ApiException) as gone:
            sdk.policies.delete_policy(policy["id"])
        assert gone.value.status_code == 404

    await sdk.run(scenario)


async def test_the_sdks_authenticators(sdk: Sdk, tmp_path: Path) -> None:
    server, iam = sdk.server, sdk.identity
    instance = await placed(server)
    cr_token = tmp_path / "cr-token"
    cr_token.write_text(instance.identity_token())

    def scenario() -> list[str]:
        profile = iam.create_profile(name="app", account_id=server.made.account_id).result
        iam.create_link(profile["id"], cr_type="VSI", link={"crn": instance.crn})
        container = ContainerAuthenticator(
            cr_token_filename=str(cr_token), iam_profile_name="app", url=sdk.url
        )
        assume = IAMAssumeAuthenticator(
            apikey=server.made.api_key, iam_profile_id=profile["id"], url=sdk.url
        )
        return [
            manager.request_token()["access_token"]
            for manager in (
                IAMAuthenticator(server.made.api_key, url=sdk.url).token_manager,
                container.token_manager,
                assume.token_manager,
            )
        ]

    tokens = await sdk.run(scenario)
    callers = [await server.iam.authenticator.authenticate(f"Bearer {one}") for one in tokens]
    assert [caller.kind for caller in callers] == ["user", "profile", "profile"]
    assert callers[1].instance_crn == instance.crn


async def test_a_wrong_key_raises_with_iams_message(sdk: Sdk) -> None:
    def scenario() -> None:
        authenticator = IAMAuthenticator("x" * 44, url=sdk.url)
        with pytest.raises(ApiException) as refused:
            authenticator.token_manager.request_token()
        assert refused.value.status_code == 400
        assert refused.value.message == "Provided API key could not be found."

    await sdk.run(scenario)


async def test_who_may_assume_a_profile(sdk: Sdk) -> None:
    """A key that is a Viewer may assume the profile only while its user is one of the identities."""
    account, user, iam = sdk.server.made.account_id, sdk.server.made.iam_id, sdk.identity
    key = (await sdk.server.call("POST", "/v1/apikeys", {"name": "weak", "iam_id": user})).json()
    await sdk.server.grant_role(key["id"], "Viewer", None, kind="apikey_id")
    weak = await sdk.server.token(key["apikey"])

    def assume(profile_id: str) -> int:
        form = {
            "grant_type": "urn:ibm:params:oauth:grant-type:assume",
            "access_token": weak,
            "profile_id": profile_id,
        }
        return httpx.post(f"{sdk.url}/identity/token", data=form, timeout=30).status_code

    def scenario() -> None:
        profile = iam.create_profile(name="ops", account_id=account).result["id"]
        empty = iam.get_profile_identities(profile).result
        assert ProfileIdentitiesResponse.from_dict(empty).identities == []
        assert assume(profile) == 400
        made = iam.set_profile_identity(
            profile, "user", identifier=user, type="user", description="on call"
        ).result
        assert ProfileIdentityResponse.from_dict(made).iam_id == user
        assert iam.get_profile_identity(profile, "user", user).result == made
        assert assume(profile) == 200
        iam.delete_profile_identity(profile, "user", user)
        assert assume(profile) == 400

        listed = [ProfileIdentityRequest(identifier=user, type="user")]
        put = iam.set_profile_identities(
            profile, if_match=empty["entity_tag"], identities=listed
        ).result
        assert [one["identifier"] for one in put["identities"]] == [user]
        assert assume(profile) == 200
        refused = []
        for calls in (
            lambda: iam.set_profile_identities(
                profile, if_match=empty["entity_tag"], identities=[]
            ),
            lambda: iam.set_profile_identity(profile, "crn", identifier="crn:v1", type="crn"),
            lambda: iam.set_profile_identity(profile, "user", identifier="IBMid-x", type="user"),
            lambda: iam.get_profile_identity(profile, "user", "IBMid-x"),
        ):
            with pytest.raises(ApiException) as error:
                calls()
            refused.append(error.value.status_code)
        assert refused == [409, 400, 400, 404]

    await sdk.run(scenario)
    bearer = {"token": weak}
    path = f"/v1/profiles/{(await sdk.server.profile())['id']}/identities/user"
    body = {"identifier": user, "type": "user"}
    assert (await sdk.server.call("POST", path, body, **bearer)).status_code == 403
