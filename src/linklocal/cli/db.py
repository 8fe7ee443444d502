"""`linklocal db ...`: the database's schema."""

from __future__ import annotations

from pathlib import Path

import click

from linklocal.cli.options import given, state_dir_option


@click.group()
def db() -> None:
    """The server's database."""


@db.command()
@state_dir_option
@click.option("--database-url", help="sqlite:///FILE or postgresql://...")
def upgrade(state_dir: Path | None, database_url: str | None) -> None:
    """Bring the database's schema to what this version needs. Safe to repeat.

    \b
    Example:
      linklocal db upgrade --database-url postgresql:///linklocal
    """
    from linklocal.server.run import upgrade_database
    from linklocal.settings import ServerSettings

    settings = ServerSettings(**given(state_dir=state_dir, database_url=database_url))
    click.echo(f"The schema is at {upgrade_database(settings)}.")
