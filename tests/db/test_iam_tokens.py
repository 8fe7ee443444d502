"""`/identity/token` and the keys behind it: grants, expiry, rotation, several replicas."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.fleet import Host, rsa_key
from fakes.iam import IamServer, iam_server, replica
from sqlalchemy import func, select

from linklocal.errors import NotAuthenticated, OperatorError
from linklocal.fleet import nodes
from linklocal.iam.signing_keys import TOKEN_LIFE
from linklocal.iam.tables import api_keys, secrets
from linklocal.store.engine import Database
from linklocal.tokens import PublicKeys, SigningKey, TokenRefused, verify_access_token


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "server.key"


@pytest.fixture
async def server(database: Database, key_file: Path) -> AsyncIterator[IamServer]:
    async with iam_server(database, key_file) as server:
        yield server


async def refused(answer: Any, code: str, status: int = 400) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert answer.status_code == status, answer.text
    assert body["errorCode"] == code
    assert body["errorMessage"]
    assert body["context"]["requestType"] == "incoming.Identity_Token"
    return body


async def test_an_api_key_gives_a_token_with_the_claims_that_clients_read(
    server: IamServer,
) -> None:
    answer = await server.grant("apikey", apikey=server.made.api_key or "")
    body = answer.json()
    jwks = (await server.http.get("/identity/keys")).json()
    claims = verify_access_token(body["access_token"], PublicKeys(jwks["keys"]), server.clock.now())

    assert answer.headers["cache-control"] == "no-store"
    assert body["expires_in"] == 3600
    assert body["expiration"] == claims["exp"] == claims["iat"] + TOKEN_LIFE
    assert body["refresh_token"] == "not_supported"
    assert claims["iss"] == "http://iam.test/identity"
    assert claims["iam_id"] == claims["id"] == server.made.iam_id
    assert claims["account"] == {"valid": True, "bss": server.made.account_id}
    assert claims["grant_type"] == "urn:ibm:params:oauth:grant-type:apikey"
    assert "sub_type" not in claims
    caller = await server.caller()
    assert (caller.kind, caller.account_id) == ("user", server.made.account_id)


async def test_the_database_holds_no_key_in_the_clear(server: IamServer) -> None:
    async with server.database.read() as connection:
        sealed = (await connection.execute(select(secrets.c.sealed))).scalars().all()
        hashes = (await connection.execute(select(api_keys.c.key_sha256))).scalars().all()

    assert not [text for text in sealed if "PRIVATE" in text]
    assert server.made.api_key not in hashes


BAD_FORMS = [
    ({}, "BXNIM0109E", "grant_type"),
    ({"grant_type": ""}, "BXNIM0109E", "grant_type"),
    ({"grant_type": "password"}, "BXNIM0133E", "password"),
    ({"grant_type": "urn:ibm:params:oauth:grant-type:apikey"}, "BXNIM0109E", "apikey"),
    (
        {"grant_type": "urn:ibm:params:oauth:grant-type:cr-token", "cr_token": "x"},
        "BXNIM0109E",
        "profile_id",
    ),
    ({"grant_type": "refresh_token", "refresh_token": "x"}, "BXNIM0407E", ""),
]


async def test_a_form_that_cannot_be_granted_says_why(server: IamServer) -> None:
    for form, code, named in BAD_FORMS:
        body = await refused(await server.http.post("/identity/token", data=form), code)

        assert named in body.get("errorDetails", "")


async def test_a_body_that_is_no_form(server: IamServer) -> None:
    for content in (b"\xff\xfe", b"&".join(b"a=%d" % n for n in range(99))):
        await refused(await server.http.post("/identity/token", content=content), "BXNIM0110E")


async def test_a_key_counts_until_it_is_disabled_expired_or_deleted(server: IamServer) -> None:
    made = (
        await server.call(
            "POST",
            "/v1/apikeys",
            {"name": "k", "iam_id": server.made.iam_id, "expires_at": "2026-11-24T13:00+0000"},
        )
    ).json()
    path, value = f"/v1/apikeys/{made['id']}", made["apikey"]

    assert await server.token(value)
    await server.call("POST", f"{path}/disable")
    await refused(await server.grant("apikey", apikey=value), "BXNIM0415E")
    await server.call("DELETE", f"{path}/disable")
    assert await server.token(value)
    server.clock.advance(3600)
    await refused(await server.grant("apikey", apikey=value), "BXNIM0415E")
    await server.call("DELETE", path)
    body = await refused(await server.grant("apikey", apikey=value), "BXNIM0415E")
    assert body["errorMessage"] == "Provided API key could not be found."
    assert value not in str(body)


async def test_a_client_with_an_id_gets_a_refresh_token_that_ends_with_its_key(
    server: IamServer,
) -> None:
    form = {
        "grant_type": "urn:ibm:params:oauth:grant-type:apikey",
        "apikey": server.made.api_key or "",
    }
    first = (await server.http.post("/identity/token", data=form, auth=("bx", "bx"))).json()
    server.clock.advance(TOKEN_LIFE)
    again = (await server.grant("refresh_token", refresh_token=first["refresh_token"])).json()

    with pytest.raises(NotAuthenticated, match="expired"):
        await server.iam.authenticator.authenticate(f"Bearer {first['access_token']}")
    caller = await server.iam.authenticator.authenticate(f"bearer {again['access_token']}")
    assert caller.iam_id == server.made.iam_id
    with pytest.raises(NotAuthenticated):
        await server.iam.authenticator.authenticate(f"Bearer {again['refresh_token']}")
    server.clock.advance(72 * 3600)
    await refused(
        await server.grant("refresh_token", refresh_token=again["refresh_token"]), "BXNIM0407E"
    )


BAD_HEADERS = [
    (None, "missing"),
    ("", "missing"),
    ("Basic eDp5", "Bearer"),
    ("Bearer", "Bearer"),
    ("Bearer x.y", "malformed"),
    ("Bearer a.b.c", "malformed"),
]


async def test_what_a_bad_authorization_header_is_told(server: IamServer) -> None:
    for header, words in BAD_HEADERS:
        with pytest.raises(NotAuthenticated, match=words):
            await server.iam.authenticator.authenticate(header)


async def test_a_node_cannot_make_itself_a_user(server: IamServer) -> None:
    """Nodes' keys are published beside IAM's, but access tokens are not verified with them."""
    host = await Host("node-1").join(server.database, server.clock.now())
    published = (await server.http.get("/identity/keys")).json()["keys"]
    own = SigningKey(host.identity_kid, rsa_key().private_pem())
    good = await server.iam.signing_keys.verify(await server.token())

    with pytest.raises(NotAuthenticated, match="not issued by this server"):
        await server.iam.authenticator.authenticate(f"Bearer {own.sign(dict(good))}")
    assert host.identity_kid in [key["kid"] for key in published]


async def test_a_revoked_nodes_key_is_published_no_more(server: IamServer) -> None:
    host = await Host("node-1").join(server.database, server.clock.now())
    async with server.database.transaction() as connection:
        await nodes.revoke(connection, host.node_id, now=server.clock.now())

    kids = [key["kid"] for key in (await server.http.get("/identity/keys")).json()["keys"]]
    assert host.identity_kid not in kids


async def test_rotation_keeps_old_tokens_good_and_reaches_other_replicas(
    server: IamServer, key_file: Path
) -> None:
    other = replica(server.database, server.clock, key_file)
    old = await server.token()
    assert await other.authenticator.authenticate(f"Bearer {old}")

    server.clock.advance(2)
    kid = await server.iam.signing_keys.rotate()
    new = await server.token()

    assert await other.authenticator.authenticate(f"Bearer {new}")
    assert await other.authenticator.authenticate(f"Bearer {old}")
    keys = (await server.http.get("/identity/keys")).json()["keys"]
    assert keys[0]["kid"] == kid
    assert len(keys) == 2
    server.clock.advance(TOKEN_LIFE + 301)
    assert len((await server.http.get("/identity/keys")).json()["keys"]) == 1


async def test_a_replica_signs_with_the_key_that_another_made(
    server: IamServer, key_file: Path
) -> None:
    """Else its tokens could outlive the key that they are verified with."""
    await server.token()
    other = replica(server.database, server.clock, key_file)
    kid = await other.signing_keys.rotate()

    async with server.database.read() as connection:
        assert (await server.iam.signing_keys.signer(connection)).kid == kid


async def test_a_revoked_key_ends_its_tokens_everywhere_within_a_minute(
    server: IamServer, key_file: Path
) -> None:
    other = replica(server.database, server.clock, key_file)
    old = await server.token()
    await other.authenticator.authenticate(f"Bearer {old}")

    await server.iam.signing_keys.rotate(revoke=True)
    server.clock.advance(60)

    for iam in (server.iam, other):
        with pytest.raises(NotAuthenticated, match="withdrawn"):
            await iam.authenticator.authenticate(f"Bearer {old}")


async def test_unknown_keys_cause_one_read_a_second(server: IamServer) -> None:
    """A flood of forged tokens must not become a flood of queries."""
    stranger = SigningKey.generate_rsa("stranger")
    forged = stranger.sign({"iat": 1})
    await server.caller()
    reads = 0
    refresh = server.iam.signing_keys.refresh

    async def counted() -> Any:
        nonlocal reads
        reads += 1
        return await refresh()

    server.iam.signing_keys.refresh = counted  # type: ignore[method-assign]  # counts, then reads
    for _ in range(10):
        with pytest.raises(TokenRefused):
            await server.iam.signing_keys.verify(forged)
    assert reads == 0  # `caller` has just read
    server.clock.advance(1)
    for _ in range(10):
        with pytest.raises(TokenRefused):
            await server.iam.signing_keys.verify(forged)
    assert reads == 1


async def test_bootstrap_again_changes_nothing_and_a_given_key_becomes_valid(
    server: IamServer,
) -> None:
    async with server.database.transaction() as connection:
        again = await server.iam.bootstrap(connection)
    value = server.iam.new_api_key_value()
    for expected in (value, None):
        async with server.database.transaction() as connection:
            given = await server.iam.bootstrap(connection, api_key=value)
        assert given.api_key == expected

    assert again.api_key is None
    assert again.account_id == given.account_id == server.made.account_id
    assert await server.token(value)
    async with server.database.read() as connection:
        count = await connection.scalar(select(func.count()).select_from(secrets))
    assert count == 4  # signing key, TLS root, identity root, intermediate


async def test_another_key_file_is_told_apart_from_a_damaged_database(
    server: IamServer, tmp_path: Path
) -> None:
    wrong = replica(server.database, server.clock, tmp_path / "other.key")

    with pytest.raises(OperatorError, match="is not the key file") as error:
        async with server.database.transaction() as connection:
            await wrong.bootstrap(connection)
    assert "LINKLOCAL_KEY_FILE" in error.value.next_step


@pytest.mark.differs(
    "IAM: keys that identity tokens are verified with",
    "not published",
    "`GET /identity/keys`",
)
async def test_introspection_and_discovery(server: IamServer) -> None:
    token = await server.token()
    good = (await server.http.post("/identity/introspect", data={"token": token})).json()
    bad = (await server.http.post("/identity/introspect", data={"token": "x"})).json()
    discovery = (await server.http.get("/identity/.well-known/openid-configuration")).json()

    assert good["active"] is True
    assert good["iam_id"] == server.made.iam_id
    assert bad == {"active": False}
    assert discovery["jwks_uri"] == "http://iam.test/identity/keys"


async def test_assume_gives_an_administrator_a_profile_and_nobody_else(server: IamServer) -> None:
    profile = await server.profile()
    token = await server.token()
    made = (
        await server.call("POST", "/v1/apikeys", {"name": "k", "iam_id": server.made.iam_id})
    ).json()
    await server.grant_role(made["id"], "Editor", None, kind="apikey_id")

    for selector in (
        {"profile_id": profile["id"]},
        {"profile_crn": profile["crn"]},
        {"profile_name": profile["name"], "account": server.made.account_id},
    ):
        answer = await server.grant("assume", access_token=token, **selector)
        assert answer.status_code == 200, answer.text
    caller = await server.iam.authenticator.authenticate(f"Bearer {answer.json()['access_token']}")
    assert (caller.kind, caller.profile_id, caller.instance_crn) == (
        "profile",
        profile["id"],
        None,
    )
    await refused(
        await server.grant(
            "assume",
            access_token=await server.token(made["apikey"]),
            profile_id=profile["id"],
        ),
        "BXNIM0513E",
    )
    await refused(
        await server.grant("assume", access_token=token, profile_id="Profile-x"), "BXNIM0434E"
    )
    await refused(await server.grant("assume", access_token="x.y.z", profile_id="x"), "BXNIM0401E")
