"""The state of a `linklocal dev`, remembered and brought back: what a test suite does between two tests.

Rows are put back as they were, in one transaction, and nodes are told what that changes, so that an
instance is served as before when the answer comes. What cannot be undone stays: the nodes, their
revisions, the record of events, and the server's keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Conflict, Unavailable
from linklocal.fleet import tables as fleet
from linklocal.iam.tables import secrets
from linklocal.ids import InstanceId
from linklocal.server.app import ControlPlane
from linklocal.store.engine import metadata
from linklocal.vpc.render import render_documents

_KEPT: Final = {
    fleet.join_tokens,
    fleet.nodes,
    fleet.documents,
    fleet.tombstones,
    fleet.node_requests,
    fleet.event_batches,
    fleet.events,
    secrets,
}
APPLY_SECONDS: Final = 20.0  # how long nodes may take to serve what was brought back
CHUNK: Final = 500  # rows an INSERT

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _State:
    """Every row of the tables that are brought back, parents before children."""

    rows: tuple[tuple[Table, Rows], ...]

    def placed(self) -> set[InstanceId]:
        """The instances that were on a node."""
        (rows,) = (rows for table, rows in self.rows if table is fleet.placements)
        return {InstanceId(row["instance_id"]) for row in rows}


class Checkpoint:
    """At most one remembered state of a control plane, in memory."""

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._state: _State | None = None

    async def take(self) -> None:
        """Remember the state as it is now, in place of one that was remembered before."""
        async with self._control.database.read() as connection:
            self._state = await _read(connection)

    async def restore(self) -> None:
        """Bring the remembered state back; every instance is served as it says when this returns.

        Raises Conflict when none is remembered, Unavailable when a node does not follow in time.
        """
        state = self._state
        if state is None:
            raise Conflict(
                "There is no checkpoint: take one first, with PUT /linklocal/v1/checkpoint.",
                "checkpoint",
            )
        async with self._control.database.transaction() as connection:
            await self._drop_others(connection, state)
            await _write(connection, state)
            await self._publish(connection, state)
        try:
            async with asyncio.timeout(APPLY_SECONDS):
                await self._followed()
        except TimeoutError as error:
            raise Unavailable(
                "The state is back, but a node does not serve it yet: see `linklocal node list`."
            ) from error

    async def _followed(self) -> None:
        while True:
            if await self._control.all_acknowledged():
                return
            await asyncio.sleep(0.01)  # nodes report to the database, which tells nobody

    async def _drop_others(self, connection: AsyncConnection, state: _State) -> None:
        placed = await connection.scalars(select(fleet.placements.c.instance_id))
        for id in sorted({InstanceId(id) for id in placed} - state.placed()):
            await self._control.context.publisher.drop(connection, id)

    async def _publish(self, connection: AsyncConnection, state: _State) -> None:
        """Tell nodes what is not as it was; most tests change no instance that was there before."""
        documents = select(fleet.documents.c.instance_id, fleet.documents.c.document)
        published = {row.instance_id: row.document for row in await connection.execute(documents)}
        rendered = await render_documents(connection, self._control.context, sorted(state.placed()))
        changed = [one for id, one in rendered.items() if published.get(id) != one.dumps()]
        if changed:
            await self._control.context.publisher.put(connection, changed)


async def _read(connection: AsyncConnection) -> _State:
    found = []
    for table in metadata.sorted_tables:
        if table not in _KEPT:
            rows = (await connection.execute(select(table))).mappings()
            found.append((table, [dict(row) for row in rows]))
    return _State(tuple(found))


async def _write(connection: AsyncConnection, state: _State) -> None:
    for table, _ in reversed(state.rows):
        await connection.execute(delete(table))
    for table, rows in state.rows:
        for start in range(0, len(rows), CHUNK):
            await connection.execute(insert(table), rows[start : start + CHUNK])
