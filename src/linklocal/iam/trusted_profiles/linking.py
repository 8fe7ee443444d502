"""Links of trusted profiles as users manage them: create, list, get, delete. Decides; knows no HTTP.

Links that come and go with an instance are made by `iam/links.py` in the instance's own transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from linklocal.clock import Clock, rfc3339_ms
from linklocal.errors import Conflict, Invalid, NotFound
from linklocal.iam import problems
from linklocal.iam.caller import Caller
from linklocal.iam.http import new_entity_tag
from linklocal.iam.roles import Roles
from linklocal.iam.tables import profile_links
from linklocal.iam.text import storable
from linklocal.iam.trusted_profiles.model import LinkPrototype
from linklocal.iam.trusted_profiles.service import profile_row
from linklocal.ids import new_iam_id, parse_crn
from linklocal.store.engine import Database

_READ = "iam-identity.profile.read"
_LINK = "iam-identity.profile.linkToResource"


def view(row: Row[Any], account_id: str) -> dict[str, Any]:
    """ProfileLink of a profile of this account."""
    link = row._mapping
    out = {
        "id": link["id"],
        "entity_tag": link["entity_tag"],
        "created_at": rfc3339_ms(link["created_at"]),
        "modified_at": rfc3339_ms(link["modified_at"]),
        "cr_type": link["cr_type"],
        "is_cross_account": parse_crn(link["crn"]).account_id != account_id,
        "link": link["link"],
    }
    return out if link["name"] is None else {**out, "name": link["name"]}


class LinkService:
    """One per server; every method is one unit of work, within the caller's account."""

    def __init__(self, database: Database, roles: Roles, clock: Clock) -> None:
        self._database = database
        self._roles = roles
        self._clock = clock

    async def create(
        self, caller: Caller, profile_id: str, prototype: LinkPrototype
    ) -> dict[str, Any]:
        """ProfileLink. Raises NotFound, Invalid (`link....`), Conflict (same type and CRN)."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _LINK)
            await profile_row(connection, caller, profile_id, share=True)
            if found := prototype.problems(caller.account_id):
                raise Invalid(found)
            statement = insert(profile_links).values(
                id=new_iam_id("link"),
                profile_id=profile_id,
                name=prototype.name,
                cr_type=prototype.cr_type,
                crn=prototype.link.crn,
                link=prototype.link.model_dump(exclude_none=True),
                auto=False,
                entity_tag=new_entity_tag(),
                created_at=now,
                modified_at=now,
            )
            try:
                result = await connection.execute(statement.returning(profile_links))
            except IntegrityError as error:
                raise Conflict(
                    f"The profile has a link of type {prototype.cr_type} to this CRN already.",
                    "link.crn",
                    code=problems.LINK_TAKEN,
                ) from error
            return view(result.one(), caller.account_id)

    async def list(
        self, caller: Caller, profile_id: str, *, crn: str | None = None
    ) -> list[dict[str, Any]]:
        """All links of the profile, or those to one CRN, oldest first. Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, _READ)
            await profile_row(connection, caller, profile_id)
            statement = (
                select(profile_links)
                .where(profile_links.c.profile_id == profile_id)
                .order_by(profile_links.c.created_at, profile_links.c.id)
            )
            if crn is not None:
                statement = statement.where(profile_links.c.crn == crn)
            rows = (await connection.execute(statement)).all()
            return [view(row, caller.account_id) for row in rows]

    async def get(self, caller: Caller, profile_id: str, link_id: str) -> dict[str, Any]:
        """ProfileLink. Raises NotFound."""
        async with self._database.read() as connection:
            await self._roles.require(connection, caller, _READ)
            await profile_row(connection, caller, profile_id)
            if storable(link_id):
                statement = select(profile_links).where(
                    profile_links.c.profile_id == profile_id, profile_links.c.id == link_id
                )
                if (row := (await connection.execute(statement)).one_or_none()) is not None:
                    return view(row, caller.account_id)
            raise NotFound("link-id", link_id)

    async def delete(self, caller: Caller, profile_id: str, link_id: str) -> None:
        """From now on the instance gets no more tokens of this profile. Raises NotFound."""
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _LINK)
            await profile_row(connection, caller, profile_id, share=True)
            if storable(link_id):
                gone = await connection.execute(
                    delete(profile_links).where(
                        profile_links.c.profile_id == profile_id, profile_links.c.id == link_id
                    )
                )
                if gone.rowcount:
                    return
            raise NotFound("link-id", link_id)

    async def delete_matching(
        self, caller: Caller, profile_id: str, cr_type: str, members: Mapping[str, str]
    ) -> None:
        """Delete the links of this type whose `link` has all these members, of which one must be given.

        Raises Invalid (no member), NotFound (no such link).
        """
        if not members:
            raise Invalid(problems.missing("crn", type="parameter"))
        async with self._database.transaction() as connection:
            await self._roles.require(connection, caller, _LINK)
            await profile_row(connection, caller, profile_id, share=True)
            of_type = select(profile_links.c.id, profile_links.c.link).where(
                profile_links.c.profile_id == profile_id, profile_links.c.cr_type == cr_type
            )
            wanted = members.items()
            ids = [
                row.id for row in await connection.execute(of_type) if wanted <= row.link.items()
            ]
            if not ids:
                raise NotFound("crn", members.get("crn"))
            await connection.execute(delete(profile_links).where(profile_links.c.id.in_(ids)))
