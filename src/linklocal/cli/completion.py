"""Shell completion: the scripts for bash, zsh and fish, and names that come from the server.

A name is asked for with a short deadline; whatever fails, completion offers nothing and says nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from linklocal.errors import OperatorError

SECONDS = 2.0


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: commands, options, and names of instances.

    \b
    Example:
      source <(linklocal completion bash)
      linklocal completion fish > ~/.config/fish/completions/linklocal.fish
    """
    found = get_completion_class(shell)
    if found is None:  # click's table; the option above has its keys
        raise click.UsageError(f"{shell} is not known.", click.get_current_context())
    root = click.get_current_context().find_root().command
    script = found(root, {}, "linklocal", "_LINKLOCAL_COMPLETE")
    # Not `source()`: for bash it asks for its version, which needs a bash on this machine.
    click.echo(script.source_template % script.source_vars())


def instance_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Instances of the server whose name begins so, with their status. Empty when nobody answers."""
    state_dir: Path | None = context.params.get("state_dir")
    return [
        CompletionItem(item["name"], help=item["status"])
        for item in _instances(state_dir)
        if item["name"].startswith(incomplete)
    ]


def _instances(state_dir: Path | None) -> list[dict[str, Any]]:
    # Not IBM's SDK, which takes half a second to import: a completion must answer at once.
    import httpx

    from linklocal.cli.operator import OperatorClient

    try:
        client = OperatorClient(state_dir, timeout=SECONDS)
        found: list[dict[str, Any]] = client.request(
            "GET", "/v1/instances?version=2024-11-12&generation=2&limit=100"
        )["instances"]
    except (OperatorError, httpx.HTTPError, ValueError, KeyError):
        return []
    return found
