"""API keys: make, list, read, change, lock, disable, delete. Decides; knows no HTTP.

A key speaks for the user that made it. Its value is shown once and stored as a hash. Making and changing
keys needs an Administrator of all services: a new key could do more than the key that made it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock, rfc3339_ms
from linklocal.errors import Conflict, Invalid, NotFound, Problem
from linklocal.iam import problems
from linklocal.iam.api_keys.model import (
    ApiKeyPrototype,
    ApiKeyUpdate,
    key_hash,
    new_api_key_value,
    read_expiry,
)
from linklocal.iam.caller import Caller
from linklocal.iam.http import Found, Page, check_entity_tag, new_entity_tag, select_page
from linklocal.iam.roles import Roles
from linklocal.iam.tables import api_keys, policies
from linklocal.iam.text import storable
from linklocal.ids import Crn, new_iam_id
from linklocal.store.engine import Database

PER_ACCOUNT = 1000
_ACTION = "iam-identity.user-apikey"


def view(row: Row[Any], value: str = "") -> dict[str, Any]:
    """ApiKey. `apikey` is required by IBM's model, so it is empty when it is not to be told."""
    k = row._mapping
    out = {
        "id": k["id"],
        "entity_tag": k["entity_tag"],
        "crn": str(Crn("iam-identity", "", k["account_id"], "apikey", k["id"])),
        "locked": k["locked"],
        "disabled": k["disabled"],
        "created_at": rfc3339_ms(k["created_at"]),
        "created_by": k["created_by"],
        "modified_at": rfc3339_ms(k["modified_at"]),
        "name": k["name"],
        "support_sessions": False,
        "action_when_leaked": k["action_when_leaked"],
        "iam_id": k["iam_id"],
        "account_id": k["account_id"],
        "apikey": value,
    }
    if k["description"]:
        out["description"] = k["description"]
    if k["expires_at"] is not None:
        out["expires_at"] = rfc3339_ms(k["expires_at"])
    return out


async def insert_api_key(
    connection: AsyncConnection,
    *,
    account_id: str,
    iam_id: str,
    name: str,
    value: str,
    now: datetime,
    **columns: Any,
) -> Row[Any]:
    """Store a key. Its value must be new: the caller has looked."""
    statement = insert(api_keys).values(
        id=new_iam_id("ApiKey"),
        account_id=account_id,
        iam_id=iam_id,
        name=name,
        key_sha256=key_hash(value),
        entity_tag=new_entity_tag(),
        created_by=iam_id,
        created_at=now,
        modified_at=now,
        **columns,
    )
    row: Row[Any] = (await connection.execute(statement.returning(api_keys))).one()
    return row


