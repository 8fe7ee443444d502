"""Terraform's provider for IBM Cloud, as far as its calls go: what it asks for when it reads a resource, and
the attributes that it makes of the answers; and the resources that its instances stand on. Contract 2.7.

The provider is a Go program; its calls are the same in IBM's SDK for Python, which sends the same paths,
queries, content types and `If-Match`. A member that the provider takes for granted is read with `[...]` here:
where the provider would crash, this raises KeyError.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from cloud import Cloud
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
from ibm_vpc import VpcV1

State = dict[str, Any]
SECONDS = 30.0
GONE = 404
ZONE = "us-south-1"


def provider(cloud: Cloud) -> VpcV1:
    """A client that is set up as the provider's: its IAM client id, its header, retries."""
    authenticator = IAMAuthenticator(
        cloud.dev.api_key, url=cloud.dev.api, client_id="bx", client_secret="bx"
    )
    vpc = VpcV1(authenticator=authenticator)
    vpc.set_service_url(f"{cloud.dev.api}/v1")
    vpc.set_default_headers({"X-Original-User-Agent": "terraform-provider-ibm/1.90.0"})
    vpc.enable_retries(3, 5.0)
    return vpc


def public_key() -> str:
    """A fresh Ed25519 public key in OpenSSH's format."""
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def found(get: Callable[..., Any], *ids: str) -> State | None:
    """One GET; None when the answer is 404, as the provider takes a resource out of its state then."""
    try:
        answer: State = get(*ids).result
    except ApiException as error:
        if error.status_code == GONE:
            return None
        raise
    return answer


def wait(get: Callable[..., Any], *ids: str, until: str, member: str = "status") -> State:
    """Poll until the member says so; the provider waits ten seconds in between."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer: State = get(*ids).result
        if answer[member] == until:
            return answer
        assert answer[member] != "failed", answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)


def wait_until_gone(get: Callable[..., Any], *ids: str) -> None:
    """Poll until 404."""
    deadline = time.monotonic() + SECONDS
    while (answer := found(get, *ids)) is not None:
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)


def differences(config: Any, state: Any, path: str = "") -> list[str]:
    """What a plan would show: attributes of the configuration that the state does not have so.

    Lists are in order. What the configuration does not name is computed, and no difference.
    """
    if isinstance(config, dict) and isinstance(state, dict):
        return [
            line
            for name, value in config.items()
            for line in differences(value, state.get(name), f"{path}.{name}".lstrip("."))
        ]
    if isinstance(config, list) and isinstance(state, list) and len(config) == len(state):
        return [
            line
            for index, (wanted, got) in enumerate(zip(config, state, strict=True))
            for line in differences(wanted, got, f"{path}[{index}]")
        ]
    return [] if config == state else [f"{path}: {state!r} -> {config!r}"]


def read_instance(vpc: VpcV1, id: str) -> State | None:
    """`ibm_is_instance`: the provider's calls of one refresh, and the attributes."""
    instance = found(vpc.get_instance, id)
    if instance is None:
        return None
    initialization = vpc.get_instance_initialization(id).result
    boot = instance["boot_volume_attachment"]
    state: State = {
        "availability_policy_host_failure": instance["availability_policy"]["host_failure"],
        "bandwidth": instance["bandwidth"],
        "boot_volume": [_boot_volume(vpc, id, boot)],
        "confidential_compute_mode": instance["confidential_compute_mode"],
        "crn": instance["crn"],
        "enable_secure_boot": instance["enable_secure_boot"],
        "image": instance["image"]["id"],
        "metadata_service": [instance["metadata_service"]],
        "metadata_service_enabled": instance["metadata_service"]["enabled"],
        "name": instance["name"],
        "network_attachments": [],
        "network_interfaces": [],
        "placement_target": instance.get("placement_target"),
        "primary_network_interface": [],
        "profile": instance["profile"]["name"],
        "reservation_affinity": [{"policy": instance["reservation_affinity"]["policy"]}],
        "resource_group": instance["resource_group"]["id"],
        "status": instance["status"],
        "threads_per_core": instance["threads_per_core"],
        "total_network_bandwidth": instance["total_network_bandwidth"],
        "total_volume_bandwidth": instance["total_volume_bandwidth"],
        "volume_attachments": [
            {"volume_id": item["volume"]["id"], "name": item["name"], "id": item["id"]}
            for item in instance["volume_attachments"]
        ],
        "volume_bandwidth_qos_mode": instance["volume_bandwidth_qos_mode"],
        "volume_prototypes": [
            _data_volume(vpc, id, item)
            for item in instance["volume_attachments"]
            if item["id"] != boot["id"]
        ],
        "vpc": instance["vpc"]["id"],
        "zone": instance["zone"]["name"],
    }
    if (profile := initialization.get("default_trusted_profile")) is not None:
        state["default_trusted_profile_auto_link"] = profile["auto_link"]
        state["default_trusted_profile_target"] = profile["target"]["id"]
    for nic in instance["network_interfaces"]:
        primary = nic["id"] == instance["primary_network_interface"]["id"]
        name = "primary_network_interface" if primary else "network_interfaces"
        state[name].append(_interface(vpc, id, nic))
    if (first := instance.get("primary_network_attachment")) is not None:
        state["primary_network_attachment"] = [_attachment(vpc, id, first)]
        state["network_attachments"] = [
            _attachment(vpc, id, item)
            for item in instance["network_attachments"]
            if item["id"] != first["id"]
        ]
    return state


