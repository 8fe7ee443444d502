"""What profile operations answer, as schemas for the OpenAPI document (contract 2.6)."""

from __future__ import annotations

from typing import Any, Literal

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.profiles.catalog import Architecture, Family, Manufacturer
from linklocal.vpc.regions.model import ZoneReference


class FixedNumber(ResponseModel):
    type: Literal["fixed"]
    value: int


class NumberRange(ResponseModel):
    type: Literal["range"]
    min: int
    max: int


class SteppedRange(NumberRange):
    default: int
    step: int


class NumberChoice(ResponseModel):
    type: Literal["enum"]
    default: int
    values: list[int]


class TextChoice(ResponseModel):
    type: Literal["enum"]
    default: str
    values: list[str]


class SecureBootModes(ResponseModel):
    type: Literal["enum"]
    default: bool
    values: list[bool]


class ReservationTerms(ResponseModel):
    type: Literal["enum"]
    values: list[str]


class FixedText(ResponseModel):
    type: Literal["fixed"]
    value: str


class FixedArchitecture(ResponseModel):
    type: Literal["fixed"]
    value: Architecture


class FixedManufacturer(ResponseModel):
    type: Literal["fixed"]
    value: Manufacturer


class InstanceProfileReference(ResponseModel):
    href: str
    name: str
    resource_type: Literal["instance_profile"]


class InstanceProfile(InstanceProfileReference):
    availability_class: FixedText
    bandwidth: FixedNumber
    cluster_network_attachment_count: NumberChoice
    confidential_compute_modes: TextChoice
    disks: list[Any]
    family: Family
    memory: FixedNumber
    network_attachment_count: NumberRange
    network_bandwidth_mode: FixedText
    network_interface_count: NumberRange
    numa_count: FixedNumber
    os_architecture: TextChoice
    port_speed: FixedNumber
    reservation_terms: ReservationTerms
    secure_boot_modes: SecureBootModes
    status: Literal["current", "previous"]
    supported_cluster_network_profiles: list[Any]
    threads_per_core: NumberChoice
    total_volume_bandwidth: SteppedRange
    vcpu_architecture: FixedArchitecture
    vcpu_burst_limit: FixedNumber
    vcpu_count: FixedNumber
    vcpu_manufacturer: FixedManufacturer
    vcpu_percentage: NumberChoice
    volume_bandwidth_qos_modes: TextChoice
    zones: list[ZoneReference]


class InstanceProfileCollection(Paginated):
    profiles: list[InstanceProfile]
