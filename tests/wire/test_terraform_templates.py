"""Terraform's templates, network attachments and floating ips, call by call, to "no diff". Contract 2.7."""

from __future__ import annotations

from typing import Any

import pytest
from ibm_cloud_sdk_core import ApiException
from terraform import ZONE, Stack, State, differences, found, read_template, wait, wait_until_gone


def interface(stack: Stack, **members: Any) -> State:
    """What the provider always sends of an interface: it has no name unless the configuration has one."""
    return {"subnet": {"id": stack.subnet["id"]}, "allow_ip_spoofing": False, **members}


def attachment(stack: Stack) -> State:
    """A virtual network interface's prototype with the provider's own defaults."""
    vni = {
        "allow_ip_spoofing": False,
        "auto_delete": True,
        "enable_infrastructure_nat": True,
        "security_groups": [{"id": stack.group["id"]}],
        "subnet": {"id": stack.subnet["id"]},
    }
    return {"name": "first", "virtual_network_interface": vni}


# What is in the body, and the configuration that it stands for.
def kinds(stack: Stack) -> dict[str, tuple[State, State]]:
    subnet = stack.subnet["id"]
    return {
        "interfaces": (
            {
                "primary_network_interface": interface(
                    stack, security_groups=[{"id": stack.group["id"]}]
                ),
                "network_interfaces": [interface(stack, name="second")],
            },
            {
                "primary_network_interface": [
                    {
                        "allow_ip_spoofing": False,
                        "security_groups": [stack.group["id"]],
                        "subnet": subnet,
                    }
                ],
                "network_interfaces": [{"name": "second", "subnet": subnet}],
            },
        ),
        "attachments": (
            {"primary_network_attachment": attachment(stack)},
            {
                "primary_network_attachment": [
                    {
                        "name": "first",
                        "virtual_network_interface": [
                            {
                                "auto_delete": True,
                                "enable_infrastructure_nat": True,
                                "subnet": subnet,
                            }
                        ],
                    }
                ]
            },
        ),
    }


@pytest.mark.parametrize("kind", ["interfaces", "attachments"])
def test_a_template_and_an_instance_of_it(stack: Stack, kind: str) -> None:
    vpc = stack.vpc
    network, in_config = kinds(stack)[kind]
    body = stack.body(
        **network,
        metadata_service={"enabled": True, "protocol": "http", "response_hop_limit": 3},
        default_trusted_profile={"auto_link": False, "target": {"crn": profile_crn(stack)}},
        boot_volume_attachment={
            "delete_volume_on_instance_delete": True,
            "volume": {"profile": {"name": "general-purpose"}, "capacity": 110},
        },
        volume_attachments=[
            {
                "name": "data",
                "delete_volume_on_instance_delete": True,
                "volume": {"capacity": 10, "profile": {"name": "general-purpose"}},
            }
        ],
    )
    settings = [{"enabled": True, "protocol": "http", "response_hop_limit": 3}]
    config: State = {
        **in_config,
        "boot_volume": [{"delete_volume_on_instance_delete": True, "size": 110}],
        "default_trusted_profile_auto_link": False,
        "image": stack.image,
        "metadata_service": settings,
        "name": body["name"],
        "profile": "bx2-2x8",
        "volume_attachments": [
            {
                "name": "data",
                "delete_volume_on_instance_delete": True,
                "volume_prototype": [{"capacity": 10, "profile": "general-purpose"}],
            }
        ],
        "vpc": stack.network["id"],
        "zone": ZONE,
    }
    template = vpc.create_instance_template(body).result["id"]
    first, second = (read_template(vpc, template) for _ in range(2))
    assert differences(config, first) == []
    assert second == first

    config["name"] = stack.cloud.name("renamed")
    vpc.update_instance_template(template, {"name": config["name"]})
    assert differences(config, read_template(vpc, template)) == []

    # `instance_template`: the provider sends the name, the keys and the VPC beside it.
    made = stack.create(
        {
            "source_template": {"id": template},
            "name": stack.cloud.name("tf"),
            "vpc": {"id": stack.network["id"]},
            "keys": [{"id": stack.key["id"]}],
        }
    )
    read = stack.settled(
        made,
        {
            **{
                name: config[name]
                for name in ("image", "metadata_service", "profile", "vpc", "zone")
            },
            **in_config,
            "boot_volume": [{"auto_delete_volume": True, "size": 110}],
            "default_trusted_profile_auto_link": False,
            "default_trusted_profile_target": stack.profile["id"],
        },
    )
    if kind == "interfaces":
        of_template = first["primary_network_interface"][0]["name"] if first else None
        assert read["primary_network_interface"][0]["name"] == of_template
    vpc.delete_instance_template(template)
    assert read_template(vpc, template) is None
    stack.delete(made)


