"""What every service of the VPC API is built with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.document import InstanceDocument
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId
from linklocal.settings import Region
from linklocal.store.engine import Database


class Publisher(Protocol):
    """`fleet.publish`: tells nodes, in the caller's transaction."""

    async def put(
        self, connection: AsyncConnection, documents: Sequence[InstanceDocument]
    ) -> dict[InstanceId, int]:
        """Publish documents of placed instances; those not placed are passed over.

        Returns the node revision of each published one. One revision bump per node.
        """
        ...

    async def drop(self, connection: AsyncConnection, instance_id: InstanceId) -> int | None:
        """Tell the instance's node to forget it and end the placement. None if it was not placed."""
        ...


class Authorizer(Protocol):
    """`iam.roles`: may this caller do all of this? Raises NotAuthorized."""

    async def require(self, connection: AsyncConnection, caller: Caller, *actions: str) -> None: ...


@dataclass(frozen=True, slots=True)
class VpcContext:
    """The database, who may do what, how nodes are told, the time and the region."""

    database: Database
    authorizer: Authorizer
    publisher: Publisher
    clock: Clock
    region: Region
