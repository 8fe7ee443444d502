"""Holds any document's `metadata` to the schemas of the metadata API's OpenAPI document: the example that
tests are served, and what the renderer makes. Members that no schema knows are complaints, too.
"""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from linklocal.document import LISTS
from linklocal.metadata.openapi import document
from linklocal.metadata.shapes import VIEWS


def _validator() -> jsonschema_rs.Validator:
    schemas = document()["components"]["schemas"]
    for schema in schemas.values():
        schema["additionalProperties"] = False
    properties = {
        view: one if view not in LISTS else {"type": "array", "items": one}
        for view, name in VIEWS.items()
        for one in [{"$ref": f"#/components/schemas/{name}"}]
    }
    return jsonschema_rs.validator_for(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
            "components": {"schemas": schemas},
        },
        validate_formats=True,
    )


_VALIDATOR = _validator()


def complaints(metadata: dict[str, Any]) -> list[str]:
    """What is wrong with `InstanceDocument.metadata`; empty when it is as the contract says."""
    return [
        f"{'.'.join(str(part) for part in error.instance_path)}: {error.message}"
        for error in _VALIDATOR.iter_errors(metadata)
    ]
