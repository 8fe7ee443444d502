"""`linklocal is instance*`: virtual server instances. Control-plane contract 5.2."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import click

from linklocal.cli.completion import instance_names
from linklocal.cli.is_.body import instance_body, reinitialize_body
from linklocal.cli.is_.command import Is, is_command, truth
from linklocal.cli.is_.instance_output import LIST_HEADER, details, list_row
from linklocal.cli.is_.names import find, pages
from linklocal.cli.is_.options import (
    machine_options,
    metadata_options,
    metadata_service,
    profile_options,
)
from linklocal.cli.output import SubTable
from linklocal.errors import OperatorError

_ID = re.compile(r"[0-9a-z]{4}_[0-9a-f-]{36}")
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.2
wait_option = click.option("--wait", is_flag=True, help="Return when the new state is reached.")
force_option = click.option("-f", "--force", is_flag=True, help="Do not ask.")


def find_instance(run: Is, typed: str) -> dict[str, Any]:
    """By id, CRN or name. Raises OperatorError for a name, ApiException for an id that is not there."""
    if typed.startswith("crn:"):
        typed = typed.rpartition(":")[2]
    if _ID.fullmatch(typed):
        found: dict[str, Any] = run.vpc.get_instance(typed).result
        return found
    named = pages(run.vpc.list_instances, "instances", name=typed)
    return find(named, typed, "instance", "instances")


def confirm(question: str, force: bool) -> None:
    """Ask on a terminal; elsewhere fail and name `-f`."""
    if force:
        return
    if not sys.stdin.isatty():
        raise OperatorError(f"{question} Nobody can be asked here.", "Add -f to go on.")
    click.confirm(question, abort=True)


def wait_for(run: Is, instance_id: str, status: str) -> dict[str, Any] | None:
    """Poll until the status is reached; None when the instance is gone. Shows progress on a terminal.

    Raises OperatorError when it takes longer than WAIT_SECONDS.
    """
    from ibm_cloud_sdk_core import ApiException

    terminal = sys.stderr.isatty()
    deadline = time.monotonic() + WAIT_SECONDS
    seen = ""
    while time.monotonic() < deadline:
        try:
            instance: dict[str, Any] = run.vpc.get_instance(instance_id).result
        except ApiException as error:
            if error.status_code == 404 and status == "deleted":
                return None
            raise
        if terminal and not seen:
            click.echo(f"Waiting for {instance['name']} to become {status} ...", err=True)
        if instance["status"] == status:
            return instance
        if terminal and instance["status"] != seen:
            click.echo(f"  {instance['status']}", err=True)
        seen = instance["status"]
        time.sleep(POLL_SECONDS)
    raise OperatorError(
        f"The instance did not become {status} within {WAIT_SECONDS:.0f} seconds.",
        f"linklocal is instance {instance_id}",
    )


@click.command("instance-create")
@click.argument("instance_name")
@click.argument("vpc")
@click.argument("zone_name")
@click.argument("profile_name")
@click.argument("subnet", required=False)
@metadata_options
@profile_options
@machine_options
@wait_option
@is_command
def create(
    run: Is, instance_name: str, vpc: str, zone_name: str, profile_name: str, subnet: str | None,
    wait: bool, **options: Any,
) -> None:  # fmt: skip
    """Create a virtual server instance.

    \b
    Example:
      linklocal is instance-create my-instance my-vpc us-south-1 bx2-2x8 my-subnet \\
        --image ibm-debian-11-3-minimal-amd64-4 --metadata-service true
    """
    options |= {"name": instance_name, "vpc": vpc, "zone": zone_name, "profile": profile_name}
    run.say(f"Creating instance {instance_name}")
    made = run.vpc.create_instance(instance_body(run, options, subnet)).result
    if wait:
        made = wait_for(run, made["id"], "running") or made
    run.detail(made, lambda instance: details(instance, created=True))


@click.command("instance-update")
@click.argument("instance", shell_complete=instance_names)
@click.option("--name", "--new-name", metavar="NAME", help="New name; the host name stays.")
@metadata_options
@click.option("--profile", metavar="NAME", help="Needs a stopped instance.")
@click.option("--total-volume-bandwidth", type=int, help="Mbps.")
@click.option(
    "--host-failure-policy",
    type=click.Choice(["restart", "stop"]),
    help="What happens when the host fails.",
)
@click.option(
    "--preemption-policy",
    type=click.Choice(["delete", "stop"]),
    help="What happens when its place is needed.",
)
@click.option(
    "--availability-class", type=click.Choice(["spot", "standard"]), help="`spot` can be preempted."
)
@click.option("--confidential-compute-mode", help="Mode of the profile.")
@click.option(
    "--enable-secure-boot", type=click.Choice(["true", "false"]), help="Needs a stopped instance."
)
@click.option(
    "--volume-bandwidth-qos-mode",
    type=click.Choice(["pooled", "weighted"]),
    help="How volumes share bandwidth.",
)
@click.option("--vcpu-percentage", type=int, help="Share of the vCPUs.")
@click.option("--threads-per-core", type=int, help="As the profile allows.")
@is_command
def update(run: Is, instance: str, **options: Any) -> None:
    """Change an instance; what is not named stays.

    \b
    Example:
      linklocal is instance-update my-instance --metadata-service true --metadata-service-protocol https
    """
    body: dict[str, Any] = {}
    if service := metadata_service(options):
        body["metadata_service"] = service
    given = {name: value for name, value in options.items() if value is not None}
    nested = {
        "profile": ("profile", "name"),
        "host_failure_policy": ("availability_policy", "host_failure"),
        "preemption_policy": ("availability_policy", "preemption"),
        "availability_class": ("availability", "class"),
        "vcpu_percentage": ("vcpu", "percentage"),
    }
    for option, value in given.items():
        if option in nested:
            outer, inner = nested[option]
            body.setdefault(outer, {})[inner] = value
        else:
            body[option] = truth(value) if option == "enable_secure_boot" else value
    if not body:
        raise OperatorError(
            "Nothing was named that should change.", "linklocal is instance-update --help"
        )
    found = find_instance(run, instance)
    run.say(f"Updating instance {instance}")
    _show(run, run.vpc.update_instance(found["id"], body).result)


@click.command("instance")
@click.argument("instance", shell_complete=instance_names)
@is_command
def show(run: Is, instance: str) -> None:
    """Show an instance, by name or id.

    \b
    Example:
      linklocal is instance my-instance
    """
    run.say(f"Getting instance {instance}")
    _show(run, find_instance(run, instance))


def _show(run: Is, instance: dict[str, Any]) -> None:
    """The detail view with network interfaces, which take one more call."""
    listed = None
    if not run.as_json:
        answer = run.vpc.list_instance_network_interfaces(instance["id"])
        listed = answer.result["network_interfaces"]
    run.detail(instance, lambda item: details(item, found=listed))


@click.command("instances")
@click.option("--resource-group-id", metavar="ID", help="Only in this resource group.")
@click.option("--resource-group-name", metavar="NAME", help="Only in this resource group.")
@click.option("--all-resource-groups", is_flag=True, help="Which is the default.")
@click.option("--vpc", metavar="ID|NAME", help="Only those in this VPC.")
@click.option("--placement-group", "--pg", metavar="ID|NAME", help="Only those in this group.")
@click.option(
    "--availability-class", type=click.Choice(["spot", "standard"]), help="`spot` can be preempted."
)
@is_command
def list_(
    run: Is, resource_group_id: str | None, resource_group_name: str | None, all_resource_groups: bool,
    vpc: str | None, placement_group: str | None, availability_class: str | None,
) -> None:  # fmt: skip
    """List the instances of the region.

    \b
    Example:
      linklocal is instances --vpc my-vpc
    """
    filters: dict[str, Any] = {"resource_group_id": resource_group_id}
    if vpc is not None:
        filters["vpc_id"] = find(pages(run.vpc.list_vpcs, "vpcs"), vpc, "VPC", "vpcs")["id"]
    if placement_group is not None:
        groups = pages(run.vpc.list_placement_groups, "placement_groups")
        group = find(groups, placement_group, "placement group", "placement-groups")
        filters["placement_group_id"] = group["id"]
    filters["availability_class"] = availability_class
    given = {name: value for name, value in filters.items() if value is not None}
    scope = resource_group_name or resource_group_id
    where = f"resource group {scope}" if scope else "all resource groups"
    run.say(f"Listing instances in {where} and region {run.session.region}")
    items = pages(run.vpc.list_instances, "instances", **given)
    if resource_group_name is not None:
        items = [i for i in items if i["resource_group"]["name"] == resource_group_name]
    floating: dict[str, str] = {}
    if items and not run.as_json:
        for ip in pages(run.vpc.list_floating_ips, "floating_ips"):
            if "target" in ip:
                floating[ip["target"]["id"]] = ip["address"]
    run.listing(items, LIST_HEADER, lambda item: list_row(item, floating))


@click.command("instance-delete")
@click.argument(
    "instances", nargs=-1, required=True, metavar="INSTANCE1 INSTANCE2 ...",
    shell_complete=instance_names,
)  # fmt: skip
@force_option
@wait_option
@is_command
def delete(run: Is, instances: tuple[str, ...], force: bool, wait: bool) -> None:
    """Delete instances, with their IAM links and boot volumes.

    \b
    Example:
      linklocal is instance-delete my-instance -f
    """
    found = [find_instance(run, typed) for typed in instances]
    names = ", ".join(item["name"] for item in found)
    confirm(f"This deletes {names} for good. Go on?", force)
    for item in found:
        run.say(f"Deleting instance {item['name']}")
        run.vpc.delete_instance(item["id"])
        if wait:
            wait_for(run, item["id"], "deleted")
    run.done()


def _act(
    run: Is, typed: str, action: str, verb: str, reached: str, *, wait: bool, force: bool
) -> None:
    instance = find_instance(run, typed)
    run.say(f"{verb} instance {typed}")
    made = run.vpc.create_instance_action(instance["id"], action, force=force or None).result
    if wait:
        wait_for(run, instance["id"], reached)
    run.detail(made, lambda item: [
        ("Action", item["type"]), ("Status", item["status"]), ("ID", item["id"]),
        ("Instance", instance["name"]), ("Created", item["created_at"]),
    ])  # fmt: skip


@click.command("instance-start")
@click.argument("instance", shell_complete=instance_names)
@wait_option
@is_command
def start(run: Is, instance: str, wait: bool) -> None:
    """Start a stopped instance.

    \b
    Example:
      linklocal is instance-start my-instance --wait
    """
    _act(run, instance, "start", "Starting", "running", wait=wait, force=False)


@click.command("instance-stop")
@click.argument("instance", shell_complete=instance_names)
@click.option("--no-wait", is_flag=True, help="Act at once and drop queued actions.")
@force_option
@wait_option
@is_command
def stop(run: Is, instance: str, no_wait: bool, force: bool, wait: bool) -> None:
    """Stop a running instance; its identity tokens end with it.

    \b
    Example:
      linklocal is instance-stop my-instance -f --wait
    """
    confirm(f"Stop {instance}?", force)
    _act(run, instance, "stop", "Stopping", "stopped", wait=wait, force=no_wait)


@click.command("instance-reboot")
@click.argument("instance", shell_complete=instance_names)
@click.option("--no-wait", is_flag=True, help="Act at once and drop queued actions.")
@force_option
@wait_option
@is_command
def reboot(run: Is, instance: str, no_wait: bool, force: bool, wait: bool) -> None:
    """Restart a running instance.

    \b
    Example:
      linklocal is instance-reboot my-instance -f
    """
    confirm(f"Reboot {instance}?", force)
    _act(run, instance, "reboot", "Rebooting", "running", wait=wait, force=no_wait)


@click.command("instance-initialization-values")
@click.argument("instance", shell_complete=instance_names)
@is_command
def initialization(run: Is, instance: str) -> None:
    """Show what an instance was created with: keys, default trusted profile, auto link.

    \b
    Example:
      linklocal is instance-initialization-values my-instance
    """
    found = find_instance(run, instance)
    run.say(f"Getting initialization values of instance {instance}")

    def rows(values: dict[str, Any]) -> list[tuple[str, object]]:
        keys = [(key["id"], key["name"]) for key in values["keys"]]
        profile = values.get("default_trusted_profile")
        profiles = []
        if profile is not None:
            target = profile["target"]
            profiles = [(target["id"], target["crn"], profile["auto_link"])]
        return [
            ("Keys", SubTable(("ID", "Name"), keys)),
            ("Default trusted profile", SubTable(("ID", "CRN", "Auto link"), profiles)),
        ]

    run.detail(run.vpc.get_instance_initialization(found["id"]).result, rows)


@click.command("instance-reinitialize")
@click.argument("instance", shell_complete=instance_names)
@click.option("--image", metavar="ID|NAME", help="Image to boot from.")
@click.option("--boot-volume", metavar="JSON|@FILE", help="Boot volume, in place of --image.")
@click.option("--keys", "--key-ids", metavar="K1,K2", help="SSH keys, by id or name.")
@profile_options
@click.option("--user-data", metavar="TEXT|@FILE", help="Passed to the instance as it is.")
@force_option
@is_command
def reinitialize(run: Is, instance: str, force: bool, **options: Any) -> None:
    """Begin anew with an image; the only way to change the default trusted profile.

    The instance must be stopped.

    \b
    Example:
      linklocal is instance-reinitialize my-instance --image ibm-debian-11-3-minimal-amd64-4 -f
    """
    found = find_instance(run, instance)
    confirm(f"This erases the boot volume of {found['name']}. Go on?", force)
    run.say(f"Reinitializing instance {instance}")
    body = reinitialize_body(run, options)
    run.vpc.create_instance_reinitialization(found["id"], body)
    run.done()


COMMANDS = (
    create, update, show, list_, delete, start, stop, reboot, initialization, reinitialize,
)  # fmt: skip
