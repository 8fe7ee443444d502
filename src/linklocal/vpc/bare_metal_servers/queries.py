"""What a list of bare metal servers may be narrowed by, as a FastAPI dependency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

_Text = str | None


@dataclass(frozen=True, slots=True)
class ServerFilter:
    """None: not asked. `nothing`: by a reservation, of which there are none."""

    name: str | None = None
    resource_group_id: str | None = None
    vpc_id: str | None = None
    vpc_crn: str | None = None
    vpc_name: str | None = None
    nothing: bool = False


def server_filter(
    name: _Text = None,
    resource_group_id: Annotated[_Text, Query(alias="resource_group.id")] = None,
    vpc_id: Annotated[_Text, Query(alias="vpc.id")] = None,
    vpc_crn: Annotated[_Text, Query(alias="vpc.crn")] = None,
    vpc_name: Annotated[_Text, Query(alias="vpc.name")] = None,
    reservation_id: Annotated[_Text, Query(alias="reservation.id")] = None,
    reservation_crn: Annotated[_Text, Query(alias="reservation.crn")] = None,
    reservation_name: Annotated[_Text, Query(alias="reservation.name")] = None,
) -> ServerFilter:
    """FastAPI dependency."""
    reservation = (reservation_id, reservation_crn, reservation_name)
    nothing = any(value is not None for value in reservation)
    return ServerFilter(name, resource_group_id, vpc_id, vpc_crn, vpc_name, nothing)
