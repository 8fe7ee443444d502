"""Volumes: request bodies and the answers' schemas (contract 2.4 and 2.6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.references import (
    Identity,
    Name,
    NamedIdentity,
    Patch,
    Prototype,
    ResourceGroupIdentity,
    Text,
)
from linklocal.vpc.resource_groups import ResourceGroupReference

MIN_CAPACITY = 10  # GB
MAX_CAPACITY = 16_000  # GB, of any profile
MAX_DATA_VOLUMES = 12  # of one instance (contract 2.6)

Capacity = Annotated[int, Field(ge=MIN_CAPACITY, le=MAX_CAPACITY, description="GB")]
Iops = Annotated[int, Field(ge=100, le=48_000)]
Bandwidth = Annotated[int, Field(ge=1, le=16_384, description="Mbps")]
Tag = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9:_ .-]+$", examples=["env:test"])
]
UserTags = Annotated[list[Tag], Field(max_length=1000)]


class AllowedUsePrototype(Prototype):
    """Contract 8: expressions over the instance that may use the volume."""

    api_version: Text | None = None
    bare_metal_server: Text | None = None
    instance: Text | None = None


class NewVolumePrototype(Prototype):
    """What describes a volume that is to be made, wherever it is made."""

    name: Name | None = None
    capacity: Capacity | None = None
    profile: NamedIdentity | None = None
    iops: Iops | None = None
    bandwidth: Bandwidth | None = None
    encryption_key: Identity | None = None
    user_tags: UserTags | None = None
    resource_group: ResourceGroupIdentity | None = None
    source_snapshot: Identity | None = None
    allowed_use: AllowedUsePrototype | None = None


class AttachedVolumePrototype(NewVolumePrototype):
    """The volume of an attachment: an existing one by identity, or a new one."""

    id: Text | None = None
    crn: Text | None = None
    href: Text | None = None

    def identity(self) -> Identity | None:
        """The existing volume it names, or None when it describes a new one."""
        if self.id is None and self.crn is None and self.href is None:
            return None
        return Identity(id=self.id, crn=self.crn, href=self.href)


class BootVolumeAttachmentPrototype(Prototype):
    """`boot_volume_attachment`. Without `volume`: a new one of the image's."""

    volume: AttachedVolumePrototype | None = None
    name: Name | None = None
    delete_volume_on_instance_delete: bool | None = None


class VolumeAttachmentPrototype(Prototype):
    """One of `volume_attachments`: a data volume."""

    volume: AttachedVolumePrototype
    name: Name | None = None
    delete_volume_on_instance_delete: bool | None = None


class VolumePrototype(NewVolumePrototype):
    """POST /volumes."""

    zone: NamedIdentity
    profile: NamedIdentity
    capacity: Capacity


class VolumePatch(Patch):
    name: Name = "a"
    capacity: Capacity = MIN_CAPACITY
    iops: Iops = 100
    profile: NamedIdentity = NamedIdentity()
    user_tags: UserTags = Field(default_factory=list)


class VolumeAttachmentPatch(Patch):
    name: Name = "a"
    delete_volume_on_instance_delete: bool = False


# Answers


class Reference(ResponseModel):
    href: str
    id: str
    name: str


class VolumeReference(Reference):
    crn: str
    resource_type: Literal["volume"]


class Device(ResponseModel):
    id: str


class VolumeAttachment(Reference):
    bandwidth: int
    created_at: str
    delete_volume_on_instance_delete: bool
    device: Device | None = None
    status: Literal["attached", "attaching", "deleting", "detaching"]
    type: Literal["boot", "data"]
    volume: VolumeReference | None = None


class VolumeAttachmentCollection(ResponseModel):
    volume_attachments: list[VolumeAttachment]


class NamedReference(ResponseModel):
    href: str
    name: str


class Volume(Reference):
    active: bool
    adjustable_capacity_states: list[str]
    adjustable_iops_states: list[str]
    allowed_use: dict[str, str] | None = None
    attachment_state: Literal["attached", "unattached", "unusable"]
    bandwidth: int
    busy: bool
    capacity: int
    created_at: str
    crn: str
    encryption: Literal["provider_managed", "user_managed"]
    health_reasons: list[Any]
    health_state: Literal["ok", "degraded", "faulted", "inapplicable"]
    iops: int
    operating_system: dict[str, Any] | None = None
    profile: NamedReference
    resource_group: ResourceGroupReference
    resource_type: Literal["volume"]
    software_attachments: list[Any]
    source_image: dict[str, Any] | None = None
    status: str
    status_reasons: list[Any]
    storage_generation: Literal[1, 2]
    user_tags: list[str]
    volume_attachments: list[dict[str, Any]]  # VolumeAttachmentReferenceVolumeContext
    zone: NamedReference


class VolumeCollection(Paginated):
    volumes: list[Volume]


class VolumeProfile(ResponseModel):
    """Every number is an object whose `type` says how it may be chosen (contract 2.6, profiles)."""

    adjustable_capacity_states: dict[str, Any]
    adjustable_iops_states: dict[str, Any]
    bandwidth: dict[str, Any]
    boot_capacity: dict[str, Any]
    capacity: dict[str, Any]
    family: Literal["tiered", "custom", "defined_performance"]
    href: str
    iops: dict[str, Any]
    name: str
    storage_generation: dict[str, Any]


class VolumeProfileCollection(Paginated):
    profiles: list[VolumeProfile]
