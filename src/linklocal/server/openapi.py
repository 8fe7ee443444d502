"""The served OpenAPI document: what FastAPI generates, with the errors as they really are.

FastAPI documents its own 422, which no route here answers; every error is the envelope of its API.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from linklocal import __version__
from linklocal.server.errors import (
    ErrorContainer,
    IdentityErrors,
    TokenError,
    error_schema_for,
)

METHODS = ("get", "put", "post", "patch", "delete")
_DESCRIPTION = "The API's error answer; `trace` equals the header `X-Request-Id`."


def install_openapi(app: FastAPI) -> None:
    """Make `app.openapi()` (and so `/openapi.json`) give the document below."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title="linklocal",
        version=__version__,
        description="VPC and IAM API of an instance metadata service, compatible with IBM Cloud's.",
        routes=app.routes,
    )
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in (ErrorContainer, TokenError, IdentityErrors):
        own = model.model_json_schema(ref_template="#/components/schemas/{model}", by_alias=True)
        schemas.update(own.pop("$defs", {}))
        schemas[model.__name__] = own
    for path, item in schema["paths"].items():
        reference = {"$ref": f"#/components/schemas/{error_schema_for(path).__name__}"}
        for method in METHODS:
            if method in item:
                responses = item[method]["responses"]
                responses.pop("422", None)
                content = {"application/json": {"schema": reference}}
                responses["default"] = {"description": _DESCRIPTION, "content": content}
    return schema
