"""A record becomes a document: shapes of the metadata contract 3.1, 4 and 5, from nothing but rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from linklocal.document import LISTS, InstanceDocument
from linklocal.vpc.instances.load import InstanceRecord, UsedKey
from linklocal.vpc.instances.options import Options
from linklocal.vpc.network.loaded import (
    LoadedFloatingIp,
    LoadedInterface,
    LoadedIp,
    LoadedVirtualInterface,
    Named,
)
from linklocal.vpc.profiles.catalog import stored
from linklocal.vpc.render import bare, render
from linklocal.vpc.volumes.attach import LoadedVolume, LoadedVolumeAttachment

NOW = datetime(2026, 9, 1, 8, 15, 30, tzinfo=UTC)
SUBNET = Named("0717-sub", "crn:subnet", "front")
VPC = Named("r006-vpc", "crn:vpc", "shop")
IP = LoadedIp("0717-ip", "10.240.0.5", "plum-otter", SUBNET.id)
SECOND_IP = LoadedIp("0717-ip-2", "10.240.0.6", "plum-other", SUBNET.id)
VNI = LoadedVirtualInterface(
    id="0717-vni",
    crn="crn:vni",
    name="web-1-vni",
    version=1,
    zone="us-south-1",
    mac_address="02:00:0a:f0:00:05",
    allow_ip_spoofing=False,
    auto_delete=True,
    enable_infrastructure_nat=True,
    protocol_state_filtering_mode="auto",
    resource_group_id="c" * 32,
    resource_group_name="Default",
    created_at=NOW,
    ips=(IP, SECOND_IP),
)
INTERFACE = LoadedInterface(
    kind="attachment",
    instance_id="0717_vm",
    id="0717-att",
    name="eth0",
    position=0,
    created_at=NOW,
    vpc=VPC,
    subnet=SUBNET,
    primary_ip=IP,
    allow_ip_spoofing=False,
    security_groups=(Named("r006-sg", "crn:sg", "web"),),
    floating_ips=(LoadedFloatingIp("r006-fip", "crn:fip", "web-1-fip", "203.0.113.7"),),
    vni=VNI,
)
VOLUME = LoadedVolumeAttachment(
    id="0717-va",
    instance_id="0717_vm",
    position=0,
    name="boot",
    type="boot",
    device_id="0717-va-k3v9q",
    delete_volume_on_instance_delete=True,
    created_at=NOW,
    volume=LoadedVolume("r006-vol", "crn:vol", "web-1-boot", 100, 1000, "r006-img", None),
)
KEY = {
    "created_at": "2026-01-10T10:00:00.000Z",
    "crn": "crn:key",
    "fingerprint": "SHA256:x",
    "id": "r006-key",
    "length": 256,
    "name": "ops",
    "public_key": "ssh-ed25519 AAAA",
    "resource_type": "key",
    "type": "ed25519",
}
SOFTWARE = {
    "id": "0f8f",
    "name": "brisk-fern",
    "created_at": "2026-09-01T08:15:35.000Z",
    "lifecycle_state": "stable",
    "lifecycle_reasons": [],
    "catalog_offering": {"version": {"crn": "crn:version"}},
    "offering_instance": {"crn": "crn:offering"},
    "entitlement": {"licensed_software": [{"sku": "db", "key": "LL-7Q2M"}]},
}
PROFILE = stored("bx2-2x8")
REFERENCE = {"crn": "crn:vpc", "id": VPC.id, "name": VPC.name}
RECORD = InstanceRecord(
    row={
        "id": "0717_vm",
        "crn": "crn:vm",
        "name": "web-1",
        "account_id": "a" * 32,
        "region": "us-south",
        "zone": "us-south-1",
        "profile": PROFILE.name,
        "resource_group_id": "c" * 32,
        "created_at": NOW,
        "desired": "running",
        "start_epoch": 3,
        "user_data": "#cloud-config\n",
        "default_trusted_profile": None,
        "software_attachments": [SOFTWARE],
        "metadata_enabled": True,
        "metadata_protocol": "https",
        "metadata_response_hop_limit": 2,
    },
    profile=PROFILE,
    options=Options.of_profile(PROFILE),
    vpc=REFERENCE,
    resource_group={"id": "c" * 32, "name": "Default"},
    image={"crn": "crn:img", "id": "r006-img", "name": "ibm-debian"},
    placement_group={
        "crn": "crn:pg",
        "id": "r006-pg",
        "name": "spread",
        "strategy": "host_spread",
        "created_at": NOW,
    },
    keys=(UsedKey(KEY, deleted=True),),
    interfaces=[INTERFACE],
    volumes=[VOLUME],
    placement=None,
)


def hrefs(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        here = [path] if "href" in value else []
        return here + [p for name, v in value.items() for p in hrefs(v, f"{path}/{name}")]
    if isinstance(value, list):
        return [p for item in value for p in hrefs(item, path)]
    return []


def nulls(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [p for name, v in value.items() for p in nulls(v, f"{path}/{name}")]
    if isinstance(value, list):
        return [p for item in value for p in nulls(item, path)]
    return [path] if value is None else []


def test_a_document_survives_the_wire() -> None:
    document = render(RECORD)

    assert InstanceDocument.from_json(document.to_json()) == document
    assert set(document.metadata) == {"instance", "initialization", *LISTS}
    assert (document.serving, document.tokens_valid_after) == (True, 3)


def test_there_is_no_href_but_of_software_attachments_and_no_null() -> None:
    """Metadata contract 4."""
    metadata = render(RECORD).metadata

    assert hrefs(metadata) == ["/software_attachments"]
    assert nulls(metadata) == []
    assert metadata["software_attachments"][0]["href"] == (
        "https://api.metadata.cloud.ibm.com/metadata/v1/instance/software_attachments/0f8f"
    )
    assert metadata["software_attachments"][0]["entitlement"] == SOFTWARE["entitlement"]


def test_an_interface_is_a_picture_of_its_attachment_with_an_address() -> None:
    metadata = render(RECORD).metadata
    instance, interface = metadata["instance"], metadata["network_interfaces"][0]

    assert instance["network_interfaces"] == [
        {
            "id": "0717-att",
            "name": "eth0",
            "primary_ipv4_address": "10.240.0.5",
            "resource_type": "network_interface",
            "subnet": {
                "crn": "crn:subnet",
                "id": "0717-sub",
                "name": "front",
                "resource_type": "subnet",
            },
        }
    ]
    assert instance["primary_network_interface"] == instance["network_interfaces"][0]
    assert instance["primary_network_attachment"]["id"] == interface["id"]
    assert interface["floating_ips"] == [
        {"address": "203.0.113.7", "crn": "crn:fip", "id": "r006-fip", "name": "web-1-fip"}
    ]
    assert interface["security_groups"] == [{"crn": "crn:sg", "id": "r006-sg", "name": "web"}]
    assert "primary_ip" not in interface


def test_the_instance_is_as_asked_and_complete() -> None:
    instance = render(RECORD).metadata["instance"]

    assert instance["status"] == "running"
    assert instance["zone"] == {"name": "us-south-1"}
    assert instance["profile"] == {"name": "bx2-2x8", "resource_type": "instance_profile"}
    assert instance["resource_group"] == {"id": "c" * 32, "name": "Default"}
    assert instance["metadata_service"] == {
        "enabled": True,
        "protocol": "https",
        "response_hop_limit": 2,
    }
    assert instance["vcpu"]["burst"] == {"limit": 100}
    assert instance["numa_count"] == 1
    assert instance["created_at"] == "2026-09-01T08:15:30.000Z"
    assert instance["boot_volume_attachment"] == {
        "device": {"id": "0717-va-k3v9q"},
        "id": "0717-va",
        "name": "boot",
        "volume": {
            "crn": "crn:vol",
            "id": "r006-vol",
            "name": "web-1-boot",
            "resource_type": "volume",
        },
    }
    assert instance["software_attachments"] == [
        {"id": "0f8f", "name": "brisk-fern", "resource_type": "instance_software_attachment"}
    ]


def test_lists_have_the_members_of_the_contract() -> None:
    metadata = render(RECORD).metadata

    assert metadata["keys"] == [KEY]
    assert metadata["initialization"] == {
        "keys": [{n: KEY[n] for n in ("crn", "fingerprint", "id", "name", "resource_type")}],
        "user_data": "#cloud-config\n",
    }
    assert set(metadata["placement_groups"][0]) == {
        "created_at",
        "crn",
        "id",
        "lifecycle_state",
        "name",
        "resource_type",
        "strategy",
    }
    assert set(metadata["volume_attachments"][0]) == {
        "bandwidth",
        "created_at",
        "delete_volume_on_instance_delete",
        "device",
        "id",
        "name",
        "status",
        "type",
        "volume",
    }
    vni = metadata["virtual_network_interfaces"][0]
    assert vni["target"] == {
        "id": "0717-att",
        "name": "eth0",
        "resource_type": "instance_network_attachment",
    }
    assert [ip["address"] for ip in vni["ips"]] == ["10.240.0.5", "10.240.0.6"]


def test_claims_name_floating_addresses_first() -> None:
    """Metadata contract 3.1."""
    claims = render(RECORD).claims

    assert claims == {
        "iaas": {
            "crn": "crn:vm",
            "accountID": "a" * 32,
            "instanceID": "0717_vm",
            "zone": "us-south-1",
            "region": "us-south",
            "profile_name": "bx2-2x8",
            "resource_group_id": "c" * 32,
        },
        "ip_addresses": [
            {"address": "203.0.113.7"},
            {"address": "10.240.0.5"},
            {"address": "10.240.0.6"},
        ],
        "subnets": [{"crn": "crn:subnet", "name": "front", "id": "0717-sub"}],
        "vpc": {"crn": "crn:vpc", "id": "r006-vpc", "name": "shop"},
    }


def test_interfaces_of_the_older_kind_have_no_attachment() -> None:
    older = replace(RECORD, interfaces=[replace(INTERFACE, kind="interface", vni=None)])
    document = render(older)

    assert document.metadata["network_attachments"] == []
    assert document.metadata["virtual_network_interfaces"] == []
    assert document.metadata["instance"]["network_attachments"] == []
    assert "primary_network_attachment" not in document.metadata["instance"]
    assert document.claims["ip_addresses"][-1] == {"address": "10.240.0.5"}


def test_a_stopped_instance_is_not_served() -> None:
    stopped = replace(RECORD, row={**RECORD.row, "desired": "stopped"})

    assert render(stopped).serving is False


def test_bare_takes_hrefs_out_and_leaves_the_rest() -> None:
    view = {"href": "/v1/x", "a": [{"href": "/v1/y", "b": 1}], "c": {"d": None}}

    assert bare(view) == {"a": [{"b": 1}], "c": {"d": None}}
