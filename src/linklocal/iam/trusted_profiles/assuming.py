"""Which instances could take a trusted profile on now: `iam/exchange.py`'s question the other way round.

For people who look at a profile. It decides nothing: a token is given only by `exchange`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.fleet.tables import placements
from linklocal.iam.links import BMS, VSI, cr_type_of
from linklocal.iam.rules import TYPE_COMPUTE, rule_matches
from linklocal.iam.tables import claim_rules, profile_links


@dataclass(frozen=True, slots=True)
class Able:
    """A placed, running instance with its service on, and what admits it."""

    instance_id: str
    crn: str
    by: Literal["link", "rule"]


async def able_to_assume(
    connection: AsyncConnection, account_id: str, profile_id: str
) -> list[Able]:
    """The account's instances that get tokens of this profile, by id.

    The caller has found the profile in the account, with the right to read it.
    """
    kinds = (VSI, BMS)
    links = select(profile_links.c.cr_type, profile_links.c.crn).where(
        profile_links.c.profile_id == profile_id, profile_links.c.cr_type.in_(kinds)
    )
    linked = {(row.cr_type, row.crn) for row in await connection.execute(links)}
    rules = select(claim_rules.c.cr_type, claim_rules.c.conditions).where(
        claim_rules.c.profile_id == profile_id,
        claim_rules.c.type == TYPE_COMPUTE,
        or_(claim_rules.c.cr_type.in_(kinds), claim_rules.c.cr_type.is_(None)),
    )
    rows = (await connection.execute(rules)).all()
    p = placements.c
    placed = (
        select(p.instance_id, p.claims)
        .where(p.account_id == account_id, p.serving, p.metadata_enabled)
        .order_by(p.instance_id)
    )
    able = []
    for id, claims in await connection.execute(placed):
        crn = str(claims["iaas"]["crn"])
        kind = cr_type_of(crn)
        if (kind, crn) in linked:
            able.append(Able(id, crn, "link"))
        elif any(
            of in (kind, None) and rule_matches(conditions, claims) for of, conditions in rows
        ):
            able.append(Able(id, crn, "rule"))
    return able
