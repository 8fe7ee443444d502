"""`linklocal ca`: the root certificates that guests and verifiers install."""

from __future__ import annotations

from pathlib import Path

import click

from linklocal.cli.options import state_dir_option


@click.command()
@click.argument("which", type=click.Choice(["tls", "identity"]), default="tls")
@state_dir_option
def ca(which: str, state_dir: Path | None) -> None:
    """Print a root certificate (PEM).

    \b
    tls       signs the listeners' certificates; the one that guests trust for https
    identity  signs instance identity certificates
    \b
    Example:
      linklocal ca identity > identity-ca.pem
      openssl verify -CAfile identity-ca.pem -untrusted intermediate.pem leaf.pem
    """
    from linklocal.cli.operator import OperatorClient

    click.echo(OperatorClient(state_dir).text(f"/ca/{which}.pem"), nl=False)
