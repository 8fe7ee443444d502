"""Images: request bodies, and answers as schemas for the OpenAPI document (contract 2.6, 8)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.images.expressions import MAX_LENGTH
from linklocal.vpc.images.operating_systems import UserDataFormat
from linklocal.vpc.profiles.model import InstanceProfileReference
from linklocal.vpc.references import (
    Identity,
    Name,
    NamedIdentity,
    Patch,
    Prototype,
    ResourceGroupIdentity,
    Text,
    storable,
)
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


# An expression may be longer than other text: `expressions.MAX_LENGTH`.
ExpressionText = Annotated[
    str, BeforeValidator(storable), Field(min_length=1, max_length=MAX_LENGTH, examples=["true"])
]
ApiVersion = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-06-23"])]


class ImageAllowedUsePrototype(Prototype):
    """Expressions over what may use the image; `true` where there is none."""

    api_version: ApiVersion | None = None
    bare_metal_server: ExpressionText | None = None
    instance: ExpressionText | None = None


class ImageFilePrototype(Prototype):
    href: Annotated[Text, Field(pattern=r"\.(qcow2|vhd)$", examples=["cos://us-south/b/i.qcow2"])]


class ImagePrototype(Prototype):
    """By `file` and `operating_system`, or by `source_volume`."""

    name: Name | None = None
    file: ImageFilePrototype | None = None
    operating_system: NamedIdentity | None = None
    source_volume: Identity | None = None
    allowed_use: ImageAllowedUsePrototype | None = None
    resource_group: ResourceGroupIdentity | None = None
    # Refused: see `service.py`.
    deprecation_at: Text | None = None
    obsolescence_at: Text | None = None
    encrypted_data_key: Text | None = None
    encryption_key: Identity | None = None


class ImageAllowedUsePatch(Patch):
    """Members that are not named stay."""

    api_version: ApiVersion = ""
    bare_metal_server: ExpressionText = ""
    instance: ExpressionText = ""


class ImagePatch(Patch):
    """The name, and who may use the image."""

    name: Name = "a"
    allowed_use: ImageAllowedUsePatch = ImageAllowedUsePatch()


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
    size: int | None = Field(default=None, description="GB; absent: linklocal did not see the file")


class Image(ResponseModel):
    allowed_use: AllowedUse
    catalog_offering: CatalogOffering
    created_at: str
    crn: str
    deprecation_at: str | None = Field(default=None, description="absent: never deprecated")
    encryption: Literal["none", "user_managed"]
    file: File
    href: str
    id: str
    minimum_provisioned_size: int = Field(description="GB")
    name: str
    obsolescence_at: str | None = Field(default=None, description="absent: not obsolete")
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
