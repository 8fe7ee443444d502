"""Options and positionals of a create command -> the body of POST /instances or /instance/templates."""

from __future__ import annotations

import functools
from typing import Any

from linklocal.cli.is_.command import Is, truth
from linklocal.cli.is_.names import find, pages, resource_group
from linklocal.cli.is_.options import json_option, metadata_service, text
from linklocal.errors import OperatorError

# Option -> dotted member of the body, where the value goes in as it is.
_PLAIN = {
    "total_volume_bandwidth": "total_volume_bandwidth",
    "reservation_affinity_policy": "reservation_affinity.policy",
    "host_failure_policy": "availability_policy.host_failure",
    "preemption_policy": "availability_policy.preemption",
    "availability_class": "availability.class",
    "confidential_compute_mode": "confidential_compute_mode",
    "volume_bandwidth_qos_mode": "volume_bandwidth_qos_mode",
    "vcpu_percentage": "vcpu.percentage",
    "threads_per_core": "threads_per_core",
    "name": "name",
    "profile": "profile.name",
    "zone": "zone.name",
}
_JSON = {
    "primary_network_interface": "primary_network_interface",
    "network_interface": "network_interfaces",
    "network_attachments": "network_attachments",
    "boot_volume": "boot_volume_attachment",
    "volume_attach": "volume_attachments",
}


