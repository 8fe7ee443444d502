"""Access policies: create, list, get, replace, delete. Decides; knows no HTTP.

Only an Administrator of all services writes them. For an API key its first policy narrows what it may do
and its last one's end widens it again, so nobody with less may touch them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock, rfc3339_ms
from linklocal.errors import Conflict, Invalid, NotFound, Problem
from linklocal.iam import problems
from linklocal.iam.caller import Caller
from linklocal.iam.http import check_entity_tag, new_entity_tag
from linklocal.iam.policies.model import ROLE_CRN, Grant, PolicyPrototype, in_order, read_grant
from linklocal.iam.roles import Roles
from linklocal.iam.tables import accounts, api_keys, policies, trusted_profiles, users
from linklocal.iam.text import storable
from linklocal.store.engine import Database

PER_ACCOUNT = 4000
_API_KEY_PREFIX = "ApiKey-"
_PROFILE_PREFIX = "iam-"


def view(row: Row[Any]) -> dict[str, Any]:
    """Policy, with an href that begins with `/v1/`."""
    p = row._mapping
    kind = "apikey_id" if p["subject"].startswith(_API_KEY_PREFIX) else "iam_id"
    out = {
        "id": p["id"],
        "type": "access",
        "subjects": [{"attributes": [{"name": kind, "value": p["subject"]}]}],
        "roles": [
            {"role_id": f"{ROLE_CRN}{role}", "display_name": role} for role in in_order(p["roles"])
        ],
        "resources": [{"attributes": p["resource"]}],
        "href": f"/v1/policies/{p['id']}",
        "created_at": rfc3339_ms(p["created_at"]),
        "created_by_id": p["created_by"],
        "last_modified_at": rfc3339_ms(p["modified_at"]),
        "last_modified_by_id": p["created_by"],
        "state": "active",
    }
    return {**out, "description": p["description"]} if p["description"] else out


class PolicyService:
    """One per server; every method is one unit of work, within the caller's account."""

    def __init__(self, database: Database, roles: Roles, clock: Clock) -> None:
        self._database = database
        self._roles = roles
        self._clock = clock

    async def create(
        self, caller: Caller, prototype: PolicyPrototype
    ) -> tuple[dict[str, Any], str]:
        """Policy and its entity tag. Raises Invalid, Conflict (same subject and service)."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, "iam.policy.create")
            grant = await self._grant(connection, caller, prototype)
            existing = await self._existing(connection, caller)
            self._refuse_second(existing, grant)
            if len(existing) >= PER_ACCOUNT:
                message = f"The account holds {PER_ACCOUNT} policies: delete one first."
                raise Invalid(Problem(problems.TOO_MANY, message))
            statement = insert(policies).values(
                id=str(uuid.uuid4()),
                account_id=caller.account_id,
                created_by=caller.iam_id,
                created_at=now,
                modified_at=now,
                **_columns(prototype, grant),
            )
            row = (await connection.execute(statement.returning(policies))).one()
            return view(row), row.entity_tag

    async def list(self, caller: Caller, *, subject: str | None = None) -> list[dict[str, Any]]:
        """Policies of the account, or of one subject; oldest first."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, "iam.policy.list")
            rows = await self._existing(connection, caller)
            return [view(row) for row in rows if subject is None or row.subject == subject]

    async def get(self, caller: Caller, id: str) -> tuple[dict[str, Any], str]:
        """Policy and its entity tag. Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, "iam.policy.read")
            row = await self._row(connection, caller, id)
            return view(row), row.entity_tag

    async def replace(
        self, caller: Caller, id: str, prototype: PolicyPrototype, if_match: str
    ) -> tuple[dict[str, Any], str]:
        """Raises NotFound, Invalid, Conflict (another version; same subject and service)."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, "iam.policy.update")
            grant = await self._grant(connection, caller, prototype)
            existing = await self._existing(connection, caller)
            row = next((row for row in existing if row.id == id), None)
            if row is None:
                raise NotFound("policy_id", id)
            check_entity_tag(if_match, row.entity_tag, "policy")
            self._refuse_second([other for other in existing if other.id != id], grant)
            statement = (
                update(policies)
                .where(policies.c.id == id)
                .values(modified_at=self._clock.now(), **_columns(prototype, grant))
            )
            row = (await connection.execute(statement.returning(policies))).one()
            return view(row), row.entity_tag

    async def delete(self, caller: Caller, id: str) -> None:
        """Raises NotFound."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, "iam.policy.delete")
            await self._row(connection, caller, id)
            await connection.execute(delete(policies).where(policies.c.id == id))

    async def _grant(
        self, connection: AsyncConnection, caller: Caller, prototype: PolicyPrototype
    ) -> Grant:
        """What the body means, with a subject that exists and cannot go away before the commit.

        Locks the account's row, so that of two equal policies one sees the other.
        """
        account = select(accounts.c.id).where(accounts.c.id == caller.account_id)
        await connection.execute(account.with_for_update(key_share=True))
        grant, found = read_grant(prototype, caller.account_id)
        if grant is None:
            raise Invalid(found)
        if not await self._subject_exists(connection, caller, grant):
            message = "There is no user, trusted profile or API key with this id in the account."
            raise Invalid(
                problems.invalid("subjects[0].attributes[0].value", message, grant.subject)
            )
        return grant

    @staticmethod
    async def _subject_exists(connection: AsyncConnection, caller: Caller, grant: Grant) -> bool:
        found: ColumnElement[Any]
        if grant.subject_kind == "apikey_id":
            table, found = api_keys, api_keys.c.id == grant.subject
        elif grant.subject.startswith(f"{_PROFILE_PREFIX}Profile-"):
            profile_id = grant.subject.removeprefix(_PROFILE_PREFIX)
            table, found = trusted_profiles, trusted_profiles.c.id == profile_id
        else:
            table, found = users, users.c.iam_id == grant.subject
        statement = select(table).where(found, table.c.account_id == caller.account_id)
        row = (await connection.execute(statement.with_for_update(read=True))).one_or_none()
        return row is not None

    @staticmethod
    async def _existing(connection: AsyncConnection, caller: Caller) -> Sequence[Row[Any]]:
        statement = (
            select(policies)
            .where(policies.c.account_id == caller.account_id)
            .order_by(policies.c.created_at, policies.c.id)
        )
        return (await connection.execute(statement)).all()

    @staticmethod
    def _refuse_second(existing: Sequence[Row[Any]], grant: Grant) -> None:
        """One policy per subject and service: two would only hide what the subject may do."""
        for row in existing:
            if row.subject == grant.subject and row.service == grant.service:
                raise Conflict(
                    f"Policy {row.id} is about the same subject and service already: replace it "
                    f"(PUT /v1/policies/{row.id}).",
                    code="policy_conflict_error",
                )

    @staticmethod
    async def _row(connection: AsyncConnection, caller: Caller, id: str) -> Row[Any]:
        if not storable(id):
            raise NotFound("policy_id")
        statement = select(policies).where(
            policies.c.id == id, policies.c.account_id == caller.account_id
        )
        row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound("policy_id", id)
        return row


def _columns(prototype: PolicyPrototype, grant: Grant) -> dict[str, Any]:
    attributes = prototype.resources[0].attributes
    return {
        "subject": grant.subject,
        "roles": grant.roles,
        "service": grant.service,
        "resource": [attribute.model_dump(exclude_none=True) for attribute in attributes],
        "description": prototype.description or "",
        "entity_tag": new_entity_tag(),
    }
