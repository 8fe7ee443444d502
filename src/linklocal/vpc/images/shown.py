"""What references to images show: of those that exist, and of those that are gone (contract 1.6).

A reference keeps its members when its image is deleted, and says so. Knows no caller: whoever asks has
the ids from rows of his own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, false, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.vpc.images.tables import deleted_images, images

# Asked for every instance and volume: made once, since to build a statement takes longer than to run it.
_SHOWN = union_all(
    *(
        select(
            table.c.id,
            table.c.crn,
            table.c.name,
            table.c.operating_system,
            gone.label("deleted"),
        ).where(table.c.id.in_(bindparam("ids", expanding=True)))
        for table, gone in ((images, false()), (deleted_images, true()))
    )
)


async def shown_images(
    connection: AsyncConnection, ids: Collection[str | None]
) -> dict[str, dict[str, Any]]:
    """`{id, crn, name, operating_system, deleted}` by id. One query, also for an empty collection."""
    wanted = sorted({id for id in ids if id is not None})
    rows = (await connection.execute(_SHOWN, {"ids": wanted})).mappings()
    return {row["id"]: {**row, "deleted": bool(row["deleted"])} for row in rows}
