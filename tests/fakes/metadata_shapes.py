"""The members of everything the metadata API shows, as metadata contract 5 lists them.

`complaints` holds any document's `metadata` to them: the example that tests are served, and what the
renderer makes. Names only; that values are right is for the tests of whoever makes them.
"""

from __future__ import annotations

from typing import Any

from linklocal.document import LISTS

_REF = "crn id name resource_type"
_BOOT = "device id name volume"
_ADDRESS = "address id name resource_type"

# Where -> its members; `?` marks one that may be absent. A path goes through members and over lists.
SHAPES: dict[str, str] = {
    "instance": (
        "availability availability_policy bandwidth boot_volume_attachment catalog_offering? "
        "cluster_network? cluster_network_attachments confidential_compute_mode created_at crn "
        "dedicated_host? disks enable_secure_boot gpu? health_reasons health_state id image? "
        "lifecycle_reasons lifecycle_state memory metadata_service name network_attachments "
        "network_interfaces numa_count? placement_target? primary_network_attachment? "
        "primary_network_interface profile reservation? reservation_affinity resource_group resource_type "
        "software_attachments startable status status_reasons threads_per_core total_network_bandwidth "
        "total_volume_bandwidth vcpu volume_attachments volume_bandwidth_qos_mode vpc zone"
    ),
    "instance.availability": "class",
    "instance.availability_policy": "host_failure preemption",
    "instance.boot_volume_attachment": _BOOT,
    "instance.boot_volume_attachment.device": "id",
    "instance.boot_volume_attachment.volume": _REF,
    "instance.volume_attachments": _BOOT,
    "instance.cluster_network_attachments": "id name resource_type",
    "instance.image": _REF,
    "instance.metadata_service": "enabled protocol response_hop_limit",
    "instance.network_attachments": "id name primary_ip resource_type subnet virtual_network_interface",
    "instance.network_attachments.primary_ip": _ADDRESS,
    "instance.network_attachments.subnet": _REF,
    "instance.network_attachments.virtual_network_interface": _REF,
    "instance.network_interfaces": "id name primary_ipv4_address resource_type subnet",
    "instance.primary_network_interface": "id name primary_ipv4_address resource_type subnet",
    "instance.placement_target": _REF,
    "instance.profile": "name resource_type",
    "instance.reservation_affinity": "policy pool",
    "instance.resource_group": "id name",
    "instance.software_attachments": "id name resource_type",
    "instance.vcpu": "architecture burst count manufacturer percentage",
    "instance.vcpu.burst": "limit",
    "instance.vpc": _REF,
    "instance.zone": "name",
    "initialization": "default_trusted_profile? keys password? user_data?",
    "initialization.default_trusted_profile": "auto_link target",
    "initialization.default_trusted_profile.target": "crn id resource_type",
    "initialization.keys": "crn fingerprint id name resource_type",
    "keys": "created_at crn fingerprint id length name public_key resource_type type",
    "placement_groups": "created_at crn id lifecycle_state name resource_type strategy",
    "network_interfaces": (
        "allow_ip_spoofing created_at floating_ips id name port_speed primary_ipv4_address resource_type "
        "security_groups status subnet type"
    ),
    "network_interfaces.floating_ips": "address crn id name",
    "network_interfaces.security_groups": "crn id name",
    "network_interfaces.subnet": _REF,
    "network_attachments": (
        "created_at id lifecycle_state name port_speed primary_ip resource_type subnet type "
        "virtual_network_interface"
    ),
    "network_attachments.primary_ip": _ADDRESS,
    "virtual_network_interfaces": (
        "allow_ip_spoofing auto_delete created_at crn enable_infrastructure_nat id ips lifecycle_state "
        "mac_address? name primary_ip protocol_state_filtering_mode resource_group resource_type "
        "security_groups subnet target? vpc zone"
    ),
    "virtual_network_interfaces.ips": _ADDRESS,
    "virtual_network_interfaces.security_groups": "crn id name",
    "virtual_network_interfaces.target": "id name resource_type",
    "virtual_network_interfaces.zone": "name",
    "volume_attachments": (
        "bandwidth created_at delete_volume_on_instance_delete device? id name status type volume?"
    ),
    "volume_attachments.volume": f"{_REF} deleted?",
    "cluster_network_attachments": (
        "before? cluster_network_interface id lifecycle_reasons lifecycle_state name resource_type"
    ),
    "software_attachments": (
        "catalog_offering created_at entitlement? href id lifecycle_reasons lifecycle_state name "
        "offering_instance resource_type"
    ),
    "software_attachments.catalog_offering": "plan version",
    "software_attachments.entitlement.licensed_software": "key? sku",
}


def complaints(metadata: dict[str, Any]) -> list[str]:
    """What is wrong with `InstanceDocument.metadata`; empty when it is as the contract says."""
    out = [
        f"{name}: absent" for name in ("instance", "initialization", *LISTS) if name not in metadata
    ]
    for where, members in SHAPES.items():
        required = {name for name in members.split() if not name.endswith("?")}
        known = {name.rstrip("?") for name in members.split()}
        for found in _at(metadata, where.split(".")):
            out += [f"{where}: without {name}" for name in sorted(required - set(found))]
            out += [f"{where}: unknown {name}" for name in sorted(set(found) - known)]
    return out + _nulls_and_hrefs(metadata, "")


def _at(value: Any, path: list[str]) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in _at(item, path)]
    if not path:
        return [value]
    return _at(value[path[0]], path[1:]) if path[0] in value else []


def _nulls_and_hrefs(value: Any, where: str) -> list[str]:
    if value is None:
        return [f"{where}: null"]
    if isinstance(value, list):
        return [found for item in value for found in _nulls_and_hrefs(item, where)]
    if not isinstance(value, dict):
        return []
    out = []
    if "href" in value and where != ".software_attachments":
        out.append(f"{where}: has an href")
    for name, member in value.items():
        out += _nulls_and_hrefs(member, f"{where}.{name}")
    return out