def put(body: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted member, making objects on the way."""
    *parents, last = path.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
    body[last] = value


def instance_body(run: Is, options: dict[str, Any], subnet: str | None) -> dict[str, Any]:
    """The body; names are resolved by listing. Raises OperatorError for a name that is not there."""
    body: dict[str, Any] = {}
    if service := metadata_service(options):
        body["metadata_service"] = service
    given = {name: value for name, value in options.items() if value is not None}
    for option, member in _PLAIN.items():
        if option in given:
            put(body, member, given[option])
    for option, member in _JSON.items():
        if option in given:
            body[member] = json_option(given[option], option.replace("_", "-"))
    if "enable_secure_boot" in given:
        body["enable_secure_boot"] = truth(given["enable_secure_boot"])
    if "user_data" in given:
        body["user_data"] = text(given["user_data"])
    _references(run, given, body)
    _network(run, given, body, subnet)
    _trusted_profile(run, given, body)
    return body


def reinitialize_body(run: Is, options: dict[str, Any]) -> dict[str, Any]:
    """The body of POST /instances/{id}/reinitialize. Raises OperatorError for an unknown name."""
    given = {name: value for name, value in options.items() if value is not None}
    body: dict[str, Any] = {}
    if "boot_volume" in given:
        body["boot_volume_attachment"] = json_option(given["boot_volume"], "boot-volume")
    if "user_data" in given:
        body["user_data"] = text(given["user_data"])
    _references(run, given, body)
    _trusted_profile(run, given, body)
    return body


def _references(run: Is, given: dict[str, Any], body: dict[str, Any]) -> None:
    if "vpc" in given:
        vpc = find(pages(run.vpc.list_vpcs, "vpcs"), given["vpc"], "VPC", "vpcs")
        body["vpc"] = {"id": vpc["id"]}
    if "image" in given:
        image = find(pages(run.vpc.list_images, "images"), given["image"], "image", "images")
        body["image"] = {"id": image["id"]}
    if "keys" in given:
        known = pages(run.vpc.list_keys, "keys")
        body["keys"] = [
            {"id": find(known, typed.strip(), "key", "keys")["id"]}
            for typed in given["keys"].split(",")
            if typed.strip()
        ]
    if "placement_group" in given:
        groups = pages(run.vpc.list_placement_groups, "placement_groups")
        group = find(groups, given["placement_group"], "placement group", "placement-groups")
        body["placement_target"] = {"id": group["id"]}
    body |= resource_group(run, given)


_PRIMARY = ("sgs", "rip", "address", "ip_name", "auto_delete", "allow_ip_spoofing")


def _network(run: Is, given: dict[str, Any], body: dict[str, Any], subnet: str | None) -> None:
    """The primary interface: JSON, a network attachment by `--pnac-*`, or the SUBNET positional.

    Raises OperatorError for options of a new interface when none is made here: nothing is dropped.
    """
    attachment = {k: v for k, v in given.items() if k.startswith("pnac_")}
    by_json, existing = "primary_network_interface" in body, "pnac_vni" in attachment
    typed = attachment.get("pnac_vni_subnet", subnet)
    alone = [name for name in _PRIMARY if name in given]
    if alone and (by_json or existing or typed is None):
        raise OperatorError(
            f"--{alone[0].replace('_', '-')} is of a new primary interface, and none is made here.",
            "Leave it out, or name the SUBNET of a new interface in place of an existing one or of JSON.",
        )
    if by_json:
        return
    interface: dict[str, Any] = {}
    if existing:
        known = pages(run.vpc.list_virtual_network_interfaces, "virtual_network_interfaces")
        kind = "virtual network interface"
        found = find(known, attachment["pnac_vni"], kind, "virtual-network-interfaces")
        interface["id"] = found["id"]
    elif typed is not None:
        interface = _new_interface(run, given, typed)
    if attachment:
        if "pnac_vni_name" in attachment and not existing:
            interface["name"] = attachment["pnac_vni_name"]
        put(body, "primary_network_attachment.virtual_network_interface", interface)
        if "pnac_name" in attachment:
            put(body, "primary_network_attachment.name", attachment["pnac_name"])
    elif interface:
        body["primary_network_interface"] = interface


def _new_interface(run: Is, given: dict[str, Any], subnet: str) -> dict[str, Any]:
    """A network interface or a virtual one: the members have the same names."""
    subnet_id = _subnet(run, subnet, given)["id"]
    primary: dict[str, Any] = {"subnet": {"id": subnet_id}}
    if "sgs" in given:
        groups = pages(run.vpc.list_security_groups, "security_groups")
        primary["security_groups"] = [
            {"id": find(groups, typed.strip(), "security group", "security-groups")["id"]}
            for typed in given["sgs"].split(",")
        ]
    if "allow_ip_spoofing" in given:
        primary["allow_ip_spoofing"] = truth(given["allow_ip_spoofing"])
    if "rip" in given:
        list_ips = functools.partial(run.vpc.list_subnet_reserved_ips, subnet_id)
        known = pages(list_ips, "reserved_ips")
        reserved = find(known, given["rip"], "reserved ip", f"subnet {subnet}")
        primary["primary_ip"] = {"id": reserved["id"]}
    else:
        ip = {"address": given.get("address"), "name": given.get("ip_name"),
              "auto_delete": truth(given.get("auto_delete"))}  # fmt: skip
        if any(value is not None for value in ip.values()):
            primary["primary_ip"] = {k: v for k, v in ip.items() if v is not None}
    return primary


def _subnet(run: Is, typed: str, given: dict[str, Any]) -> dict[str, Any]:
    """A subnet by id or name; a name is looked for in the given VPC."""
    filters = {}
    if "vpc" in given:
        vpc = find(pages(run.vpc.list_vpcs, "vpcs"), given["vpc"], "VPC", "vpcs")
        filters["vpc_id"] = vpc["id"]
    return find(pages(run.vpc.list_subnets, "subnets", **filters), typed, "subnet", "subnets")


def _trusted_profile(run: Is, given: dict[str, Any], body: dict[str, Any]) -> None:
    typed = given.get("default_trusted_profile")
    auto_link = truth(given.get("default_trusted_profile_auto_link"))
    if typed is None:
        if auto_link is not None:
            raise OperatorError(
                "--default-trusted-profile-auto-link needs a profile.",
                "Name it: --default-trusted-profile ID|NAME",
            )
        return
    if typed.startswith("crn:"):
        target = {"crn": typed}
    elif typed.startswith("Profile-"):
        target = {"id": typed}
    else:
        target = {"id": run.trusted_profile(typed)["id"]}
    body["default_trusted_profile"] = {"target": target}
    if auto_link is not None:
        body["default_trusted_profile"]["auto_link"] = auto_link
