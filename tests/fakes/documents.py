"""A full instance document, built from the examples of the metadata contract's sections 3.1 and 5.

It has one of everything an instance can have: a default trusted profile, a key, a placement group, an
attachment with a virtual network interface and a floating ip, a boot and a data volume, a cluster network
attachment, and a software attachment with a licence.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from linklocal.document import InstanceDocument, MetadataService
from linklocal.ids import AccountId, InstanceId, profile_crn, vpc_crn

ACCOUNT = AccountId("a1b2c3d4e5f60718293a4b5c6d7e8f90")
INSTANCE = InstanceId("0717_7c1f6a0e-2a51-4b5d-9f0e-3f2f1f6f0a11")
BARE_METAL_SERVER = InstanceId("0717-8d2a7b1f-3b62-4c6e-80af-403a2a701b22")
ZONE, REGION = "us-south-1", "us-south"
PROFILE = "Profile-5b1a6c7d-8e9f-4a0b-b1c2-d3e4f5a6b709"
EPOCH = 3
CREATED = "2026-09-01T08:15:30.000Z"
EARLIER = "2026-01-10T10:00:00.000Z"
LICENCE_KEY = "LL-7Q2M-XX19"
USER_DATA = "#cloud-config\npackages: [nginx]\n"
SOFTWARE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def ref(kind: str, id: str, name: str, location: str = ZONE) -> dict[str, Any]:
    """`{crn, id, name, resource_type}`; `kind` is the CRN's word, with hyphens."""
    crn = vpc_crn(location, ACCOUNT, kind, id)
    return {"crn": crn, "id": id, "name": name, "resource_type": kind.replace("-", "_")}


def untyped(reference: dict[str, Any]) -> dict[str, Any]:
    """The reference without `resource_type`, as some places have it."""
    return {name: reference[name] for name in ("crn", "id", "name")}


SUBNET = ref("subnet", "0717-2e8d3f4a-5b6c-4d7e-9fa0-1b2c3d4e5f06", "front")
VPC = ref("vpc", "r006-4a0f5b6c-7d8e-4f90-b1c2-3d4e5f6a7b08", "shop", REGION)
KEY = ref("key", "r006-6c2b7d8e-9fa0-4b1c-92d3-e4f5a6b7c80a", "ops", REGION)
PLACEMENT_GROUP = ref(
    "placement-group", "r006-7d3c8e9f-a0b1-4c2d-a3e4-f5a6b7c8d90b", "spread", REGION
)
VNI = ref("virtual-network-interface", "0717-3f9e4a5b-6c7d-4e8f-a0b1-2c3d4e5f6a07", "web-1-vni")
FLOATING_IP = ref("floating-ip", "r006-8e4d9fa0-b1c2-4d3e-b4f5-a6b7c8d9e00c", "web-1-fip", ZONE)
SECURITY_GROUP = ref("security-group", "r006-9f5ea0b1-c2d3-4e4f-85a6-b7c8d9e0f10d", "web", REGION)
BOOT_VOLUME = ref("volume", "r006-0f2b8a61-98d7-4d0c-b3d8-6c3f9f0f6e02", "web-1-boot")
DATA_VOLUME = ref("volume", "r006-1a3c9b72-a9e8-4e1d-84e9-7d4fa0107f13", "web-1-data")
IMAGE = {
    "crn": f"crn:v1:bluemix:public:is:{REGION}:a/{1:032x}::image:r006-3d5f0c54-77c0-4d7b-8f7a-9a4d6a1f0b03",
    "id": "r006-3d5f0c54-77c0-4d7b-8f7a-9a4d6a1f0b03",
    "name": "debian-12-amd64-3",
    "resource_type": "image",
}
GROUP = {"id": "5f6e7d8c9b0a41528374655647382910", "name": "Default"}
FINGERPRINT = "SHA256:7mJx0n1yqk4n3cW8m9o2Lr5pQv6tYz0aBcDeFgHiJkL"
IP = {
    "address": "10.240.0.5", "id": "0717-1d7c2f3e-4a5b-4c6d-8e9f-0a1b2c3d4e05", "name": "plum-otter",
    "resource_type": "subnet_reserved_ip",
}  # fmt: skip

# The network attachment, and its read-only picture as an interface, which has the same id.
ATTACHMENT_ID = "0717-9e2f64b5-5ab2-4a61-a8c1-0b6d0c6e5d04"
ATTACHMENT = {
    "id": ATTACHMENT_ID, "name": "eth0", "primary_ip": IP,
    "resource_type": "instance_network_attachment", "subnet": SUBNET, "virtual_network_interface": VNI,
}  # fmt: skip
INTERFACE = {
    "id": ATTACHMENT_ID, "name": "eth0", "primary_ipv4_address": IP["address"],
    "resource_type": "network_interface", "subnet": SUBNET,
}  # fmt: skip

