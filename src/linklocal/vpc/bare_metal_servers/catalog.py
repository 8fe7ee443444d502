"""The bare metal server profiles that linklocal knows: a constant, the same in every region.

Numbers follow the naming rule of IBM's profiles: family, generation, virtual CPUs x memory in GiB.
Views are in `views.py`; whether a server may have what it asks for is `options.py`'s question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from linklocal.errors import Problem
from linklocal.vpc.references import NamedIdentity, resolve_named


@dataclass(frozen=True, slots=True)
class BareMetalProfile:
    """What a server of this profile has. Memory in GiB, bandwidths and port speed in Mbps."""

    name: str
    family: Literal["balanced", "compute", "memory"]
    core_count: int
    memory: int
    architecture: str = "amd64"
    socket_count: int = 2
    threads_per_core: int = 2
    port_speed: int = 100_000
    bandwidths: tuple[int, ...] = (100_000, 50_000, 25_000)  # the first is the default
    boot_disk_size: int = 960  # GB
    max_attachments: int = 8


PROFILES: tuple[BareMetalProfile, ...] = (
    BareMetalProfile("bx2-metal-96x384", "balanced", 48, 384),
    BareMetalProfile("bx2-metal-192x768", "balanced", 96, 768, socket_count=4),
    BareMetalProfile("cx2-metal-96x192", "compute", 48, 192),
    BareMetalProfile("mx2-metal-96x768", "memory", 48, 768),
)

_BY_NAME = {profile.name: profile for profile in PROFILES}


def find(name: str) -> BareMetalProfile | None:
    """The profile that a request names, or None."""
    return _BY_NAME.get(name)


def resolve_profile(identity: NamedIdentity) -> tuple[BareMetalProfile | None, list[Problem]]:
    """The profile that a body names in `profile`; None and what is wrong."""
    name, problems = resolve_named(identity, _BY_NAME, "bare metal server profile", "profile")
    return None if name is None else _BY_NAME[name], problems


def stored(name: str) -> BareMetalProfile:
    """The profile of a stored server. Raises KeyError: none is ever removed."""
    return _BY_NAME[name]
