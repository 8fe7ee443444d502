"""`linklocal dev` and `linklocal server`: starting processes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from linklocal.cli.options import given, state_dir_option


@click.command()
@state_dir_option
@click.option("--host", help="Address to listen on (default 127.0.0.1).")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of API, IAM and console; 0 = any free (default 8080).",
)
@click.option(
    "--seed",
    type=click.Choice(["demo", "minimal", "none"]),
    default="demo",
    show_default=True,
    help="What a new state folder begins with: a full demo instance, a network without "
    "instances, or only account, key, region, profiles and images.",
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written (mode 0600) when everything answers: URLs, key and instances as JSON.",
)
@click.option("--reset", is_flag=True, help="Forget the state folder's content first.")
def dev(
    state_dir: Path | None,
    host: str | None,
    port: int | None,
    seed: Literal["demo", "minimal", "none"],
    ready_file: Path | None,
    reset: bool,
) -> None:
    """Run everything in one process: server, node and database.

    \b
    Example:
      linklocal dev
      linklocal dev --port 0 --state-dir ./state --ready-file ready.json
    """
    from linklocal.dev import DevOptions, run_dev
    from linklocal.settings import ServerSettings

    settings = ServerSettings(**given(state_dir=state_dir, host=host, port=port))
    run_dev(settings, DevOptions(seed=seed, ready_file=ready_file, reset=reset), click.echo)


@click.command()
@state_dir_option
@click.option("--host", help="Address to listen on (default 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (default 8080).")
@click.option(
    "--database-url",
    help="sqlite:///FILE or postgresql://... (default: a file in the state folder).",
)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key that encrypts the server's private keys; replicas share one.",
)
@click.option("--public-url", help="URL under which clients reach the server.")
@click.option("--region", help="The one region this server speaks for (default us-south).")
def server(
    state_dir: Path | None,
    host: str | None,
    port: int | None,
    database_url: str | None,
    key_file: Path | None,
    public_url: str | None,
    region: str | None,
) -> None:
    """Run the control plane: the VPC API and IAM. Nodes join it with `linklocal node run`.

    \b
    Example:
      linklocal server --database-url postgresql:///linklocal --key-file /etc/linklocal/server.key
    """
    from linklocal.server.run import run_server
    from linklocal.settings import ServerSettings

    settings = ServerSettings(
        **given(
            state_dir=state_dir,
            host=host,
            port=port,
            database_url=database_url,
            key_file=key_file,
            public_url=public_url,
            region=region,
        )
    )
    run_server(settings, click.echo)
