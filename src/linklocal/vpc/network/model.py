"""Request bodies shared by network resources: interfaces, attachments and the addresses they ask for.

Contract 2.4 (`primary_network_interface`, `primary_network_attachment`) and the SDK's prototypes. A
reference and a prototype of the same member are one class here, because JSON tells them apart only by
the members present; `interfaces.py` decides which it is and refuses a mixture.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from linklocal.vpc.network.addresses import Ipv4
from linklocal.vpc.references import Identity, Name, Prototype, ResourceGroupIdentity, Text

FilteringMode = Literal["auto", "enabled", "disabled"]

MAX_SECURITY_GROUPS = 5  # of one interface (contract 8, quotas)
MAX_SECONDARY_IPS = 7  # beside the primary one
MAX_INTERFACES = 15  # of the largest instance (contract 2.6, network interfaces)

SecurityGroups = Annotated[list[Identity], Field(max_length=MAX_SECURITY_GROUPS)]


class IpPrototype(Prototype):
    """An address to bind: an existing reserved ip by `id` or `href`, or a new one."""

    id: Text | None = None
    href: Text | None = None
    address: Ipv4 | None = None
    name: Name | None = None
    auto_delete: bool | None = None

    def names_existing(self) -> bool:
        """Whether this refers to a reserved ip that is already there."""
        return self.id is not None or self.href is not None


class NetworkInterfacePrototype(Prototype):
    """A network interface of the older kind, without a virtual network interface."""

    subnet: Identity
    name: Name | None = None
    allow_ip_spoofing: bool | None = None
    primary_ip: IpPrototype | None = None
    security_groups: SecurityGroups | None = None


class VirtualNetworkInterfacePrototype(Prototype):
    """A new virtual network interface. `subnet` may be left out if `primary_ip` names a reserved ip."""

    name: Name | None = None
    subnet: Identity | None = None
    primary_ip: IpPrototype | None = None
    ips: Annotated[list[IpPrototype], Field(max_length=MAX_SECONDARY_IPS)] | None = None
    security_groups: SecurityGroups | None = None
    allow_ip_spoofing: bool | None = None
    auto_delete: bool | None = None
    enable_infrastructure_nat: bool | None = None
    protocol_state_filtering_mode: FilteringMode | None = None
    resource_group: ResourceGroupIdentity | None = None


class AttachedInterfacePrototype(VirtualNetworkInterfacePrototype):
    """The virtual network interface of an attachment: an existing one by identity, or a new one."""

    id: Text | None = None
    crn: Text | None = None
    href: Text | None = None

    def identity(self) -> Identity | None:
        """The existing interface it names, or None when it describes a new one."""
        if self.id is None and self.crn is None and self.href is None:
            return None
        return Identity(id=self.id, crn=self.crn, href=self.href)


class NetworkAttachmentPrototype(Prototype):
    """A network attachment: what joins an instance to a virtual network interface."""

    virtual_network_interface: AttachedInterfacePrototype
    name: Name | None = None
