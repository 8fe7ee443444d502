"""Every 409 that the contracts name, with its code and its target (control-plane 1.3, 2.4, 2.6, 4.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fakes import region as r
from fakes.iam import iam_server
from fakes.network import made
from fakes.vpc_api import client_of

from linklocal.server.vpc import build_vpc, vpc_routes
from linklocal.store.engine import Database


class Refused(NamedTuple):
    """A request, and the place that its 409 names: `id` of the path, or a field of the body."""

    why: str
    method: str
    path: str
    body: dict[str, Any] | None
    target: str


async def refused_by_the_vpc_api(api: httpx.AsyncClient, region: r.Region) -> list[Refused]:
    """Make what is in the way of each request, and the requests."""
    running, stopped = await region.running(name="running"), await region.stopped(name="stopped")
    shown = await region.get(running)
    attachment = shown["primary_network_attachment"]
    vni = attachment["virtual_network_interface"]["id"]
    boot = shown["boot_volume_attachment"]
    group = await made(api, "/v1/placement_groups", {"strategy": "host_spread"})
    await region.running(name="placed", placement_target={"id": group["id"]})
    image = await made(
        api,
        "/v1/images",
        {"file": {"href": "cos://r/b/i.qcow2"}, "operating_system": {"name": "debian-12-amd64"}},
    )
    await api.post(f"/v1/images/{image['id']}/obsolete")
    deleting = await region.running(name="deleting")
    await region.instances.delete(r.ADMINISTRATOR, deleting, None)
    one, two = f"/v1/instances/{running}", f"/v1/instances/{stopped}"
    bound = f"/v1/subnets/{r.SUBNET}/reserved_ips/{attachment['primary_ip']['id']}"
    start, stop = {"type": "start"}, {"type": "stop"}
    again = {"image": {"id": r.IMAGE}}
    guards = shown["network_interfaces"][0]["id"]
    default = f"/v1/security_groups/{r.VPC}-sg"
    return [
        Refused("a start of a running instance", "POST", f"{one}/actions", start, "type"),
        Refused("a stop of a stopped instance", "POST", f"{two}/actions", stop, "type"),
        *(
            Refused("of a running instance", "PATCH", one, {member: value}, member)
            for member, value in (
                ("profile", {"name": "cx2-2x4"}),
                ("enable_secure_boot", True),
                ("confidential_compute_mode", "disabled"),
                ("threads_per_core", 2),
                ("volume_bandwidth_qos_mode", "weighted"),
                ("placement_target", {"id": group["id"]}),
            )
        ),
        Refused("of a running instance", "POST", f"{one}/reinitialize", again, "id"),
        Refused("being deleted", "PATCH", f"/v1/instances/{deleting}", {"name": "late"}, "id"),
        Refused("has subnets", "DELETE", f"/v1/vpcs/{r.VPC}", None, "id"),
        Refused("has interfaces", "DELETE", f"/v1/subnets/{r.SUBNET}", None, "id"),
        Refused("bound", "DELETE", bound, None, "id"),
        Refused("attached", "DELETE", f"/v1/volumes/{boot['volume']['id']}", None, "id"),
        Refused("of boot", "DELETE", f"{one}/volume_attachments/{boot['id']}", None, "id"),
        Refused("attached", "DELETE", f"/v1/virtual_network_interfaces/{vni}", None, "id"),
        Refused("primary", "DELETE", f"{one}/network_attachments/{attachment['id']}", None, "id"),
        Refused("primary", "DELETE", f"{one}/network_interfaces/{guards}", None, "id"),
        Refused("the default group", "DELETE", default, None, "id"),
        Refused("its only group", "DELETE", f"{default}/targets/{vni}", None, "id"),
        Refused("has instances", "DELETE", f"/v1/placement_groups/{group['id']}", None, "id"),
        Refused("obsolete", "POST", f"/v1/images/{image['id']}/deprecate", None, "id"),
    ]


@pytest.mark.differs(
    "VPC API: a state that does not allow a request",
    "the code is not published",
    "409 `conflict_field` with the id or the field",
)
async def test_the_vpc_api_says_what_is_in_the_way(database: Database) -> None:
    region = await r.Region(database).furnish()
    routes = vpc_routes(build_vpc(region.context, auto_place=False), region.context.region)
    found = []
    async with client_of(*routes, caller=r.ADMINISTRATOR) as api:
        expected = await refused_by_the_vpc_api(api, region)
        for _, method, path, body, _ in expected:
            answer = await api.request(method, path, json=body)
            errors = [(error["code"], error.get("target")) for error in answer.json()["errors"]]
            found.append((method, path, answer.status_code, errors))

    assert found == [
        (
            one.method,
            one.path,
            409,
            [
                (
                    "conflict_field",
                    {"name": one.target, "type": "parameter" if one.target == "id" else "field"},
                )
            ],
        )
        for one in expected
    ]


@pytest.mark.differs(
    "IAM: numbers (`BXNIM...`) of refusals",
    "some are not published",
    "numbers of our own choice for those",
)
async def test_the_identity_api_says_what_is_in_the_way(database: Database, tmp_path: Path) -> None:
    """Its envelope has the place in `details`, and IAM's number besides the word."""
    async with iam_server(database, tmp_path / "server.key") as server:
        profile = await server.profile("app")
        one = f"/v1/profiles/{profile['id']}"
        crn = f"crn:v1:bluemix:public:is:us-south-1:a/{server.made.account_id}::instance:0717_one"
        link = {"cr_type": "VSI", "link": {"crn": crn}}
        await server.call("POST", f"{one}/links", link)
        key_body = {"name": "k", "iam_id": server.made.iam_id}
        key = (await server.call("POST", "/v1/apikeys", key_body)).json()
        await server.call("POST", f"/v1/apikeys/{key['id']}/lock")
        named = {"name": "app", "account_id": server.made.account_id}
        answers = [
            await server.call("POST", "/v1/profiles", named),
            await server.call("POST", f"{one}/links", link),
            await server.call("PUT", one, {"name": "x"}, If_Match="0-stale"),
            await server.call("DELETE", f"/v1/apikeys/{key['id']}"),
        ]

    assert [
        (
            answer.status_code,
            answer.json()["errors"][0]["code"],
            answer.json()["errors"][0]["details"],
        )
        for answer in answers
    ] == [
        (409, "conflict", "name"),
        (409, "conflict", "link.crn"),
        (409, "conflict", "id"),
        (409, "conflict", "id"),
    ]