def _boot_volume(vpc: VpcV1, id: str, reference: State) -> State:
    attachment = vpc.get_instance_volume_attachment(id, reference["id"]).result
    volume = vpc.get_volume(reference["volume"]["id"]).result
    return {
        "auto_delete_volume": attachment["delete_volume_on_instance_delete"],
        "bandwidth": volume["bandwidth"],
        "iops": volume["iops"],
        "name": reference["volume"]["name"],
        "profile": volume["profile"]["name"],
        "size": volume["capacity"],
        "tags": sorted(volume["user_tags"]),
        "volume_id": reference["volume"]["id"],
    }


def _data_volume(vpc: VpcV1, id: str, reference: State) -> State:
    volume = vpc.get_volume(reference["volume"]["id"]).result
    attachment = vpc.get_instance_volume_attachment(id, reference["id"]).result
    return {
        "delete_volume_on_instance_delete": attachment["delete_volume_on_instance_delete"],
        "id": reference["id"],
        "name": reference["name"],
        "volume_capacity": volume["capacity"],
        "volume_id": volume["id"],
        "volume_iops": volume["iops"],
        "volume_name": volume["name"],
        "volume_profile": volume["profile"]["name"],
    }


def _interface(vpc: VpcV1, id: str, reference: State) -> State:
    ip = reference["primary_ip"]
    reserved = vpc.get_subnet_reserved_ip(reference["subnet"]["id"], ip["id"]).result
    nic = vpc.get_instance_network_interface(id, reference["id"]).result
    return {
        "allow_ip_spoofing": nic["allow_ip_spoofing"],
        "id": reference["id"],
        "name": reference["name"],
        "port_speed": nic["port_speed"],
        "primary_ip": [
            {
                "address": ip["address"],
                "auto_delete": reserved["auto_delete"],
                "name": ip["name"],
                "reserved_ip": ip["id"],
            }
        ],
        "primary_ipv4_address": ip["address"],
        "security_groups": sorted(group["id"] for group in nic["security_groups"]),
        "subnet": nic["subnet"]["id"],
    }


def _attachment(vpc: VpcV1, id: str, reference: State) -> State:
    attachment = vpc.get_instance_network_attachment(id, reference["id"]).result
    vni_id = attachment["virtual_network_interface"]["id"]
    vni = vpc.get_virtual_network_interface(vni_id).result
    ip = reference["primary_ip"]
    return {
        "id": reference["id"],
        "name": reference["name"],
        "virtual_network_interface": [
            {
                "allow_ip_spoofing": vni["allow_ip_spoofing"],
                "auto_delete": vni["auto_delete"],
                "enable_infrastructure_nat": vni["enable_infrastructure_nat"],
                "id": vni_id,
                "ips": [
                    {"address": other["address"], "reserved_ip": other["id"]}
                    for other in vni["ips"]
                    if other["id"] != vni["primary_ip"]["id"]
                ],
                "name": attachment["virtual_network_interface"]["name"],
                "primary_ip": [{"address": ip["address"], "reserved_ip": ip["id"]}],
                "protocol_state_filtering_mode": vni["protocol_state_filtering_mode"],
                "resource_group": vni["resource_group"]["id"],
                "security_groups": sorted(group["id"] for group in vni["security_groups"]),
                "subnet": reference["subnet"]["id"],
            }
        ],
    }


