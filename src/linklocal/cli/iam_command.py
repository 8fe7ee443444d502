"""What every `linklocal iam` command has: the session, IBM's identity SDK, `--output JSON`, `-q`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linklocal.cli.failures import api_failures
from linklocal.cli.is_.command import Is
from linklocal.cli.is_.names import find
from linklocal.cli.options import session_option
from linklocal.cli.session import iam_client
from linklocal.errors import OperatorError

if TYPE_CHECKING:
    from ibm_platform_services import IamIdentityV1

PAGE = 100


class Iam(Is):
    """One run of a command: as `Is`, with the identity client."""

    @functools.cached_property
    def iam(self) -> IamIdentityV1:
        return iam_client(self.session)

    def all(self, method: Callable[..., Any], member: str, **filters: Any) -> list[dict[str, Any]]:
        """Everything in a collection, over all its pages."""
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            result = method(
                pagesize=PAGE, account_id=self.session.account_id, **token, **filters
            ).result
            found += result[member]
            following = result.get("next")
            if following is None:
                return found
            token = {"pagetoken": _page_token(following)}

    def profile(self, typed: str) -> dict[str, Any]:
        """A trusted profile by id, CRN or name. Raises OperatorError."""
        profiles = self.all(self.iam.list_profiles, "profiles")
        try:
            return find(profiles, typed, "trusted profile", "trusted-profiles")
        except OperatorError as error:
            raise OperatorError(error.message, "linklocal iam trusted-profiles") from error


def _page_token(url: str) -> str:
    from urllib.parse import parse_qs, urlsplit

    return parse_qs(urlsplit(url).query)["pagetoken"][0]


def iam_command(function: Callable[..., None]) -> Callable[..., None]:
    """Add the common options and pass an `Iam` in their place; failures exit with 1."""

    @session_option
    @click.option(
        "--output", type=click.Choice(["JSON"], case_sensitive=False), help="Print the API's JSON."
    )
    @click.option("-q", "--quiet", is_flag=True, help="Leave out the line before the answer.")
    @functools.wraps(function)
    def wrapped(state_dir: Path | None, output: str | None, quiet: bool, **arguments: Any) -> None:
        run = Iam(state_dir, output, quiet)
        with api_failures(run.api):
            function(run, **arguments)

    return wrapped
