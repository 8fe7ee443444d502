"""Trusted profiles: create, list, get, update, delete. Decides; knows no HTTP.

Every method is one unit of work within the caller's account.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock, rfc3339_ms
from linklocal.errors import Conflict, NotFound
from linklocal.iam import problems
from linklocal.iam.accounts import same_account
from linklocal.iam.caller import Caller
from linklocal.iam.http import Found, Page, check_entity_tag, new_entity_tag, select_page
from linklocal.iam.roles import Roles
from linklocal.iam.tables import policies, trusted_profiles
from linklocal.iam.text import storable
from linklocal.iam.trusted_profiles.model import ProfilePrototype, ProfileUpdate
from linklocal.ids import new_iam_id, profile_crn
from linklocal.store.engine import Database

_ACTION = "iam-identity.profile"


def iam_id_of(profile_id: str) -> str:
    """The subject that a profile is in policies and tokens."""
    return f"iam-{profile_id}"


def view(row: Row[Any]) -> dict[str, Any]:
    """TrustedProfile."""
    p = row._mapping
    out = {
        "id": p["id"],
        "entity_tag": p["entity_tag"],
        "crn": profile_crn(p["account_id"], p["id"]),
        "name": p["name"],
        "created_at": rfc3339_ms(p["created_at"]),
        "modified_at": rfc3339_ms(p["modified_at"]),
        "iam_id": iam_id_of(p["id"]),
        "account_id": p["account_id"],
    }
    return out | {name: p[name] for name in ("description", "email") if p[name]}


async def profile_row(
    connection: AsyncConnection,
    caller: Caller,
    profile_id: str,
    *,
    share: bool = False,
    change: bool = False,
) -> Row[Any]:
    """The profile in the caller's account. Raises NotFound.

    `share` keeps it from being deleted, `change` also from being read for change, until the end of the
    transaction.
    """
    if not storable(profile_id):
        raise NotFound("profile-id")
    statement = select(trusted_profiles).where(
        trusted_profiles.c.id == profile_id, trusted_profiles.c.account_id == caller.account_id
    )
    if share or change:
        statement = statement.with_for_update(read=not change)
    row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("profile-id", profile_id)
    return row


class ProfileService:
    """One per server."""

    def __init__(self, database: Database, roles: Roles, clock: Clock) -> None:
        self._database = database
        self._roles = roles
        self._clock = clock

    async def create(self, caller: Caller, prototype: ProfilePrototype) -> dict[str, Any]:
        """TrustedProfile. Raises NotAuthorized (other account), Conflict (name)."""
        same_account(caller, prototype.account_id, f"{_ACTION}.create")
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.create")
            statement = insert(trusted_profiles).values(
                id=new_iam_id("Profile"),
                account_id=caller.account_id,
                name=prototype.name,
                description=prototype.description or "",
                email=prototype.email or None,
                entity_tag=new_entity_tag(),
                created_by=caller.iam_id,
                created_at=now,
                modified_at=now,
            )
            try:
                result = await connection.execute(statement.returning(trusted_profiles))
            except IntegrityError as error:
                raise _name_taken(prototype.name) from error
            return view(result.one())

    async def list(self, caller: Caller, page: Page, name: str | None = None) -> Found:
        """Profiles of the account, with `name` the one that is called so."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.list")
            statement = select(trusted_profiles).where(
                trusted_profiles.c.account_id == caller.account_id
            )
            if name is not None:
                if not storable(name):
                    return Found([], page, False)
                statement = statement.where(trusted_profiles.c.name == name)
            rows, more = await select_page(connection, statement, trusted_profiles, page)
            return Found([view(row) for row in rows], page, more)

    async def get(self, caller: Caller, profile_id: str) -> dict[str, Any]:
        """TrustedProfile. Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.read")
            return view(await profile_row(connection, caller, profile_id))

    async def update(
        self, caller: Caller, profile_id: str, body: ProfileUpdate, if_match: str
    ) -> dict[str, Any]:
        """Raises NotFound, Conflict (another version, name)."""
        values = body.model_dump(exclude_none=True)
        if "email" in values:
            values["email"] = values["email"] or None
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.update")
            row = await profile_row(connection, caller, profile_id, change=True)
            check_entity_tag(if_match, row.entity_tag, "trusted profile")
            statement = (
                update(trusted_profiles)
                .where(trusted_profiles.c.id == profile_id)
                .values(**values, entity_tag=new_entity_tag(), modified_at=self._clock.now())
            )
            try:
                result = await connection.execute(statement.returning(trusted_profiles))
            except IntegrityError as error:
                raise _name_taken(body.name or "") from error
            return view(result.one())

    async def delete(self, caller: Caller, profile_id: str) -> None:
        """The profile, its links, rules and policies: its tokens lose all rights. Raises NotFound."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, f"{_ACTION}.delete")
            await profile_row(connection, caller, profile_id, change=True)
            await connection.execute(
                delete(policies).where(policies.c.subject == iam_id_of(profile_id))
            )
            await connection.execute(
                delete(trusted_profiles).where(trusted_profiles.c.id == profile_id)
            )


def _name_taken(name: str) -> Conflict:
    return Conflict(
        f"The account has a trusted profile named {name!r} already: choose another name.",
        "name",
        code=problems.NAME_TAKEN,
    )
