"""The check of shapes itself: it takes the contract's example and finds what is not like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.documents import full_document
from fakes.metadata_shapes import complaints

Damage = Callable[[dict[str, Any]], Any]


def test_the_contracts_example_is_as_the_contract_says() -> None:
    assert complaints(full_document().metadata) == []


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a list": (lambda m: m.pop("keys"), ': "keys" is a required property'),
    "a member": (
        lambda m: m["instance"].pop("status"),
        'instance: "status" is a required property',
    ),
    "a deep member": (
        lambda m: m["instance"]["vcpu"]["burst"].clear(),
        'instance.vcpu.burst: "limit" is a required property',
    ),
    "an extra member": (
        lambda m: m["volume_attachments"][1].update(resource_type="x"),
        "volume_attachments.1: Additional properties are not allowed ('resource_type' was unexpected)",
    ),
    "a null": (
        lambda m: m["instance"].update(image={**m["instance"]["image"], "name": None}),
        'instance.image.name: null is not of type "string"',
    ),
    "an href": (
        lambda m: m["network_attachments"][0]["subnet"].update(href="/v1/subnets/x"),
        "network_attachments.0.subnet: Additional properties are not allowed ('href' was unexpected)",
    ),
    "another type": (
        lambda m: m["instance"].update(memory="8"),
        'instance.memory: "8" is not of type "integer"',
    ),
    "another word": (
        lambda m: m["instance"]["metadata_service"].update(protocol="ftp"),
        'instance.metadata_service.protocol: "ftp" is not one of "http" or "https"',
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found(name: str) -> None:
    metadata = full_document().metadata
    damage, complaint = DAMAGES[name]

    damage(metadata)

    assert complaint in complaints(metadata)
