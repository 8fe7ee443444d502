"""The metadata API's OpenAPI document, made from its table of routes: for readers and makers of clients.

`linklocal metadata-openapi` prints it. IBM publishes none.
"""

from __future__ import annotations

from typing import Any

from linklocal import __version__
from linklocal.metadata import identity
from linklocal.metadata.gate import EARLIEST_VERSION, FLAVOR
from linklocal.metadata.routes import ROUTES, Route
from linklocal.metadata.shapes import VIEWS, schemas
from linklocal.metadata.views import DEFAULT_LIMIT, MAX_LIMIT, PAGINATED

_DESCRIPTION = """\
What a program in an instance asks at `http://169.254.169.254` (with secure access:
`https://api.metadata.cloud.ibm.com`). First create a token, with the header `Metadata-Flavor: ibm`; every
other call sends it as `Authorization: Bearer`."""
# Operation -> what it does, the schema of its body, that of its answer.
_RUNS: dict[identity.Operation, tuple[str, str, str]] = {
    identity.create_token: ("Create an identity token", "TokenPrototype", "Token"),
    identity.exchange: (
        "Exchange the identity token for an IAM token of a trusted profile",
        "IamTokenPrototype",
        "IamToken",
    ),
    identity.certificate: (
        "Get an identity certificate for a certificate signing request",
        "CertificatePrototype",
        "Certificates",
    ),
}


def document() -> dict[str, Any]:
    """An OpenAPI 3.1 document of every path of the metadata API."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        path = f"{route.path}{{id}}" if route.item else route.path
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "linklocal metadata",
            "version": __version__,
            "description": _DESCRIPTION,
        },
        "servers": [
            {"url": "http://169.254.169.254"},
            {"url": "https://api.metadata.cloud.ibm.com"},
        ],
        "paths": paths,
        "components": {
            "schemas": _bounded(schemas()),
            "securitySchemes": {
                "identity_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    creates = route.run is identity.create_token
    operation: dict[str, Any] = {
        "operationId": f"{route.operation.removeprefix('is.metadata.')}{'-legacy' * bool(route.until)}",
        "tags": ["identity" if route.run else "metadata"],
        "parameters": _parameters(route),
        "security": [] if creates else [{"identity_token": []}],
        "responses": {
            "default": {
                "description": "Refused; `trace` equals the header `X-Request-Id`.",
                "content": _json(_schema("Errors")),
            }
        },
    }
    if route.run:
        operation["summary"], body, answer = _RUNS[route.run]
        operation["requestBody"] = {
            "required": body == "CertificatePrototype",
            "content": _json(_schema(body)),
        }
        shown = _schema(answer)
    else:
        assert route.view is not None
        words = route.view.replace("_", " ")
        operation["summary"] = f"Get one of the {words}" if route.item else f"Get the {words}"
        shown = _shown(route.view, item=route.item)
    if route.until:
        operation["deprecated"] = True
        operation["description"] = f"Only with a `version` before {route.until}."
    operation["responses"]["200"] = {"description": "Done.", "content": _json(shown)}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    version = {"type": "string", "format": "date"}
    parameters: list[dict[str, Any]] = [
        {
            "name": "version",
            "in": "query",
            "required": True,
            "description": f"A date from {EARLIEST_VERSION} to tomorrow.",
            "schema": version,
        }
    ]
    if route.run is identity.create_token:
        flavor = {"type": "string", "enum": [FLAVOR]}
        parameters.append(
            {"name": "Metadata-Flavor", "in": "header", "required": True, "schema": flavor}
        )
    if route.item:
        id = {"type": "string", "pattern": "^[-0-9a-z_]{1,64}$"}
        parameters.append({"name": "id", "in": "path", "required": True, "schema": id})
    elif route.view in PAGINATED:
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        parameters.append({"name": "limit", "in": "query", "schema": limit})
        parameters.append({"name": "start", "in": "query", "schema": {"type": "string"}})
    return parameters


def _shown(view: str, *, item: bool) -> dict[str, Any]:
    one = _schema(VIEWS[view])
    if item or view in ("instance", "initialization"):
        return one
    properties: dict[str, Any] = {view: {"type": "array", "items": one}}
    required = [view]
    if view in PAGINATED:
        properties |= {
            "first": _schema("PageLink"),
            "limit": {"type": "integer"},
            "next": _schema("PageLink"),
            "total_count": {"type": "integer"},
        }
        required += ["first", "limit", "total_count"]
    return {"type": "object", "properties": properties, "required": required}


def _bounded(known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a body may hold, besides its members."""
    for name, bounds in (
        ("TokenPrototype", identity.TOKEN_SECONDS),
        ("CertificatePrototype", identity.CERTIFICATE_SECONDS),
    ):
        default, lowest, highest = bounds
        known[name]["properties"]["expires_in"] |= {
            "default": default,
            "minimum": lowest,
            "maximum": highest,
        }
    nonce = {"minLength": 1, "maxLength": identity.NONCE_MAX, "pattern": "^[ -~]*$"}
    known["TokenPrototype"]["properties"]["nonce"] |= nonce
    for name, schema in known.items():
        if name.endswith(("Prototype", "Selector")):
            schema["additionalProperties"] = False
    return known


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
