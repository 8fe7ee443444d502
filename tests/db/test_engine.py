"""A unit of work commits whole or not at all, on both databases."""

from __future__ import annotations

import pytest
from fakes.clock import FakeClock
from sqlalchemy import func, insert, select

from linklocal.fleet.tables import node_requests
from linklocal.store.engine import Database

ROW = {"jti": "a", "expires_at": FakeClock().now()}


async def count(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(node_requests)) or 0


async def test_commits_at_the_end_of_the_block(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(node_requests).values(**ROW))

    assert await count(database) == 1


async def test_rolls_back_what_raises(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute(insert(node_requests).values(**ROW))
            raise ZeroDivisionError

    assert await count(database) == 0
