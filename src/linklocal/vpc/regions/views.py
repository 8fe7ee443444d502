"""References to zones and regions, and the zone that a request names. There is no table: see `Region`."""

from __future__ import annotations

from typing import Any

from linklocal.errors import Problem, bad_field, missing_field, not_found_field
from linklocal.settings import Region
from linklocal.vpc.references import NamedIdentity, href_id


def region_reference(region: Region) -> dict[str, Any]:
    """RegionReference."""
    return {"href": f"/v1/regions/{region.name}", "name": region.name}


def zone_reference(region: str, zone: str) -> dict[str, Any]:
    """ZoneReference; both by name."""
    return {"href": f"/v1/regions/{region}/zones/{zone}", "name": zone}


def resolve_zone(
    region: Region, identity: NamedIdentity, field: str = "zone"
) -> tuple[str | None, list[Problem]]:
    """The name of the zone that `identity` names, or None and what is wrong.

    Problems have `<field>.name` or `<field>.href` as target (contract 1.6: one member, or members
    that agree).
    """
    asked = {
        member: href_id(value) if member == "href" else value
        for member, value in (("name", identity.name), ("href", identity.href))
        if value is not None
    }
    if not asked:
        return None, [missing_field(f"{field}.name", f"Name `{field}` by `name` or `href`.")]
    for member, name in asked.items():
        if name not in region.zones:
            message = f"There is no such zone here: {region.name} has {', '.join(region.zones)}."
            return None, [not_found_field(f"{field}.{member}", message, name)]
    if len(set(asked.values())) > 1:
        message = f"The members of `{field}` name different zones: send only one of them."
        return None, [bad_field(f"{field}.href", message, identity.href)]
    return next(iter(asked.values())), []
