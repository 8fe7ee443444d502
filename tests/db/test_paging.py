"""Pages of rows while rows come and go (contract 1.5)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes.region import ACCOUNT, GROUP, NAME, Region
from sqlalchemy import delete, insert, select

from linklocal.errors import Invalid
from linklocal.store.engine import Database
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.placement_groups.tables import placement_groups

OF_ACCOUNT = select(placement_groups).where(placement_groups.c.account_id == ACCOUNT)


@pytest.fixture
async def region(database: Database) -> Region:
    region = await Region(database).furnish()
    async with database.transaction() as connection:
        await connection.execute(delete(placement_groups))
    for number in range(6):
        await add(region, number)
    return region


async def add(region: Region, number: int) -> None:
    """Two rows have each millisecond."""
    async with region.database.transaction() as connection:
        await connection.execute(
            insert(placement_groups).values(
                id=f"r006-{number}",
                account_id=ACCOUNT,
                region=NAME,
                name=f"g-{number}",
                crn=f"crn:{number}",
                strategy="host_spread",
                resource_group_id=GROUP,
                created_at=region.clock.now() + timedelta(milliseconds=number // 2),
            )
        )


async def page(region: Region, start: str | None) -> tuple[list[str], int, str | None]:
    async with region.database.read() as connection:
        rows, total, following = await select_page(
            connection, OF_ACCOUNT, placement_groups, Page(2, start)
        )
        return [row._mapping["id"][5:] for row in rows], total, following


@pytest.mark.differs(
    "VPC API: order of lists",
    "not published",
    "newest first",
)
async def test_rows_are_newest_first_and_ties_have_one_order(region: Region) -> None:
    first = await page(region, None)
    second = await page(region, first[2])
    third = await page(region, second[2])

    assert [first[0], second[0], third[0]] == [["5", "4"], ["3", "2"], ["1", "0"]]
    assert (first[1], second[1], third[1]) == (6, 6, 6)
    assert third[2] is None


async def test_what_comes_and_goes_between_pages_moves_nothing_else(region: Region) -> None:
    _, _, start = await page(region, None)
    async with region.database.transaction() as connection:
        for gone in ("r006-4", "r006-3"):
            await connection.execute(delete(placement_groups).where(placement_groups.c.id == gone))
    await add(region, 9)

    ids, total, following = await page(region, start)

    assert (ids, total) == (["2", "1"], 5)
    assert (await page(region, following))[0] == ["0"]


async def test_a_position_far_away_is_an_empty_page(region: Region) -> None:
    assert await page(region, "0.a") == ([], 6, None)
    assert (await page(region, "9999999999999.z"))[0] == ["5", "4"]


async def test_a_start_that_no_page_gave_is_refused(region: Region) -> None:
    with pytest.raises(Invalid):
        await page(region, "MTIzLmE")