VOLUME_ATTACHMENT_ID = "0717-5b0c1c0a-6f0e-4c57-8d0e-2f1a6f2f7c01"
BOOT = {
    "device": {"id": f"{VOLUME_ATTACHMENT_ID}-k3v9q"}, "id": VOLUME_ATTACHMENT_ID,
    "name": "amber-kite-lantern-moss", "volume": BOOT_VOLUME,
}  # fmt: skip
DATA = {
    "device": {"id": "0717-6c1d2d1b-701f-4d68-9e1f-302b703f8d12-p8d2x"},
    "id": "0717-6c1d2d1b-701f-4d68-9e1f-302b703f8d12", "name": "data", "volume": DATA_VOLUME,
}  # fmt: skip

CLUSTER_ATTACHMENT = {
    "id": "0767-aa04b1c2-0000-4000-8000-000000000004", "name": "rail-0",
    "resource_type": "instance_cluster_network_attachment",
}  # fmt: skip
SOFTWARE = {
    "id": SOFTWARE_ID, "name": "brisk-fern", "resource_type": "instance_software_attachment",
}  # fmt: skip
_CATALOG = f"crn:v1:bluemix:public:globalcatalog-collection:global:a/{ACCOUNT}:8b1c"


def full_document(**changes: Any) -> InstanceDocument:
    """Enabled over http with limit 1; `changes` replaces members of the document."""
    crn = vpc_crn(ZONE, ACCOUNT, "instance", INSTANCE)
    document = InstanceDocument(
        instance_id=INSTANCE,
        crn=crn,
        name="web-1",
        account_id=ACCOUNT,
        region=REGION,
        zone=ZONE,
        serving=True,
        tokens_valid_after=EPOCH,
        metadata_service=MetadataService(enabled=True),
        claims=claims(INSTANCE, crn),
        # A copy: a test that changes its document must not change the next test's.
        metadata=deepcopy(
            {"instance": _instance(crn), "initialization": _initialization(), **_lists()}
        ),
    )
    return replace(document, **changes)


def bare_metal_document(**changes: Any) -> InstanceDocument:
    """A bare metal server: identity operations only, and nothing to read (metadata contract 6)."""
    crn = vpc_crn(ZONE, ACCOUNT, "bare-metal-server", BARE_METAL_SERVER)
    return full_document(
        **{
            "instance_id": BARE_METAL_SERVER,
            "crn": crn,
            "kind": "bare_metal_server",
            "claims": claims(BARE_METAL_SERVER, crn),
            "metadata": {},
            **changes,
        }
    )


def claims(instance_id: str, crn: str) -> dict[str, Any]:
    """The part of an identity token that describes the instance."""
    return {
        "iaas": {
            "crn": crn, "accountID": ACCOUNT, "instanceID": instance_id, "zone": ZONE,
            "region": REGION, "profile_name": "bx2-2x8", "resource_group_id": GROUP["id"],
        },
        "ip_addresses": [{"address": "203.0.113.7"}, {"address": IP["address"]}],
        "subnets": [{name: SUBNET[name] for name in ("crn", "name", "id")}],
        "vpc": {name: VPC[name] for name in ("crn", "name", "id")},
    }  # fmt: skip


def _instance(crn: str) -> dict[str, Any]:
    return {
        "availability": {"class": "standard"},
        "availability_policy": {"host_failure": "restart", "preemption": "stop"},
        "bandwidth": 4000,
        "boot_volume_attachment": BOOT,
        "cluster_network_attachments": [CLUSTER_ATTACHMENT],
        "confidential_compute_mode": "disabled",
        "created_at": CREATED,
        "crn": crn,
        "disks": [],
        "enable_secure_boot": False,
        "health_reasons": [],
        "health_state": "ok",
        "id": INSTANCE,
        "image": IMAGE,
        "lifecycle_reasons": [],
        "lifecycle_state": "stable",
        "memory": 8,
        "metadata_service": {"enabled": True, "protocol": "http", "response_hop_limit": 1},
        "name": "web-1",
        "network_attachments": [ATTACHMENT],
        "network_interfaces": [INTERFACE],
        "numa_count": 1,
        "placement_target": PLACEMENT_GROUP,
        "primary_network_attachment": ATTACHMENT,
        "primary_network_interface": INTERFACE,
        "profile": {"name": "bx2-2x8", "resource_type": "instance_profile"},
        "reservation_affinity": {"policy": "disabled", "pool": []},
        "resource_group": GROUP,
        "resource_type": "instance",
        "software_attachments": [SOFTWARE],
        "startable": True,
        "status": "running",
        "status_reasons": [],
        "threads_per_core": 2,
        "total_network_bandwidth": 3000,
        "total_volume_bandwidth": 1000,
        "vcpu": {
            "architecture": "amd64", "burst": {"limit": 100}, "count": 2, "manufacturer": "intel",
            "percentage": 100,
        },
        "volume_attachments": [BOOT, DATA],
        "volume_bandwidth_qos_mode": "pooled",
        "vpc": VPC,
        "zone": {"name": ZONE},
    }  # fmt: skip


