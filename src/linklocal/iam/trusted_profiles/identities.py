"""Who, besides Administrators, may assume a trusted profile: its identities. Decides; knows no HTTP.

An identity is a user of the account; a user who is listed may assume the profile with any of their API
keys, also with one whose policies give less. So only those who could do so themselves, Administrators
of all services, change the list. Instances are admitted by links and claim rules, not here. Contract 4.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.errors import Invalid, NotFound, Problem
from linklocal.iam import problems
from linklocal.iam.caller import Caller
from linklocal.iam.http import Answer, Body, check_entity_tag
from linklocal.iam.roles import Roles
from linklocal.iam.tables import profile_identities, users
from linklocal.iam.text import StoredText, storable
from linklocal.iam.trusted_profiles.model import Description
from linklocal.iam.trusted_profiles.service import profile_row
from linklocal.store.engine import Database

PER_PROFILE = 100
_READ = "iam-identity.profile.read"
_CHANGE = "iam-identity.profile.setIdentities"
IdentityType = Literal["user", "serviceid", "crn"]


class IdentityPrototype(Body):
    identifier: Annotated[StoredText, Field(min_length=1, max_length=512)]
    type: IdentityType
    accounts: Annotated[list[str], Field(max_length=10)] | None = None
    description: Description | None = None


class IdentitiesPrototype(Body):
    identities: Annotated[list[IdentityPrototype], Field(max_length=PER_PROFILE)] = Field(
        default_factory=list
    )


class ProfileIdentity(Answer):
    iam_id: str
    identifier: str
    type: IdentityType
    accounts: list[str]
    description: str | None = Field(default=None, description="absent: none was given")


class ProfileIdentities(Answer):
    entity_tag: str
    identities: list[ProfileIdentity]


def view(row: Row[Any], account_id: str) -> dict[str, Any]:
    """ProfileIdentityResponse of a profile of this account."""
    out = {
        "iam_id": row.identifier,
        "identifier": row.identifier,
        "type": row.type,
        "accounts": [account_id],
    }
    return {**out, "description": row.description} if row.description else out


async def is_identity(connection: AsyncConnection, profile_id: str, iam_id: str) -> bool:
    """Whether the user is listed as one who may assume the profile."""
    statement = select(profile_identities.c.identifier).where(
        profile_identities.c.profile_id == profile_id,
        profile_identities.c.type == "user",
        profile_identities.c.identifier == iam_id,
    )
    return await connection.scalar(statement) is not None


class IdentityService:
    """One per server; every method is one unit of work, within the caller's account."""

    def __init__(self, database: Database, roles: Roles) -> None:
        self._database = database
        self._roles = roles

    async def every(self, caller: Caller, profile_id: str) -> dict[str, Any]:
        """`{entity_tag, identities}`. Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, _READ)
            await profile_row(connection, caller, profile_id)
            return await self._all(connection, caller, profile_id)

    async def replace(
        self, caller: Caller, profile_id: str, body: IdentitiesPrototype, if_match: str
    ) -> dict[str, Any]:
        """The whole list anew. Raises NotFound, Invalid, Conflict (another version)."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _CHANGE)
            await profile_row(connection, caller, profile_id, change=True)
            now = await self._all(connection, caller, profile_id)
            check_entity_tag(if_match, now["entity_tag"], "list of identities")
            found: list[Problem] = []
            for index, identity in enumerate(body.identities):
                found += await self._problems(connection, caller, identity, f"identities[{index}].")
            if found:
                raise Invalid(found)
            await connection.execute(
                delete(profile_identities).where(profile_identities.c.profile_id == profile_id)
            )
            for identity in {one.identifier: one for one in body.identities}.values():
                await self._insert(connection, profile_id, identity)
            return await self._all(connection, caller, profile_id)

    async def add(
        self, caller: Caller, profile_id: str, type: str, body: IdentityPrototype
    ) -> dict[str, Any]:
        """One identity; the same again replaces its description. Raises NotFound, Invalid."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _CHANGE)
            await profile_row(connection, caller, profile_id, change=True)
            found = await self._problems(connection, caller, body)
            if body.type != type:
                message = f"`type` must be that of the path, {type[:64]!r}."
                found.append(problems.invalid("type", message, body.type))
            listed = await self._rows(connection, profile_id)
            others = [row for row in listed if row.identifier != body.identifier]
            if len(others) >= PER_PROFILE:
                message = f"The profile has {PER_PROFILE} identities: delete one first."
                found.append(Problem(problems.TOO_MANY, message))
            if found:
                raise Invalid(found)
            await self._delete(connection, profile_id, type, body.identifier)
            await self._insert(connection, profile_id, body)
            rows = await self._rows(connection, profile_id)
            (made,) = [row for row in rows if row.identifier == body.identifier]
            return view(made, caller.account_id)

    async def get(
        self, caller: Caller, profile_id: str, type: str, identifier: str
    ) -> dict[str, Any]:
        """Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, _READ)
            await profile_row(connection, caller, profile_id)
            for row in await self._rows(connection, profile_id):
                if (row.type, row.identifier) == (type, identifier):
                    return view(row, caller.account_id)
            raise NotFound("identifier-id", identifier)

    async def delete(self, caller: Caller, profile_id: str, type: str, identifier: str) -> None:
        """The user may no longer assume the profile. Raises NotFound."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _CHANGE)
            await profile_row(connection, caller, profile_id, change=True)
            if not storable(type + identifier) or not await self._delete(
                connection, profile_id, type, identifier
            ):
                raise NotFound("identifier-id", identifier)

    async def _problems(
        self, connection: AsyncConnection, caller: Caller, body: IdentityPrototype, at: str = ""
    ) -> list[Problem]:
        if body.type != "user":
            message = (
                "Identities here are users (`type` user, `identifier` an IAM id `IBMid-...`); an "
                "instance is admitted by a link or a claim rule of the profile."
            )
            return [problems.invalid(f"{at}type", message, body.type)]
        found = []
        known = select(users.c.iam_id).where(
            users.c.iam_id == body.identifier, users.c.account_id == caller.account_id
        )
        if await connection.scalar(known) is None:
            message = "There is no user with this IAM id in the account."
            found.append(problems.invalid(f"{at}identifier", message, body.identifier))
        if body.accounts is not None and set(body.accounts) != {caller.account_id}:
            message = (
                "A user assumes a profile from the profile's own account: leave `accounts` out."
            )
            found.append(problems.invalid(f"{at}accounts", message, ", ".join(body.accounts)))
        return found

    async def _all(
        self, connection: AsyncConnection, caller: Caller, profile_id: str
    ) -> dict[str, Any]:
        rows = await self._rows(connection, profile_id)
        told = "\n".join(f"{row.type} {row.identifier} {row.description}" for row in rows)
        return {
            "entity_tag": hashlib.sha256(told.encode()).hexdigest()[:32],
            "identities": [view(row, caller.account_id) for row in rows],
        }

    @staticmethod
    async def _rows(connection: AsyncConnection, profile_id: str) -> Sequence[Row[Any]]:
        statement = (
            select(profile_identities)
            .where(profile_identities.c.profile_id == profile_id)
            .order_by(profile_identities.c.type, profile_identities.c.identifier)
        )
        return (await connection.execute(statement)).all()

    @staticmethod
    async def _insert(
        connection: AsyncConnection, profile_id: str, body: IdentityPrototype
    ) -> None:
        await connection.execute(
            insert(profile_identities).values(
                profile_id=profile_id,
                type=body.type,
                identifier=body.identifier,
                description=body.description or "",
            )
        )

    @staticmethod
    async def _delete(
        connection: AsyncConnection, profile_id: str, type: str, identifier: str
    ) -> bool:
        gone = await connection.execute(
            delete(profile_identities).where(
                profile_identities.c.profile_id == profile_id,
                profile_identities.c.type == type,
                profile_identities.c.identifier == identifier,
            )
        )
        return gone.rowcount > 0
