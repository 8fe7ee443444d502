"""`/v1/instance/profiles` through the models of IBM's SDK."""

from __future__ import annotations

import httpx
import pytest
from fakes.vpc_api import client_of, errors, pages
from ibm_vpc.vpc_v1 import (
    InstanceProfile,
    InstanceProfileBandwidthFixed,
    InstanceProfileCollection,
    InstanceProfileMemoryFixed,
    InstanceProfileNetworkAttachmentCountRange,
    InstanceProfileVCPUFixed,
    InstanceProfileVolumeBandwidthQoSModesEnum,
    InstanceProfileVolumeBandwidthRange,
)

from linklocal.settings import Region
from linklocal.vpc.profiles.catalog import PROFILES, Profile, find
from linklocal.vpc.profiles.routes import profile_routes

ROUTES = profile_routes(Region("us-south"))


async def get(path: str, **params: str) -> httpx.Response:
    async with client_of(ROUTES) as client:
        return await client.get(f"/v1/instance/profiles{path}", params={**client.params, **params})


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
async def test_every_profile_passes_the_sdks_model(profile: Profile) -> None:
    view = (await get(f"/{profile.name}")).json()

    assert InstanceProfile.from_dict(view).name == profile.name
    assert InstanceProfileVCPUFixed.from_dict(view["vcpu_count"]).value == profile.vcpu_count
    assert InstanceProfileMemoryFixed.from_dict(view["memory"]).value == profile.memory
    assert InstanceProfileBandwidthFixed.from_dict(view["bandwidth"]).value == profile.bandwidth
    volumes = InstanceProfileVolumeBandwidthRange.from_dict(view["total_volume_bandwidth"])
    assert volumes.min <= volumes.default <= volumes.max < profile.bandwidth
    attachments = InstanceProfileNetworkAttachmentCountRange.from_dict(
        view["network_attachment_count"]
    )
    assert attachments.max == profile.max_interfaces
    modes = InstanceProfileVolumeBandwidthQoSModesEnum.from_dict(view["volume_bandwidth_qos_modes"])
    assert modes.default in modes.values
    assert len(view["zones"]) == 3


def test_the_profiles_of_the_documentation_are_there() -> None:
    for name in ("bx2-2x8", "mx2-2x16", "cx2-2x4", "bxf-2x8"):
        profile = find(name)
        assert profile is not None
        assert profile.supports_metadata_service
    mainframe = find("bz2-2x8")
    assert mainframe is not None
    assert not mainframe.supports_metadata_service
    assert find("bx2") is None


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_name_says_what_the_profile_has(profile: Profile) -> None:
    assert profile.name.endswith(f"-{profile.vcpu_count}x{profile.memory}")


async def test_clients_of_earlier_dates_get_all_profiles_at_once() -> None:
    earlier = (await get("", version="2026-04-06", limit="3")).json()
    later = (await get("", version="2026-04-07", limit="3")).json()

    assert len(InstanceProfileCollection.from_dict(earlier).profiles) == len(PROFILES)
    assert "next" not in earlier
    assert len(later["profiles"]) == 3
    assert later["total_count"] == earlier["total_count"] == len(PROFILES)
    assert later["first"]["href"].endswith("/v1/instance/profiles?limit=3")


async def test_pages_can_be_followed_to_the_end() -> None:
    async with client_of(ROUTES) as client:
        found = await pages(client, "/v1/instance/profiles", limit="4")

    names = [profile["name"] for page in found for profile in page["profiles"]]
    assert names == sorted(profile.name for profile in PROFILES)


async def test_what_does_not_exist_is_not_found() -> None:
    unknown = await get("/bx9-1x1")
    start = await get("", start="!")
    limit = await get("", limit="101")

    assert (unknown.status_code, errors(unknown)) == (404, [("not_found", "name")])
    assert (start.status_code, errors(start)) == (400, [("bad_field", "start")])
    assert (limit.status_code, errors(limit)) == (400, [("bad_field", "limit")])
