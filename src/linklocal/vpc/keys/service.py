"""SSH keys: create, list, get, rename, delete. Decides; knows no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.errors import Invalid, NotFound, Problem, bad_field
from linklocal.iam.caller import Caller
from linklocal.ids import generated_name, new_regional_id, vpc_crn
from linklocal.vpc.context import VpcContext
from linklocal.vpc.keys.model import KeyPatch, KeyPrototype, read_public_key
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.naming import name_taken
from linklocal.vpc.paging import Page, select_page
from linklocal.vpc.resource_groups import resolve_resource_group, resource_group_reference

PER_REGION = 200


def key_reference(row: Row[Any]) -> dict[str, Any]:
    """KeyReference."""
    k = row._mapping
    return {
        "crn": k["crn"],
        "fingerprint": k["fingerprint"],
        "href": f"/v1/keys/{k['id']}",
        "id": k["id"],
        "name": k["name"],
    }


def metadata_view(row: Row[Any]) -> dict[str, Any]:
    """A key as the metadata API shows it (metadata contract 5.3)."""
    k = row._mapping
    return {
        "created_at": rfc3339_ms(k["created_at"]),
        "crn": k["crn"],
        "fingerprint": k["fingerprint"],
        "id": k["id"],
        "length": k["length"],
        "name": k["name"],
        "public_key": k["public_key"],
        "resource_type": "key",
        "type": k["type"],
    }


class KeyService:
    """One instance per server; every method is one unit of work."""

    def __init__(self, context: VpcContext) -> None:
        self._context = context

    def _of(self, caller: Caller) -> Any:
        """The keys that the caller's account has in this region."""
        return select(keys).where(
            keys.c.account_id == caller.account_id, keys.c.region == self._context.region.name
        )

    async def _get(
        self, connection: AsyncConnection, caller: Caller, id: str, *, lock: bool = False
    ) -> Row[Any]:
        statement = self._of(caller).where(keys.c.id == id)
        if lock:
            statement = statement.with_for_update()
        row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound("id", id)
        return row

    async def _view(self, connection: AsyncConnection, row: Row[Any]) -> dict[str, Any]:
        k = row._mapping
        group = await resource_group_reference(connection, k["resource_group_id"])
        return {
            **key_reference(row),
            "created_at": rfc3339_ms(k["created_at"]),
            "length": k["length"],
            "public_key": k["public_key"],
            "resource_group": group,
            "type": k["type"],
        }

    async def create(self, caller: Caller, prototype: KeyPrototype) -> dict[str, Any]:
        """Key view. Raises Invalid (`public_key`, `type`, `name`, `resource_group.id`)."""
        key = read_public_key(prototype.public_key, prototype.type)
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.create")
            group_id, problems = await resolve_resource_group(
                connection, caller, prototype.resource_group
            )
            existing = (await connection.execute(self._of(caller))).all()
            name = prototype.name or generated_name()
            problems += self._clashes(existing, name, key.fingerprint)
            if len(existing) >= PER_REGION:
                problems.append(
                    bad_field(
                        "public_key", f"The region holds {PER_REGION} keys: delete one first."
                    )
                )
            if problems:
                raise Invalid(problems)
            id = new_regional_id(self._context.region.name)
            row = (
                await connection.execute(
                    insert(keys)
                    .values(
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
                    .returning(keys)
                )
            ).one()
            return await self._view(connection, row)

    @staticmethod
    def _clashes(existing: Sequence[Row[Any]], name: str, fingerprint: str) -> list[Problem]:
        problems = []
        if any(row._mapping["name"] == name for row in existing):
            problems.append(name_taken("key", name))
        for row in existing:
            if row._mapping["fingerprint"] == fingerprint:
                message = f"This public key is already here as key {row._mapping['name']!r}."
                problems.append(
                    Problem("validation_unique_failed", message, bad_field("public_key", "").target)
                )
        return problems

    async def list(
        self, caller: Caller, page: Page, resource_group_id: str | None = None
    ) -> tuple[list[dict[str, Any]], int, str | None]:
        """Views of one page, total count, start of the next page."""
        async with self._context.database.read() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.list")
            statement = self._of(caller)
            if resource_group_id is not None:
                statement = statement.where(keys.c.resource_group_id == resource_group_id)
            rows, total, following = await select_page(connection, statement, keys, page)
            return [await self._view(connection, row) for row in rows], total, following

    async def get(self, caller: Caller, id: str) -> dict[str, Any]:
        """Key view. Raises NotFound."""
        async with self._context.database.read() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.read")
            return await self._view(connection, await self._get(connection, caller, id))

    async def update(self, caller: Caller, id: str, patch: KeyPatch) -> dict[str, Any]:
        """Rename. Raises NotFound, Invalid (`name`)."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.update")
            row = await self._get(connection, caller, id, lock=True)
            name = patch.given().get("name", row._mapping["name"])
            if name != row._mapping["name"]:
                taken = self._of(caller).where(keys.c.name == name)
                if (await connection.execute(taken)).first() is not None:
                    raise Invalid(name_taken("key", name))
                await connection.execute(update(keys).where(keys.c.id == id).values(name=name))
            return await self._view(connection, await self._get(connection, caller, id))

    async def delete(self, caller: Caller, id: str) -> None:
        """Instances keep the key's snapshot, marked as deleted. Raises NotFound."""
        async with self._context.database.transaction() as connection:
            await self._context.authorizer.require(connection, caller, "is.key.key.delete")
            await self._get(connection, caller, id, lock=True)
            await connection.execute(delete(keys).where(keys.c.id == id))
