"""What an image allows (contract 8)."""

from __future__ import annotations

import pytest

from linklocal.document import MetadataService
from linklocal.vpc.images.allowed_use import allowed_use_problems, allows_profile
from linklocal.vpc.images.stock import NEEDS_SECURE_METADATA, STOCK_IMAGES, StockImage
from linklocal.vpc.instances.options import Options
from linklocal.vpc.profiles.catalog import PROFILES, stored

WRITTEN_AT = "boot_volume_attachment.volume.allowed_use.instance"
PROFILE = stored("bx2-2x8")
OFF = MetadataService()
ON = MetadataService(enabled=True)
ON_HTTPS = MetadataService(enabled=True, protocol="https")


def targets(text: str, settings: MetadataService) -> list[tuple[str, str | None]]:
    found = allowed_use_problems({"instance": text}, settings, Options.of_profile(PROFILE), PROFILE)
    return [(p.target.name, p.target.value) for p in found if p.target]


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("true", OFF, []),
        (NEEDS_SECURE_METADATA, ON_HTTPS, []),
        (NEEDS_SECURE_METADATA, ON, [("metadata_service.protocol", "http")]),
        (
            NEEDS_SECURE_METADATA,
            OFF,
            [("metadata_service.enabled", "false"), ("metadata_service.protocol", "http")],
        ),
        ("!metadata_service.enabled", ON, [("metadata_service.enabled", "true")]),
        ("vcpu.count >= 4", ON, [("image", None)]),
        ("vcpu.count >= 2 && gpu.count == 0 && !enable_secure_boot", OFF, []),
        ("false", OFF, [("image", None)]),
        ("metadata_service.enabld", ON, [(WRITTEN_AT, "metadata_service.enabld")]),
    ],
)
def test_the_setting_that_fails_is_named(
    text: str, settings: MetadataService, expected: list[tuple[str, str | None]]
) -> None:
    assert targets(text, settings) == expected


def test_the_message_quotes_the_expression() -> None:
    (problem,) = allowed_use_problems(
        {"instance": "vcpu.count >= 4"}, OFF, Options.of_profile(PROFILE), PROFILE
    )

    assert "vcpu.count >= 4" in problem.message


def test_a_volume_without_allowed_use_allows_everything() -> None:
    assert allowed_use_problems(None, OFF, Options.of_profile(PROFILE), PROFILE) == []


def test_a_profile_fits_when_some_instance_of_it_is_allowed() -> None:
    def fitting(text: str) -> set[str]:
        return {p.name for p in PROFILES if allows_profile({"instance": text}, p)}

    everything = {profile.name for profile in PROFILES}
    amd64 = {profile.name for profile in PROFILES if profile.architecture == "amd64"}
    assert fitting("true") == everything
    assert fitting("false") == set()
    assert fitting("no such thing") == set()
    assert fitting(NEEDS_SECURE_METADATA) == amd64
    assert fitting("enable_secure_boot") == amd64
    assert fitting("vcpu.count == 64") == {"bx2-64x256"}


@pytest.mark.parametrize("image", STOCK_IMAGES, ids=lambda image: image.name)
def test_every_stock_image_can_be_used(image: StockImage) -> None:
    use = {"instance": image.allowed_use}

    assert any(allows_profile(use, profile) for profile in PROFILES)
