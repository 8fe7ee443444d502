"""An instance's identity token for a profile's access token, and every way in which it must fail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.fleet import Host, rsa_key
from fakes.iam import IamServer, Instance, iam_server, placed

from linklocal.fleet import nodes
from linklocal.iam.links import find_profile, link_instance, unlink_instance
from linklocal.store.engine import Database
from linklocal.tokens import SigningKey

PATH = "/internal/v1/iam_tokens"


@pytest.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[IamServer]:
    async with iam_server(database, tmp_path / "server.key") as server:
        yield server


@pytest.fixture
async def instance(server: IamServer) -> Instance:
    return await placed(server)


async def link(instance: Instance, profile: dict[str, Any], **members: Any) -> httpx.Response:
    body = {"cr_type": "VSI", "link": {"crn": instance.crn}, **members}
    return await instance.server.call("POST", f"/v1/profiles/{profile['id']}/links", body)


async def ask(
    instance: Instance,
    by: str | None = None,
    value: str = "",
    *,
    token: str | None = None,
    host: Host | None = None,
) -> httpx.Response:
    """The exchange as a node asks for it."""
    profile = None if by is None else {"by": by, "value": value}
    body = {"identity_token": token or instance.identity_token(), "profile": profile}
    return await instance.server.signed(host or instance.host, PATH, body)


def code(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    return str(answer.json()["errors"][0]["code"])


async def test_a_linked_profile_by_every_selector(instance: Instance) -> None:
    profile = await instance.server.profile()
    await link(instance, profile)

    for by in ("id", "crn", "name"):
        answer = await ask(instance, by, profile[by])
        assert answer.status_code == 200, answer.text
    body = answer.json()
    caller = await instance.server.iam.authenticator.authenticate(f"Bearer {body['access_token']}")

    assert body["profile_id"] == profile["id"]
    assert body["issued_at"] == "2026-11-24T12:00:00Z"
    assert body["expires_at"] == "2026-11-24T13:00:00Z"
    assert caller.kind == "profile"
    assert caller.iam_id == profile["iam_id"]
    assert caller.instance_crn == instance.crn
    assert caller.account_id == instance.server.made.account_id


async def test_without_selector_the_default_profile_counts(instance: Instance) -> None:
    none = await ask(instance)
    profile = await instance.server.profile()
    await instance.default_profile(profile)
    not_linked = await ask(instance)
    made = (await link(instance, profile)).json()
    linked = await ask(instance)
    await instance.server.call("DELETE", f"/v1/profiles/{profile['id']}/links/{made['id']}")
    unlinked = await ask(instance)
    await instance.server.call("DELETE", f"/v1/profiles/{profile['id']}")
    gone = await ask(instance)

    assert code(none) == "missing_field"
    message = none.json()["errors"][0]["message"]
    assert message == "A trusted profile ID was not passed in the request body."
    assert code(not_linked) == "profile_not_linked"
    assert instance.crn in not_linked.json()["errors"][0]["message"]
    assert linked.status_code == 200
    assert code(unlinked) == "profile_not_linked"
    assert code(gone) == "not_found"


UNKNOWN_PROFILES = [
    ("id", "Profile-nothing"),
    ("id", "x\0y"),
    ("name", "nothing"),
    ("crn", "nothing"),
    ("crn", "crn:v1:bluemix:public:is:us-south:a/x::key:Profile-1"),
]


@pytest.mark.differs(
    "Metadata: an IAM token for an unknown trusted profile",
    "`not_found` or `profile_not_linked`: its pages differ",
    "400 `not_found`",
)
async def test_an_unknown_profile(instance: Instance) -> None:
    for by, value in UNKNOWN_PROFILES:
        answer = await ask(instance, by, value)

        assert code(answer) == "not_found"
        assert answer.json()["errors"][0]["target"]["name"] == f"trusted_profile.{by}"


async def test_a_crn_with_another_account_names_nothing(instance: Instance) -> None:
    profile = await instance.server.profile()
    await link(instance, profile)
    crn = profile["crn"].replace(instance.server.made.account_id, "f" * 32)

    assert code(await ask(instance, "crn", crn)) == "not_found"


async def test_a_rule_is_evaluated_on_the_servers_own_claims(instance: Instance) -> None:
    """A node that signs other claims than the server knows gains nothing."""
    profile = await instance.server.profile()
    rule = {
        "type": "Profile-CR",
        "cr_type": "VSI",
        "conditions": [
            {"claim": "subnet_id", "operator": "EQUALS", "value": json.dumps("0717-secret")}
        ],
    }
    path = f"/v1/profiles/{profile['id']}/rules"
    made = (await instance.server.call("POST", path, rule)).json()
    claims = {
        **instance.document.claims,
        "subnets": [{"id": "0717-secret", "crn": "x", "name": "x"}],
    }
    lying = await ask(instance, "id", profile["id"], token=instance.identity_token(claims=claims))
    rule["conditions"][0]["value"] = json.dumps("0717-subnet")
    await instance.server.call("PUT", f"{path}/{made['id']}", rule, If_Match=made["entity_tag"])
    honest = await ask(instance, "id", profile["id"])

    assert code(lying) == "profile_not_linked"
    assert honest.status_code == 200


async def test_a_rule_about_another_kind_admits_no_instance(instance: Instance) -> None:
    profile = await instance.server.profile()
    rule = {
        "type": "Profile-CR",
        "cr_type": "IKS_SA",
        "conditions": [{"claim": "zone", "operator": "EQUALS", "value": '"us-south-1"'}],
    }
    path = f"/v1/profiles/{profile['id']}/rules"
    made = await instance.server.call("POST", path, rule)

    assert made.status_code == 201
    assert code(await ask(instance, "id", profile["id"])) == "profile_not_linked"


async def test_only_the_node_where_the_instance_is_placed_may_speak_for_it(
    instance: Instance,
) -> None:
    profile = await instance.server.profile()
    await link(instance, profile)
    thief = await Host("node-2").join(instance.server.database, instance.server.clock.now())
    thiefs_key = SigningKey(thief.identity_kid, rsa_key().private_pem())
    forged_key = SigningKey.generate_rsa(instance.host.identity_kid)

    relayed = await ask(instance, "id", profile["id"], host=thief)
    forged = [
        await ask(instance, "id", profile["id"], token=instance.identity_token(key=key), host=host)
        for key in (thiefs_key, forged_key)
        for host in (thief, instance.host)
    ]
    unplaced = Instance(instance.server, thief, "0717_nowhere")

    assert code(relayed, 401) == "unauthenticated"
    assert [code(answer, 401) for answer in forged] == ["unauthenticated"] * 4
    assert code(await ask(unplaced, "id", profile["id"]), 401) == "unauthenticated"
    async with instance.server.database.transaction() as connection:
        await nodes.revoke(connection, instance.host.node_id, now=instance.server.clock.now())
    answer = await instance.server.grant(
        "cr-token", cr_token=instance.identity_token(), profile_id=profile["id"]
    )
    assert answer.json()["errorCode"] == "BXNIM0401E"


async def test_a_token_ends_with_its_time_its_epoch_and_the_instance(instance: Instance) -> None:
    profile = await instance.server.profile()
    await link(instance, profile)
    token = instance.identity_token()
    short = instance.identity_token(expires_in=5)
    elsewhere = instance.identity_token(region="eu-de")

    async def message(with_token: str) -> str:
        answer = await ask(instance, "id", profile["id"], token=with_token)
        assert code(answer, 401) == "unauthenticated"
        return str(answer.json()["errors"][0]["message"])

    assert "region" in await message(elsewhere)
    instance.server.clock.advance(5)
    assert "expired" in await message(short)
    await instance.publish(tokens_valid_after=2)
    assert "stopped, reinitialized or moved" in await message(token)
    fresh = instance.identity_token(epoch=2)
    assert (await ask(instance, "id", profile["id"], token=fresh)).status_code == 200
    await instance.publish(tokens_valid_after=2, serving=False)
    assert "not running" in await message(fresh)
    for broken in ("", "x", "a.b.c", fresh[:-8] + "AAAAAAAA"):
        await message(broken or "x")


async def test_a_disabled_metadata_service_gives_no_tokens(instance: Instance) -> None:
    profile = await instance.server.profile()
    await link(instance, profile)
    await instance.disable()

    assert code(await ask(instance, "id", profile["id"]), 403) == "not_authorized"


async def test_cr_token_is_the_same_decision_in_iams_words(instance: Instance) -> None:
    server = instance.server
    profile, other = await server.profile(), await server.profile("other")
    token = instance.identity_token()

    async def grant(**form: str) -> httpx.Response:
        return await server.grant("cr-token", cr_token=token, **form)

    not_linked = await grant(profile_id=profile["id"])
    await link(instance, profile)
    await link(instance, other)
    linked = await grant(profile_id=profile["id"], profile_name=profile["name"])
    disagreeing = await grant(profile_id=profile["id"], profile_name="other")
    unknown = await grant(profile_name="nothing")
    server.clock.advance(300)
    expired = await grant(profile_id=profile["id"])

    assert linked.status_code == 200, linked.text
    assert linked.json()["refresh_token"] == "not_supported"
    codes = [
        (answer.status_code, answer.json()["errorCode"])
        for answer in (not_linked, disagreeing, unknown, expired)
    ]
    assert codes == [
        (400, "BXNIM0435E"),
        (400, "BXNIM0110E"),
        (400, "BXNIM0434E"),
        (400, "BXNIM0407E"),
    ]


async def test_automatic_links_come_and_go_in_the_callers_transaction(instance: Instance) -> None:
    server = instance.server
    profile, by_hand = await server.profile(), await server.profile("by-hand")
    await link(instance, by_hand)
    for _ in range(2):  # the second time changes nothing
        async with server.database.transaction() as connection:
            await link_instance(
                connection,
                profile_id=profile["id"],
                instance_crn=instance.crn,
                instance_id=instance.id,
                now=server.clock.now(),
            )
    links = (await server.call("GET", f"/v1/profiles/{profile['id']}/links")).json()["links"]
    allowed = await ask(instance, "id", profile["id"])
    async with server.database.transaction() as connection:
        await unlink_instance(connection, instance_crn=instance.crn)

    assert [(one["name"], one["cr_type"]) for one in links] == [(f"vsi-{instance.id}", "VSI")]
    assert allowed.status_code == 200
    for one in (profile, by_hand):
        assert code(await ask(instance, "id", one["id"])) == "profile_not_linked"


async def test_a_profile_is_found_by_what_all_selectors_agree_on(server: IamServer) -> None:
    profile = await server.profile()
    account = server.made.account_id
    selectors = [
        ({"id": profile["id"]}, True),
        ({"crn": profile["crn"], "id": profile["id"]}, True),
        ({"name": "app", "id": profile["id"]}, True),
        ({"name": "other", "id": profile["id"]}, False),
        ({"crn": profile["crn"], "id": "Profile-x"}, False),
        ({"name": "a\0b"}, False),
        ({"crn": profile["crn"].replace(account, "f" * 32)}, False),
    ]
    async with server.database.transaction() as connection:
        found = [
            await find_profile(connection, account, lock=True, **selector) is not None
            for selector, _ in selectors
        ]
        foreign = await find_profile(connection, "f" * 32, id=profile["id"])

    assert found == [expected for _, expected in selectors]
    assert foreign is None
