"""`linklocal enter INSTANCE [-- COMMAND...]`: a shell or a command inside an instance, without root."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from linklocal.cli.completion import instance_names
from linklocal.cli.options import state_dir_option


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@state_dir_option
@click.argument("instance", shell_complete=instance_names)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def enter(state_dir: Path | None, instance: str, command: tuple[str, ...]) -> None:
    """Run a shell, or COMMAND, inside INSTANCE (id or name) of a `linklocal dev` of this user.

    There, 169.254.169.254 and api.metadata.cloud.ibm.com are the instance's metadata service, its
    certificate is trusted, and LINKLOCAL_API and LINKLOCAL_IAM are the server; nothing else can be reached.
    It needs no root. Settings that are changed meanwhile take effect. The exit status is the command's.

    \b
    Example:
      linklocal enter my-vm
      linklocal enter my-vm -- python app.py
    """
    from linklocal.cli.environment import environment
    from linklocal.node.enter import become, find_dev
    from linklocal.node.enter import enter as enter_instance

    dev = find_dev(state_dir or environment().state_dir)
    command = command[1:] if command[:1] == ("--",) else command
    attached, variables = enter_instance(dev, instance, os.environ)
    if not command:
        command = (os.environ.get("SHELL") or "/bin/sh",)
        if sys.stderr.isatty():
            click.echo(
                f"Inside {attached['name'] or attached['instance']}: {_state(attached)}", err=True
            )
            click.echo("Leave with `exit`.", err=True)
    elif attached["fault"] is not None or not attached["enabled"]:
        click.echo(f"Note: {_state(attached)}", err=True)
    sys.stdout.flush()
    become(command, variables)


def _state(attached: dict[str, object]) -> str:
    if attached["fault"] is not None:
        return f"{attached['fault']} Nothing answers before it runs."
    if not attached["enabled"]:
        return "its metadata service is disabled and answers 403."
    return f"its metadata service is at {attached['address']}."
