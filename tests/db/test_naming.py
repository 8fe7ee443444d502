"""Who gets a name is decided by the database, and told as the contract says (1.4, 1.6)."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.region import ACCOUNT, GROUP, KEY, NAME, Region
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from linklocal.errors import Invalid, bad_field
from linklocal.store.engine import Database
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.placement_groups.tables import placement_groups
from linklocal.vpc.scopes import Scope

TAKEN = name_taken("key", "key")
TWIN = bad_field("public_key", "It is here already.")


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


def key(**members: Any) -> dict[str, Any]:
    return {
        "id": "r006-new",
        "account_id": ACCOUNT,
        "region": NAME,
        "name": "new",
        "crn": "crn:new",
        "type": "rsa",
        "length": 4096,
        "fingerprint": "SHA256:new",
        "public_key": "ssh-rsa AAAA",
        "resource_group_id": GROUP,
        "created_at": FakeClock().now(),
        **members,
    }


async def write(region: Region, **members: Any) -> None:
    async with region.database.transaction() as connection:
        with unique(keys, name=TAKEN, fingerprint=TWIN):
            await connection.execute(insert(keys).values(key(**members)))


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"name": KEY.removeprefix("r006-")}, TAKEN),
        ({"fingerprint": f"SHA256:{KEY}"}, TWIN),
    ],
)
async def test_the_violated_constraint_names_the_problem(
    region: Region, members: dict[str, str], problem: object
) -> None:
    with pytest.raises(Invalid) as refused:
        await write(region, **members)

    assert refused.value.problems == (problem,)
    await write(region)


@pytest.mark.parametrize("members", [{"id": KEY}, {"resource_group_id": "none"}])
async def test_any_other_integrity_error_stays_one(region: Region, members: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        await write(region, **members)


async def test_a_constraint_of_another_table_is_not_taken_for_its_own(region: Region) -> None:
    async with region.database.engine.connect() as connection:
        with pytest.raises(IntegrityError), unique(placement_groups, name=TAKEN):
            await connection.execute(insert(keys).values(key(name="key")))


async def test_a_name_is_free_taken_or_reserved(region: Region) -> None:
    scope = Scope(select(keys).where(keys.c.account_id == ACCOUNT), {})
    async with region.database.read() as connection:
        found = {
            name: [
                problem.code
                for problem in await name_problems(connection, scope, keys, "key", name)
            ]
            for name in (None, "free", "key", "foreign", "ibm-mine")
        }

    assert found == {
        None: [],
        "free": [],
        "key": ["validation_unique_failed"],
        "foreign": [],
        "ibm-mine": ["bad_field"],
    }
