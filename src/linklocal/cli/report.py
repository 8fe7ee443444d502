"""`linklocal report`: how instances have their metadata service, and who calls it in old ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from linklocal.cli.options import given, output_option, session_option
from linklocal.cli.output import print_json, print_table

REPORT = "/report/v1/metadata"
_HEADER = (
    "Instance",
    "Metadata",
    "Protocol",
    "Hop limit",
    "Profiles (unused)",
    "Tokens",
    "No nonce",
    "Old path",
    "Findings",
)


@click.command()
@session_option
@output_option
@click.option("--since", help="Count calls from this time on: 2026-11-25T08:00:00Z")
@click.option("--findings", is_flag=True, help="Show only instances with which something is found.")
def report(state_dir: Path | None, output: str | None, since: str | None, findings: bool) -> None:
    """Show which instances have metadata on, over http, with a hop limit above 1, with profiles that are
    linked but not used, and with callers on the old paths or without a nonce. Needs an Administrator.

    Bare metal servers are left out: they have no hop limit, and serve no instance metadata.

    \b
    Example:
      linklocal report --findings
    """
    from linklocal.cli.operator import OperatorClient

    query = urlencode(given(since=since))
    answer = OperatorClient(state_dir).request("GET", f"{REPORT}?{query}" if query else REPORT)
    if findings:
        answer["instances"] = [one for one in answer["instances"] if one["findings"]]
    if output:
        print_json(answer)
        return
    summary = answer["summary"]
    click.echo(
        f"Calls since {answer['since']}. {summary['instances']} instances, "
        f"{summary['metadata_enabled']} with metadata on."
    )
    if answer["instances"]:
        print_table(_HEADER, [_row(one) for one in answer["instances"]])
    for finding, text in answer["explanations"].items():
        if summary[finding]:
            click.echo(f"{finding} ({summary[finding]}): {text}")


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    settings, calls, profiles = one["metadata_service"], one["calls"], one["profiles"]
    unused = sum(not profile["used"] for profile in profiles)
    return (
        one["name"],
        "on" if settings["enabled"] else "off",
        settings["protocol"],
        settings["response_hop_limit"],
        f"{len(profiles)} ({unused})",
        calls["tokens"],
        calls["without_nonce"],
        calls["legacy_path"],
        ", ".join(one["findings"]),
    )
