"""Bare metal servers: the operations, what their node is told, and links to them (metadata contract 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fakes import region as r
from fakes.region import Region
from fakes.vpc_api import client_of, errors, pages
from ibm_vpc.vpc_v1 import (
    BareMetalServer,
    BareMetalServerCollection,
    BareMetalServerDiskCollection,
    BareMetalServerInitialization,
    BareMetalServerNetworkAttachmentCollection,
    BareMetalServerNetworkInterfaceCollection,
    BareMetalServerProfileCollection,
    VirtualNetworkInterface,
)
from sqlalchemy import select, update

from linklocal.iam.tables import profile_links
from linklocal.iam.trusted_profiles.assuming import able_to_assume
from linklocal.ids import InstanceId, NodeId
from linklocal.store.engine import Database
from linklocal.vpc.bare_metal_servers.routes import bare_metal_server_routes
from linklocal.vpc.bare_metal_servers.service import BareMetalServerService
from linklocal.vpc.images.tables import images
from linklocal.vpc.instances.routes import instance_routes
from linklocal.vpc.keys.routes import key_routes
from linklocal.vpc.keys.service import KeyService
from linklocal.vpc.network.virtual_network_interfaces.routes import virtual_network_interface_routes
from linklocal.vpc.network.virtual_network_interfaces.service import VirtualNetworkInterfaceService
from linklocal.vpc.network.vpcs.prefixes import AddressPrefixService
from linklocal.vpc.network.vpcs.routes import vpc_routes
from linklocal.vpc.network.vpcs.service import VpcService
from linklocal.vpc.render import render_documents

SERVERS = "/v1/bare_metal_servers"
ON = {"enabled": True, "protocol": "http"}


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


@pytest.fixture
async def api(region: Region) -> AsyncIterator[httpx.AsyncClient]:
    context = region.context
    routers = (
        bare_metal_server_routes(
            BareMetalServerService(context, auto_place=region.auto_place), context.region
        ),
        instance_routes(region.instances),
        key_routes(KeyService(context)),
        vpc_routes(VpcService(context), AddressPrefixService(context)),
        virtual_network_interface_routes(VirtualNetworkInterfaceService(context)),
    )
    async with client_of(*routers, caller=r.ADMINISTRATOR) as client:
        yield client


def body(initialization: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    return {
        "initialization": {"image": {"id": r.IMAGE}, "keys": [], **(initialization or {})},
        "primary_network_attachment": {
            "virtual_network_interface": {"subnet": {"id": r.SUBNET}, "allow_ip_spoofing": True}
        },
        "profile": {"name": "bx2-metal-96x384"},
        "zone": {"name": r.ZONE},
        **members,
    }


async def create(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    answer = await api.post(SERVERS, json=body(**members))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_from_create_to_delete(region: Region, api: httpx.AsyncClient) -> None:
    made = await create(api, name="metal", initialization={"keys": [{"id": r.KEY}]})
    url = f"{SERVERS}/{made['id']}"
    vni = made["primary_network_attachment"]["virtual_network_interface"]["id"]
    await region.acknowledge()
    read = (await api.get(url)).json()
    attached = (await api.get(f"/v1/virtual_network_interfaces/{vni}")).json()
    held = await api.delete(f"/v1/virtual_network_interfaces/{vni}")
    below = {
        name: (await api.get(f"{url}/{name}")).json()
        for name in ("disks", "network_attachments", "network_interfaces", "initialization")
    }
    linked = [
        (await api.get(view["href"])).json() == view
        for name in ("disks", "network_attachments", "network_interfaces")
        for view in below[name][name]
    ]
    listed = await pages(api, SERVERS)
    found = [
        (await api.get(SERVERS, params=asked)).json()["total_count"]
        for asked in ({"name": "metal"}, {"vpc.name": "other"}, {"reservation.id": "x"})
    ]
    deleted = await api.delete(url)
    deleting = (await api.get(url)).json()["status"]
    as_instance = await api.get(f"/v1/instances/{made['id']}")
    await region.acknowledge()
    gone = await api.get(url)
    freed = await api.get(f"/v1/virtual_network_interfaces/{vni}")

    assert (made["status"], read["status"]) == ("pending", "running")
    assert BareMetalServer.from_dict(read).href == f"http://api.test:8080{url}"
    assert read["crn"].split(":")[-2:] == ["bare-metal-server", made["id"]]
    assert read["metadata_service"] == {"enabled": False, "protocol": "http"}
    assert VirtualNetworkInterface.from_dict(attached).id == vni
    assert attached["target"]["href"] == read["primary_network_attachment"]["href"]
    assert attached["target"]["resource_type"] == "bare_metal_server_network_attachment"
    assert (held.status_code, "delete the server first" in held.text) == (409, True)
    assert BareMetalServerDiskCollection.from_dict(below["disks"]).disks
    attachments = BareMetalServerNetworkAttachmentCollection.from_dict(below["network_attachments"])
    assert attachments.total_count == 1
    interfaces = BareMetalServerNetworkInterfaceCollection.from_dict(below["network_interfaces"])
    assert interfaces.total_count == 1
    initialization = BareMetalServerInitialization.from_dict(below["initialization"])
    assert [key.id for key in initialization.keys] == [r.KEY]
    assert linked == [True, True, True]
    assert [view["id"] for page in listed for view in page["bare_metal_servers"]] == [made["id"]]
    assert BareMetalServerCollection.from_dict((await api.get(SERVERS)).json()).total_count == 0
    assert found == [1, 0, 0]
    assert (deleted.status_code, deleting) == (204, "deleting")
    assert (as_instance.status_code, gone.status_code, freed.status_code) == (404, 404, 404)


async def test_what_its_node_is_told_says_where_it_is_and_nothing_else(
    region: Region, api: httpx.AsyncClient
) -> None:
    made = await create(api, metadata_service=ON, initialization={"user_data": "secret"})
    id = InstanceId(made["id"])
    before = (await region.published())[id]
    await api.patch(f"/v1/vpcs/{r.VPC}", json={"name": "renamed"})
    after = (await region.published())[id]
    async with region.database.read() as connection:
        rendered = await render_documents(connection, region.context, [id])

    assert (before.kind, before.crn, before.metadata) == (
        "bare_metal_server", made["crn"], {"initialization": {}},
    )  # fmt: skip
    assert (before.metadata_service.enabled, before.metadata_service.response_hop_limit) == (
        True,
        1,
    )
    iaas, address = before.claims["iaas"], made["primary_network_attachment"]["primary_ip"]
    assert (iaas["instanceID"], iaas["crn"]) == (id, made["crn"])
    assert before.claims["ip_addresses"] == [{"address": address["address"]}]
    assert after.claims["vpc"]["name"] == "renamed"
    assert rendered == {id: after}


async def test_settings_and_hardware_are_changed(region: Region, api: httpx.AsyncClient) -> None:
    made = await create(api, bandwidth=25_000, enable_secure_boot=False)
    id, url = InstanceId(made["id"]), f"{SERVERS}/{made['id']}"
    await region.acknowledge()
    patch = {"name": "other", "metadata_service": {"enabled": True}, "bandwidth": 50_000}
    patched = await api.patch(url, json=patch)
    early = await api.patch(url, json={"enable_secure_boot": True})
    stopped = await api.post(f"{url}/stop", json={"type": "hard"})
    stopping = (await api.get(url)).json()
    again = await api.post(f"{url}/stop", json={"type": "hard"})
    await region.acknowledge()
    module = {"mode": "tpm_2"}
    late = await api.patch(
        url, json={"enable_secure_boot": True, "trusted_platform_module": module}
    )
    epoch = (await region.published())[id].tokens_valid_after
    started = await api.post(f"{url}/start")
    restarted = await api.post(f"{url}/restart")
    await region.acknowledge()

    assert patched.json()["metadata_service"] == ON
    assert (patched.json()["name"], patched.json()["bandwidth"]) == ("other", 50_000)
    assert (early.status_code, errors(early)) == (409, [("conflict_field", "enable_secure_boot")])
    assert (stopped.status_code, started.status_code, restarted.status_code) == (204, 204, 204)
    assert (stopping["status"], stopping["lifecycle_state"]) == ("running", "updating")
    assert (again.status_code, errors(again)) == (409, [("conflict_field", "id")])
    assert late.json()["status"] == "stopped"
    assert late.json()["enable_secure_boot"] is True
    assert late.json()["trusted_platform_module"]["enabled"] is True
    assert epoch == 2
    assert (await api.get(url)).json()["status"] == "running"


async def test_every_problem_of_a_body_is_told(region: Region, api: httpx.AsyncClient) -> None:
    refused = await api.post(
        SERVERS,
        json=body(
            initialization={"image": {"id": r.S390X_IMAGE}, "keys": [{"id": "x"}]},
            name="ibm-x",
            bandwidth=7,
            reservation_affinity={"policy": "manual"},
            primary_network_attachment={"virtual_network_interface": {"subnet": {"id": "x"}}},
        ),
    )
    older = await api.post(
        SERVERS, json=body(primary_network_interface={"subnet": {"id": r.SUBNET}})
    )
    hop_limit = {"enabled": True, "response_hop_limit": 2}
    no_limit = await api.post(SERVERS, json=body(metadata_service=hop_limit))
    await create(api, name="taken")
    taken = await api.post(SERVERS, json=body(name="taken"))

    assert sorted(errors(refused)) == [
        ("bad_field", "bandwidth"),
        ("bad_field", "initialization.image.id"),
        ("bad_field", "name"),
        ("bad_field", "reservation_affinity"),
        ("not_found", "initialization.keys[0].id"),
        ("not_found", "primary_network_attachment.virtual_network_interface.subnet.id"),
    ]
    assert errors(older) == [("bad_field", "primary_network_interface")]
    assert errors(no_limit) == [("bad_field", "metadata_service.response_hop_limit")]
    assert errors(taken) == [("validation_unique_failed", "name")]


async def test_what_its_image_allows(region: Region, api: httpx.AsyncClient) -> None:
    allowed = {**r.ALLOWED, "bare_metal_server": "enable_secure_boot"}
    async with region.database.transaction() as connection:
        of_image = update(images).where(images.c.id == r.IMAGE)
        await connection.execute(of_image.values(allowed_use=allowed))
    refused = await api.post(SERVERS, json=body())
    made = await create(api, enable_secure_boot=True)

    assert errors(refused) == [("bad_field", "initialization.image")]
    assert made["enable_secure_boot"] is True


async def test_its_default_profile_is_linked_and_replaced(
    region: Region, api: httpx.AsyncClient
) -> None:
    profile = {"target": {"id": r.PROFILE}}
    made = await create(
        api, metadata_service=ON, initialization={"default_trusted_profile": profile}
    )
    id, url = InstanceId(made["id"]), f"{SERVERS}/{made['id']}"
    links = select(profile_links.c.cr_type, profile_links.c.name, profile_links.c.crn)
    async with region.database.read() as connection:
        linked = [tuple(row) for row in await connection.execute(links)]
        able = await able_to_assume(connection, r.ACCOUNT, r.PROFILE)
    told = (await region.published())[id].metadata["initialization"]
    anew = {"image": {"id": r.IMAGE}, "keys": [{"id": r.KEY}]}
    running = await api.put(f"{url}/initialization", json=anew)
    await api.post(f"{url}/stop", json={"type": "soft"})
    await region.acknowledge()
    replaced = await api.put(f"{url}/initialization", json=anew)
    await api.delete(f"/v1/keys/{r.KEY}")
    shown = (await api.get(f"{url}/initialization")).json()
    async with region.database.read() as connection:
        left = (await connection.execute(links)).all()

    assert linked == [("BMS", f"bms-{id}", made["crn"])]
    assert [(one.instance_id, one.by) for one in able] == [(id, "link")]
    assert told["default_trusted_profile"]["target"]["id"] == r.PROFILE
    assert running.status_code == 409
    assert "default_trusted_profile" not in replaced.json()
    assert [(key["id"], "deleted" in key) for key in shown["keys"]] == [(r.KEY, True)]
    assert left == []
    assert (await region.published())[id].tokens_valid_after == 3


async def test_it_is_placed_and_moved_like_an_instance(region: Region) -> None:
    region.auto_place = False
    service = BareMetalServerService(region.context, auto_place=False)
    async with client_of(
        bare_metal_server_routes(service, region.context.region), caller=r.ADMINISTRATOR
    ) as api:
        made = await create(api)
        id, url = InstanceId(made["id"]), f"{SERVERS}/{made['id']}"
        nowhere = (await api.get(url)).json()
        await service.place(r.ADMINISTRATOR, id, NodeId("node-1"))
        await service.place(r.ADMINISTRATOR, id, NodeId("node-2"))
        await region.acknowledge("node-2")
        there = (await api.get(url)).json()

    assert nowhere["status_reasons"][0]["code"] == "cannot_start_compute"
    assert there["status"] == "running"
    assert (await region.published())[id].tokens_valid_after == 2


@pytest.mark.differs(
    "VPC API: console access tokens of bare metal servers",
    "open a serial or VNC console",
    "501: use the server's own console",
)
async def test_it_has_no_console_here(api: httpx.AsyncClient) -> None:
    url = f"{SERVERS}/{(await create(api))['id']}"
    refused = await api.post(f"{url}/console_access_token", json={"console_type": "vnc"})

    assert (refused.status_code, errors(refused)) == (501, [("not_implemented", "console_type")])


async def test_its_profiles(api: httpx.AsyncClient) -> None:
    listed = (await api.get("/v1/bare_metal_server/profiles")).json()
    one = listed["profiles"][0]

    assert BareMetalServerProfileCollection.from_dict(listed).total_count == 4
    assert (await api.get(one["href"])).json() == one
    assert (await api.get("/v1/bare_metal_server/profiles/none")).status_code == 404
