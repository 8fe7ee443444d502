"""`linklocal is`: the group of all VPC commands."""

from __future__ import annotations

import click

from linklocal.cli.is_ import attached, bare_metal, creating, image, instance, resources, template


@click.group("is")
def is_() -> None:
    """Virtual Private Cloud infrastructure, with IBM's command names and options."""


for command in (
    *instance.COMMANDS,
    *template.COMMANDS,
    *resources.COMMANDS,
    *creating.COMMANDS,
    *image.COMMANDS,
    *attached.COMMANDS,
    *bare_metal.COMMANDS,
):
    is_.add_command(command)
