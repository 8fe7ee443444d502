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
    "a list": (lambda m: m.pop("keys"), "keys: absent"),
    "a member": (lambda m: m["instance"].pop("status"), "instance: without status"),
    "a deep member": (
        lambda m: m["instance"]["vcpu"]["burst"].clear(), "instance.vcpu.burst: without limit"
    ),
    "an extra member": (
        lambda m: m["volume_attachments"][1].update(resource_type="x"),
        "volume_attachments: unknown resource_type",
    ),
    "a null": (lambda m: m["instance"].update(image={**m["instance"]["image"], "name": None}),
               ".instance.image.name: null"),
    "an href": (lambda m: m["network_attachments"][0]["subnet"].update(href="/v1/subnets/x"),
                ".network_attachments.subnet: has an href"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found(name: str) -> None:
    metadata = full_document().metadata
    damage, complaint = DAMAGES[name]

    damage(metadata)

    assert complaint in complaints(metadata)
