"""What Terraform's provider does with an instance and a template, call by call, to "no diff". Contract 2.7.

Each step is what the provider does for one change of a configuration: before it a plan shows a
difference, and what a refresh makes of the answers after it is what the configuration says. A second
refresh says the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from terraform import (
    ZONE,
    Stack,
    State,
    differences,
    read_instance,
    wait,
    wait_until_gone,
)


def test_the_provider_finds_its_account_in_the_token(stack: Stack) -> None:
    token = stack.vpc.authenticator.token_manager.get_token()
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    assert claims["account"]["bss"] == stack.cloud.account_id
    assert isinstance(claims["id"], str)
    assert isinstance(claims["iss"], str)


def test_what_an_instance_stands_on_reads_back(stack: Stack) -> None:
    vpc, id = stack.vpc, stack.network["id"]

    network = vpc.get_vpc(id).result
    prefixes = vpc.list_vpc_address_prefixes(id).result["address_prefixes"]
    subnets = [s["id"] for s in vpc.list_subnets().result["subnets"] if s["vpc"]["id"] == id]
    groups = vpc.list_security_groups(vpc_id=id).result["security_groups"]
    subnet = vpc.get_subnet(stack.subnet["id"]).result
    key = vpc.get_key(stack.key["id"]).result

    for member in ("default_network_acl", "default_security_group", "default_routing_table"):
        assert network[member].keys() >= {"id", "name", "crn"}
    assert (network["name"], network["classic_access"]) == (stack.network["name"], False)
    assert network["dns"]["resolver"]["type"] == "system"
    assert len(prefixes) == 3
    assert subnets == [stack.subnet["id"]]
    assert {g["id"] for g in groups} == {stack.group["id"], network["default_security_group"]["id"]}
    assert (subnet["name"], subnet["zone"]["name"]) == (stack.subnet["name"], ZONE)
    assert (subnet["total_ipv4_address_count"], subnet["vpc"]["id"]) == (16, id)
    assert (key["name"], key["type"]) == (stack.key["name"], "ed25519")
    assert key["public_key"].split()[:2] == stack.public_key.split()[:2]


# An instance with network interfaces: one update after another


def interfaces_config(stack: Stack) -> tuple[State, State]:
    """The create body of the provider, and the configuration that it stands for."""
    nic = {"subnet": {"id": stack.subnet["id"]}, "allow_ip_spoofing": False}
    body = stack.body(
        primary_network_interface={
            **nic, "name": "first", "security_groups": [{"id": stack.group["id"]}],
        },
        network_interfaces=[{**nic, "name": "second"}],
        boot_volume_attachment={
            "delete_volume_on_instance_delete": True,
            "volume": {
                "name": stack.cloud.name("boot"),
                "capacity": 120,
                "profile": {"name": "general-purpose"},
            },
        },
        metadata_service={"enabled": True, "protocol": "https", "response_hop_limit": 5},
        default_trusted_profile={"auto_link": True, "target": {"id": stack.profile["id"]}},
        availability_policy={"host_failure": "stop"},
        user_data="#!/bin/sh\n",
    )  # fmt: skip
    interface = {"subnet": stack.subnet["id"], "allow_ip_spoofing": False}
    config = {
        "availability_policy_host_failure": "stop",
        "boot_volume": [
            {
                "auto_delete_volume": True,
                "name": body["boot_volume_attachment"]["volume"]["name"],
                "profile": "general-purpose",
                "size": 120,
                "tags": [],
            }
        ],
        "default_trusted_profile_auto_link": True,
        "default_trusted_profile_target": stack.profile["id"],
        "image": stack.image,
        "metadata_service": [{"enabled": True, "protocol": "https", "response_hop_limit": 5}],
        "metadata_service_enabled": True,
        "name": body["name"],
        "network_attachments": [],
        "network_interfaces": [{**interface, "name": "second"}],
        "placement_target": None,
        "primary_network_interface": [
            {**interface, "name": "first", "security_groups": [stack.group["id"]]}
        ],
        "profile": "bx2-2x8",
        "status": "running",
        "volume_prototypes": [],
        "vpc": stack.network["id"],
        "zone": ZONE,
    }
    return body, config


def patch(**members: Any) -> Callable[[Stack, str, State], None]:
    """One PATCH of the instance with only the changed members."""

    def apply(stack: Stack, id: str, _state: State) -> None:
        stack.vpc.update_instance(id, members)

    return apply


def metadata(**members: Any) -> Callable[[Stack, str, State], None]:
    return patch(metadata_service=members)


def stop(stack: Stack, id: str, _state: State | None = None) -> None:
    stack.vpc.create_instance_action(id, "stop")
    wait(stack.vpc.get_instance, id, until="stopped")


def start(stack: Stack, id: str, _state: State | None = None) -> None:
    stack.vpc.create_instance_action(id, "start")
    wait(stack.vpc.get_instance, id, until="running")


def another_profile(stack: Stack, id: str, _state: State) -> None:
    stop(stack, id)
    stack.vpc.update_instance(id, {"profile": {"name": "cx2-2x4"}})
    start(stack, id)


def another_group(stack: Stack, id: str, state: State) -> None:
    nic = state["primary_network_interface"][0]["id"]
    default = stack.network["default_security_group"]["id"]
    stack.vpc.create_security_group_target_binding(default, nic)
    wait(stack.vpc.get_instance, id, until="running")
    stack.vpc.delete_security_group_target_binding(stack.group["id"], nic)
    wait(stack.vpc.get_instance, id, until="running")


def first_interface(stack: Stack, id: str, state: State) -> None:
    nic = state["primary_network_interface"][0]["id"]
    changed = {"name": "uplink", "allow_ip_spoofing": True}
    stack.vpc.update_instance_network_interface(id, nic, changed)


def reserved_ip(stack: Stack, _id: str, state: State) -> None:
    ip = state["primary_network_interface"][0]["primary_ip"][0]["reserved_ip"]
    changed = {"name": "kept", "auto_delete": False}
    stack.vpc.update_subnet_reserved_ip(stack.subnet["id"], ip, changed)


def boot_size(stack: Stack, _id: str, state: State) -> None:
    volume = state["boot_volume"][0]["volume_id"]
    stack.vpc.update_volume(volume, {"capacity": 150})
    wait(stack.vpc.get_volume, volume, until="available")


def boot_name_and_tags(stack: Stack, _id: str, state: State) -> None:
    """Tags are a list: the provider reads the ETag and sends it."""
    volume = state["boot_volume"][0]["volume_id"]
    etag = stack.vpc.get_volume(volume).get_headers()["ETag"]
    stack.vpc.update_volume(volume, {"user_tags": ["env:dev"]}, if_match=etag)
    wait(stack.vpc.get_volume, volume, until="available")
    stack.vpc.update_volume(volume, {"name": "tf-renamed-boot"})


def boot_deleted(with_it: bool) -> Callable[[Stack, str, State], None]:
    def apply(stack: Stack, id: str, state: State) -> None:
        volume = state["boot_volume"][0]["volume_id"]
        attachments = stack.vpc.list_instance_volume_attachments(id).result["volume_attachments"]
        (boot,) = [a["id"] for a in attachments if a["volume"]["id"] == volume]
        body = {"delete_volume_on_instance_delete": with_it}
        stack.vpc.update_instance_volume_attachment(id, boot, body)

    return apply


HTTP_7 = [{"enabled": True, "protocol": "http", "response_hop_limit": 7}]
OFF_7 = [{**HTTP_7[0], "enabled": False}]
# What is changed in the configuration, and how the provider brings it about, in its order.
UPDATES: list[tuple[State, Callable[[Stack, str, State], None]]] = [
    ({"primary_network_interface": {"security_groups": "default"}}, another_group),
    ({"primary_network_interface": {"primary_ip": [{"name": "kept", "auto_delete": False}]}}, reserved_ip),
    ({"primary_network_interface": {"name": "uplink", "allow_ip_spoofing": True}}, first_interface),
    ({"boot_volume": {"size": 150}}, boot_size),
    ({"boot_volume": {"tags": ["env:dev"], "name": "tf-renamed-boot"}}, boot_name_and_tags),
    ({"boot_volume": {"auto_delete_volume": False}}, boot_deleted(False)),
    ({"boot_volume": {"auto_delete_volume": True}}, boot_deleted(True)),
    ({"name": "tf-renamed"}, patch(name="tf-renamed")),
    ({"metadata_service": HTTP_7}, metadata(protocol="http", response_hop_limit=7)),
    ({"metadata_service": OFF_7, "metadata_service_enabled": False}, metadata(enabled=False)),
    ({"metadata_service": HTTP_7, "metadata_service_enabled": True}, metadata(enabled=True)),
    (
        {"availability_policy_host_failure": "restart"},
        patch(availability_policy={"host_failure": "restart"}),
    ),
    ({"total_volume_bandwidth": 900}, patch(total_volume_bandwidth=900)),
    ({"profile": "cx2-2x4"}, another_profile),
    ({"status": "stopped"}, stop),
    ({"status": "running"}, start),
]  # fmt: skip


def test_an_instance_with_interfaces_through_every_update(stack: Stack) -> None:
    body, config = interfaces_config(stack)
    id = stack.create(body)
    state = stack.settled(id, config)

    for change, apply in UPDATES:
        for name, value in change.items():
            if isinstance(value, dict):
                config[name] = [{**config[name][0], **value}]
            else:
                config[name] = value
        if config["primary_network_interface"][0]["security_groups"] == "default":
            default = stack.network["default_security_group"]["id"]
            config["primary_network_interface"][0]["security_groups"] = [default]
        assert differences(config, state), change
        apply(stack, id, state)
        state = read_instance(stack.vpc, id) or {}
        assert differences(config, state) == [], change

    stack.settled(id, config)
    reserved = state["primary_network_interface"][0]["primary_ip"][0]["reserved_ip"]
    stack.delete(id)
    assert stack.cloud.links(stack.profile["id"]) == []
    stack.vpc.delete_subnet_reserved_ip(stack.subnet["id"], reserved)  # it was to stay


def test_volumes_come_and_go(stack: Stack) -> None:
    """`volumes`, `volume_prototypes`, and a clean delete: stop, detach, delete."""
    vpc, nic = stack.vpc, {"subnet": {"id": stack.subnet["id"]}, "allow_ip_spoofing": False}
    prototype = {
        "name": stack.cloud.name("data"),
        "capacity": 20,
        "profile": {"name": "5iops-tier"},
    }
    id = stack.create(
        stack.body(
            primary_network_interface=nic,
            volume_attachments=[
                {"name": "data", "delete_volume_on_instance_delete": True, "volume": prototype}
            ],
        )
    )
    named = {"name": "data", "delete_volume_on_instance_delete": True, "volume_capacity": 20,
             "volume_name": prototype["name"], "volume_profile": "5iops-tier"}  # fmt: skip
    config: State = {"volume_prototypes": [named], "metadata_service_enabled": False}
    state = stack.settled(id, config)
    volume = vpc.create_volume(
        {"name": stack.cloud.name("more"), "capacity": 10, "zone": {"name": ZONE},
         "profile": {"name": "general-purpose"}}
    ).result  # fmt: skip
    wait(vpc.get_volume, volume["id"], until="available")

    attached = vpc.create_instance_volume_attachment(
        id, {"id": volume["id"]}, delete_volume_on_instance_delete=False
    ).result
    wait(vpc.get_instance_volume_attachment, id, attached["id"], until="attached")
    more = stack.settled(id, {})
    vpc.delete_instance_volume_attachment(id, attached["id"])
    wait_until_gone(vpc.get_instance_volume_attachment, id, attached["id"])
    assert stack.settled(id, config) == state

    stop(stack, id)
    boot = state["boot_volume"][0]["volume_id"]
    for item in vpc.list_instance_volume_attachments(id).result["volume_attachments"]:
        if item["type"] == "data" and item["delete_volume_on_instance_delete"]:
            vpc.delete_instance_volume_attachment(id, item["id"])
            wait_until_gone(vpc.get_instance_volume_attachment, id, item["id"])
    stack.delete(id)
    wait_until_gone(vpc.get_volume, boot)
    kept = state["volume_prototypes"][0]["volume_id"]
    assert sorted(v["volume_id"] for v in more["volume_prototypes"]) == sorted([kept, volume["id"]])
    for left in (kept, volume["id"]):
        vpc.delete_volume(left)
        wait_until_gone(vpc.get_volume, left)
