"""References to zones and regions, and the zone that a request names. There is no table: see `Region`."""

from __future__ import annotations

from typing import Any

from linklocal.errors import Problem
from linklocal.settings import Region
from linklocal.vpc.references import NamedIdentity, resolve_named


def region_reference(region: Region) -> dict[str, Any]:
    """RegionReference."""
    return {"href": f"/v1/regions/{region.name}", "name": region.name}


def zone_reference(region: str, zone: str) -> dict[str, Any]:
    """ZoneReference; both by name."""
    return {"href": f"/v1/regions/{region}/zones/{zone}", "name": zone}


def resolve_zone(
    region: Region, identity: NamedIdentity, field: str = "zone"
) -> tuple[str | None, list[Problem]]:
    """The name of the zone that `identity` names, or None and what is wrong."""
    return resolve_named(identity, region.zones, "zone", field)
