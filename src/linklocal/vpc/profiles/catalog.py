"""The instance profiles that linklocal knows: a constant, the same in every region and for every account.

Numbers follow the naming rule of IBM's profiles: family, generation, virtual CPUs x memory in GiB. Views
and paths are in `views.py` and `routes.py`; whether an instance may have a profile is the instances'
question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from linklocal.errors import Problem
from linklocal.vpc.references import NamedIdentity, resolve_named

Architecture = Literal["amd64", "s390x"]
Manufacturer = Literal["intel", "ibm"]
Family = Literal["balanced", "compute", "memory", "balanced-flex"]

# What an instance gets when its prototype names no profile (control-plane contract 2.4).
DEFAULT_PROFILE = "bxf-2x8"

_MBPS_PER_VCPU = 2_000
_MAX_BANDWIDTH = 80_000


@dataclass(frozen=True, slots=True)
class Profile:
    """What an instance of this profile has. Memory in GiB, bandwidths and port speed in Mbps.

    `bandwidth` is for network and volumes together; `total_volume_bandwidth` is the volumes' part when
    the instance does not ask for another.
    """

    name: str
    family: Family
    vcpu_count: int
    memory: int
    architecture: Architecture = "amd64"
    manufacturer: Manufacturer = "intel"
    threads_per_core: int = 2
    port_speed: int = 16_000
    status: Literal["current", "previous"] = "current"

    @property
    def bandwidth(self) -> int:
        return min(self.vcpu_count * _MBPS_PER_VCPU, _MAX_BANDWIDTH)

    @property
    def total_volume_bandwidth(self) -> int:
        return self.bandwidth // 4

    @property
    def max_interfaces(self) -> int:
        """Network attachments (or interfaces) at most, the primary one included."""
        if self.vcpu_count <= 16:
            return 5
        return 10 if self.vcpu_count <= 48 else 15

    @property
    def secure_boot_modes(self) -> tuple[bool, ...]:
        """The first one is the default."""
        return (False, True) if self.architecture == "amd64" else (False,)

    @property
    def supports_metadata_service(self) -> bool:
        """IBM's service is "supported only on x86" (control-plane contract 2.2)."""
        return self.architecture == "amd64"


def _z(name: str, vcpu_count: int, memory: int) -> Profile:
    return Profile(name, "balanced", vcpu_count, memory, "s390x", "ibm")


PROFILES: tuple[Profile, ...] = (
    Profile("bx2-2x8", "balanced", 2, 8),
    Profile("bx2-4x16", "balanced", 4, 16),
    Profile("bx2-8x32", "balanced", 8, 32),
    Profile("bx2-16x64", "balanced", 16, 64),
    Profile("bx2-32x128", "balanced", 32, 128),
    Profile("bx2-64x256", "balanced", 64, 256),
    Profile("bxf-2x8", "balanced-flex", 2, 8),
    Profile("bxf-4x16", "balanced-flex", 4, 16),
    Profile("cx2-2x4", "compute", 2, 4),
    Profile("cx2-4x8", "compute", 4, 8),
    Profile("cx2-8x16", "compute", 8, 16),
    Profile("cx2-16x32", "compute", 16, 32),
    Profile("mx2-2x16", "memory", 2, 16),
    Profile("mx2-4x32", "memory", 4, 32),
    Profile("mx2-8x64", "memory", 8, 64),
    Profile("mx2-16x128", "memory", 16, 128),
    _z("bz2-2x8", 2, 8),
    _z("bz2-4x16", 4, 16),
)

_BY_NAME = {profile.name: profile for profile in PROFILES}


def find(name: str) -> Profile | None:
    """The profile that a request names, or None."""
    return _BY_NAME.get(name)


def resolve_profile(
    identity: NamedIdentity | None, field: str = "profile"
) -> tuple[Profile | None, list[Problem]]:
    """The profile that a body names, or the default one; None and what is wrong."""
    if identity is None:
        return _BY_NAME[DEFAULT_PROFILE], []
    name, problems = resolve_named(identity, _BY_NAME, "instance profile", field)
    return None if name is None else _BY_NAME[name], problems


def stored(name: str) -> Profile:
    """The profile of a stored instance. Raises KeyError: names get in through `find` and none is removed."""
    return _BY_NAME[name]
