"""Bodies of instance requests: create, patch, act, reinitialize (control-plane contract 2.2-2.4).

Only shapes are checked here. Whether what a body names exists and fits together is `plan.py`'s question;
what answers look like is `answers.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from linklocal.vpc.instances.options import OptionsPatch, OptionsPrototype
from linklocal.vpc.metadata_service import MetadataServicePatch, MetadataServicePrototype
from linklocal.vpc.network.model import NetworkAttachmentPrototype, NetworkInterfacePrototype
from linklocal.vpc.references import (
    Identity,
    KeyIdentity,
    Name,
    NamedIdentity,
    Prototype,
    ResourceGroupIdentity,
    Text,
    storable,
)
from linklocal.vpc.volumes.model import (
    BootVolumeAttachmentPrototype,
    VolumeAttachmentPrototype,
)

MAX_USER_DATA = 64 * 1024
MAX_KEYS = 50


def _user_data(text: Any) -> Any:
    if isinstance(text, str):
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MAX_USER_DATA:
            raise PydanticCustomError(
                "user_data",
                "`user_data` has {size} bytes: at most {max} are kept. Fetch the rest at first boot.",
                {"size": size, "max": MAX_USER_DATA},
            )
    return text


UserData = Annotated[str, BeforeValidator(storable), BeforeValidator(_user_data)]


class _Exact(BaseModel):
    """A body where a member that does not exist is refused: a typo must not be answered "created"."""

    model_config = ConfigDict(strict=True, extra="forbid")


class TrustedProfileIdentity(_Exact):
    """`{id}` or `{crn}`."""

    id: Text | None = None
    crn: Text | None = None


class DefaultTrustedProfilePrototype(_Exact):
    """The profile that an instance's IAM tokens are for, unless they name another (contract 2.3)."""

    auto_link: bool | None = Field(
        default=None, description="Make the link in IAM, too. Default: `true`."
    )
    target: TrustedProfileIdentity


class InstancePrototype(OptionsPrototype):
    """One flat body for all variants: by image, catalog offering, volume, snapshot and source template.

    Which variant it is follows from the members that are there; `plan.py` says what goes together.
    """

    name: Name | None = None
    zone: NamedIdentity | None = None
    vpc: Identity | None = None
    profile: NamedIdentity | None = None
    resource_group: ResourceGroupIdentity | None = None

    image: Identity | None = None
    source_template: Identity | None = None
    catalog_offering: dict[str, Any] | None = None
    boot_volume_attachment: BootVolumeAttachmentPrototype | None = None
    volume_attachments: list[VolumeAttachmentPrototype] | None = None

    primary_network_attachment: NetworkAttachmentPrototype | None = None
    network_attachments: list[NetworkAttachmentPrototype] | None = None
    primary_network_interface: NetworkInterfacePrototype | None = None
    network_interfaces: list[NetworkInterfacePrototype] | None = None
    cluster_network_attachments: list[dict[str, Any]] | None = None
    placement_target: Identity | None = None

    keys: Annotated[list[KeyIdentity], Field(max_length=MAX_KEYS)] | None = None
    user_data: UserData | None = None
    metadata_service: MetadataServicePrototype | None = None
    default_trusted_profile: DefaultTrustedProfilePrototype | None = None


_REINITIALIZE = "is set when the instance is created: stop it and reinitialize it to change that."
_ELSEWHERE = "cannot be given here: use"

# What only a create body may have, and what to do instead.
CREATE_ONLY = {
    "image": f"`image` {_REINITIALIZE}",
    "keys": f"`keys` {_REINITIALIZE}",
    "user_data": f"`user_data` {_REINITIALIZE}",
    "default_trusted_profile": f"`default_trusted_profile` {_REINITIALIZE} "
    "To let a running instance act as another profile, link the two in IAM.",
    "zone": "`zone` cannot be changed: create another instance there.",
    "vpc": "`vpc` cannot be changed: create another instance there.",
    "resource_group": "`resource_group` cannot be changed: create another instance in it.",
    "source_template": "`source_template` is for creating instances.",
    "catalog_offering": "`catalog_offering` is for creating instances.",
    "boot_volume_attachment": f"`boot_volume_attachment` {_ELSEWHERE} /volume_attachments.",
    "volume_attachments": f"`volume_attachments` {_ELSEWHERE} /volume_attachments.",
    "primary_network_interface": f"`primary_network_interface` {_ELSEWHERE} /network_interfaces.",
    "network_interfaces": f"`network_interfaces` {_ELSEWHERE} /network_interfaces.",
    "primary_network_attachment": f"`primary_network_attachment` {_ELSEWHERE} /network_attachments.",
    "network_attachments": f"`network_attachments` {_ELSEWHERE} /network_attachments.",
}


class InstancePatch(OptionsPatch):
    """Merge patch of an instance. Members that only a create body may have are refused by name."""

    name: Name = "a"
    metadata_service: MetadataServicePatch = MetadataServicePatch()
    profile: NamedIdentity = NamedIdentity()
    placement_target: Identity = Identity()

    # Known so that they can be refused with a sentence of their own; no part of the schema.
    image: SkipJsonSchema[Any] = None
    keys: SkipJsonSchema[Any] = None
    user_data: SkipJsonSchema[Any] = None
    default_trusted_profile: SkipJsonSchema[Any] = None
    zone: SkipJsonSchema[Any] = None
    vpc: SkipJsonSchema[Any] = None
    resource_group: SkipJsonSchema[Any] = None
    source_template: SkipJsonSchema[Any] = None
    catalog_offering: SkipJsonSchema[Any] = None
    boot_volume_attachment: SkipJsonSchema[Any] = None
    volume_attachments: SkipJsonSchema[Any] = None
    primary_network_interface: SkipJsonSchema[Any] = None
    network_interfaces: SkipJsonSchema[Any] = None
    primary_network_attachment: SkipJsonSchema[Any] = None
    network_attachments: SkipJsonSchema[Any] = None

    @field_validator(*CREATE_ONLY, mode="before")
    @classmethod
    def _refuse(cls, value: Any, info: ValidationInfo) -> Any:
        message = CREATE_ONLY[info.field_name or ""]
        raise PydanticCustomError("create_only", "{message}", {"message": message})


ActionType = Literal["start", "stop", "reboot"]


class InstanceActionPrototype(Prototype):
    type: ActionType
    force: bool | None = Field(
        default=None, description="Drop what is queued and act at once; ignored for `start`."
    )


class ReinitializePrototype(Prototype):
    """Replaces the initialization as a whole: what is not named is gone afterwards (contract 2.4)."""

    image: Identity | None = None
    boot_volume_attachment: BootVolumeAttachmentPrototype | None = None
    keys: Annotated[list[KeyIdentity], Field(max_length=MAX_KEYS)] | None = None
    user_data: UserData | None = None
    default_trusted_profile: DefaultTrustedProfilePrototype | None = None


class ConsoleAccessTokenPrototype(Prototype):
    console_type: Literal["serial", "vnc"]
    force: bool | None = None
