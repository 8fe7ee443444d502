"""What every `linklocal is` command has: `--output JSON`, `-q`, the session, IBM's error layout.

`@is_command` gives the wrapped function an `Is` as its first argument: a lazily made client and how to
print. Control-plane contract 5.1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linklocal.cli.failures import api_failures
from linklocal.cli.options import session_option
from linklocal.cli.output import print_details, print_json, print_table
from linklocal.cli.session import Session, current, iam_client, vpc_client
from linklocal.errors import OperatorError

if TYPE_CHECKING:
    from ibm_vpc import VpcV1

BOOLEAN = click.Choice(["true", "false"])


def truth(value: str | None) -> bool | None:
    """`true`/`false` as IBM's options have them; None when not given."""
    return None if value is None else value == "true"


class Is:
    """One run of a command: its session, its client, its way of printing."""

    def __init__(self, state_dir: Path | None, output: str | None, quiet: bool) -> None:
        self._state_dir = state_dir
        self.as_json = output is not None
        self.quiet = quiet or self.as_json

    @property
    def api(self) -> str:
        """Where the calls go. Raises OperatorError when nobody is logged in."""
        return current(self._state_dir).api

    @functools.cached_property
    def session(self) -> Session:
        return current(self._state_dir).known()

    @functools.cached_property
    def vpc(self) -> VpcV1:
        return vpc_client(self.session)

    def trusted_profile(self, name: str) -> dict[str, Any]:
        """The account's trusted profile with this name. Raises OperatorError."""
        listed = iam_client(self.session).list_profiles(
            account_id=self.session.account_id, name=name
        )
        found: list[dict[str, Any]] = listed.result["profiles"]
        if not found:
            raise OperatorError(
                f"There is no trusted profile named {name!r}.", "linklocal iam trusted-profiles"
            )
        return found[0]

    def say(self, what: str) -> None:
        """The line before the answer: what is being done, for whom."""
        if not self.quiet:
            who = f"account {self.session.account_id} as user {self.session.user}"
            click.echo(f"{what} under {who}...\n")

    def listing(
        self, items: Sequence[Any], header: Sequence[str], row: Callable[[Any], Any]
    ) -> None:
        """A collection: a bare JSON array, or a table."""
        if self.as_json:
            print_json(list(items))
        elif items:
            print_table(header, map(row, items))
        else:
            click.echo("Nothing was found.")

    def detail(self, resource: Any, rows: Callable[[Any], Sequence[tuple[str, object]]]) -> None:
        """One resource: its JSON, or the two-column layout."""
        if self.as_json:
            print_json(resource)
        else:
            print_details(rows(resource))

    def done(self) -> None:
        """A command without an answer of its own."""
        if not self.as_json:
            click.echo("OK")


def is_command(function: Callable[..., None]) -> Callable[..., None]:
    """Add the common options and pass an `Is` in their place; failures exit with 1."""

    @session_option
    @click.option(
        "--output", type=click.Choice(["JSON"], case_sensitive=False), help="Print the API's JSON."
    )
    @click.option(
        "--json", "old_json", is_flag=True, hidden=True, help="Old spelling of --output JSON."
    )
    @click.option("-q", "--quiet", is_flag=True, help="Leave out the line before the answer.")
    @functools.wraps(function)
    def wrapped(
        state_dir: Path | None, output: str | None, old_json: bool, quiet: bool, **arguments: Any
    ) -> None:
        run = Is(state_dir, output or ("JSON" if old_json else None), quiet)
        with api_failures(run.api):
            function(run, **arguments)

    return wrapped
