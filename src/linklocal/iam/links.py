"""Links between instances and trusted profiles, for the transactions that create and delete instances.

Everything here works inside the caller's transaction and decides no rights: the caller has asked
`Roles.require(..., "iam-identity.profile.linkToResource")`. Control-plane contract 2.3.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, Select, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.events import also
from linklocal.iam.tables import profile_links, trusted_profiles
from linklocal.iam.text import storable
from linklocal.ids import new_iam_id, parse_crn

VSI, BMS = "VSI", "BMS"

_LINK = {
    name: insert(profile_links).on_conflict_do_nothing(
        index_elements=["profile_id", "cr_type", "crn"]
    )
    for name, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_UNLINK = (
    delete(profile_links)
    .where(profile_links.c.cr_type == bindparam("type"), profile_links.c.crn == bindparam("crn"))
    .returning(profile_links.c.id, profile_links.c.profile_id)
)
_UNLINK_AUTOMATIC = _UNLINK.where(profile_links.c.auto)


def cr_type_of(crn: str) -> str:
    """What IAM calls the kind of compute resource that a CRN names: `BMS` a bare metal server, else `VSI`."""
    return BMS if parse_crn(crn).resource_type == "bare-metal-server" else VSI


async def find_profile(
    connection: AsyncConnection,
    account_id: str,
    *,
    id: str | None = None,
    crn: str | None = None,
    name: str | None = None,
    lock: bool = False,
) -> Row[Any] | None:
    """The trusted profile of the account that every given selector names (columns of the table), or None.

    `lock` takes a share lock on PostgreSQL, so that it cannot be deleted before the transaction ends.
    """
    if id is None and crn is None and name is None:
        raise ValueError("name the profile by id, crn or name")
    if not all(storable(text) for text in (id, crn, name) if text is not None):
        return None
    if crn is not None:
        named = profile_id_of(crn, account_id)
        if named is None or id not in (None, named):
            return None
        id = named
    given = {"id": id, "name": name}
    wanted = {column: value for column, value in given.items() if value is not None}
    statement = _profile(tuple(wanted), lock)
    found = await connection.execute(statement, {"account": account_id, **wanted})
    row: Row[Any] | None = found.one_or_none()
    return row


@cache  # to build it takes longer than to run it
def _profile(columns: tuple[str, ...], lock: bool) -> Select[Any]:
    """The profile of `account` that has these values in these columns; `lock` takes it FOR SHARE."""
    statement = select(trusted_profiles).where(
        trusted_profiles.c.account_id == bindparam("account"),
        *(trusted_profiles.c[name] == bindparam(name) for name in columns),
    )
    return statement.with_for_update(read=True) if lock else statement


def profile_id_of(crn: str, account_id: str | None = None) -> str | None:
    """The profile id in a profile's CRN; None when it is another thing, or of another account."""
    try:
        parsed = parse_crn(crn)
    except ValueError:
        return None
    if (parsed.service, parsed.resource_type) != ("iam-identity", "profile"):
        return None
    if account_id is not None and parsed.account_id != account_id:
        return None
    return parsed.resource


async def link_instance(
    connection: AsyncConnection,
    *,
    profile_id: str,
    instance_crn: str,
    instance_id: str,
    now: datetime,
) -> None:
    """Make the automatic link `vsi-<instance id>` (`bms-` to a bare metal server).

    A link that is already there stays as it is.
    """
    cr_type = cr_type_of(instance_crn)
    id = new_iam_id("link")
    link = {
        "id": id,
        "profile_id": profile_id,
        "name": f"{cr_type.lower()}-{instance_id}",
        "cr_type": cr_type,
        "crn": instance_crn,
        "link": {"crn": instance_crn},
        "auto": True,
        "entity_tag": uuid4().hex,
        "created_at": now,
        "modified_at": now,
    }
    made = await connection.execute(_LINK[connection.dialect.name], link)
    if made.rowcount:
        also("iam-identity.profile-link.create", id, linked_profile_id=profile_id)


async def unlink_instance(
    connection: AsyncConnection, *, instance_crn: str, automatic_only: bool = False
) -> None:
    """Remove every link to the instance in every profile, or only those that were made automatically."""
    whose = {"type": cr_type_of(instance_crn), "crn": instance_crn}
    statement = _UNLINK_AUTOMATIC if automatic_only else _UNLINK
    for link in await connection.execute(statement, whose):
        also("iam-identity.profile-link.delete", link.id, linked_profile_id=link.profile_id)
