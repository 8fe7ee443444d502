"""`linklocal iam`: the group of all identity commands, and the server's own signing keys."""

from __future__ import annotations

from pathlib import Path

import click

from linklocal.cli import iam_assume, iam_keys, iam_policies, iam_profiles
from linklocal.cli.options import state_dir_option


@click.group()
def iam() -> None:
    """Identity and access: tokens, API keys, trusted profiles with links, rules and roles."""


for command in (
    *iam_keys.COMMANDS,
    *iam_profiles.COMMANDS,
    *iam_assume.COMMANDS,
    *iam_policies.COMMANDS,
):
    iam.add_command(command)


@iam.command("rotate-keys")
@state_dir_option
def rotate_keys(state_dir: Path | None) -> None:
    """Sign access tokens with a new key from now on.

    The old public key stays published until its last token has expired.

    \b
    Example:
      linklocal iam rotate-keys
    """
    from linklocal.cli.operator import OperatorClient

    made = OperatorClient(state_dir).request("POST", "/linklocal/v1/signing_keys/rotate")
    click.echo(f"New access tokens are signed with key {made['kid']}.")
    click.echo(f"The old public key is published until {made['old_key_published_until']}.")
