"""What image operations answer, as schemas for the OpenAPI document (contract 2.6)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.images.operating_systems import UserDataFormat
from linklocal.vpc.profiles.model import InstanceProfileReference
from linklocal.vpc.regions.model import ZoneReference
from linklocal.vpc.resource_groups import ResourceGroupReference

ImageStatus = Literal[
    "available",
    "deleting",
    "deprecated",
    "failed",
    "obsolete",
    "partially_available",
    "pending",
    "unusable",
]
Visibility = Literal["private", "public"]


class OperatingSystem(ResponseModel):
    allow_user_image_creation: bool
    architecture: str
    dedicated_host_only: bool
    display_name: str
    family: str
    href: str
    name: str
    user_data_format: UserDataFormat
    vendor: str
    version: str


class OperatingSystemCollection(Paginated):
    operating_systems: list[OperatingSystem]


class AllowedUse(ResponseModel):
    """Expressions over what uses the image (contract 8)."""

    api_version: str
    bare_metal_server: str
    instance: str


class CatalogOffering(ResponseModel):
    managed: bool


class Checksums(ResponseModel):
    sha256: str


class File(ResponseModel):
    checksums: Checksums | None = None
    size: int = Field(description="GB")


class Image(ResponseModel):
    allowed_use: AllowedUse
    catalog_offering: CatalogOffering
    created_at: str
    crn: str
    encryption: Literal["none", "user_managed"]
    file: File
    href: str
    id: str
    minimum_provisioned_size: int = Field(description="GB")
    name: str
    operating_system: OperatingSystem
    resource_group: ResourceGroupReference
    resource_type: Literal["image"]
    status: ImageStatus
    status_reasons: list[Any]
    user_data_format: UserDataFormat
    visibility: Visibility
    zones: list[ZoneReference]


class ImageCollection(Paginated):
    images: list[Image]


class ImageInstanceProfileCollection(Paginated):
    instance_profiles: list[InstanceProfileReference]
