"""A full instance document, built from the examples of the metadata contract's section 5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from linklocal.document import InstanceDocument, MetadataService
from linklocal.ids import AccountId, InstanceId, vpc_crn

ACCOUNT = AccountId("a1b2c3d4e5f60718293a4b5c6d7e8f90")
INSTANCE = InstanceId("0717_7c1f6a0e-2a51-4b5d-9f0e-3f2f1f6f0a11")
ZONE, REGION = "us-south-1", "us-south"
PROFILE = "Profile-5b1a6c7d-8e9f-4a0b-b1c2-d3e4f5a6b709"


def ref(kind: str, id: str, name: str, location: str = ZONE) -> dict[str, Any]:
    crn = vpc_crn(location, ACCOUNT, kind, id)
    return {"crn": crn, "id": id, "name": name, "resource_type": kind.replace("-", "_")}


SUBNET = ref("subnet", "0717-2e8d3f4a-5b6c-4d7e-9fa0-1b2c3d4e5f06", "front")
VPC = ref("vpc", "r006-4a0f5b6c-7d8e-4f90-b1c2-3d4e5f6a7b08", "shop", REGION)
KEY = ref("key", "r006-6c2b7d8e-9fa0-4b1c-92d3-e4f5a6b7c80a", "ops", REGION)
VNI = ref("virtual-network-interface", "0717-3f9e4a5b-6c7d-4e8f-a0b1-2c3d4e5f6a07", "web-1-vni")
VOLUME = ref("volume", "r006-0f2b8a61-98d7-4d0c-b3d8-6c3f9f0f6e02", "web-1-boot")
ATTACHMENT_ID = "0717-9e2f64b5-5ab2-4a61-a8c1-0b6d0c6e5d04"
VOLUME_ATTACHMENT_ID = "0717-5b0c1c0a-6f0e-4c57-8d0e-2f1a6f2f7c01"
IP = {
    "address": "10.240.0.5",
    "id": "0717-1d7c2f3e-4a5b-4c6d-8e9f-0a1b2c3d4e05",
    "name": "plum-otter",
    "resource_type": "subnet_reserved_ip",
}
GROUP = {"id": "5f6e7d8c9b0a41528374655647382910", "name": "Default"}
SECURITY_GROUP = {
    "crn": vpc_crn(REGION, ACCOUNT, "security-group", "r006-9f5ea0b1"),
    "id": "r006-9f5ea0b1",
    "name": "web",
}
CREATED = "2026-09-01T08:15:30.000Z"


def full_document(**changes: Any) -> InstanceDocument:
    """Enabled over http with limit 1; `changes` replaces members of the document."""
    attachment = {
        "id": ATTACHMENT_ID, "name": "eth0", "primary_ip": IP,
        "resource_type": "instance_network_attachment", "subnet": SUBNET,
        "virtual_network_interface": VNI,
    }  # fmt: skip
    interface = {
        "id": ATTACHMENT_ID, "name": "eth0", "primary_ipv4_address": IP["address"],
        "resource_type": "network_interface", "subnet": SUBNET,
    }  # fmt: skip
    boot = {
        "device": {"id": f"{VOLUME_ATTACHMENT_ID}-k3v9q"}, "id": VOLUME_ATTACHMENT_ID,
        "name": "amber-kite-lantern-moss", "volume": VOLUME,
    }  # fmt: skip
    software = {"id": "0f8fad5b-d9cb-469f-a165-70867728950e", "name": "brisk-fern"}
    crn = vpc_crn(ZONE, ACCOUNT, "instance", INSTANCE)
    profile_crn = f"crn:v1:bluemix:public:iam-identity::a/{ACCOUNT}::profile:{PROFILE}"
    metadata: dict[str, Any] = {
        "instance": {
            "availability": {"class": "standard"},
            "bandwidth": 4000,
            "boot_volume_attachment": boot,
            "created_at": CREATED,
            "crn": crn,
            "id": INSTANCE,
            "lifecycle_state": "stable",
            "memory": 8,
            "metadata_service": {"enabled": True, "protocol": "http", "response_hop_limit": 1},
            "name": "web-1",
            "network_attachments": [attachment],
            "network_interfaces": [interface],
            "primary_network_attachment": attachment,
            "primary_network_interface": interface,
            "profile": {"name": "bx2-2x8", "resource_type": "instance_profile"},
            "resource_group": GROUP,
            "resource_type": "instance",
            "software_attachments": [{**software, "resource_type": "instance_software_attachment"}],
            "startable": True,
            "status": "running",
            "volume_attachments": [boot],
            "vpc": VPC,
            "zone": {"name": ZONE},
        },
        "initialization": {
            "default_trusted_profile": {
                "auto_link": True,
                "target": {"crn": profile_crn, "id": PROFILE, "resource_type": "trusted_profile"},
            },
            "keys": [{**KEY, "fingerprint": "SHA256:7mJx0n1yqk4n3cW8m9o2Lr5pQv6tYz0aBcDeFgHiJkL"}],
            "user_data": "#cloud-config\npackages: [nginx]\n",
        },
        "keys": [
            {
                **KEY, "created_at": CREATED, "length": 256, "type": "ed25519",
                "fingerprint": "SHA256:7mJx0n1yqk4n3cW8m9o2Lr5pQv6tYz0aBcDeFgHiJkL",
                "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
            }
        ],
        "placement_groups": [
            {
                **ref("placement-group", "r006-7d3c8e9f-a0b1-4c2d-a3e4-f5a6b7c8d90b", "spread", REGION),
                "created_at": CREATED, "lifecycle_state": "stable", "strategy": "host_spread",
            }
        ],
        "network_interfaces": [
            {
                **interface, "allow_ip_spoofing": False, "created_at": CREATED, "floating_ips": [],
                "port_speed": 3000, "security_groups": [SECURITY_GROUP], "status": "available",
                "type": "primary",
            }
        ],
        "network_attachments": [
            {
                **attachment, "created_at": CREATED, "lifecycle_state": "stable", "port_speed": 3000,
                "type": "primary",
            }
        ],
        "virtual_network_interfaces": [
            {
                **VNI, "allow_ip_spoofing": False, "auto_delete": True, "created_at": CREATED,
                "enable_infrastructure_nat": True, "ips": [IP], "lifecycle_state": "stable",
                "mac_address": "02:00:0a:f0:00:05", "primary_ip": IP,
                "protocol_state_filtering_mode": "auto", "resource_group": GROUP,
                "security_groups": [SECURITY_GROUP], "subnet": SUBNET, "vpc": VPC,
                "zone": {"name": ZONE},
            }
        ],
        "volume_attachments": [
            {
                "bandwidth": 1000, "created_at": CREATED, "delete_volume_on_instance_delete": True,
                "device": boot["device"], "id": VOLUME_ATTACHMENT_ID, "name": boot["name"],
                "status": "attached", "type": "boot", "volume": VOLUME,
            }
        ],
        "cluster_network_attachments": [],
        "software_attachments": [
            {
                **software, "created_at": CREATED, "lifecycle_reasons": [], "lifecycle_state": "stable",
                "entitlement": {"licensed_software": [{"key": "LL-7Q2M-XX19", "sku": "db-std-4"}]},
                "resource_type": "instance_software_attachment",
            }
        ],
    }  # fmt: skip
    document = InstanceDocument(
        instance_id=INSTANCE,
        crn=crn,
        name="web-1",
        account_id=ACCOUNT,
        region=REGION,
        zone=ZONE,
        serving=True,
        tokens_valid_after=3,
        metadata_service=MetadataService(enabled=True),
        claims={
            "iaas": {
                "crn": crn, "accountID": ACCOUNT, "instanceID": INSTANCE, "zone": ZONE,
                "region": REGION, "profile_name": "bx2-2x8", "resource_group_id": GROUP["id"],
            },
            "ip_addresses": [{"address": "10.240.0.5"}],
            "subnets": [{k: SUBNET[k] for k in ("crn", "name", "id")}],
            "vpc": {k: VPC[k] for k in ("crn", "name", "id")},
        },
        metadata=metadata,
    )  # fmt: skip
    return replace(document, **changes)
