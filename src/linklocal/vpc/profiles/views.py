"""A profile as the API shows it: every capability is an object whose `type` says how it may be chosen.

`fixed {value}`, `range {min, max, step, default}`, `enum {values, default}`, `dependent {}`. Contract
2.6, profiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from linklocal.settings import Region
from linklocal.vpc.profiles.catalog import Profile
from linklocal.vpc.regions.views import zone_reference

# Neither network nor volumes may be left with less (Mbps).
MIN_BANDWIDTH = 500


def profile_reference(profile: Profile) -> dict[str, Any]:
    """InstanceProfileReference."""
    return {
        "href": f"/v1/instance/profiles/{profile.name}",
        "name": profile.name,
        "resource_type": "instance_profile",
    }


def profile_view(profile: Profile, region: Region) -> dict[str, Any]:
    """InstanceProfile. Memory in GiB, bandwidths and port speed in Mbps."""
    interfaces = {"max": profile.max_interfaces, "min": 1, "type": "range"}
    return {
        **profile_reference(profile),
        "availability_class": _fixed("standard"),
        "bandwidth": _fixed(profile.bandwidth),
        "cluster_network_attachment_count": _enum([0]),
        "confidential_compute_modes": _enum(["disabled"]),
        "disks": [],
        "family": profile.family,
        "memory": _fixed(profile.memory),
        "network_attachment_count": interfaces,
        "network_bandwidth_mode": _fixed("divided"),
        "network_interface_count": interfaces,
        "numa_count": _fixed(1),
        "os_architecture": _enum([profile.architecture]),
        "port_speed": _fixed(profile.port_speed),
        "reservation_terms": {"type": "enum", "values": []},
        "secure_boot_modes": _enum(profile.secure_boot_modes),
        "status": profile.status,
        "supported_cluster_network_profiles": [],
        "threads_per_core": _enum([profile.threads_per_core]),
        "total_volume_bandwidth": {
            "default": profile.total_volume_bandwidth,
            "max": profile.bandwidth - MIN_BANDWIDTH,
            "min": MIN_BANDWIDTH,
            "step": 1,
            "type": "range",
        },
        "vcpu_architecture": _fixed(profile.architecture),
        "vcpu_burst_limit": _fixed(100),
        "vcpu_count": _fixed(profile.vcpu_count),
        "vcpu_manufacturer": _fixed(profile.manufacturer),
        "vcpu_percentage": _enum([100]),
        "volume_bandwidth_qos_modes": _enum(["weighted"]),
        "zones": [zone_reference(region.name, zone) for zone in region.zones],
    }


def _fixed(value: str | int) -> dict[str, Any]:
    return {"type": "fixed", "value": value}


def _enum(values: Sequence[str | int | bool]) -> dict[str, Any]:
    """The first value is the default."""
    return {"default": values[0], "type": "enum", "values": list(values)}
