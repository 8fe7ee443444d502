"""Every operation that IBM's SDK knows is here, or is absent with a word on what to use instead."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from ibm_vpc import VpcV1

from linklocal.clock import SystemClock
from linklocal.server.absent import ABSENT, AbsentRoute
from linklocal.server.app import ControlPlane, build
from linklocal.settings import ServerSettings

API_KEY = "a" * 44
on_one_server = pytest.mark.asyncio(loop_scope="module")
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
# The path table of contract 2.1: each operation of it, by its name in the SDK.
CONTRACT = re.findall(
    r"\w+",
    """
create_instance list_instances get_instance update_instance delete_instance
get_instance_initialization create_instance_reinitialization create_instance_action
create_instance_console_access_token list_instance_disks get_instance_disk
list_instance_network_interfaces create_instance_network_interface get_instance_network_interface
update_instance_network_interface delete_instance_network_interface
list_instance_network_interface_floating_ips add_instance_network_interface_floating_ip
get_instance_network_interface_floating_ip remove_instance_network_interface_floating_ip
list_instance_network_interface_ips
list_instance_network_attachments create_instance_network_attachment
get_instance_network_attachment update_instance_network_attachment
delete_instance_network_attachment
list_instance_volume_attachments create_instance_volume_attachment get_instance_volume_attachment
update_instance_volume_attachment delete_instance_volume_attachment
list_instance_software_attachments get_instance_software_attachment
list_instance_cluster_network_attachments get_instance_cluster_network_attachment
list_instance_templates create_instance_template get_instance_template update_instance_template
delete_instance_template
list_instance_profiles get_instance_profile
list_keys create_key get_key update_key delete_key
list_images get_image create_image update_image delete_image list_image_instance_profiles
list_operating_systems get_operating_system
list_regions get_region list_region_zones get_region_zone
list_vpcs create_vpc get_vpc update_vpc delete_vpc get_vpc_default_security_group
get_vpc_default_network_acl get_vpc_default_routing_table
list_vpc_address_prefixes create_vpc_address_prefix get_vpc_address_prefix update_vpc_address_prefix
delete_vpc_address_prefix
list_subnets create_subnet get_subnet update_subnet delete_subnet
list_subnet_reserved_ips create_subnet_reserved_ip get_subnet_reserved_ip update_subnet_reserved_ip
delete_subnet_reserved_ip
list_security_groups create_security_group get_security_group update_security_group
delete_security_group list_security_group_rules create_security_group_rule get_security_group_rule
update_security_group_rule delete_security_group_rule list_security_group_targets
get_security_group_target create_security_group_target_binding delete_security_group_target_binding
list_virtual_network_interfaces create_virtual_network_interface get_virtual_network_interface
update_virtual_network_interface delete_virtual_network_interfaces
list_virtual_network_interface_ips add_virtual_network_interface_ip get_virtual_network_interface_ip
remove_virtual_network_interface_ip list_network_interface_floating_ips
add_network_interface_floating_ip get_network_interface_floating_ip
remove_network_interface_floating_ip
list_volumes create_volume get_volume update_volume delete_volume list_volume_profiles
get_volume_profile
list_placement_groups create_placement_group get_placement_group update_placement_group
delete_placement_group
list_floating_ips create_floating_ip get_floating_ip update_floating_ip delete_floating_ip
""",
)


class Operation(NamedTuple):
    name: str
    method: str
    template: str

    @property
    def path(self) -> str:
        return re.sub(r"\{[^}]*\}", "r006-none", self.template)


def sdk_operations() -> dict[str, Operation]:
    """Method and path of each of the SDK's methods, from what it sends."""
    found = {}
    for name, function in inspect.getmembers(VpcV1, inspect.isfunction):
        source = inspect.getsource(function)
        method, url = (re.search(p, source) for p in (r"method='(\w+)'", r"url = '([^']+)'"))
        if method is not None and url is not None:
            found[name] = Operation(name, method[1], f"/v1{url[1]}")
    return found


SDK = sdk_operations()