def read_template(vpc: VpcV1, id: str) -> State | None:
    """`ibm_is_instance_template`: one GET. Identities are read by the member that the provider sends."""
    template = found(vpc.get_instance_template, id)
    if template is None:
        return None
    state: State = {
        "image": template["image"]["id"],
        "metadata_service": [template["metadata_service"]],
        "name": template["name"],
        "profile": template["profile"]["name"],
        "resource_group": template["resource_group"]["id"],
        "vpc": template["vpc"]["id"],
        "zone": template["zone"]["name"],
    }
    if "default_trusted_profile" in template:
        state["default_trusted_profile_auto_link"] = template["default_trusted_profile"].get(
            "auto_link"
        )
    if "boot_volume_attachment" in template:
        boot = template["boot_volume_attachment"]
        state["boot_volume"] = [
            {
                "delete_volume_on_instance_delete": boot["delete_volume_on_instance_delete"],
                "name": boot["volume"].get("name"),
                "profile": boot["volume"]["profile"]["name"],
                "size": boot["volume"].get("capacity"),
            }
        ]
    if "primary_network_interface" in template:
        state["primary_network_interface"] = [_nic(template["primary_network_interface"])]
        state["network_interfaces"] = [_nic(nic) for nic in template.get("network_interfaces", [])]
    if "primary_network_attachment" in template:
        attachment = template["primary_network_attachment"]
        vni = attachment["virtual_network_interface"]
        state["primary_network_attachment"] = [
            {
                "name": attachment.get("name"),
                "virtual_network_interface": [{**vni, "subnet": vni["subnet"]["id"]}],
            }
        ]
    state["volume_attachments"] = [
        {
            "delete_volume_on_instance_delete": item["delete_volume_on_instance_delete"],
            "name": item["name"],
            "volume_prototype": [
                {
                    "capacity": item["volume"]["capacity"],
                    "profile": item["volume"]["profile"]["name"],
                }
            ],
        }
        for item in template.get("volume_attachments", [])
    ]
    return state


def _nic(nic: State) -> State:
    return {
        "allow_ip_spoofing": nic.get("allow_ip_spoofing"),
        "name": nic["name"],
        "security_groups": sorted(group["id"] for group in nic.get("security_groups", [])),
        "subnet": nic["subnet"]["id"],
    }


class Stack:
    """The resources that an instance needs, made as `ibm_is_vpc`, `ibm_is_subnet`, ... make them."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.public_key = cloud, public_key()
        self.vpc = vpc = provider(cloud)
        self.network = vpc.create_vpc(name=cloud.name("tf"), classic_access=False).result
        wait(vpc.get_vpc, self.network["id"], until="available")
        self.subnet = vpc.create_subnet(
            {
                "name": cloud.name("tf"),
                "vpc": {"id": self.network["id"]},
                "zone": {"name": ZONE},
                "total_ipv4_address_count": 16,
            }
        ).result
        wait(vpc.get_subnet, self.subnet["id"], until="available")
        self.group = vpc.create_security_group(
            {"id": self.network["id"]}, name=cloud.name("tf")
        ).result
        self.key = vpc.create_key(self.public_key, name=cloud.name("tf"), type="ed25519").result
        self.profile = cloud.profile()
        self.image = cloud.prototype()["image"]["id"]

    def body(self, **members: Any) -> State:
        """InstancePrototype by image: what the provider always sends."""
        return {
            "image": {"id": self.image},
            "zone": {"name": ZONE},
            "profile": {"name": "bx2-2x8"},
            "name": self.cloud.name("tf"),
            "vpc": {"id": self.network["id"]},
            "keys": [{"id": self.key["id"]}],
            **members,
        }

    def create(self, body: State) -> str:
        id: str = self.vpc.create_instance(body).result["id"]
        wait(self.vpc.get_instance, id, until="running")
        return id

    def settled(self, id: str, config: State) -> State:
        """Two refreshes that show no difference to the configuration, nor to each other."""
        first, second = (read_instance(self.vpc, id) for _ in range(2))
        assert first is not None
        assert differences(config, first) == []
        assert second == first
        return first

    def delete(self, id: str) -> None:
        """GET, DELETE, then GET until 404."""
        assert found(self.vpc.get_instance, id) is not None
        self.vpc.delete_instance(id)
        wait_until_gone(self.vpc.get_instance, id)
        assert read_instance(self.vpc, id) is None

    def destroy(self) -> None:
        """In the provider's order; what it polls until 404 is polled."""
        vpc = self.vpc
        targets = vpc.list_security_group_targets(self.group["id"]).result["targets"]
        for target in targets:
            vpc.delete_security_group_target_binding(self.group["id"], target["id"])
        vpc.delete_security_group(self.group["id"])
        vpc.delete_key(self.key["id"])
        vpc.delete_subnet(self.subnet["id"])
        wait_until_gone(vpc.get_subnet, self.subnet["id"])
        vpc.delete_vpc(self.network["id"])
        wait_until_gone(vpc.get_vpc, self.network["id"])
