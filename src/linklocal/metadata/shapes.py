"""The members of everything the metadata API shows and takes, as metadata contract 3 and 5 list them.

They become the schemas of its OpenAPI document, and tests hold what is rendered to them. Nothing here is
looked at when a request is answered.
"""

from __future__ import annotations

from typing import Any

# Name -> members. `member` is a string, `member:type` another type, `member?` one that may be absent.
# Types: `int`, `bool`, `time`, a name of this table, `[type]` a list, `a/b` one of these words.
_REFERENCE = "crn id name resource_type"
_LIFECYCLE = "deleting/failed/pending/stable/suspended/updating/waiting"
SHAPES: dict[str, str] = {
    # Identity operations
    "TokenPrototype": "expires_in?:int nonce?",
    "Token": "access_token created_at:time expires_at:time expires_in:int nonce?",
    "TrustedProfileSelector": "crn? id? name?",
    "IamTokenPrototype": "trusted_profile?:TrustedProfileSelector",
    "IamToken": "access_token created_at:time expires_at:time expires_in:int",
    "CertificatePrototype": "csr expires_in?:int",
    "Certificates": "certificates:[string] created_at:time expires_at:time expires_in:int id",
    # The instance
    "Instance": (
        "availability:Availability availability_policy:AvailabilityPolicy bandwidth:int "
        "boot_volume_attachment:VolumeAttachmentReference catalog_offering?:CatalogOffering "
        "cluster_network?:Reference cluster_network_attachments:[ChildReference] "
        "confidential_compute_mode:disabled/sgx/tdx created_at:time crn dedicated_host?:Reference "
        "disks:[Disk] enable_secure_boot:bool gpu?:Gpu health_reasons:[Reason] "
        "health_state:ok/degraded/faulted/inapplicable id image?:Reference lifecycle_reasons:[Reason] "
        f"lifecycle_state:{_LIFECYCLE} memory:int metadata_service:MetadataService name "
        "network_attachments:[NetworkAttachmentReference] network_interfaces:[NetworkInterfaceReference] "
        "numa_count?:int placement_target?:Reference "
        "primary_network_attachment?:NetworkAttachmentReference "
        "primary_network_interface:NetworkInterfaceReference profile:ProfileReference "
        "reservation?:Reference reservation_affinity:ReservationAffinity "
        "resource_group:ResourceGroupReference resource_type software_attachments:[ChildReference] "
        "startable:bool status:deleting/failed/pending/restarting/running/starting/stopped/stopping "
        "status_reasons:[Reason] threads_per_core:int total_network_bandwidth:int "
        "total_volume_bandwidth:int vcpu:Vcpu volume_attachments:[VolumeAttachmentReference] "
        "volume_bandwidth_qos_mode:pooled/weighted vpc:Reference zone:ZoneReference"
    ),
    "Availability": "class:standard/spot",
    "AvailabilityPolicy": "host_failure:restart/stop preemption:stop/delete",
    "CatalogOffering": "plan?:CrnReference version:CrnReference",
    "Disk": "created_at:time id interface_type:virtio_blk/nvme name resource_type size:int",
    "Gpu": "count:int manufacturer memory:int model",
    "MetadataService": "enabled:bool protocol:http/https response_hop_limit:int",
    "Reason": "code message more_info?",
    "ReservationAffinity": "policy pool:[Reference]",
    "Vcpu": "architecture burst:VcpuBurst count:int manufacturer percentage:int",
    "VcpuBurst": "limit:int",
    "Initialization": (
        "default_trusted_profile?:DefaultTrustedProfile keys:[KeyReference] password?:Password user_data?"
    ),
    "DefaultTrustedProfile": "auto_link:bool target:TrustedProfileReference",
    "Password": "encrypted_password encryption_key:KeyReference",
    # What it has
    "Key": (
        "created_at:time crn fingerprint id length:int name public_key resource_type type:rsa/ed25519"
    ),
    "PlacementGroup": (
        f"created_at:time crn id lifecycle_state:{_LIFECYCLE} name resource_type "
        "strategy:host_spread/power_spread"
    ),
    "NetworkInterface": (
        "allow_ip_spoofing:bool created_at:time floating_ips:[FloatingIpReference] id name "
        "port_speed:int primary_ipv4_address resource_type security_groups:[SecurityGroupReference] "
        "status:available/deleting/failed/pending subnet:Reference type:primary/secondary"
    ),
    "NetworkAttachment": (
        f"created_at:time id lifecycle_state:{_LIFECYCLE} name port_speed:int "
        "primary_ip:ReservedIpReference resource_type subnet:Reference type:primary/secondary "
        "virtual_network_interface:Reference"
    ),
    "VirtualNetworkInterface": (
        "allow_ip_spoofing:bool auto_delete:bool created_at:time crn enable_infrastructure_nat:bool id "
        f"ips:[ReservedIpReference] lifecycle_state:{_LIFECYCLE} mac_address? name "
        "primary_ip:ReservedIpReference protocol_state_filtering_mode:auto/enabled/disabled "
        "resource_group:ResourceGroupReference resource_type security_groups:[SecurityGroupReference] "
        "subnet:Reference target?:ChildReference vpc:Reference zone:ZoneReference"
    ),
    "VolumeAttachment": (
        "bandwidth:int created_at:time delete_volume_on_instance_delete:bool device?:Device id name "
        "status:attached/attaching/deleting/detaching type:boot/data volume?:VolumeReference"
    ),
    "ClusterNetworkAttachment": (
        "before?:ChildReference cluster_network_interface:ClusterNetworkInterfaceReference id "
        f"lifecycle_reasons:[Reason] lifecycle_state:{_LIFECYCLE} name resource_type"
    ),
    "ClusterNetworkInterfaceReference": (
        "id name primary_ip:ReservedIpReference resource_type subnet:ChildReference"
    ),
    "SoftwareAttachment": (
        "catalog_offering:CatalogOffering created_at:time entitlement?:Entitlement href id "
        f"lifecycle_reasons:[Reason] lifecycle_state:{_LIFECYCLE} name offering_instance:CrnReference "
        "resource_type"
    ),
    "Entitlement": "licensed_software:[LicensedSoftware]",
    "LicensedSoftware": "key? sku",
    # References
    "Reference": _REFERENCE,
    "ChildReference": "id name resource_type",
    "CrnReference": "crn",
    "Deleted": "more_info",
    "Device": "id",
    "FloatingIpReference": "address crn id name",
    "KeyReference": "crn fingerprint id name resource_type",
    "NetworkAttachmentReference": (
        "id name primary_ip:ReservedIpReference resource_type subnet:Reference "
        "virtual_network_interface:Reference"
    ),
    "NetworkInterfaceReference": "id name primary_ipv4_address resource_type subnet:Reference",
    "ProfileReference": "name resource_type",
    "ReservedIpReference": "address id name resource_type",
    "ResourceGroupReference": "id name",
    "SecurityGroupReference": "crn id name",
    "TrustedProfileReference": "crn id resource_type",
    "VolumeAttachmentReference": "device:Device id name volume:Reference",
    "VolumeReference": f"{_REFERENCE} deleted?:Deleted",
    "ZoneReference": "name",
    # Lists and errors
    "PageLink": "href",
    "Errors": "errors:[Error] status_code:int trace",
    "Error": "code message more_info? target?:Target",
    "Target": "name type:field/header/parameter value?",
}
# View -> the schema of one of it: what `routes.ROUTES` show and `document.LISTS` hold.
VIEWS: dict[str, str] = {
    "instance": "Instance",
    "initialization": "Initialization",
    "keys": "Key",
    "placement_groups": "PlacementGroup",
    "network_interfaces": "NetworkInterface",
    "network_attachments": "NetworkAttachment",
    "virtual_network_interfaces": "VirtualNetworkInterface",
    "volume_attachments": "VolumeAttachment",
    "cluster_network_attachments": "ClusterNetworkAttachment",
    "software_attachments": "SoftwareAttachment",
}
_PRIMITIVES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "time": {"type": "string", "format": "date-time"},
}


def schemas() -> dict[str, dict[str, Any]]:
    """`components.schemas` of an OpenAPI document: a JSON schema for each name of `SHAPES`."""
    return {name: _object(members) for name, members in SHAPES.items()}


def _object(members: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for member in members.split():
        name, _, kind = member.partition(":")
        if not name.endswith("?"):
            required.append(name)
        properties[name.rstrip("?")] = _type(kind or "string")
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return schema


def _type(kind: str) -> dict[str, Any]:
    if kind in _PRIMITIVES:
        return dict(_PRIMITIVES[kind])
    if kind.startswith("["):
        return {"type": "array", "items": _type(kind[1:-1])}
    if "/" in kind:
        return {"type": "string", "enum": kind.split("/")}
    return {"$ref": f"#/components/schemas/{kind}"}
