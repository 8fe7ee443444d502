"""A VPC and what is made with it, as the API shows them: rows in, dicts out (contract 2.6)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

from linklocal.clock import rfc3339_ms
from linklocal.ids import vpc_crn
from linklocal.vpc.network.loaded import Named
from linklocal.vpc.network.views import (
    security_group_reference,
    subnet_reference,
    vpc_reference,
    zone_reference,
)

DNS_SERVERS = ("161.26.0.10", "161.26.0.11")


def network_acl_reference(vpc: Mapping[str, Any]) -> dict[str, Any]:
    """NetworkACLReference of a VPC's default ACL. `vpc`: mapping of its row."""
    acl = vpc["default_network_acl"]
    return {
        "crn": vpc_crn(vpc["region"], vpc["account_id"], "network-acl", acl["id"]),
        "href": f"/v1/network_acls/{acl['id']}",
        "id": acl["id"],
        "name": acl["name"],
    }


def routing_table_reference(vpc: Mapping[str, Any]) -> dict[str, Any]:
    """RoutingTableReference of a VPC's default routing table."""
    table = vpc["default_routing_table"]
    return {
        "crn": vpc_crn(vpc["region"], vpc["account_id"], "vpc-routing-table", table["id"]),
        "href": f"/v1/vpcs/{vpc['id']}/routing_tables/{table['id']}",
        "id": table["id"],
        "name": table["name"],
        "resource_type": "routing_table",
    }


def _of(vpc: Mapping[str, Any]) -> Named:
    return Named(vpc["id"], vpc["crn"], vpc["name"])


def vpc_view(
    vpc: Mapping[str, Any], default_security_group: Named, group: Mapping[str, Any]
) -> dict[str, Any]:
    """VPC. `group` is the reference to its resource group."""
    return {
        **vpc_reference(_of(vpc)),
        "classic_access": vpc["classic_access"],
        "created_at": rfc3339_ms(vpc["created_at"]),
        "cse_source_ips": [],
        "default_network_acl": network_acl_reference(vpc),
        "default_routing_table": routing_table_reference(vpc),
        "default_security_group": security_group_reference(default_security_group),
        "dns": {
            "enable_hub": False,
            "resolution_binding_count": 0,
            "resolver": {
                "configuration": "default",
                "servers": [{"address": address} for address in DNS_SERVERS],
                "type": "system",
            },
        },
        "health_reasons": [],
        "health_state": "ok",
        "public_address_ranges": [],
        "resource_group": group,
        "status": "available",
    }


def default_network_acl_view(
    vpc: Mapping[str, Any], subnets: Sequence[Named], group: Mapping[str, Any]
) -> dict[str, Any]:
    """DefaultNetworkACL: everything is allowed in both directions, as a new VPC's ACL does."""
    reference = network_acl_reference(vpc)
    rules = []
    for direction in ("inbound", "outbound"):
        # The rules are no rows; their ids are derived, so that they stay the same.
        id = f"{reference['id'][:5]}{uuid.uuid5(uuid.NAMESPACE_URL, reference['id'] + direction)}"
        rules.append(
            {
                "action": "allow",
                "created_at": rfc3339_ms(vpc["created_at"]),
                "destination": "0.0.0.0/0",
                "direction": direction,
                "href": f"{reference['href']}/rules/{id}",
                "id": id,
                "ip_version": "ipv4",
                "name": f"allow-{direction}",
                "protocol": "any",
                "source": "0.0.0.0/0",
            }
        )
    return {
        **reference,
        "created_at": rfc3339_ms(vpc["created_at"]),
        "resource_group": group,
        "rules": rules,
        "subnets": [subnet_reference(subnet) for subnet in subnets],
        "vpc": vpc_reference(_of(vpc)),
    }


def default_routing_table_view(
    vpc: Mapping[str, Any], subnets: Sequence[Named], group: Mapping[str, Any]
) -> dict[str, Any]:
    """DefaultRoutingTable, as it is when the VPC is made: without routes of its own."""
    return {
        **routing_table_reference(vpc),
        "accept_routes_from": [
            {"resource_type": "vpn_gateway"},
            {"resource_type": "vpn_server"},
        ],
        "advertise_routes_to": [],
        "created_at": rfc3339_ms(vpc["created_at"]),
        "is_default": True,
        "lifecycle_state": "stable",
        "resource_group": group,
        "route_direct_link_ingress": False,
        "route_internet_ingress": False,
        "route_transit_gateway_ingress": False,
        "route_vpc_zone_ingress": False,
        "routes": [],
        "subnets": [subnet_reference(subnet) for subnet in subnets],
    }


def address_prefix_view(
    vpc_id: str, prefix: Mapping[str, Any], subnet_cidrs: Sequence[str]
) -> dict[str, Any]:
    """AddressPrefix. `subnet_cidrs`: of the VPC's subnets."""
    network = IPv4Network(prefix["cidr"])
    return {
        "cidr": prefix["cidr"],
        "created_at": prefix["created_at"],
        "has_subnets": any(network.overlaps(IPv4Network(cidr)) for cidr in subnet_cidrs),
        "href": f"/v1/vpcs/{vpc_id}/address_prefixes/{prefix['id']}",
        "id": prefix["id"],
        "is_default": prefix["is_default"],
        "name": prefix["name"],
        "zone": zone_reference(prefix["zone"]),
    }
