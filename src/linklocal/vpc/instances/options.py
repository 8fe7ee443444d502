"""The many small settings of an instance that only have to be valid and be remembered.

Availability, reservation affinity, secure boot, threads, bandwidth: a request names some, the profile
supplies the others, and all are stored together in `instances.options`. The metadata service is not one
of them; it has columns of its own (`vpc/metadata_service.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, Field

from linklocal.errors import Problem, bad_field, not_found_field
from linklocal.vpc.profiles.catalog import Profile
from linklocal.vpc.references import Identity, Patch, Prototype

AvailabilityClass = Literal["standard", "spot"]
HostFailure = Literal["restart", "stop"]
Preemption = Literal["stop", "delete"]
AffinityPolicy = Literal["automatic", "disabled", "manual"]
ConfidentialComputeMode = Literal["disabled", "sgx", "tdx"]
QosMode = Literal["pooled", "weighted"]

# Both kinds of traffic keep at least this much of the profile's bandwidth (Mbps).
MIN_BANDWIDTH = 500


class AvailabilityPrototype(Prototype):
    class_: AvailabilityClass | None = Field(default=None, alias="class")


class AvailabilityPolicyPrototype(Prototype):
    host_failure: HostFailure | None = None
    preemption: Preemption | None = None


class ReservationAffinityPrototype(Prototype):
    policy: AffinityPolicy | None = None
    pool: list[Identity] | None = None


class VcpuPrototype(Prototype):
    percentage: int | None = None


class OptionsPrototype(Prototype):
    """The members of an instance prototype that end up in `Options`."""

    availability: AvailabilityPrototype | None = None
    availability_policy: AvailabilityPolicyPrototype | None = None
    reservation_affinity: ReservationAffinityPrototype | None = None
    confidential_compute_mode: ConfidentialComputeMode | None = None
    enable_secure_boot: bool | None = None
    threads_per_core: int | None = None
    total_volume_bandwidth: int | None = None
    volume_bandwidth_qos_mode: QosMode | None = None
    vcpu: VcpuPrototype | None = None


class AvailabilityPatch(Patch):
    class_: AvailabilityClass = Field(default="standard", alias="class")


class AvailabilityPolicyPatch(Patch):
    host_failure: HostFailure = "restart"
    preemption: Preemption = "stop"


class ReservationAffinityPatch(Patch):
    policy: AffinityPolicy = "disabled"
    pool: list[Identity] = Field(default_factory=list)


class VcpuPatch(Patch):
    percentage: int = 100


class OptionsPatch(Patch):
    """The members of an instance patch that end up in `Options`."""

    availability: AvailabilityPatch = AvailabilityPatch()
    availability_policy: AvailabilityPolicyPatch = AvailabilityPolicyPatch()
    reservation_affinity: ReservationAffinityPatch = ReservationAffinityPatch()
    confidential_compute_mode: ConfidentialComputeMode = "disabled"
    enable_secure_boot: bool = False
    threads_per_core: int = 2
    total_volume_bandwidth: int = 0
    volume_bandwidth_qos_mode: QosMode = "weighted"
    vcpu: VcpuPatch = VcpuPatch()


@dataclass(frozen=True, slots=True)
class Options:
    """All of them, decided. Bandwidth in Mbps, percentage of a virtual CPU."""

    total_volume_bandwidth: int
    threads_per_core: int
    vcpu_percentage: int
    volume_bandwidth_qos_mode: QosMode
    availability_class: AvailabilityClass = "standard"
    host_failure: HostFailure = "restart"
    preemption: Preemption = "stop"
    affinity_policy: AffinityPolicy = "disabled"
    confidential_compute_mode: ConfidentialComputeMode = "disabled"
    enable_secure_boot: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Options:
        """Read what `to_json` wrote."""
        return cls(**data)

    @classmethod
    def of_profile(cls, profile: Profile) -> Options:
        """What an instance of this profile has when nothing is named."""
        return cls(
            total_volume_bandwidth=profile.total_volume_bandwidth,
            threads_per_core=profile.threads_per_core,
            vcpu_percentage=100,
            volume_bandwidth_qos_mode="weighted",
        )

    def view(self) -> dict[str, Any]:
        """Their members of an instance, the same in the VPC API and in the metadata document."""
        return {
            "availability": {"class": self.availability_class},
            "availability_policy": {
                "host_failure": self.host_failure,
                "preemption": self.preemption,
            },
            "confidential_compute_mode": self.confidential_compute_mode,
            "enable_secure_boot": self.enable_secure_boot,
            "reservation_affinity": {"policy": self.affinity_policy, "pool": []},
            "threads_per_core": self.threads_per_core,
            "total_volume_bandwidth": self.total_volume_bandwidth,
            "volume_bandwidth_qos_mode": self.volume_bandwidth_qos_mode,
        }


# Where in a body each option stands.
_PATHS: Mapping[str, tuple[str, ...]] = {
    "availability_class": ("availability", "class_"),
    "host_failure": ("availability_policy", "host_failure"),
    "preemption": ("availability_policy", "preemption"),
    "affinity_policy": ("reservation_affinity", "policy"),
    "vcpu_percentage": ("vcpu", "percentage"),
    "confidential_compute_mode": ("confidential_compute_mode",),
    "enable_secure_boot": ("enable_secure_boot",),
    "threads_per_core": ("threads_per_core",),
    "total_volume_bandwidth": ("total_volume_bandwidth",),
    "volume_bandwidth_qos_mode": ("volume_bandwidth_qos_mode",),
}


def _named(body: BaseModel, path: tuple[str, ...]) -> Any:
    """What a body says at `path`; None when it says nothing."""
    value: Any = body
    for step in path:
        if value is None or step not in value.model_fields_set:
            return None
        value = getattr(value, step)
    return value


def decide(
    current: Options, body: OptionsPrototype | OptionsPatch, profile: Profile
) -> tuple[Options, list[Problem]]:
    """`current` with what the body names, and what is wrong with that for this profile."""
    named = {option: _named(body, path) for option, path in _PATHS.items()}
    named = {option: value for option, value in named.items() if value is not None}
    options = replace(current, **named)
    problems = []
    for option, allowed in _choices(profile).items():
        if option in named and named[option] not in allowed:
            field = ".".join(_PATHS[option])
            choices = " or ".join(f"`{json.dumps(value)}`" for value in allowed)
            message = f"`{field}` must be {choices} with profile {profile.name}."
            problems.append(bad_field(field, message, json.dumps(named[option])))
    most = profile.bandwidth - MIN_BANDWIDTH
    if not MIN_BANDWIDTH <= options.total_volume_bandwidth <= most:
        message = (
            f"`total_volume_bandwidth` must be from {MIN_BANDWIDTH} to {most} Mbps "
            f"with profile {profile.name}."
        )
        given = options.total_volume_bandwidth
        problems.append(bad_field("total_volume_bandwidth", message, given))
    if _named(body, ("reservation_affinity", "pool")):
        message = "There are no reservations here: leave `reservation_affinity.pool` out."
        problems.append(not_found_field("reservation_affinity.pool", message))
    elif options.affinity_policy == "manual":
        message = "`manual` needs a reservation in the pool: send `automatic` or `disabled`."
        problems.append(bad_field("reservation_affinity.policy", message, "manual"))
    return options, problems


def _choices(profile: Profile) -> dict[str, tuple[Any, ...]]:
    """What a profile leaves to choose."""
    return {
        "confidential_compute_mode": ("disabled",),
        "enable_secure_boot": profile.secure_boot_modes,
        "threads_per_core": (profile.threads_per_core,),
        "vcpu_percentage": (100,),
        "volume_bandwidth_qos_mode": ("weighted",),
    }


def moved(current: Options, old: Profile, new: Profile) -> Options:
    """Options after a change of profile: what was the old one's default becomes the new one's."""
    before, after = Options.of_profile(old), Options.of_profile(new)
    followed = {
        name: getattr(after, name)
        for name in ("total_volume_bandwidth", "threads_per_core")
        if getattr(current, name) == getattr(before, name)
    }
    return replace(current, **followed)