def _initialization() -> dict[str, Any]:
    crn = profile_crn(ACCOUNT, PROFILE)
    return {
        "default_trusted_profile": {
            "auto_link": True,
            "target": {"crn": crn, "id": PROFILE, "resource_type": "trusted_profile"},
        },
        "keys": [{**KEY, "fingerprint": FINGERPRINT}],
        "user_data": USER_DATA,
    }


def _lists() -> dict[str, list[dict[str, Any]]]:
    network = {"created_at": CREATED, "port_speed": 3000, "type": "primary"}
    groups = [untyped(SECURITY_GROUP)]
    return {
        "keys": [
            {
                **KEY, "created_at": EARLIER, "fingerprint": FINGERPRINT, "length": 256,
                "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ5IG5vIG1lYW5zIGEgcmVhbCBrZXkgMTIz",
                "type": "ed25519",
            }
        ],
        "placement_groups": [
            {
                **PLACEMENT_GROUP, "created_at": EARLIER, "lifecycle_state": "stable",
                "strategy": "host_spread",
            }
        ],
        "network_interfaces": [
            {
                **INTERFACE, **network, "allow_ip_spoofing": False,
                "floating_ips": [{**untyped(FLOATING_IP), "address": "203.0.113.7"}],
                "security_groups": groups, "status": "available",
            }
        ],
        "network_attachments": [{**ATTACHMENT, **network, "lifecycle_state": "stable"}],
        "virtual_network_interfaces": [
            {
                **VNI, "allow_ip_spoofing": False, "auto_delete": True, "created_at": CREATED,
                "enable_infrastructure_nat": True, "ips": [IP], "lifecycle_state": "stable",
                "mac_address": "02:00:0a:f0:00:05", "primary_ip": IP,
                "protocol_state_filtering_mode": "auto", "resource_group": GROUP,
                "security_groups": groups, "subnet": SUBNET,
                "target": {n: ATTACHMENT[n] for n in ("id", "name", "resource_type")},
                "vpc": VPC, "zone": {"name": ZONE},
            }
        ],
        "volume_attachments": [
            {
                **attachment, "bandwidth": 500, "created_at": CREATED,
                "delete_volume_on_instance_delete": True, "status": "attached", "type": type,
            }
            for attachment, type in ((BOOT, "boot"), (DATA, "data"))
        ],
        "cluster_network_attachments": [
            {
                **CLUSTER_ATTACHMENT, "lifecycle_reasons": [], "lifecycle_state": "stable",
                "cluster_network_interface": {
                    "id": "0767-aa01b1c2-0000-4000-8000-000000000001", "name": "rail-0",
                    "primary_ip": {
                        "address": "10.1.0.6", "id": "0767-aa02b1c2-0000-4000-8000-000000000002",
                        "name": "rip-0", "resource_type": "cluster_network_subnet_reserved_ip",
                    },
                    "resource_type": "cluster_network_interface",
                    "subnet": {
                        "id": "0767-aa03b1c2-0000-4000-8000-000000000003", "name": "rail-0-sn",
                        "resource_type": "cluster_network_subnet",
                    },
                },
            }
        ],
        "software_attachments": [
            {
                **SOFTWARE, "created_at": CREATED, "lifecycle_reasons": [], "lifecycle_state": "stable",
                "catalog_offering": {
                    "plan": {"crn": f"{_CATALOG}:plan:sw.1"}, "version": {"crn": f"{_CATALOG}:version:1"},
                },
                "entitlement": {"licensed_software": [{"key": LICENCE_KEY, "sku": "db-std-4"}]},
                "href": "http://api.metadata.cloud.ibm.com/metadata/v1/instance/software_attachments/"
                        f"{SOFTWARE_ID}",
                "offering_instance": {"crn": f"{_CATALOG}:instance:1"},
            }
        ],
    }  # fmt: skip
