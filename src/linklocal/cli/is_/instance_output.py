"""The layouts of instances and templates (control-plane contract 5.3), from the API's JSON."""

from __future__ import annotations

from typing import Any

from linklocal.cli.output import SubTable, moment

REACH = {1: "the instance", 2: "the instance and containers behind it"}

LIST_HEADER = (
    "ID", "Name", "Status", "Reserved IP", "Floating IP", "Profile", "Image", "VPC", "Zone",
    "Resource group",
)  # fmt: skip


def list_row(instance: dict[str, Any], floating_ips: dict[str, str]) -> tuple[object, ...]:
    """A row of `instances`. `floating_ips`: id of an interface -> address."""
    ids = [item["id"] for item in instance["network_interfaces"]]
    ids += [item["virtual_network_interface"]["id"] for item in instance["network_attachments"]]
    addresses = [floating_ips[id] for id in ids if id in floating_ips]
    interface = instance["primary_network_interface"]
    return (
        instance["id"],
        instance["name"],
        instance["status"],
        interface["primary_ip"]["address"],
        ", ".join(addresses),
        instance["profile"]["name"],
        instance.get("image", {}).get("name"),
        instance["vpc"]["name"],
        instance["zone"]["name"],
        instance["resource_group"]["name"],
    )


def metadata_table(service: dict[str, Any]) -> SubTable:
    """`Enabled  Protocol  Response hop limit`."""
    row = (service["enabled"], service["protocol"], service["response_hop_limit"])
    return SubTable(("Enabled", "Protocol", "Response hop limit"), [row])


def reach(hop_limit: int) -> str:
    """A hop limit in words: how far an answer of the service can travel."""
    return REACH.get(hop_limit, f"up to {hop_limit - 1} routers behind the instance")


def pair(resource: dict[str, Any] | None) -> SubTable:
    """`ID  Name` of a referenced resource."""
    rows = [] if resource is None else [(resource["id"], resource.get("name"))]
    return SubTable(("ID", "Name"), rows)


def details(
    instance: dict[str, Any],
    *,
    created: bool = False,
    found: list[dict[str, Any]] | None = None,
) -> list[tuple[str, object]]:
    """The detail view. `created`: as the create commands print it, with the older line.

    `found`: the instance's network interfaces, which the create commands do not show.
    """
    service = instance["metadata_service"]
    rows: list[tuple[str, object]] = [
        ("ID", instance["id"]),
        ("Name", instance["name"]),
        ("CRN", instance["crn"]),
        ("Status", instance["status"]),
        ("Availability policy on host failure", instance["availability_policy"]["host_failure"]),
        ("Startable", instance["startable"]),
        ("Profile", instance["profile"]["name"]),
        ("Architecture", instance["vcpu"]["architecture"]),
        ("vCPU Manufacturer", instance["vcpu"]["manufacturer"]),
        ("vCPUs", instance["vcpu"]["count"]),
        ("Memory(GiB)", instance["memory"]),
        ("Bandwidth(Mbps)", instance["bandwidth"]),
        ("Volume bandwidth(Mbps)", instance["total_volume_bandwidth"]),
        ("Network bandwidth(Mbps)", instance["total_network_bandwidth"]),
        (
            "Lifecycle Reasons",
            SubTable(
                ("Code", "Message"),
                [(r["code"], r["message"]) for r in instance["lifecycle_reasons"]],
            ),
        ),
        ("Lifecycle State", instance["lifecycle_state"]),
    ]
    if instance["status_reasons"]:
        reasons = [(r["code"], r["message"]) for r in instance["status_reasons"]]
        rows.append(("Status Reasons", SubTable(("Code", "Message"), reasons)))
    if created:
        rows.append(("Metadata service enabled", service["enabled"]))
    rows += [
        ("Metadata service", metadata_table(service)),
        ("Metadata service reach", reach(service["response_hop_limit"])),
        ("Image", pair(instance.get("image"))),
        ("Numa Count", instance.get("numa_count")),
        ("VPC", pair(instance["vpc"])),
        ("Zone", instance["zone"]["name"]),
        ("Resource group", pair(instance["resource_group"])),
        ("Created", moment(instance["created_at"])),
    ]
    if found is not None:
        primary = instance["primary_network_interface"]["id"]
        rows.append(("Network Interfaces", interfaces(primary, found)))
    rows.append(("Boot volume", volumes([instance["boot_volume_attachment"]])))
    boot = instance["boot_volume_attachment"]["id"]
    data = [item for item in instance["volume_attachments"] if item["id"] != boot]
    if data:
        rows.append(("Data volumes", volumes(data)))
    return rows


def interfaces(primary: str, found: list[dict[str, Any]]) -> SubTable:
    """The interfaces of one instance; `primary` is an id."""
    header = ("Interface", "Name", "ID", "Subnet", "Subnet ID", "Floating IP", "Security Groups",
              "Allow source IP spoofing", "Reserved IP")  # fmt: skip
    rows = [
        (
            "Primary" if item["id"] == primary else "Secondary",
            item["name"],
            item["id"],
            item["subnet"]["name"],
            item["subnet"]["id"],
            ", ".join(ip["address"] for ip in item["floating_ips"]),
            ", ".join(group["name"] for group in item["security_groups"]),
            item["allow_ip_spoofing"],
            item["primary_ip"]["address"],
        )
        for item in found
    ]
    return SubTable(header, rows)


def volumes(attachments: list[dict[str, Any]]) -> SubTable:
    """`ID  Name  Attachment ID  Attachment name`; a volume that is still being made is PROVISIONING."""
    rows = []
    for item in attachments:
        volume = item.get("volume") or {"id": None, "name": "PROVISIONING"}
        rows.append((volume["id"], volume["name"], item["id"], item["name"]))
    return SubTable(("ID", "Name", "Attachment ID", "Attachment name"), rows)
