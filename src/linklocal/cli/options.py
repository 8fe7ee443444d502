"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def state_dir_option(command: F) -> F:
    """`--state-dir DIR`, or LINKLOCAL_STATE_DIR; every command that looks at this machine takes it."""
    return click.option(
        "--state-dir",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="LINKLOCAL_STATE_DIR",
        help="Folder of everything that this machine keeps.",
    )(command)


def session_option(command: F) -> F:
    """`--state-dir DIR` of commands that act in a session: it wins over `linklocal login`.

    LINKLOCAL_STATE_DIR does not: `session.current` reads it when nobody is logged in.
    """
    return click.option(
        "--state-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of a `linklocal dev` to act in, in place of the session.",
    )(command)


def output_option(command: F) -> F:
    """`--output JSON`."""
    return click.option(
        "--output", type=click.Choice(["JSON"], case_sensitive=False), help="Print JSON."
    )(command)


def given(**values: Any) -> dict[str, Any]:
    """The options that were given: settings fill in the others."""
    return {name: value for name, value in values.items() if value is not None}