class ApiKeyService:
    """One per server; every method is one unit of work, within the caller's account."""

    def __init__(self, database: Database, roles: Roles, clock: Clock) -> None:
        self._database = database
        self._roles = roles
        self._clock = clock

    async def create(
        self, caller: Caller, prototype: ApiKeyPrototype, *, lock: bool, disable: bool
    ) -> dict[str, Any]:
        """ApiKey view with its value. Raises Invalid."""
        now = self._clock.now()
        found = self._problems(caller, prototype)
        expires_at = self._expiry(prototype.expires_at, now, found)
        value = prototype.apikey or new_api_key_value()
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.create")
            of_account = select(api_keys.c.id).where(api_keys.c.account_id == caller.account_id)
            if len((await connection.execute(of_account)).all()) >= PER_ACCOUNT:
                message = f"The account holds {PER_ACCOUNT} API keys: delete one first."
                found.append(Problem(problems.TOO_MANY, message))
            known = select(api_keys.c.id).where(api_keys.c.key_sha256 == key_hash(value))
            if await connection.scalar(known) is not None:
                message = "This value cannot be used: leave `apikey` out to get a random one."
                found.append(problems.invalid("apikey", message))
            if found:
                raise Invalid(found)
            row = await insert_api_key(
                connection,
                account_id=caller.account_id,
                iam_id=caller.iam_id,
                name=prototype.name,
                value=value,
                now=now,
                description=prototype.description or "",
                locked=lock,
                disabled=disable,
                expires_at=expires_at,
                action_when_leaked=prototype.action_when_leaked or "none",
            )
            return view(row, value)

    @staticmethod
    def _problems(caller: Caller, prototype: ApiKeyPrototype) -> list[Problem]:
        found = []
        if caller.kind != "user" or prototype.iam_id != caller.iam_id:
            message = (
                "API keys belong to users, and each user makes their own: send the `iam_id` of a "
                "user's own access token."
            )
            found.append(problems.invalid("iam_id", message, prototype.iam_id))
        if prototype.account_id not in (None, caller.account_id):
            message = "The user is not a member of this account: leave `account_id` out."
            found.append(
                problems.invalid(
                    "account_id", message, prototype.account_id, code=problems.NOT_A_MEMBER
                )
            )
        if prototype.store_value:
            message = "Values of users' keys are never stored: leave `store_value` out."
            found.append(problems.invalid("store_value", message, "true"))
        return found

    @staticmethod
    def _expiry(text: str | None, now: datetime, found: list[Problem]) -> datetime | None:
        """The expiry asked for; adds to `found` what is wrong with it."""
        if not text:
            return None
        try:
            moment = read_expiry(text)
        except ValueError as error:
            found.append(problems.invalid("expires_at", str(error), text))
            return None
        if moment <= now:
            found.append(problems.invalid("expires_at", "`expires_at` has passed.", text))
        return moment

    async def list(
        self, caller: Caller, page: Page, *, scope: str, kind: str, iam_id: str | None
    ) -> Found:
        """Keys of the caller (`scope` entity) or of the account, of users only (`kind`)."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.list")
            statement = select(api_keys).where(api_keys.c.account_id == caller.account_id)
            owner = iam_id or (caller.iam_id if scope == "entity" else None)
            if owner is not None:
                if not storable(owner):
                    return Found([], page, False)
                statement = statement.where(api_keys.c.iam_id == owner)
            if kind != "user":
                return Found([], page, False)
            rows, more = await select_page(connection, statement, api_keys, page)
            return Found([view(row) for row in rows], page, more)

    async def get(self, caller: Caller, id: str) -> dict[str, Any]:
        """ApiKey view. Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.read")
            return view(await self._row(connection, caller, id))

    async def details(self, caller: Caller, value: str | None) -> dict[str, Any]:
        """The key with this value. Raises Invalid (no value), NotFound."""
        if not value:
            raise Invalid(problems.missing("IAM-ApiKey", type="header"))
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.read")
            statement = select(api_keys).where(
                api_keys.c.account_id == caller.account_id,
                api_keys.c.key_sha256 == key_hash(value),
            )
            row = (await connection.execute(statement)).one_or_none()
            if row is None:
                raise NotFound("IAM-ApiKey")
            return view(row)

    async def update(
        self, caller: Caller, id: str, body: ApiKeyUpdate, if_match: str
    ) -> dict[str, Any]:
        """Raises NotFound, Conflict (another version, locked), Invalid (`expires_at`)."""
        now = self._clock.now()
        found: list[Problem] = []
        expires_at = self._expiry(body.expires_at, now, found)
        values = body.model_dump(exclude_none=True, include={"name", "description"})
        if body.action_when_leaked is not None:
            values["action_when_leaked"] = body.action_when_leaked
        if body.expires_at is not None:
            values["expires_at"] = expires_at
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.update")
            row = await self._row(connection, caller, id, lock=True)
            check_entity_tag(if_match, row.entity_tag, "API key")
            self._refuse_locked(row)
            if found:
                raise Invalid(found)
            return view(await self._write(connection, id, values, now))

    async def set_locked(self, caller: Caller, id: str, locked: bool) -> None:
        """Locked keys can be used but neither changed nor deleted. Raises NotFound."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.update")
            row = await self._row(connection, caller, id, lock=True)
            if row.locked != locked:
                await self._write(connection, id, {"locked": locked}, self._clock.now())

    async def set_disabled(self, caller: Caller, id: str, disabled: bool) -> None:
        """Disabled keys give no more tokens. Raises NotFound, Conflict (locked)."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.update")
            row = await self._row(connection, caller, id, lock=True)
            self._refuse_locked(row)
            if row.disabled != disabled:
                await self._write(connection, id, {"disabled": disabled}, self._clock.now())

    async def delete(self, caller: Caller, id: str) -> None:
        """The key and its policies; its last tokens lose all rights. Raises NotFound, Conflict."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.delete")
            self._refuse_locked(await self._row(connection, caller, id, lock=True))
            await connection.execute(delete(policies).where(policies.c.subject == id))
            await connection.execute(delete(api_keys).where(api_keys.c.id == id))

    @staticmethod
    def _refuse_locked(row: Row[Any]) -> None:
        if row.locked:
            raise Conflict(
                f"The API key {row.name!r} is locked: unlock it first "
                f"(DELETE /v1/apikeys/{row.id}/lock).",
                code=problems.ENTITY_LOCKED,
            )

    @staticmethod
    async def _write(
        connection: AsyncConnection, id: str, values: dict[str, Any], now: datetime
    ) -> Row[Any]:
        statement = (
            update(api_keys)
            .where(api_keys.c.id == id)
            .values(**values, entity_tag=new_entity_tag(), modified_at=now)
        )
        row: Row[Any] = (await connection.execute(statement.returning(api_keys))).one()
        return row

    @staticmethod
    async def _row(
        connection: AsyncConnection, caller: Caller, id: str, *, lock: bool = False
    ) -> Row[Any]:
        if not storable(id):
            raise NotFound("id")
        statement = select(api_keys).where(
            api_keys.c.id == id, api_keys.c.account_id == caller.account_id
        )
        if lock:
            statement = statement.with_for_update()
        row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound("id", id)
        return row
