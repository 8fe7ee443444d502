"""What the renderer publishes has the members of metadata contract 5, of both kinds of interfaces."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import region as r
from fakes.metadata_shapes import complaints
from fakes.region import Region

from linklocal.store.engine import Database

KINDS: dict[str, dict[str, Any]] = {
    "attachments": {},
    "interfaces": {
        "primary_network_attachment": None,
        "primary_network_interface": {"subnet": {"id": r.SUBNET}},
    },
    "everything": {
        "default_trusted_profile": {"target": {"id": r.PROFILE}},
        "keys": [{"id": r.KEY}],
        "placement_target": {"id": r.PLACEMENT_GROUP},
        "user_data": "#cloud-config",
    },
}


@pytest.mark.parametrize("kind", KINDS)
async def test_published_documents_have_the_members_of_the_contract(
    database: Database, kind: str
) -> None:
    region = await Region(database).furnish()

    view = await region.create(**KINDS[kind])
    document = (await region.published())[view["id"]]

    assert complaints(document.metadata) == []
