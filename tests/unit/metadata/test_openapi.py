"""The OpenAPI document describes the answers that are really given, of every path and method."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from unit.metadata.harness import Instance

from linklocal.metadata.openapi import document
from linklocal.metadata.routes import ROUTES, Route
from linklocal.metadata.views import PAGINATED

BODIES = {"PUT": {"nonce": "n"}, "POST": {"csr": "PEM"}, "GET": {}}


def answered(route: Route, instance: Instance, *, token: bool = True) -> tuple[int, Any]:
    """What the first resource of a list, a list, or an operation answers."""
    path = route.path
    if route.item:
        path += instance.served.document.metadata[str(route.view)][0]["id"]
    version = "version=2022-03-01" if route.until else "version=2025-08-26"
    body = {} if "iam_token" in path else BODIES[route.method]
    headers = {"metadata_flavor": "ibm"} if token else {}
    if token and route.path.rpartition("/")[2] != "token":
        headers = {"authorization": f"Bearer {instance.token()}"}
    answer = instance.ask(route.method, path, version, json.dumps(body).encode(), **headers)
    return answer.status, json.loads(answer.body)


def schema_of(route: Route, status: str) -> Any:
    whole = document()
    path = f"{route.path}{{id}}" if route.item else route.path
    answers = whole["paths"][path][route.method.lower()]["responses"]
    schema = answers[status]["content"]["application/json"]["schema"]
    for one in whole["components"]["schemas"].values():
        one["additionalProperties"] = False
    return {**schema, "components": whole["components"]}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_answers_are_as_described(route: Route) -> None:
    instance = Instance()

    status, body = answered(route, instance)
    assert status == 200, body
    jsonschema_rs.validate(schema_of(route, "200"), body, validate_formats=True)
    assert (route.view in PAGINATED and not route.item) == ("first" in body)

    status, body = answered(route, instance, token=False)
    assert status == 400
    jsonschema_rs.validate(schema_of(route, "default"), body, validate_formats=True)


def test_it_is_an_openapi_document() -> None:
    whole = document()
    loaded = schemathesis.openapi.from_dict(whole)
    loaded.validate()

    operations = [one for item in whole["paths"].values() for one in item.values()]
    assert len({one["operationId"] for one in operations}) == len(operations) == len(ROUTES)
