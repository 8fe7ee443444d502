"""Volume profiles: constant, as IBM's first storage generation has them (contract 3). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from linklocal.errors import Problem, bad_field
from linklocal.vpc.references import NamedIdentity, resolve_named
from linklocal.vpc.volumes.model import MIN_CAPACITY

MAX_BOOT_CAPACITY = 250  # GB
# linklocal stores nothing, so a volume may grow whether or not it is attached.
ADJUSTABLE_STATES = ("attached", "unattached")
MIN_TIERED_IOPS = 3_000
MAX_IOPS = 48_000
MAX_BANDWIDTH = 8_192  # Mbps

# Of the custom profile: from this capacity (GB) on, at most so many IOPS.
_CUSTOM_MAX_IOPS = (
    (10, 1_000),
    (40, 2_000),
    (80, 4_000),
    (100, 6_000),
    (500, 10_000),
    (1_000, 20_000),
    (2_000, 40_000),
    (8_000, 48_000),
)
_CUSTOM_MIN_IOPS = 100


@dataclass(frozen=True, slots=True)
class VolumeProfile:
    """`iops_per_gb` None: the user chooses the IOPS. `block` in KiB is what bandwidth is counted with."""

    name: str
    family: Literal["tiered", "custom"]
    iops_per_gb: int | None
    max_capacity: int
    block: int

    def iops(self, capacity: int, asked: int | None = None) -> int:
        """What a volume of `capacity` GB has."""
        if self.iops_per_gb is None:
            return min(asked or 3_000, self.iops_range(capacity)[1])
        return min(max(self.iops_per_gb * capacity, MIN_TIERED_IOPS), MAX_IOPS)

    def iops_range(self, capacity: int) -> tuple[int, int]:
        """What a user may ask for at this capacity (custom profile)."""
        highest = next(
            (most for least, most in reversed(_CUSTOM_MAX_IOPS) if capacity >= least),
            _CUSTOM_MAX_IOPS[0][1],
        )
        return _CUSTOM_MIN_IOPS, highest

    def bandwidth(self, iops: int) -> int:
        """Mbps at these IOPS: 393 for a general-purpose volume of 100 GB."""
        return min(iops * self.block * 1024 * 8 // 1_000_000, MAX_BANDWIDTH)

    def view(self) -> dict[str, Any]:
        """VolumeProfile as the API shows it."""
        if self.iops_per_gb is None:
            low, high = _CUSTOM_MIN_IOPS, MAX_IOPS
        else:
            low, high = MIN_TIERED_IOPS, MAX_IOPS
        states = [*ADJUSTABLE_STATES]
        adjustable = {"type": "enum", "default": states, "values": states}
        return {
            "adjustable_capacity_states": adjustable,
            "adjustable_iops_states": adjustable,
            "bandwidth": {"type": "dependent"},
            "boot_capacity": _range(MIN_CAPACITY, MAX_BOOT_CAPACITY),
            "capacity": _range(MIN_CAPACITY, self.max_capacity),
            "family": self.family,
            "href": profile_href(self.name),
            "iops": {"type": "dependent_range", "min": low, "max": high, "step": 1},
            "name": self.name,
            "storage_generation": {"type": "fixed", "value": 1},
        }


def _range(least: int, most: int) -> dict[str, Any]:
    return {"type": "range", "default": 100, "min": least, "max": most, "step": 1}


VOLUME_PROFILES = {
    profile.name: profile
    for profile in (
        VolumeProfile("general-purpose", "tiered", 3, 16_000, 16),
        VolumeProfile("5iops-tier", "tiered", 5, 9_600, 16),
        VolumeProfile("10iops-tier", "tiered", 10, 4_800, 256),
        VolumeProfile("custom", "custom", None, 16_000, 256),
    )
}
DEFAULT_PROFILE = VOLUME_PROFILES["general-purpose"]


def profile_href(name: str) -> str:
    return f"/v1/volume/profiles/{name}"


def resolve_profile(
    identity: NamedIdentity | None, field: str
) -> tuple[VolumeProfile, list[Problem]]:
    """The profile named by `name` or `href`; the default one if none is, or if there is a problem."""
    if identity is None:
        return DEFAULT_PROFILE, []
    name, problems = resolve_named(identity, VOLUME_PROFILES, "volume profile", field)
    return (DEFAULT_PROFILE if name is None else VOLUME_PROFILES[name]), problems


def check_size(
    profile: VolumeProfile,
    capacity: int,
    iops: int | None,
    bandwidth: int | None,
    field: str,
    *,
    boot: bool,
    minimum: int = MIN_CAPACITY,
) -> list[Problem]:
    """Problems of capacity, IOPS and bandwidth for a profile. `field`: prefix of targets with its dot."""
    problems = []
    most = MAX_BOOT_CAPACITY if boot else profile.max_capacity
    least = max(minimum, MIN_CAPACITY)
    if not least <= capacity <= most:
        what = "A boot volume" if boot else "A volume"
        message = f"{what} of profile {profile.name} has {least} to {most} GB."
        problems.append(bad_field(f"{field}capacity", message, capacity))
    if iops is not None and profile.iops_per_gb is not None:
        message = f"The IOPS of profile {profile.name} follow from the capacity: leave `iops` out."
        problems.append(bad_field(f"{field}iops", message, iops))
    elif iops is not None:
        low, high = profile.iops_range(capacity)
        if not low <= iops <= high:
            message = f"A volume of {capacity} GB has {low} to {high} IOPS."
            problems.append(bad_field(f"{field}iops", message, iops))
    if bandwidth is not None:
        message = f"The bandwidth of profile {profile.name} follows from its IOPS: leave it out."
        problems.append(bad_field(f"{field}bandwidth", message, bandwidth))
    return problems
