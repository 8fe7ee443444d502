"""Claim rules of trusted profiles as users manage them. Decides; knows no HTTP.

What a rule means is in `iam/rules.py`; who is admitted by one is decided in `iam/exchange.py`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock, rfc3339_ms
from linklocal.errors import Invalid, NotFound, Problem
from linklocal.iam import problems
from linklocal.iam.caller import Caller
from linklocal.iam.http import check_entity_tag, new_entity_tag
from linklocal.iam.roles import Roles
from linklocal.iam.tables import claim_rules
from linklocal.iam.text import storable
from linklocal.iam.trusted_profiles.model import (
    DEFAULT_EXPIRATION,
    RULES_PER_PROFILE,
    RulePrototype,
)
from linklocal.iam.trusted_profiles.service import profile_row
from linklocal.ids import new_iam_id
from linklocal.store.engine import Database

_READ = "iam-identity.profile.read"
_CHANGE = "iam-identity.profile.update"


def view(row: Row[Any]) -> dict[str, Any]:
    """ProfileClaimRule."""
    rule = row._mapping
    out = {
        "id": rule["id"],
        "entity_tag": rule["entity_tag"],
        "created_at": rfc3339_ms(rule["created_at"]),
        "modified_at": rfc3339_ms(rule["modified_at"]),
        "type": rule["type"],
        "expiration": rule["expiration"],
        "conditions": rule["conditions"],
    }
    optional = ("name", "realm_name", "cr_type")
    return out | {name: rule[name] for name in optional if rule[name] is not None}


def _columns(prototype: RulePrototype) -> dict[str, Any]:
    return {
        "name": prototype.name,
        "type": prototype.type,
        "cr_type": prototype.cr_type,
        "realm_name": prototype.realm_name,
        "expiration": prototype.expiration or DEFAULT_EXPIRATION,
        "conditions": [condition.model_dump() for condition in prototype.conditions],
        "entity_tag": new_entity_tag(),
    }


class RuleService:
    """One per server; every method is one unit of work, within the caller's account."""

    def __init__(self, database: Database, roles: Roles, clock: Clock) -> None:
        self._database = database
        self._roles = roles
        self._clock = clock

    async def create(
        self, caller: Caller, profile_id: str, prototype: RulePrototype
    ) -> dict[str, Any]:
        """ProfileClaimRule. Raises NotFound, Invalid (`conditions[n]....`, too many)."""
        found = prototype.problems()
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _CHANGE)
            await profile_row(
                connection, caller, profile_id, change=True
            )  # so that the count holds
            existing = select(claim_rules.c.id).where(claim_rules.c.profile_id == profile_id)
            if len((await connection.execute(existing)).all()) >= RULES_PER_PROFILE:
                message = f"A trusted profile has {RULES_PER_PROFILE} claim rules at most."
                found.append(Problem(problems.TOO_MANY, message))
            if found:
                raise Invalid(found)
            statement = insert(claim_rules).values(
                id=new_iam_id("ClaimRule"),
                profile_id=profile_id,
                created_at=now,
                modified_at=now,
                **_columns(prototype),
            )
            return view((await connection.execute(statement.returning(claim_rules))).one())

    async def list(self, caller: Caller, profile_id: str) -> list[dict[str, Any]]:
        """All rules of the profile, oldest first. Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, _READ)
            await profile_row(connection, caller, profile_id)
            statement = (
                select(claim_rules)
                .where(claim_rules.c.profile_id == profile_id)
                .order_by(claim_rules.c.created_at, claim_rules.c.id)
            )
            return [view(row) for row in (await connection.execute(statement)).all()]

    async def get(self, caller: Caller, profile_id: str, rule_id: str) -> dict[str, Any]:
        """ProfileClaimRule. Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, _READ)
            await profile_row(connection, caller, profile_id)
            return view(await self._row(connection, profile_id, rule_id))

    async def update(
        self, caller: Caller, profile_id: str, rule_id: str, body: RulePrototype, if_match: str
    ) -> dict[str, Any]:
        """Replace the rule. Raises NotFound, Conflict (another version), Invalid."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _CHANGE)
            await profile_row(connection, caller, profile_id, change=True)
            row = await self._row(connection, profile_id, rule_id)
            check_entity_tag(if_match, row.entity_tag, "claim rule")
            if found := body.problems():
                raise Invalid(found)
            statement = (
                update(claim_rules)
                .where(claim_rules.c.id == rule_id)
                .values(modified_at=self._clock.now(), **_columns(body))
            )
            return view((await connection.execute(statement.returning(claim_rules))).one())

    async def delete(self, caller: Caller, profile_id: str, rule_id: str) -> None:
        """Raises NotFound."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _CHANGE)
            await profile_row(connection, caller, profile_id, change=True)
            await self._row(connection, profile_id, rule_id)
            await connection.execute(delete(claim_rules).where(claim_rules.c.id == rule_id))

    @staticmethod
    async def _row(connection: AsyncConnection, profile_id: str, rule_id: str) -> Row[Any]:
        if not storable(rule_id):
            raise NotFound("rule-id")
        statement = select(claim_rules).where(
            claim_rules.c.profile_id == profile_id, claim_rules.c.id == rule_id
        )
        row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound("rule-id", rule_id)
        return row
