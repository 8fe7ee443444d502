"""What instance operations answer, as schemas for the OpenAPI document (control-plane contract 2.4).

The answers themselves are plain dicts made by `views.py`; nothing is validated against these at run time.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.instances.lifecycle import HealthState, LifecycleState, Status
from linklocal.vpc.instances.model import ActionType
from linklocal.vpc.instances.options import (
    AffinityPolicy,
    AvailabilityClass,
    ConfidentialComputeMode,
    HostFailure,
    Preemption,
    QosMode,
)
from linklocal.vpc.keys.model import KeyReference
from linklocal.vpc.metadata_service import MetadataServiceView
from linklocal.vpc.resource_groups import ResourceGroupReference


class Reference(ResponseModel):
    """A reference to a resource; what else it has depends on its kind."""

    href: str
    id: str
    name: str


class CrnReference(Reference):
    crn: str


class NamedReference(ResponseModel):
    href: str
    name: str


class ReasonView(ResponseModel):
    code: str
    message: str
    more_info: str | None = None


class Availability(ResponseModel):
    class_: AvailabilityClass = Field(alias="class")


class AvailabilityPolicy(ResponseModel):
    host_failure: HostFailure
    preemption: Preemption


class ReservationAffinity(ResponseModel):
    policy: AffinityPolicy
    pool: list[CrnReference]


class Vcpu(ResponseModel):
    architecture: str
    count: int
    manufacturer: str
    percentage: int


class VolumeAttachmentReference(Reference):
    device: dict[str, str] | None = None
    volume: CrnReference | None = None


class NetworkInterfaceReference(Reference):
    primary_ip: Reference
    resource_type: Literal["network_interface"]
    subnet: CrnReference


class NetworkAttachmentReference(Reference):
    primary_ip: Reference
    resource_type: Literal["instance_network_attachment"]
    subnet: CrnReference
    virtual_network_interface: CrnReference


class Instance(ResponseModel):
    """An instance. `metadata_service` is always there with its three members."""

    availability: Availability
    availability_policy: AvailabilityPolicy
    bandwidth: int = Field(description="Mbps, of network and volumes together")
    boot_volume_attachment: VolumeAttachmentReference
    cluster_network_attachments: list[Reference]
    confidential_compute_mode: ConfidentialComputeMode
    created_at: str
    crn: str
    disks: list[Reference]
    enable_secure_boot: bool
    health_reasons: list[ReasonView]
    health_state: HealthState
    href: str
    id: str
    image: CrnReference | None = None
    lifecycle_reasons: list[ReasonView]
    lifecycle_state: LifecycleState
    memory: int = Field(description="GiB")
    metadata_service: MetadataServiceView
    name: str
    network_attachments: list[NetworkAttachmentReference]
    network_interfaces: list[NetworkInterfaceReference]
    numa_count: int | None = None
    placement_target: CrnReference | None = None
    primary_network_attachment: NetworkAttachmentReference | None = None
    primary_network_interface: NetworkInterfaceReference
    profile: NamedReference
    reservation_affinity: ReservationAffinity
    resource_group: ResourceGroupReference
    resource_type: Literal["instance"]
    software_attachments: list[Reference]
    startable: bool
    status: Status
    status_reasons: list[ReasonView]
    threads_per_core: int
    total_network_bandwidth: int
    total_volume_bandwidth: int
    vcpu: Vcpu
    volume_attachments: list[VolumeAttachmentReference]
    volume_bandwidth_qos_mode: QosMode
    vpc: CrnReference
    zone: NamedReference


class InstanceCollection(Paginated):
    instances: list[Instance]


class TrustedProfileReference(ResponseModel):
    crn: str
    id: str
    resource_type: Literal["trusted_profile"]


class DefaultTrustedProfile(ResponseModel):
    auto_link: bool
    target: TrustedProfileReference


class InstanceInitialization(ResponseModel):
    """What the instance was initialized with. `user_data` is never shown here."""

    default_trusted_profile: DefaultTrustedProfile | None = None
    keys: list[KeyReference]


class InstanceAction(ResponseModel):
    completed_at: str | None = None
    created_at: str
    force: bool | None = None
    href: str
    id: str
    started_at: str | None = None
    status: Literal["pending", "running", "completed", "failed"]
    type: ActionType


class DiskCollection(ResponseModel):
    disks: list[dict[str, Any]]


class SoftwareAttachment(Reference):
    catalog_offering: dict[str, Any]
    created_at: str
    entitlement: dict[str, Any] | None = None
    lifecycle_reasons: list[ReasonView]
    lifecycle_state: str
    offering_instance: dict[str, str] | None = None
    resource_type: Literal["instance_software_attachment"]


class SoftwareAttachmentCollection(ResponseModel):
    software_attachments: list[SoftwareAttachment]


class ClusterNetworkAttachmentCollection(Paginated):
    cluster_network_attachments: list[dict[str, Any]]
