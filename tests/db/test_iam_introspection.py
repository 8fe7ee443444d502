"""A token is active only while what it stands for is so: key, profile, instance where it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.fleet import Host
from fakes.iam import IamServer, Instance, iam_server, placed
from sqlalchemy import update

from linklocal.fleet import nodes
from linklocal.fleet.tables import placements
from linklocal.store.engine import Database


@pytest.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[IamServer]:
    async with iam_server(database, tmp_path / "server.key") as server:
        yield server


async def introspect(server: IamServer, token: str) -> dict[str, Any]:
    answer = await server.http.post("/identity/introspect", data={"token": token})
    assert answer.status_code == 200
    return dict(answer.json())


async def active(server: IamServer, *tokens: str) -> list[bool]:
    return [bool((await introspect(server, token))["active"]) for token in tokens]


async def tokens_of(server: IamServer, instance: Instance) -> tuple[str, str]:
    """An identity token and the IAM token that it was exchanged for."""
    profile = await server.profile(f"of-{instance.id}")
    link = {"cr_type": "VSI", "link": {"crn": instance.crn}}
    await server.call("POST", f"/v1/profiles/{profile['id']}/links", link)
    identity = instance.identity_token()
    granted = await server.grant("cr-token", cr_token=identity, profile_id=profile["id"])
    assert granted.status_code == 200, granted.text
    return identity, str(granted.json()["access_token"])


async def test_tokens_of_an_instance_end_with_its_placement(server: IamServer) -> None:
    moved, stopped, restarted, deleted = [
        await placed(server, f"0717_{name}", f"node-{name}")
        for name in ("moved", "stopped", "restarted", "deleted")
    ]
    revoked = await placed(server, "0717_revoked", "node-revoked")
    kept = await placed(server, "0717_kept", "node-kept")
    shown = {one.id: await tokens_of(server, one) for one in
             (moved, stopped, restarted, deleted, revoked, kept)}  # fmt: skip
    for tokens in shown.values():
        assert await active(server, *tokens) == [True, True]
    identity, access = shown[kept.id]
    assert (await introspect(server, identity))["iaas"]["crn"] == kept.crn
    assert (await introspect(server, access))["authn"]["sub"] == kept.crn

    other = await Host("node-other").join(server.database, server.clock.now())
    p = placements.c
    async with server.database.transaction() as connection:
        await connection.execute(
            update(placements).where(p.instance_id == moved.id).values(node_id=other.node_id)
        )
        await connection.execute(
            update(placements).where(p.instance_id == stopped.id).values(serving=False)
        )
        await connection.execute(
            update(placements).where(p.instance_id == restarted.id).values(tokens_valid_after=2)
        )
        await connection.execute(placements.delete().where(p.instance_id == deleted.id))
        await nodes.revoke(connection, revoked.host.node_id, now=server.clock.now())

    for gone in (moved, stopped, restarted, deleted, revoked):
        assert await active(server, *shown[gone.id]) == [False, False], gone.id
    assert await active(server, identity, access) == [True, True]


async def test_a_users_token_counts_while_its_key_does(server: IamServer) -> None:
    soon = (server.clock.now() + timedelta(minutes=10)).isoformat()
    keys = []
    for more in ({}, {}, {"expires_at": soon}):
        body = {"name": "ci", "iam_id": server.made.iam_id, **more}
        keys.append((await server.call("POST", "/v1/apikeys", body)).json())
    shown = [await server.token(key["apikey"]) for key in keys]
    assert await active(server, *shown) == [True] * 3

    await server.call("POST", f"/v1/apikeys/{keys[0]['id']}/disable")
    await server.call("DELETE", f"/v1/apikeys/{keys[1]['id']}")
    server.clock.advance(601)

    assert await active(server, *shown) == [False] * 3
    for key in keys:
        assert (await server.grant("apikey", apikey=key["apikey"])).status_code == 400
    await server.call("DELETE", f"/v1/apikeys/{keys[0]['id']}/disable")
    assert (await server.grant("apikey", apikey=keys[0]["apikey"])).status_code == 200


async def test_a_deleted_profiles_token_does_not_count(server: IamServer) -> None:
    profile = await server.profile()
    granted = await server.grant(
        "assume", access_token=await server.token(), profile_id=profile["id"]
    )
    token = granted.json()["access_token"]
    assert await active(server, token) == [True]
    await server.call("DELETE", f"/v1/profiles/{profile['id']}")

    assert await active(server, token, "x") == [False, False]