class Api(NamedTuple):
    control: ControlPlane
    client: httpx.AsyncClient

    def documented(self) -> dict[str, dict[str, Any]]:
        """Operations of the API's document by path, with `*` for parameters."""
        paths = self.control.app.openapi()["paths"]
        return {re.sub(r"\{[^}]*\}", "*", path): item for path, item in paths.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    settings = ServerSettings(state_dir=tmp_path_factory.mktemp("operations"))
    async with build(settings, SystemClock(), url="http://api.test", dev=False) as control:
        await control.bootstrap(API_KEY)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(control.app),
            base_url="http://api.test",
            params={"version": "2026-10-06", "generation": "2"},
        ) as client:
            form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": API_KEY}
            token = (await client.post("/identity/token", data=form)).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            yield Api(control, client)


def is_documented(documented: dict[str, dict[str, Any]], operation: Operation) -> bool:
    item = documented.get(re.sub(r"\{[^}]*\}", "*", operation.template), {})
    return operation.method.lower() in item


@on_one_server
async def test_every_operation_of_the_sdk_is_offered_or_absent(api: Api) -> None:
    documented = api.documented()
    absent = [one for one in SDK.values() if not is_documented(documented, one)]
    problems = []
    for operation in absent:
        answer = await api.client.request(operation.method, operation.path)
        error = answer.json()["errors"][0]
        target = {"name": "path", "type": "parameter", "value": operation.path}
        said = (answer.status_code, error["code"], error.get("target"))
        if said != (501, "not_implemented", target):
            problems.append((operation, answer.status_code, error))
        assert answer.json()["trace"] == answer.headers["X-Request-Id"]

    assert problems == []
    assert len(SDK) > 400
    assert len(absent) > 200


@on_one_server
async def test_every_row_of_the_contract_is_offered(api: Api) -> None:
    documented = api.documented()

    assert [name for name in CONTRACT if not is_documented(documented, SDK[name])] == []


@on_one_server
async def test_other_methods_of_documented_paths_are_refused(api: Api) -> None:
    """405, or 501 where the SDK has an operation there: a row of absent things covers nothing else."""
    known = {(one.method, re.sub(r"\{[^}]*\}", "*", one.template)) for one in SDK.values()}
    problems = []
    documented = api.documented()
    for path in sorted({path for _, path in known} & documented.keys()):
        item = documented[path]
        for method in set(METHODS) - {method.upper() for method in item}:
            answer = await api.client.request(method, path.replace("*", "r006-none"))
            expected = 501 if (method, path) in known else 405
            if answer.status_code != expected:
                problems.append((method, path, answer.status_code, expected))

    assert problems == []


@on_one_server
async def test_a_caller_is_known_before_something_is_said_to_be_absent(api: Api) -> None:
    answer = await api.client.get("/v1/load_balancers", headers={"Authorization": ""})

    assert answer.status_code == 401


@pytest.mark.parametrize("row", ABSENT, ids=lambda row: row.what)
def test_a_row_of_absent_things_is_about_operations_of_the_sdk(row: Any) -> None:
    """Each place of it: what IBM does not have needs no word here."""
    for place in row.places:
        pattern = type(row)(row.what, row.instead, (place,)).pattern()
        assert any(pattern.fullmatch(f"{one.method} {one.path}") for one in SDK.values()), place


@pytest.mark.parametrize(
    ("request_line", "what"),
    [
        ("GET /v1/load_balancers", "load balancers"),
        ("PUT /v1/load_balancers/a/b", "load balancers"),
        ("GET /v1/load_balancersx", None),
        ("GET /v1/instances/i/disks/d", None),
        ("PATCH /v1/instances/i/disks/d", "changes of instance disks"),
        ("DELETE /v1/instances/i/cluster_network_attachments/a", "cluster networks"),
        ("GET /v2/load_balancers", None),
    ],
)
def test_places_are_whole_paths(request_line: str, what: str | None) -> None:
    row = AbsentRoute().find(*request_line.split(" "))

    assert (row and row.what) == what
