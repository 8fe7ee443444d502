"""Rows of a small region: what `fakes.region` furnishes a database with, and the names of it all."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Network
from typing import Any

from sqlalchemy import insert

from linklocal.fleet.tables import nodes
from linklocal.iam.tables import accounts, resource_groups, trusted_profiles
from linklocal.ids import AccountId, profile_crn, vpc_crn
from linklocal.vpc.images.tables import images
from linklocal.vpc.keys.tables import keys
from linklocal.vpc.network.addresses import provider_addresses
from linklocal.vpc.network.tables import reserved_ips, security_groups, subnets, vpcs
from linklocal.vpc.placement_groups.tables import placement_groups

ACCOUNT = AccountId("a" * 32)
OTHER_ACCOUNT = AccountId("b" * 32)
GROUP = "c" * 32
PROVIDER = "e" * 32
NAME = "us-south"
ZONE = "us-south-1"

IMAGE = "r006-image"
WINDOWS_IMAGE = "r006-windows"
S390X_IMAGE = "r006-s390x"
OLD_IMAGE = "r006-obsolete"
KEY, RSA_KEY, FOREIGN_KEY = "r006-key", "r006-rsa", "r006-foreign"
VPC, OTHER_VPC = "r006-vpc", "r006-vpc-2"
SUBNET, SUBNET_2, FAR_SUBNET, OTHER_SUBNET = "0717-sub", "0717-sub-2", "0727-far", "0717-other"
PLACEMENT_GROUP = "r006-spread"
PROFILE, FOREIGN_PROFILE = "Profile-1", "Profile-2"
PROFILE_CRN = profile_crn(ACCOUNT, PROFILE)

ALLOWED = {"api_version": "2026-10-06", "instance": "true", "bare_metal_server": "true"}


def crn(location: str, kind: str, id: str, account: str = ACCOUNT) -> str:
    return vpc_crn(location, account, kind, id)


def furniture(now: datetime) -> list[tuple[Any, list[dict[str, Any]]]]:
    """Statements and their rows, in an order that foreign keys allow."""
    made = {"created_at": now}
    mine = {"account_id": ACCOUNT, "region": NAME, "resource_group_id": GROUP, **made}

    def account(id: str) -> dict[str, Any]:
        return {"id": id, "name": id[:4], **made}

    def group(id: str, account_id: str) -> dict[str, Any]:
        return {"id": id, "account_id": account_id, "name": "Default", "is_default": True}

    def image(id: str, system: str, **changes: Any) -> dict[str, Any]:
        row = {
            **mine,
            "id": id,
            "account_id": PROVIDER,
            "resource_group_id": PROVIDER,
            "name": f"ibm-{id[5:]}",
            "crn": crn(NAME, "image", id, PROVIDER),
            "status": "available",
            "visibility": "public",
            "operating_system": system,
            "user_data_format": "cloud_init",
            "minimum_provisioned_size": 10,
            "file": {"size": 1},
            "allowed_use": ALLOWED,
        }
        return {**row, **changes}

    def key(id: str, type: str, account_id: str = ACCOUNT) -> dict[str, Any]:
        return {
            **mine,
            "id": id,
            "account_id": account_id,
            "name": id[5:],
            "crn": crn(NAME, "key", id, account_id),
            "type": type,
            "length": 256 if type == "ed25519" else 4096,
            "fingerprint": f"SHA256:{id}",
            "public_key": f"ssh-{type} AAAA",
        }

    def vpc(id: str) -> dict[str, Any]:
        return {
            **mine,
            "id": id,
            "name": id[5:],
            "crn": crn(NAME, "vpc", id),
            "version": 1,
            "classic_access": False,
            "default_network_acl": {"id": f"{id}-acl", "name": "acl"},
            "default_routing_table": {"id": f"{id}-rt", "name": "rt"},
            "address_prefixes": [],
        }

    def security_group(vpc_id: str) -> dict[str, Any]:
        id = f"{vpc_id}-sg"
        shown = {"name": id[5:], "crn": crn(NAME, "security-group", id)}
        return {**mine, "id": id, "vpc_id": vpc_id, "is_default": True, "rules": [], **shown}

    def subnet(id: str, zone: str, vpc_id: str, cidr: str) -> dict[str, Any]:
        shown = {"name": f"subnet-{id}", "crn": crn(zone, "subnet", id)}
        return {
            **mine,
            "id": id,
            "zone": zone,
            "vpc_id": vpc_id,
            "ipv4_cidr_block": cidr,
            **shown,
        }

    def profile(id: str, account_id: str) -> dict[str, Any]:
        return {
            "id": id,
            "account_id": account_id,
            "name": id,
            "description": "",
            "entity_tag": "1",
            "created_by": "IBMid-1",
            "modified_at": now,
            **made,
        }

    def node(id: str) -> dict[str, Any]:
        keys = {"control_jwk": {}, "control_kid": f"control-{id}", "identity_jwk": {}}
        return {"id": id, "name": id, "region": NAME, "last_seen_at": now, **keys, **made}

    networks = [
        subnet(SUBNET, ZONE, VPC, "10.240.0.0/24"),
        subnet(SUBNET_2, ZONE, VPC, "10.240.1.0/24"),
        subnet(FAR_SUBNET, "us-south-2", VPC, "10.240.64.0/24"),
        subnet(OTHER_SUBNET, ZONE, OTHER_VPC, "10.240.0.0/24"),
    ]
    return [
        (insert(accounts), [account(id) for id in (ACCOUNT, OTHER_ACCOUNT, PROVIDER)]),
        (
            insert(resource_groups),
            [
                group(GROUP, ACCOUNT),
                group("d" * 32, OTHER_ACCOUNT),
                group(PROVIDER, PROVIDER),
            ],
        ),
        (
            insert(images),
            [
                image(IMAGE, "debian-12-amd64"),
                image(WINDOWS_IMAGE, "windows-2022-amd64"),
                image(S390X_IMAGE, "ubuntu-22-04-s390x"),
                image(OLD_IMAGE, "debian-12-amd64", status="obsolete"),
            ],
        ),
        (
            insert(keys),
            [key(KEY, "ed25519"), key(RSA_KEY, "rsa"), key(FOREIGN_KEY, "rsa", OTHER_ACCOUNT)],
        ),
        (insert(vpcs), [vpc(VPC), vpc(OTHER_VPC)]),
        (insert(security_groups), [security_group(VPC), security_group(OTHER_VPC)]),
        (insert(subnets), networks),
        (insert(reserved_ips), [row for made in networks for row in _provider_ips(made, now)]),
        (
            insert(placement_groups),
            [
                {
                    **mine,
                    "id": PLACEMENT_GROUP,
                    "name": "spread",
                    "crn": crn(NAME, "placement-group", PLACEMENT_GROUP),
                    "strategy": "host_spread",
                }
            ],
        ),
        (
            insert(trusted_profiles),
            [profile(PROFILE, ACCOUNT), profile(FOREIGN_PROFILE, OTHER_ACCOUNT)],
        ),
        (insert(nodes), [node("node-1"), node("node-2")]),
    ]


def _provider_ips(subnet: dict[str, Any], now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{subnet['id']}-{name}",
            "subnet_id": subnet["id"],
            "address": str(address),
            "address_number": int(address),
            "name": name,
            "owner": "provider",
            "auto_delete": False,
            "target_id": None,
            "created_at": now,
        }
        for address, name in provider_addresses(IPv4Network(subnet["ipv4_cidr_block"]))
    ]
