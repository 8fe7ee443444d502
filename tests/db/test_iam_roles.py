"""What a caller may do: roles by policy, no way to widen one's own, nothing across accounts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from fakes.iam import IamServer, iam_server
from fakes.queries import counted
from sqlalchemy import insert

from linklocal.errors import NotAuthorized
from linklocal.iam.api_keys.service import insert_api_key
from linklocal.iam.caller import Caller
from linklocal.iam.tables import accounts, users
from linklocal.ids import AccountId
from linklocal.store.engine import Database

CREATE = "is.instance.instance.create"
LIST = "is.instance.instance.list"
OPERATE = "is.instance.instance.operate"
LINK = "iam-identity.profile.linkToResource"


@pytest.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[IamServer]:
    async with iam_server(database, tmp_path / "server.key") as server:
        yield server


async def allowed(server: IamServer, caller: Caller, *actions: str) -> list[str]:
    """Those of the actions that the caller may do."""
    found = []
    for action in actions:
        async with server.database.read() as connection:
            try:
                await server.iam.roles.require(connection, caller, action)
            except NotAuthorized:
                continue
        found.append(action)
    return found


async def as_profile(server: IamServer) -> Caller:
    profile = await server.profile()
    return Caller(
        server.made.account_id, profile["iam_id"], "profile", "t", profile_id=profile["id"]
    )


async def key(server: IamServer, name: str = "k") -> dict[str, str]:
    body = {"name": name, "iam_id": server.made.iam_id}
    return dict((await server.call("POST", "/v1/apikeys", body)).json())


@pytest.mark.parametrize(
    ("role", "service", "expected"),
    [
        ("Viewer", "is", [LIST]),
        ("Operator", "is", [LIST, OPERATE]),
        ("Editor", "is", [LIST, OPERATE, CREATE]),
        ("Administrator", "is", [LIST, OPERATE, CREATE]),
        ("Editor", "iam-identity", [LINK]),
        ("Editor", None, [LIST, OPERATE, CREATE, LINK]),
    ],
)
async def test_a_profile_has_what_its_policies_give(
    server: IamServer, role: str, service: str | None, expected: list[str]
) -> None:
    caller = await as_profile(server)
    actions = LIST, OPERATE, CREATE, LINK

    assert await allowed(server, caller, *actions) == []
    await server.grant_role(caller.iam_id, role, service)
    assert await allowed(server, caller, *actions) == expected


async def test_the_refusal_says_the_roles_that_would_do_and_how_to_get_one(
    server: IamServer,
) -> None:
    caller = await as_profile(server)
    with pytest.raises(NotAuthorized) as refused:
        async with server.database.read() as connection:
            await server.iam.roles.require(connection, caller, CREATE)

    message = refused.value.problems[0].message
    assert message.startswith("the provided token is not authorized")
    for part in (CREATE, "Editor or Administrator", "`is`", caller.iam_id, "/v1/policies"):
        assert part in message


async def test_several_actions_are_one_query_and_the_first_refused_is_told(
    server: IamServer,
) -> None:
    caller = await as_profile(server)
    await server.grant_role(caller.iam_id, "Operator", "is")

    async with server.database.read() as connection:
        with counted(server.database) as statements:
            await server.iam.roles.require(connection, caller, LIST, OPERATE)
        with pytest.raises(NotAuthorized, match=CREATE):
            await server.iam.roles.require(connection, caller, LIST, CREATE, LINK)

    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1


async def test_a_key_with_policies_has_them_in_place_of_its_users(server: IamServer) -> None:
    made = await key(server)
    caller = await server.caller(made["apikey"])
    everything = LIST, CREATE, LINK, "iam.policy.create", "linklocal.node.operate"

    before = await allowed(server, caller, *everything)
    policy = (await server.grant_role(made["id"], "Viewer", kind="apikey_id")).json()
    restricted = await allowed(server, caller, *everything)
    await server.call("DELETE", f"/v1/policies/{policy['id']}")
    after = await allowed(server, caller, *everything)

    assert before == after == list(everything)
    assert restricted == [LIST]


async def test_a_deleted_keys_tokens_do_not_gain_what_its_policies_withheld(
    server: IamServer,
) -> None:
    made = await key(server)
    await server.grant_role(made["id"], "Viewer", kind="apikey_id")
    caller = await server.caller(made["apikey"])
    await server.call("DELETE", f"/v1/apikeys/{made['id']}")

    assert await allowed(server, caller, LIST, CREATE) == []


@pytest.mark.parametrize(
    ("role", "service"),
    [("Administrator", "is"), ("Administrator", "iam-identity"), ("Editor", None)],
)
async def test_nobody_with_less_than_everything_can_widen_it(
    server: IamServer, role: str, service: str | None
) -> None:
    """No new key, no change of policies: also not of those that restrict the caller itself."""
    made = await key(server)
    policy = (await server.grant_role(made["id"], role, service, kind="apikey_id")).json()
    token = await server.token(made["apikey"])
    body = {"name": "x", "iam_id": server.made.iam_id}
    own = f"/v1/policies/{policy['id']}"
    parts = ("type", "subjects", "roles", "resources")

    answers = [
        await server.call("POST", "/v1/apikeys", body, token=token),
        await server.call("DELETE", own, token=token),
        await server.call(
            "PUT", own, {part: policy[part] for part in parts}, token=token, If_Match="*"
        ),
        await server.call(
            "POST", "/v1/policies", {part: policy[part] for part in parts}, token=token
        ),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4


async def test_a_profile_cannot_make_keys_for_a_user(server: IamServer) -> None:
    caller = await as_profile(server)
    await server.grant_role(caller.iam_id, "Administrator", None)
    assumed = await server.grant(
        "assume", access_token=await server.token(), profile_id=caller.profile_id or ""
    )
    body = {"name": "x", "iam_id": server.made.iam_id}
    answer = await server.call("POST", "/v1/apikeys", body, token=assumed.json()["access_token"])

    assert answer.status_code == 400
    assert "iam_id" in answer.text


async def stranger(server: IamServer) -> str:
    """An access token of a user of another account."""
    account, value = AccountId("f" * 32), server.iam.new_api_key_value()
    now = server.clock.now()
    async with server.database.transaction() as connection:
        await connection.execute(insert(accounts).values(id=account, name="x", created_at=now))
        await connection.execute(
            insert(users).values(
                iam_id="IBMid-OTHER", account_id=account, email="x@y.example", created_at=now
            )
        )
        await insert_api_key(
            connection, account_id=account, iam_id="IBMid-OTHER", name="k", value=value, now=now
        )
    return await server.token(value)


async def test_nothing_is_read_or_changed_across_accounts(server: IamServer) -> None:
    made = await key(server)
    profile = await server.profile()
    policy = (await server.grant_role(profile["iam_id"], "Viewer")).json()
    token = await stranger(server)
    mine = f"/v1/profiles/{profile['id']}"
    crn = f"crn:v1:bluemix:public:is:us-south-1:a/{'f' * 32}::instance:0717_x"
    link = {"cr_type": "VSI", "link": {"crn": crn}}
    rule = {
        "type": "Profile-CR",
        "cr_type": "VSI",
        "conditions": [{"claim": "zone", "operator": "EQUALS", "value": '"x"'}],
    }
    hidden = [
        ("GET", f"/v1/apikeys/{made['id']}", None),
        ("PUT", f"/v1/apikeys/{made['id']}", {}),
        ("DELETE", f"/v1/apikeys/{made['id']}", None),
        ("POST", f"/v1/apikeys/{made['id']}/lock", None),
        ("POST", f"/v1/apikeys/{made['id']}/disable", None),
        ("GET", mine, None),
        ("PUT", mine, {}),
        ("DELETE", mine, None),
        ("GET", f"{mine}/links", None),
        ("POST", f"{mine}/links", link),
        ("POST", f"{mine}/rules", rule),
        ("GET", f"{mine}/rules", None),
        ("GET", f"/v1/policies/{policy['id']}", None),
        ("DELETE", f"/v1/policies/{policy['id']}", None),
    ]
    for method, path, body in hidden:
        answer = await server.call(method, path, body, token=token, If_Match="*")
        assert answer.status_code == 404, (method, path, answer.text)
    details = await server.call(
        "GET", "/v1/apikeys/details", token=token, IAM_ApiKey=made["apikey"]
    )
    assert details.status_code == 404
    for path in ("/v1/apikeys", "/v1/profiles", "/v1/policies"):
        query = f"{path}?account_id={server.made.account_id}"
        assert (await server.call("GET", query, token=token)).status_code == 403
    listed = await server.call("GET", "/v1/apikeys?scope=account", token=token)
    assert [one["account_id"] for one in listed.json()["apikeys"]] == ["f" * 32]
    assert (await server.call("GET", "/v1/profiles", token=token)).json()["profiles"] == []


async def test_a_link_of_another_accounts_instance_must_be_meant(server: IamServer) -> None:
    profile = await server.profile()
    crn = f"crn:v1:bluemix:public:is:us-south-1:a/{'f' * 32}::instance:0717_x"
    path, body = f"/v1/profiles/{profile['id']}/links", {"cr_type": "VSI", "link": {"crn": crn}}

    refused = await server.call("POST", path, body)
    made = await server.call("POST", path, {**body, "is_cross_account": True})

    assert refused.status_code == 400
    assert "is_cross_account" in refused.json()["errors"][0]["message"]
    assert made.status_code == 201
    assert made.json()["is_cross_account"] is True


BAD_LINKS = [
    ("VSI", "x", "link.crn"),
    ("VSI", "crn:v1:b:p:is:z:a/ACCOUNT::volume:x", "link.crn"),
    ("IKS_SA", "crn:v1:b:p:ks:z:a/ACCOUNT::cluster:x", "link.namespace"),
    ("CE", "crn:v1:b:p:ce:z:a/ACCOUNT::app:x", "link.component_type"),
]


async def test_links_that_could_never_match_are_refused(server: IamServer) -> None:
    path = f"/v1/profiles/{(await server.profile())['id']}/links"
    for cr_type, crn, target in BAD_LINKS:
        body = {"cr_type": cr_type, "link": {"crn": crn.replace("ACCOUNT", server.made.account_id)}}
        answer = await server.call("POST", path, body)

        assert answer.status_code == 400
        assert target in answer.text


async def test_a_profile_has_twenty_rules_at_most(server: IamServer) -> None:
    profile = await server.profile()
    rule = {
        "type": "Profile-CR",
        "cr_type": "VSI",
        "conditions": [{"claim": "zone", "operator": "EQUALS", "value": '"x"'}],
    }
    path = f"/v1/profiles/{profile['id']}/rules"
    statuses = [(await server.call("POST", path, rule)).status_code for _ in range(21)]

    assert statuses == [201] * 20 + [400]


def _resource(**attributes: str) -> list[dict[str, object]]:
    return [{"attributes": [{"name": n, "value": v} for n, v in attributes.items()]}]


BAD_POLICIES: list[tuple[str, object, str]] = [
    ("roles", [{"role_id": "Viewer"}], "roles[0].role_id"),
    ("roles", [{"role_id": "crn:v1:bluemix:public:iam::::serviceRole:Reader"}], "roles[0]"),
    ("type", "authorization", "type"),
    ("subjects", _resource(access_group_id="x"), "subjects[0]"),
    ("resources", _resource(serviceName="is"), "accountId"),
    ("resources", _resource(accountId="ACCOUNT", instanceId="x"), "attributes[1].name"),
    ("resources", _resource(accountId="ACCOUNT", serviceName="si"), "attributes[1].value"),
    ("resources", _resource(accountId="f" * 32), "attributes[0].value"),
]


async def test_a_policy_that_cannot_be_evaluated_is_refused(server: IamServer) -> None:
    profile = await server.profile()
    good = (await server.grant_role(profile["iam_id"], "Viewer", "iam-identity")).json()
    body = {part: good[part] for part in ("type", "subjects", "roles", "resources")}
    for member, value, target in BAD_POLICIES:
        text = json.dumps({**body, member: value}).replace("ACCOUNT", server.made.account_id)
        answer = await server.call("POST", "/v1/policies", json.loads(text))

        assert answer.status_code == 400
        assert target in answer.text


STRANGE_IDS = ["x\0y", "%00", "..", "é", "x" * 5000]


async def test_ids_of_any_shape_are_just_not_there(server: IamServer) -> None:
    for id in STRANGE_IDS:
        for path in ("apikeys", "profiles", "policies"):
            answer = await server.call("GET", f"/v1/{path}/{quote(id, safe='')}")
            assert answer.status_code == 404, answer.text


BAD_KEYS: list[dict[str, object]] = [
    {"name": ""},
    {"name": "a\0b"},
    {"expires_at": "soon"},
    {"expires_at": "2020-01-01T00:00+0000"},
    {"expires_at": "0001-01-01T00:00+23:59"},
    {"expires_at": "2027-01-01T00:00"},
    {"apikey": "short"},
    {"store_value": True},
    {"account_id": "f" * 32},
    {"iam_id": "IBMid-OTHER"},
    {"action_when_leaked": "shout"},
    {"store_value": "yes"},
]


async def test_keys_that_are_refused(server: IamServer) -> None:
    for body in BAD_KEYS:
        whole = {"name": "k", "iam_id": server.made.iam_id, **body}
        answer = await server.call("POST", "/v1/apikeys", whole)

        assert answer.status_code == 400, answer.text
        assert next(iter(body)) in answer.text


async def test_a_key_value_is_never_taken_twice(server: IamServer) -> None:
    body = {"name": "k", "iam_id": server.made.iam_id, "apikey": server.made.api_key}
    answer = await server.call("POST", "/v1/apikeys", body)

    assert answer.status_code == 400
    assert str(server.made.api_key) not in answer.text
