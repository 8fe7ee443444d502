"""Cheap looks at instances: names and the mark by which an open list notices that it has changed."""

from __future__ import annotations

import pytest
from fakes import region as r
from fakes.region import ADMINISTRATOR, STRANGER, Region
from sqlalchemy import insert, update

from linklocal.errors import Invalid
from linklocal.ids import InstanceId
from linklocal.store.engine import Database
from linklocal.vpc.instances.queries import InstanceFilter
from linklocal.vpc.network.tables import floating_ips, vpcs
from linklocal.vpc.paging import Page

ALL = InstanceFilter()


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


async def mark(region: Region, **page: str) -> str:
    return await region.instances.mark(ADMINISTRATOR, Page(**page), ALL)


async def bind(region: Region, instance_id: str) -> None:
    """A floating ip on the first interface, straight into the table."""
    view = await region.get(instance_id)
    target = view["network_attachments"][0]["virtual_network_interface"]["id"]
    values = {
        "id": "r006-floating",
        "account_id": r.ACCOUNT,
        "region": r.NAME,
        "zone": r.ZONE,
        "name": "floating",
        "crn": "crn:floating",
        "address": "203.0.113.9",
        "target_id": target,
        "resource_group_id": r.GROUP,
        "created_at": region.clock.now(),
    }
    async with region.database.transaction() as connection:
        await connection.execute(insert(floating_ips).values(values))


async def test_the_mark_differs_after_each_change_that_a_list_shows(region: Region) -> None:
    id = await region.running()
    marks = [await mark(region)]

    async def differs() -> None:
        marks.append(await mark(region))
        assert len(set(marks)) == len(marks)

    assert await mark(region) == marks[0]
    await region.update(id, {"name": "renamed"})
    await differs()
    await region.act(id, "stop")
    await differs()
    await region.acknowledge()
    await differs()
    await region.report_fault(id, "the address is taken")
    await differs()
    async with region.database.transaction() as connection:
        await connection.execute(update(vpcs).where(vpcs.c.id == r.VPC).values(name="other-net"))
    await differs()
    await bind(region, id)
    await differs()
    await region.create(name="another")
    await differs()


async def test_the_mark_is_of_one_page_of_one_search(region: Region) -> None:
    one = await region.running(name="one")
    region.clock.advance(1)
    await region.running(name="two")
    of_one = await mark(region, name_part="ONE")

    await region.create(name="three")

    assert await mark(region, name_part="ONE") == of_one
    await region.update(one, {"name": "one-more"})
    assert await mark(region, name_part="ONE") != of_one
    with pytest.raises(Invalid):
        await mark(region, start="nowhere")


async def test_names_are_those_of_the_account(region: Region) -> None:
    one = await region.create(name="one")
    region.clock.advance(1)
    two = await region.create(name="two")

    found, total = await region.instances.names(ADMINISTRATOR, Page(1))
    picked, _ = await region.instances.names(ADMINISTRATOR, Page(5), [one["crn"], "crn:none"])

    assert ([tuple(named) for named in found], total) == ([(two["id"], "two", two["crn"])], 2)
    assert [named.name for named in picked] == ["one"]
    assert await region.instances.names(STRANGER, Page()) == ([], 0)


async def test_floating_ips_are_found_by_instance(region: Region) -> None:
    one, two = await region.running(), await region.running()
    await bind(region, one)
    ids = [InstanceId(one), InstanceId(two)]

    assert await region.instances.floating_ips(ADMINISTRATOR, ids) == {one: "203.0.113.9"}
    assert await region.instances.floating_ips(STRANGER, ids) == {}
