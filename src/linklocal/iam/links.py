"""Links between instances and trusted profiles, for the transactions that create and delete instances.

Everything here works inside the caller's transaction and decides no rights: the caller has asked
`Roles.require(..., "iam-identity.profile.linkToResource")`. Control-plane contract 2.3.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.events import also
from linklocal.iam.tables import profile_links, trusted_profiles
from linklocal.iam.text import storable
from linklocal.ids import new_iam_id, parse_crn

VSI, BMS = "VSI", "BMS"


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
    statement = select(trusted_profiles).where(trusted_profiles.c.account_id == account_id)
    if id is None and crn is None and name is None:
        raise ValueError("name the profile by id, crn or name")
    if not all(storable(text) for text in (id, crn, name) if text is not None):
        return None
    if crn is not None:
        named = profile_id_of(crn, account_id)
        if named is None:
            return None
        statement = statement.where(trusted_profiles.c.id == named)
    if id is not None:
        statement = statement.where(trusted_profiles.c.id == id)
    if name is not None:
        statement = statement.where(trusted_profiles.c.name == name)
    if lock:
        statement = statement.with_for_update(read=True)
    return (await connection.execute(statement)).one_or_none()


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
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = await connection.execute(
        dialect.insert(profile_links)
        .values(
            id=id,
            profile_id=profile_id,
            name=f"{cr_type.lower()}-{instance_id}",
            cr_type=cr_type,
            crn=instance_crn,
            link={"crn": instance_crn},
            auto=True,
            entity_tag=uuid4().hex,
            created_at=now,
            modified_at=now,
        )
        .on_conflict_do_nothing(index_elements=["profile_id", "cr_type", "crn"])
    )
    if made.rowcount:
        also("iam-identity.profile-link.create", id, linked_profile_id=profile_id)


async def unlink_instance(
    connection: AsyncConnection, *, instance_crn: str, automatic_only: bool = False
) -> None:
    """Remove every link to the instance in every profile, or only those that were made automatically."""
    statement = delete(profile_links).where(
        profile_links.c.cr_type == cr_type_of(instance_crn),
        profile_links.c.crn == instance_crn,
    )
    if automatic_only:
        statement = statement.where(profile_links.c.auto)
    gone = statement.returning(profile_links.c.id, profile_links.c.profile_id)
    for link in await connection.execute(gone):
        also("iam-identity.profile-link.delete", link.id, linked_profile_id=link.profile_id)
