"""Several requests, or several replicas, at once: one wins, the others are told, nothing fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.clock import FakeClock
from fakes.iam import IamServer, iam_server, replica
from sqlalchemy import func, select

from linklocal.errors import NotAuthenticated
from linklocal.iam.bootstrap import SetUp
from linklocal.iam.build import Iam
from linklocal.iam.links import find_profile, link_instance
from linklocal.iam.tables import accounts, api_keys, policies, profile_links, secrets
from linklocal.store.engine import Database, open_database

CRN = "crn:v1:bluemix:public:is:us-south-1:a/{}::instance:0717_x"


@pytest.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[IamServer]:
    async with iam_server(database, tmp_path / "server.key") as server:
        yield server


async def test_replicas_that_start_together_set_the_database_up_once(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    databases = [database, open_database(database_url), open_database(database_url)]
    iams = [replica(one, FakeClock(), tmp_path / "server.key") for one in databases]

    async def start(iam: Iam) -> SetUp:
        async with iam.database.transaction() as connection:
            return await iam.bootstrap(connection)

    made = await asyncio.gather(*map(start, iams))
    async with database.read() as connection:
        counts = [
            await connection.scalar(select(func.count()).select_from(table))
            for table in (accounts, api_keys, secrets)
        ]
    for one in databases[1:]:
        await one.close()

    assert counts == [1, 1, 4]
    assert len({one.account_id for one in made}) == 1
    assert [one.api_key is not None for one in made].count(True) == 1


async def test_of_profiles_with_one_name_one_is_made(server: IamServer) -> None:
    body = {"name": "app", "account_id": server.made.account_id}
    token = await server.token()
    answers = await asyncio.gather(
        *(server.call("POST", "/v1/profiles", body, token=token) for _ in range(5))
    )

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_of_equal_policies_one_is_made(server: IamServer) -> None:
    profile = await server.profile()
    answers = await asyncio.gather(
        *(server.grant_role(profile["iam_id"], "Viewer") for _ in range(5))
    )

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


async def test_a_change_with_one_entity_tag_wins_once(server: IamServer) -> None:
    profile = await server.profile()
    token, path = await server.token(), f"/v1/profiles/{profile['id']}"
    answers = await asyncio.gather(
        *(
            server.call("PUT", path, {"name": f"n{n}"}, token=token, If_Match=profile["entity_tag"])
            for n in range(5)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


async def test_a_profile_that_is_deleted_leaves_no_policy_behind(server: IamServer) -> None:
    for n in range(4):
        profile = await server.profile(f"p{n}")
        _, granted = await asyncio.gather(
            server.call("DELETE", f"/v1/profiles/{profile['id']}"),
            server.grant_role(profile["iam_id"], "Viewer"),
        )
        assert granted.status_code in (201, 400)
        async with server.database.read() as connection:
            left = select(func.count()).where(policies.c.subject == profile["iam_id"])
            assert await connection.scalar(left) == 0


async def test_an_instances_link_and_the_end_of_its_profile(server: IamServer) -> None:
    """With the share lock of `find_profile` either the link is made first or there is no profile."""
    crn = CRN.format(server.made.account_id)
    for n in range(4):
        profile = await server.profile(f"p{n}")

        async def create(profile_id: str = profile["id"]) -> bool:
            async with server.database.transaction() as connection:
                account = server.made.account_id
                if await find_profile(connection, account, id=profile_id, lock=True) is None:
                    return False
                await asyncio.sleep(0)
                await link_instance(
                    connection,
                    profile_id=profile_id,
                    instance_crn=crn,
                    instance_id="0717_x",
                    now=server.clock.now(),
                )
                return True

        _, gone = await asyncio.gather(
            create(), server.call("DELETE", f"/v1/profiles/{profile['id']}")
        )
        assert gone.status_code == 204
    async with server.database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(profile_links)) == 0


async def test_tokens_of_all_replicas_are_good_everywhere_through_rotations(
    server: IamServer, tmp_path: Path
) -> None:
    other = replica(server.database, server.clock, tmp_path / "server.key")
    tokens = []

    async def give() -> None:
        for _ in range(5):
            tokens.append(await server.token())

    await asyncio.gather(give(), server.iam.signing_keys.rotate(), other.signing_keys.rotate())
    server.clock.advance(2)
    for token in tokens:
        for iam in (server.iam, other):
            assert await iam.authenticator.authenticate(f"Bearer {token}")
    await other.signing_keys.rotate(revoke=True)
    server.clock.advance(60)
    for token in tokens:
        with pytest.raises(NotAuthenticated):
            await server.iam.authenticator.authenticate(f"Bearer {token}")
