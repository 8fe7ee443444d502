"""`linklocal audit`: what the server and its nodes recorded. Needs an Administrator."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from linklocal.cli.options import given, output_option, session_option
from linklocal.cli.output import print_json, print_table

EVENTS = "/audit/v1/events"
PAGE = 500
POLL_SECONDS = 2.0
_HEADER = ("Time", "Action", "Outcome", "Status", "Target", "Initiator", "Reason", "Trace")


@click.group()
def audit() -> None:
    """Read audit events: changes, logins, metadata calls, and what was refused and why."""


@audit.command()
@session_option
@output_option
@click.option("--instance", help="ID of an instance.")
@click.option("--action", help="Name of an action: is.instance.instance.update")
@click.option("--outcome", type=click.Choice(["success", "failure"]), help="Only these.")
@click.option("--since", help="RFC 3339 time: 2026-11-25T08:00:00Z")
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="Events shown at most."
)
def query(
    state_dir: Path | None,
    output: str | None,
    instance: str | None,
    action: str | None,
    outcome: str | None,
    since: str | None,
    limit: int,
) -> None:
    """Print the newest events that match, the newest first.

    \b
    Example:
      linklocal audit query --outcome failure --since 2026-11-25T08:00:00Z
    """
    from linklocal.cli.operator import OperatorClient

    client = OperatorClient(state_dir)
    filters = given(instance=instance, action=action, outcome=outcome, since=since)
    path: str | None = f"{EVENTS}?{urlencode({**filters, 'limit': min(limit, PAGE)})}"
    events: list[dict[str, Any]] = []
    while path is not None and len(events) < limit:
        page = client.request("GET", path)
        events += page["events"]
        path = page["next"]["href"] if page["next"] else None
    del events[limit:]
    if output:
        print_json(events)
    elif events:
        print_table(_HEADER, [_row(event) for event in events])
    else:
        click.echo("No event matches.")


@audit.command()
@session_option
@click.option(
    "--lines", "-n", type=click.IntRange(0, PAGE), default=20, show_default=True,
    help="Events to begin with.",
)  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until interrupted.")
def tail(state_dir: Path | None, lines: int, follow: bool) -> None:
    """Print the last events as JSON lines, the newest last.

    \b
    Example:
      linklocal audit tail --follow
    """
    from linklocal.cli.operator import OperatorClient

    client = OperatorClient(state_dir)
    page = client.request("GET", f"{EVENTS}?limit={max(1, lines)}")
    newest = page["newest"] or 0
    _print_lines(page["events"][:lines])
    while follow:
        time.sleep(POLL_SECONDS)
        newest = _print_new(client.request, newest)


def _print_new(request: Any, newest: int) -> int:
    """Print what came after the event of this number; the number of the newest since."""
    pages: list[list[dict[str, Any]]] = []
    path: str | None = f"{EVENTS}?{urlencode({'after': newest, 'limit': PAGE})}"
    while path is not None:
        page = request("GET", path)
        if not pages and page["newest"] is not None:
            newest = page["newest"]
        pages.append(page["events"])
        path = page["next"]["href"] if page["next"] else None
    for events in reversed(pages):
        _print_lines(events)
    return newest


def _print_lines(events: list[dict[str, Any]]) -> None:
    for event in reversed(events):
        click.echo(json.dumps(event, separators=(",", ":")))


def _row(event: dict[str, Any]) -> tuple[object, ...]:
    return (
        event["eventTime"],
        event["action"],
        event["outcome"],
        event["reason"]["reasonCode"],
        event["target"].get("id"),
        event["initiator"].get("id"),
        event["requestData"].get("reason"),
        event["eventId"],
    )
