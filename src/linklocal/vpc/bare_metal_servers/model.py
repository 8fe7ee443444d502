"""Bodies of bare metal server requests: create, patch, stop, replace the initialization.

The VPC API's model of the same resource says which members there are. Only shapes are checked here;
what answers look like is `answers.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from linklocal.vpc.bare_metal_servers.options import OptionsPatch, OptionsPrototype
from linklocal.vpc.instances.model import MAX_KEYS, DefaultTrustedProfilePrototype, UserData
from linklocal.vpc.metadata_service import BareMetalServicePatch, BareMetalServicePrototype
from linklocal.vpc.network.model import NetworkAttachmentPrototype
from linklocal.vpc.references import (
    Identity,
    KeyIdentity,
    Name,
    NamedIdentity,
    Prototype,
    ResourceGroupIdentity,
)


class InitializationPrototype(Prototype):
    """What a server starts from. It is replaced as a whole: what is not named is gone afterwards."""

    image: Identity
    keys: Annotated[list[KeyIdentity], Field(max_length=MAX_KEYS)]
    user_data: UserData | None = None
    default_trusted_profile: DefaultTrustedProfilePrototype | None = None


class BareMetalServerPrototype(OptionsPrototype):
    """A server with network attachments; interfaces without a virtual network interface are refused."""

    initialization: InitializationPrototype
    profile: NamedIdentity
    zone: NamedIdentity
    name: Name | None = None
    vpc: Identity | None = None
    resource_group: ResourceGroupIdentity | None = None
    metadata_service: BareMetalServicePrototype | None = None
    primary_network_attachment: NetworkAttachmentPrototype | None = None
    network_attachments: list[NetworkAttachmentPrototype] | None = None

    # Known so that they can be refused with a sentence of their own.
    primary_network_interface: dict[str, Any] | None = None
    network_interfaces: list[dict[str, Any]] | None = None
    reservation_affinity: dict[str, Any] | None = None


class BareMetalServerPatch(OptionsPatch):
    """Merge patch of a server."""

    name: Name = "a"
    metadata_service: BareMetalServicePatch = BareMetalServicePatch()


class StopPrototype(Prototype):
    type: Literal["hard", "soft"]