def profile_crn(stack: Stack) -> str:
    crn: str = stack.profile["crn"]
    return crn


def test_an_instance_with_attachments_and_its_floating_ip(stack: Stack) -> None:
    """Every update of `primary_network_attachment` and `network_attachments`, and `ibm_is_floating_ip`."""
    vpc, group = stack.vpc, stack.group["id"]
    id = stack.create(stack.body(primary_network_attachment=attachment(stack)))
    vni: State = {
        "allow_ip_spoofing": False,
        "auto_delete": True,
        "enable_infrastructure_nat": True,
        "ips": [],
        "protocol_state_filtering_mode": "auto",
        "security_groups": [group],
        "subnet": stack.subnet["id"],
    }
    config: State = {
        "network_attachments": [],
        "primary_network_attachment": [{"name": "first", "virtual_network_interface": [vni]}],
    }
    state = stack.settled(id, config)
    primary = state["primary_network_attachment"][0]
    vni_id = primary["virtual_network_interface"][0]["id"]

    vpc.update_instance_network_attachment(id, primary["id"], {"name": "uplink"})
    config["primary_network_attachment"][0]["name"] = "uplink"
    changed = {
        "name": stack.cloud.name("vni"),
        "allow_ip_spoofing": True,
        "enable_infrastructure_nat": True,
        "protocol_state_filtering_mode": "enabled",
    }
    vpc.update_virtual_network_interface(vni_id, changed)
    vni.update(changed)
    default = stack.network["default_security_group"]["id"]
    vpc.create_security_group_target_binding(default, vni_id)
    wait(vpc.get_virtual_network_interface, vni_id, until="stable", member="lifecycle_state")
    vpc.delete_security_group_target_binding(group, vni_id)
    vni["security_groups"] = [default]
    ip = vpc.create_subnet_reserved_ip(stack.subnet["id"], auto_delete=False).result
    vpc.add_virtual_network_interface_ip(vni_id, ip["id"])
    vni["ips"] = [{"address": ip["address"], "reserved_ip": ip["id"]}]
    added = vpc.create_instance_network_attachment(
        id, {"subnet": {"id": stack.subnet["id"]}}, name="second"
    ).result
    config["network_attachments"] = [{"name": "second", "id": added["id"]}]
    stack.settled(id, config)

    floating_ip(stack, vni_id)

    vpc.remove_virtual_network_interface_ip(vni_id, ip["id"])
    vni["ips"] = []
    vpc.delete_instance_network_attachment(id, added["id"])
    config["network_attachments"] = []
    stack.settled(id, config)
    stack.delete(id)
    assert found(vpc.get_virtual_network_interface, vni_id) is None
    vpc.delete_subnet_reserved_ip(stack.subnet["id"], ip["id"])


def floating_ip(stack: Stack, target: str) -> None:
    """`ibm_is_floating_ip` of a target: create, read, rename, delete, 404."""
    vpc, name = stack.vpc, stack.cloud.name("front")
    made = vpc.create_floating_ip({"name": name, "target": {"id": target}}).result
    read = wait(vpc.get_floating_ip, made["id"], until="available")
    again = vpc.get_floating_ip(made["id"]).result
    renamed = stack.cloud.name("front")
    vpc.update_floating_ip(made["id"], {"name": renamed})

    assert (read["name"], read["target"]["id"], read["zone"]["name"]) == (name, target, ZONE)
    assert again == read
    assert vpc.get_floating_ip(made["id"]).result == {**read, "name": renamed, "crn": read["crn"]}
    vpc.delete_floating_ip(made["id"])
    wait_until_gone(vpc.get_floating_ip, made["id"])


def test_changing_a_template_by_patch_is_refused(stack: Stack) -> None:
    """`metadata_service` is force-new in the provider: it never tries, and whoever does is told."""
    body = stack.body(primary_network_interface=interface(stack))
    template = stack.vpc.create_instance_template(body).result

    patch = {"metadata_service": {"enabled": True}}
    with pytest.raises(ApiException) as refused:
        stack.vpc.update_instance_template(template["id"], patch)
    stack.vpc.delete_instance_template(template["id"])

    assert refused.value.status_code == 400
    assert found(stack.vpc.get_instance_template, template["id"]) is None
