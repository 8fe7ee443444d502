"""SSH keys: create, list, get, rename, delete. Decides; knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Invalid, Problem, Target, bad_field
from linklocal.iam.caller import Caller
from linklocal.ids import InstanceId, generated_name, new_regional_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.tables import instance_keys, instances
from linklocal.vpc.keys.model import KeyPatch, KeyPrototype, read_public_key
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.keys.views import key_view, metadata_view
from linklocal.vpc.naming import name_problems, name_taken, unique
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.references import raise_if
from linklocal.vpc.render import publish_instances
from linklocal.vpc.resource_groups import (
    resolve_resource_group,
    resource_group_reference,
    resource_group_references,
)
from linklocal.vpc.rows import find_row, of_account, own
from linklocal.vpc.scopes import Scope

PER_REGION = 200


class KeyService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    def _own(self, caller: Caller) -> Scope:
        return own(self._context, caller, keys)

    def _of(self, caller: Caller) -> Select[Any]:
        return of_account(self._context, caller, keys)

    async def _get(
        self, connection: AsyncConnection, caller: Caller, id: str, *, lock: bool = False
    ) -> Row[Any]:
        return await find_row(connection, self._context, caller, keys, id, lock=lock)

    async def create(self, caller: Caller, prototype: KeyPrototype) -> dict[str, Any]:
        """Key view. Raises Invalid (`public_key`, `type`, `name`, `resource_group.id`)."""
        problems: list[Problem] = []
        key = None
        try:
            key = read_public_key(prototype.public_key, prototype.type)
        except Invalid as error:
            problems += error.problems
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.create")
            group_id, found = await resolve_resource_group(
                connection, caller, prototype.resource_group
            )
            problems += found
            problems += await name_problems(
                connection, self._own(caller), keys, "key", prototype.name
            )
            problems += await self._no_room(connection, caller)
            if key is not None:
                same = self._of(caller).where(keys.c.fingerprint == key.fingerprint)
                if (other := (await connection.execute(same)).first()) is not None:
                    problems.append(_known(other._mapping["name"]))
            raise_if(problems)
            assert key is not None
            id = new_regional_id(self._context.region.name)
            name = prototype.name or generated_name()
            statement = insert(keys).values(
                id=id,
                account_id=caller.account_id,
                region=self._context.region.name,
                name=name,
                crn=vpc_crn(self._context.region.name, caller.account_id, "key", id),
                type=key.type,
                length=key.length,
                fingerprint=key.fingerprint,
                public_key=key.text,
                resource_group_id=group_id,
                created_at=self._context.clock.now(),
            )
            with unique(keys, name=name_taken("key", name), fingerprint=_known()):
                row = (await connection.execute(statement.returning(keys))).one()
            return key_view(row, await resource_group_reference(connection, group_id))

    async def _no_room(self, connection: AsyncConnection, caller: Caller) -> list[Problem]:
        count = select(func.count()).select_from(self._of(caller).subquery())
        if (await connection.execute(count)).scalar_one() < PER_REGION:
            return []
        return [bad_field("public_key", f"The region holds {PER_REGION} keys: delete one first.")]

    async def list(
        self, caller: Caller, page: Page, resource_group_id: str | None = None
    ) -> tuple[list[dict[str, Any]], int, str | None]:
        """Views of one page, total count, start of the next page. Raises Invalid (`start`)."""
        async with self._context.database.read() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.list")
            statement = self._of(caller)
            if resource_group_id is not None:
                statement = statement.where(keys.c.resource_group_id == resource_group_id)
            rows, total, following = await select_page(connection, statement, keys, page)
            groups = await resource_group_references(
                connection, [row._mapping["resource_group_id"] for row in rows]
            )
            views = [key_view(row, groups[row._mapping["resource_group_id"]]) for row in rows]
            return views, total, following

    async def get(self, caller: Caller, id: str) -> dict[str, Any]:
        """Key view. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.read")
            return await self._view(connection, await self._get(connection, caller, id))

    async def _view(self, connection: AsyncConnection, row: Row[Any]) -> dict[str, Any]:
        group_id = row._mapping["resource_group_id"]
        return key_view(row, await resource_group_reference(connection, group_id))

    async def update(self, caller: Caller, id: str, patch: KeyPatch) -> dict[str, Any]:
        """Rename; instances that use the key show the new name. Raises NotFound, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.update")
            row = await self._get(connection, caller, id, lock=True)
            name = patch.given().get("name", row._mapping["name"])
            if name == row._mapping["name"]:
                return await self._view(connection, row)
            raise_if(await name_problems(connection, self._own(caller), keys, "key", name))
            statement = update(keys).where(keys.c.id == id).values(name=name)
            with unique(keys, name=name_taken("key", name)):
                row = (await connection.execute(statement.returning(keys))).one()
            await publish_instances(connection, self._context, await self._users(connection, id))
            return await self._view(connection, row)

    async def delete(self, caller: Caller, id: str) -> None:
        """Instances keep the key as it was at its end, marked as deleted. Raises NotFound."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.delete")
            row = await self._get(connection, caller, id, lock=True)
            users = await self._users(connection, id)
            # Who deletes an instance locks it and then its `instance_keys`: keep that order.
            await connection.execute(
                select(instances.c.id)
                .where(instances.c.id.in_(users))
                .order_by(instances.c.id)
                .with_for_update()
            )
            await connection.execute(
                update(instance_keys)
                .where(instance_keys.c.key_id == id)
                .values(snapshot=metadata_view(row))
            )
            await connection.execute(delete(keys).where(keys.c.id == id))
            await publish_instances(connection, self._context, users)

    @staticmethod
    async def _users(connection: AsyncConnection, id: str) -> Sequence[InstanceId]:
        """Instances that were initialized with the key. The key is locked, so there will be no more."""
        statement = select(instance_keys.c.instance_id).where(instance_keys.c.key_id == id)
        found = (await connection.execute(statement.distinct())).scalars()
        return sorted(InstanceId(instance_id) for instance_id in found)


def _known(name: str | None = None) -> Problem:
    """The public key is in the region already; `name` is that key's."""
    called = "" if name is None else f" {name!r}"
    return Problem(
        "validation_unique_failed",
        f"This public key is already here as key{called}: use that one.",
        Target("public_key"),
    )
