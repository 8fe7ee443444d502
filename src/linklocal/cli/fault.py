"""`linklocal fault`: faults of a running `linklocal dev`, for tests of programs in any language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from linklocal.cli.options import given, output_option, session_option
from linklocal.cli.output import print_json, print_table

FAULTS = "/linklocal/v1/faults"
KINDS = (
    "latency",
    "429",
    "500",
    "truncated-body",
    "expired-token",
    "clock-offset",
    "profile-unlinked",
    "key-rotated",
)
_HEADER = ("ID", "Kind", "Instance", "Operation", "Count left", "Applied", "Setting")


@click.group()
def fault() -> None:
    """Make the metadata service of a `linklocal dev` fail on demand. Needs an Administrator."""


@fault.command()
@click.argument("kind", type=click.Choice(KINDS))
@session_option
@output_option
@click.option("--instance", help="ID or name of the instance whose calls meet it (default: all).")
@click.option(
    "--operation",
    help="Operation that meets it: jwt-token.create, instance.read, ... (default: all).",
)
@click.option(
    "--count", type=click.IntRange(1), help="Calls that meet it (default: until it is removed)."
)
@click.option(
    "--seconds", type=float, help="Of latency; of clock-offset, where it may be negative."
)
@click.option("--retry-after", type=click.IntRange(0), help="Seconds, of 429 (default 1).")
def add(
    kind: str,
    state_dir: Path | None,
    output: str | None,
    instance: str | None,
    operation: str | None,
    count: int | None,
    seconds: float | None,
    retry_after: int | None,
) -> None:
    """Put a fault into force and print its ID.

    \b
    latency           the answer comes --seconds later
    429               the call is refused for its rate, with Retry-After
    500               the call fails
    truncated-body    the connection ends in the middle of the answer's body
    expired-token     identity tokens count as expired
    clock-offset      the service's clock is --seconds ahead, or behind if negative
    profile-unlinked  no trusted profile is linked: no IAM token
    key-rotated       identity tokens are signed with another key

    \b
    Example:
      linklocal fault add 429 --instance demo --count 2 --retry-after 1
      linklocal fault add latency --seconds 0.5 --operation instance.read
    """
    from linklocal.cli.operator import OperatorClient

    body = given(
        kind=kind,
        instance=instance,
        operation=operation,
        count=count,
        seconds=seconds,
        retry_after=retry_after,
    )
    made = OperatorClient(state_dir).request("POST", FAULTS, body)
    if output:
        print_json(made)
    else:
        click.echo(made["id"])


@fault.command(name="list")
@session_option
@output_option
def list_(state_dir: Path | None, output: str | None) -> None:
    """Show the faults in force and how many calls have met each.

    \b
    Example:
      linklocal fault list
    """
    from linklocal.cli.operator import OperatorClient

    faults: list[dict[str, Any]] = OperatorClient(state_dir).request("GET", FAULTS)["faults"]
    if output:
        print_json(faults)
    elif faults:
        print_table(_HEADER, [_row(one) for one in faults])
    else:
        click.echo("No fault is in force.")


@fault.command()
@click.argument("ids", nargs=-1)
@session_option
@click.option("--all", "everything", is_flag=True, help="Remove all.")
def remove(ids: tuple[str, ...], state_dir: Path | None, everything: bool) -> None:
    """End faults.

    \b
    Example:
      linklocal fault remove --all
    """
    from linklocal.cli.operator import OperatorClient

    if everything == bool(ids):
        raise click.UsageError("Name the IDs of the faults, or give --all.")
    client = OperatorClient(state_dir)
    if everything:
        client.request("DELETE", FAULTS)
    for id in ids:
        client.request("DELETE", f"{FAULTS}/{id}")


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    setting = ""
    if "seconds" in one:
        setting = f"{one['seconds']:g} s"
    elif "retry_after" in one:
        setting = f"Retry-After {one['retry_after']} s"
    return (
        one["id"],
        one["kind"],
        one["instance"] or "all",
        one["operation"] or "all",
        "until removed" if one["count"] is None else one["count"],
        one["applied"],
        setting,
    )
