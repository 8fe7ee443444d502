"""`linklocal is key-create|vpc-create|...`: making the resources around instances. Contract 5.2."""

from __future__ import annotations

from typing import Any

import click

from linklocal.cli.is_.command import BOOLEAN, Is, is_command, truth
from linklocal.cli.is_.instance import find_instance
from linklocal.cli.is_.names import find, pages, resource_group
from linklocal.cli.is_.options import text
from linklocal.cli.is_.resources import KINDS, Kind

_BY_NAME = {kind.singular: kind for kind in KINDS}


def _kind(name: str) -> Kind:
    return _BY_NAME[name]


def group_options(function: Any) -> Any:
    """In which resource group it is made."""
    function = click.option("--resource-group-name", metavar="NAME", help="Its resource group.")(
        function
    )
    return click.option("--resource-group-id", metavar="ID", help="Its resource group.")(function)


@click.command("key-create")
@click.argument("key_name")
@click.argument("key", metavar="KEY|@KEY_FILE")
@click.option("--key-type", type=click.Choice(["rsa", "ed25519"]), help="(default: rsa)")
@group_options
@is_command
def key_create(run: Is, key_name: str, key: str, key_type: str | None, **group: Any) -> None:
    """Import a public SSH key.

    \b
    Example:
      linklocal is key-create my-key @~/.ssh/id_ed25519.pub --key-type ed25519
    """
    run.say(f"Creating key {key_name}")
    made = run.vpc.create_key(
        text(key).strip(), name=key_name, type=key_type or "rsa", **resource_group(run, group)
    ).result
    run.detail(made, _kind("key").rows)


@click.command("vpc-create")
@click.argument("vpc_name")
@click.option(
    "--address-prefix-management", type=click.Choice(["auto", "manual"]), help="(default: auto)"
)
@click.option("--classic-access", is_flag=True, help="Reach classic infrastructure.")
@group_options
@is_command
def vpc_create(
    run: Is,
    vpc_name: str,
    address_prefix_management: str | None,
    classic_access: bool,
    **group: Any,
) -> None:
    """Create a VPC with an address prefix for each zone.

    \b
    Example:
      linklocal is vpc-create my-vpc
    """
    run.say(f"Creating VPC {vpc_name}")
    made = run.vpc.create_vpc(
        name=vpc_name,
        address_prefix_management=address_prefix_management,
        classic_access=classic_access or None,
        **resource_group(run, group),
    ).result
    run.detail(made, _kind("vpc").rows)


@click.command("subnet-create")
@click.argument("subnet_name")
@click.argument("vpc")
@click.option("--zone", metavar="NAME", help="Its zone.")
@click.option("--ipv4-address-count", type=int, help="Size, a power of 2; needs --zone.")
@click.option("--ipv4-cidr-block", metavar="CIDR", help="Its range, within an address prefix.")
@group_options
@is_command
def subnet_create(
    run: Is, subnet_name: str, vpc: str, zone: str | None, ipv4_address_count: int | None,
    ipv4_cidr_block: str | None, **group: Any,
) -> None:  # fmt: skip
    """Create a subnet, by size in a zone or by its range.

    \b
    Example:
      linklocal is subnet-create my-subnet my-vpc --zone us-south-1 --ipv4-address-count 256
    """
    found = find(pages(run.vpc.list_vpcs, "vpcs"), vpc, "VPC", "vpcs")
    run.say(f"Creating subnet {subnet_name}")
    body: dict[str, Any] = {"name": subnet_name, "vpc": {"id": found["id"]}}
    body |= {"zone": {"name": zone}} if zone is not None else {}
    body |= {} if ipv4_address_count is None else {"total_ipv4_address_count": ipv4_address_count}
    body |= {} if ipv4_cidr_block is None else {"ipv4_cidr_block": ipv4_cidr_block}
    run.detail(
        run.vpc.create_subnet(body | resource_group(run, group)).result, _kind("subnet").rows
    )


@click.command("placement-group-create")
@click.option(
    "--strategy",
    required=True,
    type=click.Choice(["host_spread", "power_spread"]),
    help="What its instances do not share.",
)
@click.option("--name", metavar="NAME", help="(default: four random words)")
@group_options
@is_command
def placement_group_create(run: Is, strategy: str, name: str | None, **group: Any) -> None:
    """Create a placement group.

    \b
    Example:
      linklocal is placement-group-create --strategy host_spread --name my-group
    """
    run.say("Creating placement group")
    made = run.vpc.create_placement_group(strategy, name=name, **resource_group(run, group)).result
    run.detail(made, _kind("placement-group").rows)


