"""A key as the APIs show it: reference, answer, and the metadata service's view. Rows in, dicts out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from linklocal.clock import rfc3339_ms


def key_reference(row: Row[Any]) -> dict[str, Any]:
    """KeyReference."""
    k = row._mapping
    return {
        "crn": k["crn"],
        "fingerprint": k["fingerprint"],
        "href": f"/v1/keys/{k['id']}",
        "id": k["id"],
        "name": k["name"],
    }


def key_view(row: Row[Any], resource_group: Mapping[str, Any]) -> dict[str, Any]:
    """Key. `resource_group` is the reference to the row's group."""
    k = row._mapping
    return {
        **key_reference(row),
        "created_at": rfc3339_ms(k["created_at"]),
        "length": k["length"],
        "public_key": k["public_key"],
        "resource_group": resource_group,
        "type": k["type"],
    }


def metadata_view(row: Row[Any]) -> dict[str, Any]:
    """A key as the metadata API shows it (metadata contract 5.3)."""
    k = row._mapping
    return {
        "created_at": rfc3339_ms(k["created_at"]),
        "crn": k["crn"],
        "fingerprint": k["fingerprint"],
        "id": k["id"],
        "length": k["length"],
        "name": k["name"],
        "public_key": k["public_key"],
        "resource_type": "key",
        "type": k["type"],
    }
