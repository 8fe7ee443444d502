"""What hangs on an instance, a region or an image: listings that need a parent's name. Contract 5.2."""

from __future__ import annotations

from typing import Any

import click

from linklocal.cli.completion import instance_names
from linklocal.cli.is_.command import Is, is_command
from linklocal.cli.is_.instance import find_instance
from linklocal.cli.is_.names import find, pages


@click.command("instance-network-interfaces")
@click.argument("instance", shell_complete=instance_names)
@is_command
def interfaces(run: Is, instance: str) -> None:
    """List the network interfaces of an instance.

    \b
    Example:
      linklocal is instance-network-interfaces my-instance
    """
    found = find_instance(run, instance)
    run.say(f"Listing network interfaces of instance {instance}")
    items = run.vpc.list_instance_network_interfaces(found["id"]).result["network_interfaces"]
    header = ("ID", "Name", "Status", "Reserved IP", "Subnet", "Type", "Allow source IP spoofing")
    run.listing(items, header, lambda item: (
        item["id"], item["name"], item["status"], item["primary_ip"]["address"],
        item["subnet"]["name"], item["type"], item["allow_ip_spoofing"],
    ))  # fmt: skip


@click.command("instance-network-attachments")
@click.argument("instance", shell_complete=instance_names)
@is_command
def attachments(run: Is, instance: str) -> None:
    """List the network attachments of an instance.

    \b
    Example:
      linklocal is instance-network-attachments my-instance
    """
    found = find_instance(run, instance)
    run.say(f"Listing network attachments of instance {instance}")
    items = run.vpc.list_instance_network_attachments(found["id"]).result["network_attachments"]
    header = ("ID", "Name", "Lifecycle State", "Reserved IP", "Subnet", "Type",
              "Virtual network interface")  # fmt: skip
    run.listing(items, header, lambda item: (
        item["id"], item["name"], item["lifecycle_state"], item["primary_ip"]["address"],
        item["subnet"]["name"], item["type"], item["virtual_network_interface"]["name"],
    ))  # fmt: skip


@click.command("instance-volume-attachments")
@click.argument("instance", shell_complete=instance_names)
@is_command
def volumes(run: Is, instance: str) -> None:
    """List the volume attachments of an instance.

    \b
    Example:
      linklocal is instance-volume-attachments my-instance
    """
    found = find_instance(run, instance)
    run.say(f"Listing volume attachments of instance {instance}")
    items = run.vpc.list_instance_volume_attachments(found["id"]).result["volume_attachments"]
    header = ("ID", "Name", "Volume", "Status", "Type", "Device",
              "Delete volume on instance delete")  # fmt: skip
    run.listing(items, header, lambda item: (
        item["id"], item["name"], (item.get("volume") or {}).get("name"), item["status"],
        item["type"], (item.get("device") or {}).get("id"),
        item["delete_volume_on_instance_delete"],
    ))  # fmt: skip


def _zone_row(zone: dict[str, Any]) -> tuple[object, ...]:
    return zone["name"], zone["region"]["name"], zone["status"]


_ZONE_HEADER = ("Name", "Region", "Status")


@click.command("zones")
@is_command
def zones(run: Is) -> None:
    """List the zones of the region.

    \b
    Example:
      linklocal is zones
    """
    run.say(f"Listing zones in region {run.session.region}")
    found = run.vpc.list_region_zones(run.session.region).result["zones"]
    run.listing(found, _ZONE_HEADER, _zone_row)


@click.command("zone")
@click.argument("zone_name")
@is_command
def zone(run: Is, zone_name: str) -> None:
    """Show a zone.

    \b
    Example:
      linklocal is zone us-south-1
    """
    run.say(f"Getting zone {zone_name}")
    found = run.vpc.get_region_zone(run.session.region, zone_name).result
    run.detail(found, lambda item: list(zip(_ZONE_HEADER, _zone_row(item), strict=True)))


@click.command("image-instance-profiles")
@click.argument("image")
@is_command
def image_profiles(run: Is, image: str) -> None:
    """List the instance profiles that an image allows.

    \b
    Example:
      linklocal is image-instance-profiles ibm-debian-11-3-minimal-amd64-4
    """
    found = find(pages(run.vpc.list_images, "images"), image, "image", "images")
    run.say(f"Listing instance profiles of image {image}")
    items = run.vpc.list_image_instance_profiles(found["id"]).result["instance_profiles"]
    run.listing(items, ("Name",), lambda item: (item["name"],))


COMMANDS = (interfaces, attachments, volumes, zones, zone, image_profiles)
