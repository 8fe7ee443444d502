"""`linklocal is image-create|image-update`: images of the account, and what may use them. Contract 5.2, 8."""

from __future__ import annotations

from typing import Any

import click

from linklocal.cli.is_.command import Is, is_command
from linklocal.cli.is_.names import find, pages, resource_group
from linklocal.cli.is_.options import F
from linklocal.cli.is_.resources import KINDS
from linklocal.errors import OperatorError

_IMAGE = next(kind for kind in KINDS if kind.singular == "image")


def allowed_use_options(function: F) -> F:
    """What may use the image, as expressions."""
    for option in (
        click.option(
            "--allowed-use-api-version", metavar="DATE",
            help="API version that the expressions are written for.",
        ),
        click.option(
            "--allowed-use-bare-metal-server", "--au-bms", metavar="EXPRESSION",
            help="Which bare metal servers may be made of it.",
        ),
        click.option(
            "--allowed-use-instance", "--au-ins", metavar="EXPRESSION",
            help="Which instances may be made of it: 'enable_secure_boot == true'.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def _allowed_use(options: dict[str, Any]) -> dict[str, Any]:
    """`{"allowed_use": {...}}` with just what was named."""
    members = {
        name: options[f"allowed_use_{name}"]
        for name in ("instance", "bare_metal_server", "api_version")
        if options[f"allowed_use_{name}"] is not None
    }
    return {"allowed_use": members} if members else {}


@click.command("image-create")
@click.argument("image_name")
@click.option("--file", metavar="URL", help="cos://REGION/BUCKET/OBJECT.qcow2; with --os-name.")
@click.option("--os-name", metavar="NAME", help="Operating system of the file.")
@click.option("--source-volume", metavar="ID|NAME", help="Boot volume to copy, in place of --file.")
@allowed_use_options
@click.option("--resource-group-id", metavar="ID", help="Its resource group.")
@click.option("--resource-group-name", metavar="NAME", help="Its resource group.")
@is_command
def create(
    run: Is,
    image_name: str,
    file: str | None,
    os_name: str | None,
    source_volume: str | None,
    **options: Any,
) -> None:
    """Create an image of one's own from a file or a boot volume.

    \b
    Example:
      linklocal is image-create my-image --file cos://us-south/my-bucket/my-image.qcow2 \\
        --os-name debian-11-amd64
    """
    body: dict[str, Any] = {"name": image_name, **_allowed_use(options)}
    if file is not None:
        body["file"] = {"href": file}
    if os_name is not None:
        body["operating_system"] = {"name": os_name}
    if source_volume is not None:
        volumes = pages(run.vpc.list_volumes, "volumes")
        body["source_volume"] = {"id": find(volumes, source_volume, "volume", "volumes")["id"]}
    body |= resource_group(run, options)
    run.say(f"Creating image {image_name}")
    run.detail(run.vpc.create_image(body).result, _IMAGE.rows)


@click.command("image-update")
@click.argument("typed", metavar="IMAGE")
@click.option("--name", metavar="NEW_NAME", help="New name.")
@allowed_use_options
@is_command
def update(run: Is, typed: str, name: str | None, **options: Any) -> None:
    """Rename an image of the account, or say what may use it.

    \b
    Example:
      linklocal is image-update my-image --allowed-use-instance 'enable_secure_boot == true'
    """
    body: dict[str, Any] = {**({} if name is None else {"name": name}), **_allowed_use(options)}
    if not body:
        raise OperatorError(
            "Nothing was named that should change.", "linklocal is image-update --help"
        )
    found = _IMAGE.find(run, typed)
    run.say(f"Updating image {typed}")
    run.detail(run.vpc.update_image(found["id"], body).result, _IMAGE.rows)


COMMANDS = (create, update)
