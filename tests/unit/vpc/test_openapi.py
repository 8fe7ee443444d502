"""The document of these slices says what IBM's SDK calls, and what its models require."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import ibm_vpc.vpc_v1 as sdk
import pytest
from fakes.clock import FakeClock
from fakes.vpc_api import app_of

from linklocal.fleet.publish import FleetPublisher
from linklocal.iam.roles import Roles
from linklocal.settings import Region
from linklocal.store.engine import open_database
from linklocal.store.wake import Wake
from linklocal.vpc.context import VpcContext
from linklocal.vpc.images.routes import image_routes
from linklocal.vpc.images.service import ImageService
from linklocal.vpc.keys.routes import key_routes
from linklocal.vpc.keys.service import KeyService
from linklocal.vpc.placement_groups.routes import placement_group_routes
from linklocal.vpc.placement_groups.service import PlacementGroupService
from linklocal.vpc.profiles.routes import profile_routes
from linklocal.vpc.regions.routes import region_routes
from linklocal.vpc.templates.routes import template_routes
from linklocal.vpc.templates.service import TemplateService


def document() -> dict[str, Any]:
    database, clock, region = open_database("sqlite://"), FakeClock(), Region("us-south")
    publisher = FleetPublisher(Wake(database), clock)
    context = VpcContext(database, Roles(), publisher, clock, region)
    return app_of(
        region_routes(region),
        profile_routes(region),
        image_routes(ImageService(context)),
        placement_group_routes(PlacementGroupService(context)),
        key_routes(KeyService(context)),
        template_routes(TemplateService(context)),
    ).openapi()


DOCUMENT = document()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


OPERATIONS = [pytest.param(*found, id=found[2]["operationId"]) for found in operations()]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_an_operation_is_the_sdks_method_of_that_name(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    source = inspect.getsource(getattr(sdk.VpcV1, operation["operationId"]))

    assert f"method='{method.upper()}'" in source
    assert f"url = '{path.removeprefix('/v1')}'" in source
    sent = set(re.findall(r"^ {12}'([a-z_.]+)': (?:self\.|[a-z_]+|convert_list)", source, re.M))
    documented = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
    assert documented - sent == set()
    assert {"version", "generation"} <= documented


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_successes_are_those_of_the_contract(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    expected = {"post": "201", "delete": "204"}.get(method, "200")
    if path.endswith(("/deprecate", "/obsolete")):
        expected = "204"

    assert [status for status in operation["responses"] if status < "300"] == [expected]


MODELS = [
    name
    for name in DOCUMENT["components"]["schemas"]
    if hasattr(getattr(sdk, name, None), "from_dict") and not name.endswith("Prototype")
]


@pytest.mark.parametrize("name", MODELS)
def test_what_the_sdks_model_requires_is_documented_as_required(name: str) -> None:
    parameters = inspect.signature(getattr(sdk, name).__init__).parameters.values()
    required = {
        p.name for p in parameters if p.default is inspect.Parameter.empty and p.name != "self"
    }

    assert required - set(DOCUMENT["components"]["schemas"][name].get("required", ())) == set()


def test_the_models_of_all_answers_were_compared() -> None:
    assert set(MODELS) >= {
        "Image",
        "ImageCollection",
        "ImageInstanceProfileCollection",
        "InstanceProfile",
        "InstanceProfileCollection",
        "InstanceTemplateCollection",
        "Key",
        "KeyCollection",
        "OperatingSystem",
        "OperatingSystemCollection",
        "PlacementGroup",
        "PlacementGroupCollection",
        "Region",
        "RegionCollection",
        "ResourceGroupReference",
        "Zone",
        "ZoneCollection",
    }


def test_a_templates_patch_documents_only_the_name() -> None:
    schema = DOCUMENT["components"]["schemas"]["TemplatePatch"]

    assert set(schema["properties"]) == {"name"}
    assert schema["additionalProperties"] is False
