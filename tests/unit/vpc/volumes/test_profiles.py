"""Volume profiles: speed follows from size, and what a user may choose."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ibm_vpc.vpc_v1 import VolumeProfile as SdkVolumeProfile

from linklocal.vpc.references import NamedIdentity
from linklocal.vpc.volumes.attach import device_id
from linklocal.vpc.volumes.profiles import (
    DEFAULT_PROFILE,
    VOLUME_PROFILES,
    check_size,
    resolve_profile,
)


@pytest.mark.parametrize("name", VOLUME_PROFILES)
def test_every_profile_passes_the_sdk(name: str) -> None:
    assert SdkVolumeProfile.from_dict(VOLUME_PROFILES[name].view()).name == name


def test_a_boot_volume_of_100_gb_has_the_speed_that_ibm_documents() -> None:
    iops = DEFAULT_PROFILE.iops(100)

    assert (iops, DEFAULT_PROFILE.bandwidth(iops)) == (3_000, 393)


@given(st.sampled_from(list(VOLUME_PROFILES)), st.integers(10, 15_999))
def test_a_larger_volume_is_never_slower(name: str, capacity: int) -> None:
    profile = VOLUME_PROFILES[name]

    assert profile.iops(capacity) <= profile.iops(capacity + 1)
    assert profile.iops_range(capacity)[1] <= profile.iops_range(capacity + 1)[1]


@given(st.sampled_from(list(VOLUME_PROFILES)), st.integers(10, 4_800), st.integers(100, 48_000))
def test_what_is_allowed_is_given(name: str, capacity: int, iops: int) -> None:
    """The IOPS of a custom volume are those asked for, if they are in its range."""
    profile = VOLUME_PROFILES[name]
    problems = check_size(profile, capacity, iops, None, "", boot=False)

    if not problems:
        assert profile.iops(capacity, iops) == iops


@pytest.mark.parametrize(
    ("capacity", "boot", "minimum", "fits"),
    [
        (9, False, 0, False),
        (10, False, 0, True),
        (16_000, False, 0, True),
        (16_001, False, 0, False),
        (251, True, 0, False),
        (250, True, 0, True),
        (19, True, 20, False),
        (20, True, 20, True),
    ],
)
def test_the_size_has_bounds(capacity: int, boot: bool, minimum: int, fits: bool) -> None:
    problems = check_size(DEFAULT_PROFILE, capacity, None, None, "", boot=boot, minimum=minimum)

    assert (problems == []) is fits


def test_iops_and_bandwidth_of_a_tiered_profile_cannot_be_chosen() -> None:
    problems = check_size(DEFAULT_PROFILE, 100, 4_000, 400, "volume.", boot=False)

    assert [p.target.name for p in problems if p.target] == ["volume.iops", "volume.bandwidth"]


def test_a_profile_is_named_by_name_or_href() -> None:
    by_href = NamedIdentity(href="https://us-south.iaas.cloud.ibm.com/v1/volume/profiles/custom")

    assert resolve_profile(by_href, "profile") == (VOLUME_PROFILES["custom"], [])
    assert resolve_profile(None, "profile") == (DEFAULT_PROFILE, [])
    [problem] = resolve_profile(NamedIdentity(name="fast"), "volume.profile")[1]
    assert problem.target is not None
    assert (problem.code, problem.target.name) == ("not_found", "volume.profile.name")


def test_a_device_id_is_the_attachments_with_five_characters() -> None:
    """Metadata contract 4."""
    assert re.fullmatch(r"0717-abc-[a-z0-9]{5}", device_id("0717-abc"))
