"""`linklocal is instance-template*` and `instance-create-from-template`. Control-plane contract 5.2."""

from __future__ import annotations

from typing import Any

import click

from linklocal.cli.is_.body import instance_body
from linklocal.cli.is_.command import Is, is_command
from linklocal.cli.is_.instance import confirm, force_option, wait_for, wait_option
from linklocal.cli.is_.instance_output import details, metadata_table, pair, reach
from linklocal.cli.is_.names import find
from linklocal.cli.is_.options import (
    TEMPLATE_PLACE,
    machine_options,
    metadata_options,
    profile_options,
)
from linklocal.cli.is_.resources import resource_group_filters
from linklocal.cli.output import moment

TEMPLATE_HEADER = ("ID", "Name", "Profile", "VPC", "Zone", "Image", "Created", "Resource group")


def find_template(run: Is, typed: str) -> dict[str, Any]:
    """By id or name. Raises OperatorError."""
    listed = run.vpc.list_instance_templates().result["templates"]
    return find(listed, typed, "instance template", "instance-templates")


def identity(value: dict[str, Any] | None) -> str | None:
    """How a template names something: it keeps what it was given."""
    return None if not value else str(next(iter(value.values())))


def template_row(template: dict[str, Any]) -> tuple[object, ...]:
    return (
        template["id"],
        template["name"],
        identity(template.get("profile")),
        identity(template.get("vpc")),
        identity(template.get("zone")),
        identity(template.get("image")),
        moment(template["created_at"]),
        template["resource_group"]["name"],
    )


def template_details(template: dict[str, Any]) -> list[tuple[str, object]]:
    service = template["metadata_service"]
    return [
        ("ID", template["id"]),
        ("Name", template["name"]),
        ("CRN", template["crn"]),
        ("Profile", identity(template.get("profile"))),
        ("Metadata service enabled", service["enabled"]),
        ("Metadata service", metadata_table(service)),
        ("Metadata service reach", reach(service["response_hop_limit"])),
        ("Image", identity(template.get("image"))),
        ("VPC", identity(template.get("vpc"))),
        ("Zone", identity(template.get("zone"))),
        ("Keys", ", ".join(filter(None, map(identity, template.get("keys", []))))),
        ("Resource group", pair(template["resource_group"])),
        ("Created", moment(template["created_at"])),
    ]


@click.command("instance-template-create")
@click.argument("instance_template_name")
@click.argument("vpc")
@click.argument("zone_name")
@click.argument("profile_name")
@click.argument("subnet", required=False)
@metadata_options
@machine_options
@is_command
def create(
    run: Is, instance_template_name: str, vpc: str, zone_name: str, profile_name: str,
    subnet: str | None, **options: Any,
) -> None:  # fmt: skip
    """Create an instance template. Its metadata setting cannot be changed afterwards.

    \b
    Example:
      linklocal is instance-template-create my-template my-vpc us-south-1 mx2-2x16 my-subnet \\
        --image ibm-debian-11-3-minimal-amd64-4 --metadata-service true
    """
    name = instance_template_name
    options |= {"name": name, "vpc": vpc, "zone": zone_name, "profile": profile_name}
    run.say(f"Creating instance template {name}")
    made = run.vpc.create_instance_template(instance_body(run, options, subnet)).result
    run.detail(made, template_details)


@click.command("instance-template-create-override-source-template")
@click.option("--source-template", required=True, metavar="ID|NAME", help="What is copied first.")
@TEMPLATE_PLACE
@metadata_options
@machine_options
@is_command
def override(run: Is, source_template: str, subnet: str | None, **options: Any) -> None:
    """Create an instance template from another one, with other values for what is named.

    \b
    Example:
      linklocal is instance-template-create-override-source-template --source-template my-template \\
        --name my-other-template --metadata-service false
    """
    source = find_template(run, source_template)
    run.say(f"Creating instance template from {source_template}")
    body = instance_body(run, options, subnet)
    body["source_template"] = {"id": source["id"]}
    run.detail(run.vpc.create_instance_template(body).result, template_details)


@click.command("instance-create-from-template")
@click.option("--template", "--template-id", required=True, metavar="ID|NAME", help="The template.")
@TEMPLATE_PLACE
@metadata_options
@profile_options
@machine_options
@wait_option
@is_command
def create_instance(run: Is, template: str, subnet: str | None, wait: bool, **options: Any) -> None:
    """Create an instance from a template, with other values for what is named.

    \b
    Example:
      linklocal is instance-create-from-template --template my-template --name my-instance
    """
    source = find_template(run, template)
    run.say(f"Creating instance from template {template}")
    body = instance_body(run, options, subnet)
    body["source_template"] = {"id": source["id"]}
    made = run.vpc.create_instance(body).result
    if wait:
        made = wait_for(run, made["id"], "running") or made
    run.detail(made, lambda instance: details(instance, created=True))


@click.command("instance-templates")
@resource_group_filters
@is_command
def list_(
    run: Is,
    resource_group_id: str | None,
    resource_group_name: str | None,
    all_resource_groups: bool,
) -> None:
    """List the instance templates of the region.

    \b
    Example:
      linklocal is instance-templates
    """
    run.say(f"Listing instance templates in region {run.session.region}")
    items = [
        item
        for item in run.vpc.list_instance_templates().result["templates"]
        if resource_group_id in (None, item["resource_group"]["id"])
        and resource_group_name in (None, item["resource_group"]["name"])
    ]
    run.listing(items, TEMPLATE_HEADER, template_row)


@click.command("instance-template")
@click.argument("template")
@is_command
def show(run: Is, template: str) -> None:
    """Show an instance template, by name or id.

    \b
    Example:
      linklocal is instance-template my-template
    """
    run.say(f"Getting instance template {template}")
    run.detail(find_template(run, template), template_details)


@click.command("instance-template-update")
@click.argument("template")
@click.option(
    "--name", required=True, metavar="NEW_NAME", help="New name; nothing else can change."
)
@is_command
def update(run: Is, template: str, name: str) -> None:
    """Rename an instance template.

    \b
    Example:
      linklocal is instance-template-update my-template --name my-new-name
    """
    found = find_template(run, template)
    run.say(f"Updating instance template {template}")
    run.detail(
        run.vpc.update_instance_template(found["id"], {"name": name}).result, template_details
    )


@click.command("instance-template-delete")
@click.argument("templates", nargs=-1, required=True, metavar="TEMPLATE1 TEMPLATE2 ...")
@force_option
@is_command
def delete(run: Is, templates: tuple[str, ...], force: bool) -> None:
    """Delete instance templates. Instances made from them stay.

    \b
    Example:
      linklocal is instance-template-delete my-template -f
    """
    found = [find_template(run, typed) for typed in templates]
    confirm(f"Delete {', '.join(item['name'] for item in found)}?", force)
    for item in found:
        run.say(f"Deleting instance template {item['name']}")
        run.vpc.delete_instance_template(item["id"])
    run.done()


COMMANDS = (create, override, create_instance, list_, show, update, delete)