@click.command("floating-ip-reserve")
@click.argument("floating_ip_name")
@click.option("--zone", metavar="NAME", help="Reserve it here, without a target.")
@click.option("--nic", metavar="ID|NAME", help="Network interface of the instance that --in names.")
@click.option("--in", "inside", metavar="INSTANCE", help="The instance that has --nic.")
@click.option("--vni", metavar="ID|NAME", help="Virtual network interface.")
@group_options
@is_command
def floating_ip_reserve(
    run: Is, floating_ip_name: str, zone: str | None, nic: str | None, inside: str | None,
    vni: str | None, **group: Any,
) -> None:  # fmt: skip
    """Reserve a floating ip in a zone, or for an interface.

    \b
    Example:
      linklocal is floating-ip-reserve my-ip --zone us-south-1
    """
    if (zone is not None) + (nic is not None) + (vni is not None) != 1:
        raise click.UsageError("Give one of --zone, --nic and --vni.", click.get_current_context())
    body: dict[str, Any] = {"name": floating_ip_name}
    if zone is not None:
        body["zone"] = {"name": zone}
    elif vni is not None:
        items = pages(run.vpc.list_virtual_network_interfaces, "virtual_network_interfaces")
        found = find(items, vni, "virtual network interface", "virtual-network-interfaces")
        body["target"] = {"id": found["id"]}
    elif inside is not None:
        interfaces = find_instance(run, inside)["network_interfaces"]
        found = find(
            interfaces, str(nic), "network interface", f"instance-network-interfaces {inside}"
        )
        body["target"] = {"id": found["id"]}
    else:
        body["target"] = {"id": nic}
    run.say(f"Reserving floating ip {floating_ip_name}")
    made = run.vpc.create_floating_ip(body | resource_group(run, group)).result
    run.detail(made, _kind("floating-ip").rows)


@click.command("volume-create")
@click.argument("volume_name")
@click.argument("profile_name")
@click.argument("zone_name")
@click.option("--capacity", type=int, help="Gigabytes. (default: 100)")
@click.option("--iops", type=int, help="Only with the profile `custom`.")
@group_options
@is_command
def volume_create(
    run: Is, volume_name: str, profile_name: str, zone_name: str, capacity: int | None, iops: int | None,
    **group: Any,
) -> None:  # fmt: skip
    """Create a volume.

    \b
    Example:
      linklocal is volume-create my-volume general-purpose us-south-1 --capacity 100
    """
    run.say(f"Creating volume {volume_name}")
    body: dict[str, Any] = {
        "name": volume_name, "profile": {"name": profile_name}, "zone": {"name": zone_name},
        "capacity": capacity or 100,
    }  # fmt: skip
    body |= {} if iops is None else {"iops": iops}
    run.detail(
        run.vpc.create_volume(body | resource_group(run, group)).result, _kind("volume").rows
    )


@click.command("security-group-create")
@click.argument("group_name")
@click.argument("vpc")
@group_options
@is_command
def security_group_create(run: Is, group_name: str, vpc: str, **group: Any) -> None:
    """Create a security group without rules.

    \b
    Example:
      linklocal is security-group-create my-security-group my-vpc
    """
    found = find(pages(run.vpc.list_vpcs, "vpcs"), vpc, "VPC", "vpcs")
    run.say(f"Creating security group {group_name}")
    made = run.vpc.create_security_group(
        {"id": found["id"]}, name=group_name, **resource_group(run, group)
    ).result
    run.detail(made, _kind("security-group").rows)


@click.command("virtual-network-interface-create")
@click.option("--name", metavar="NAME", help="(default: four random words)")
@click.option("--subnet", required=True, metavar="ID|NAME", help="Its subnet.")
@click.option("--allow-ip-spoofing", type=BOOLEAN, help="(default: false)")
@group_options
@is_command
def interface_create(
    run: Is, name: str | None, subnet: str, allow_ip_spoofing: str | None, **group: Any
) -> None:
    """Create a virtual network interface.

    \b
    Example:
      linklocal is virtual-network-interface-create --name my-vni --subnet my-subnet
    """
    found = find(pages(run.vpc.list_subnets, "subnets"), subnet, "subnet", "subnets")
    run.say("Creating virtual network interface")
    made = run.vpc.create_virtual_network_interface(
        name=name,
        subnet={"id": found["id"]},
        allow_ip_spoofing=truth(allow_ip_spoofing),
        **resource_group(run, group),
    ).result
    run.detail(made, _kind("virtual-network-interface").rows)


COMMANDS = (
    key_create, vpc_create, subnet_create, placement_group_create, floating_ip_reserve, volume_create,
    security_group_create, interface_create,
)  # fmt: skip
