"""What region operations answer, as schemas for the OpenAPI document (contract 2.6)."""

from __future__ import annotations

from typing import Literal

from linklocal.vpc.http import ResponseModel


class RegionReference(ResponseModel):
    href: str
    name: str


class ZoneReference(ResponseModel):
    href: str
    name: str


class Region(RegionReference):
    endpoint: str
    status: Literal["available", "unavailable"]


class RegionCollection(ResponseModel):
    regions: list[Region]


class Zone(ZoneReference):
    region: RegionReference
    status: Literal["available", "impaired", "unassigned", "unavailable"]


class ZoneCollection(ResponseModel):
    zones: list[Zone]
