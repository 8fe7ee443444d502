"""Instance -> `InstanceDocument`, and telling the nodes. The only renderer.

A document is a function of the rows and of nothing else: no clock, no node's report, no request. So a
document that is rendered again is equal to the published one, or the published one is stale - which
tests look for. Whoever changes anything that an instance can see calls `publish_instances` in the same
transaction. Shapes: metadata contract 3.1 (claims), 4 and 5 (lists).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import rfc3339_ms
from linklocal.document import InstanceDocument, ServerKind
from linklocal.ids import AccountId, InstanceId
from linklocal.vpc.bare_metal_servers.load import BareMetalServerRecord
from linklocal.vpc.bare_metal_servers.load import load as load_bare_metal
from linklocal.vpc.bare_metal_servers.tables import bare_metal_servers
from linklocal.vpc.context import VpcContext
from linklocal.vpc.instances.lifecycle import asked
from linklocal.vpc.instances.load import InstanceRecord, load
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.instances.views import instance_view, reference
from linklocal.vpc.network.loaded import LoadedInterface
from linklocal.vpc.network.views import (
    network_attachment,
    network_interface,
    virtual_network_interface,
)
from linklocal.vpc.volumes.views import volume_attachment

METADATA_HOST = "api.metadata.cloud.ibm.com"
# Instances per query, and loaded in one go. Databases bound the parameters of a statement, SQLite's
# to 32,766.
CHUNK = 250
# Documents in one go: a rename that a thousand instances show must not hold up every other request.
TURN = 25


async def publish_instances(
    connection: AsyncConnection, context: VpcContext, instance_ids: Collection[InstanceId]
) -> dict[InstanceId, int]:
    """Tell the nodes what these instances look like now. Returns the node revision of each placed one.

    Locks the instances in the order of their ids, then those that are bare metal servers, then reads:
    what is published is what is committed with it. Ids of neither are passed over.
    """
    wanted = sorted(set(instance_ids))
    ids = await _locked(connection, instances, wanted)
    ids += await _locked(connection, bare_metal_servers, sorted({*wanted} - {*ids}))
    if not ids:
        return {}
    documents = await render_documents(connection, context, ids)
    return await context.publisher.put(connection, list(documents.values()))


async def render_documents(
    connection: AsyncConnection, context: VpcContext, instance_ids: Collection[InstanceId]
) -> dict[InstanceId, InstanceDocument]:
    """Documents by id, from the rows as they are now. No more queries for a `CHUNK` than for one."""
    documents: dict[InstanceId, InstanceDocument] = {}
    for chunk in _chunks(list(instance_ids)):
        records = await load(connection, chunk)
        for id, record in records.items():
            documents[id] = render(record)
            if len(documents) % TURN == 0:
                await asyncio.sleep(0)
        if others := [id for id in chunk if id not in records]:
            servers = await load_bare_metal(connection, others)
            documents |= {id: render_bare_metal(server) for id, server in servers.items()}
    return documents


async def _locked(
    connection: AsyncConnection, table: Table, ids: Sequence[InstanceId]
) -> list[InstanceId]:
    found: list[InstanceId] = []
    for chunk in _chunks(ids):
        locking = select(table.c.id).where(table.c.id.in_(chunk)).order_by(table.c.id)
        found += (await connection.execute(locking.with_for_update())).scalars()
    return found


def _chunks(ids: Sequence[InstanceId]) -> Iterator[Sequence[InstanceId]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def render(record: InstanceRecord) -> InstanceDocument:
    """The document of one instance."""
    metadata = {
        "instance": _instance(record),
        "initialization": _initialization(record),
        "keys": [dict(key.view) for key in record.keys],
        "placement_groups": _placement_groups(record),
        "network_interfaces": [_interface(record, i) for i in record.interfaces],
        "network_attachments": [
            bare(network_attachment(i, record.profile.port_speed)) for i in record.attachments
        ],
        "virtual_network_interfaces": [_virtual_interface(i) for i in record.attachments],
        "volume_attachments": [bare(volume_attachment(volume)) for volume in record.volumes],
        "cluster_network_attachments": [],
        "software_attachments": [_software(record, s) for s in record.row["software_attachments"]],
    }
    return _document(record, metadata)


def render_bare_metal(record: BareMetalServerRecord) -> InstanceDocument:
    """The document of a bare metal server: it has identity operations only (metadata contract 6).

    All its `metadata` has is the default trusted profile, which an exchange without a profile is for.
    """
    profile = record.row["default_trusted_profile"]
    metadata = {"initialization": {} if profile is None else {"default_trusted_profile": profile}}
    return _document(record, metadata, "bare_metal_server")


def _document(
    record: InstanceRecord | BareMetalServerRecord,
    metadata: dict[str, Any],
    kind: ServerKind = "instance",
) -> InstanceDocument:
    """What a document says of either kind, around its `metadata`."""
    row = record.row
    return InstanceDocument(
        instance_id=record.id,
        crn=row["crn"],
        name=row["name"],
        account_id=AccountId(row["account_id"]),
        region=row["region"],
        zone=row["zone"],
        serving=row["desired"] == "running",
        tokens_valid_after=row["start_epoch"],
        metadata_service=record.metadata_service,
        claims=_claims(record),
        metadata=metadata,
        kind=kind,
    )


def bare(view: Any) -> Any:
    """A copy of a view without hrefs: the metadata API has none (metadata contract 4)."""
    if isinstance(view, dict):
        return {name: bare(value) for name, value in view.items() if name != "href"}
    if isinstance(view, list | tuple):
        return [bare(item) for item in view]
    return view


def _claims(record: InstanceRecord | BareMetalServerRecord) -> dict[str, Any]:
    """The part of an identity token that describes the instance; trusted-profile rules are read on it."""
    row = record.row
    floating = [ip.address for i in record.interfaces for ip in i.floating_ips]
    private = [
        ip.address
        for interface in record.interfaces
        for ip in (interface.vni.ips if interface.vni else (interface.primary_ip,))
    ]
    subnets = {interface.subnet.id: interface.subnet for interface in record.interfaces}
    return {
        "iaas": {
            "crn": row["crn"],
            "accountID": row["account_id"],
            "instanceID": row["id"],
            "zone": row["zone"],
            "region": row["region"],
            "profile_name": row["profile"],
            "resource_group_id": row["resource_group_id"],
        },
        "ip_addresses": [{"address": address} for address in [*floating, *private]],
        "subnets": [
            {"crn": subnet.crn, "name": subnet.name, "id": subnet.id} for subnet in subnets.values()
        ],
        "vpc": {name: record.vpc[name] for name in ("crn", "name", "id")},
    }


def _instance(record: InstanceRecord) -> dict[str, Any]:
    view: dict[str, Any] = bare(instance_view(record, asked(record.row["desired"])))
    for name in ("primary_network_interface", "network_interfaces"):
        view[name] = _with_address(view[name])
    view["vcpu"]["burst"] = {"limit": 100}
    return view


def _with_address(interface: Any) -> Any:
    """An interface has an address in place of a reserved ip here (metadata contract 4)."""
    if isinstance(interface, list):
        return [_with_address(item) for item in interface]
    shown = {name: value for name, value in interface.items() if name != "primary_ip"}
    return {**shown, "primary_ipv4_address": interface["primary_ip"]["address"]}


def _initialization(record: InstanceRecord) -> dict[str, Any]:
    members = ("crn", "fingerprint", "id", "name", "resource_type")
    view: dict[str, Any] = {
        "keys": [{name: key.view[name] for name in members} for key in record.keys]
    }
    for name in ("default_trusted_profile", "user_data"):
        if record.row[name] is not None:
            view[name] = record.row[name]
    return view


def _placement_groups(record: InstanceRecord) -> list[dict[str, Any]]:
    group = record.placement_group
    if group is None:
        return []
    view = bare(reference("placement_groups", "placement_group", group))
    return [
        {
            **view,
            "created_at": rfc3339_ms(group["created_at"]),
            "lifecycle_state": "stable",
            "strategy": group["strategy"],
        }
    ]


def _interface(record: InstanceRecord, interface: LoadedInterface) -> Any:
    return _with_address(bare(network_interface(interface, record.profile.port_speed)))


def _virtual_interface(interface: LoadedInterface) -> Any:
    assert interface.vni is not None
    view = virtual_network_interface(
        interface.vni,
        vpc=interface.vpc,
        subnet=interface.subnet,
        security_groups=interface.security_groups,
        attachment=interface,
    )
    return bare(view)


def _software(record: InstanceRecord, item: dict[str, Any]) -> dict[str, Any]:
    """The one resource with an href: on this instance's own metadata service (metadata contract 5.10)."""
    path = f"/metadata/v1/instance/software_attachments/{item['id']}"
    protocol = record.metadata_service.protocol
    return {
        **item,
        "href": f"{protocol}://{METADATA_HOST}{path}",
        "resource_type": "instance_software_attachment",
    }
