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
# `alias ibmcloud=linklocal`: whoever has that gets what it stands for; IBM's own program keeps its own.
_ALIASED = {
    "bash": """\
_linklocal_aliased() { set -- linklocal "${@:2}"; _linklocal_completion "$@"; }
case $(type -t ibmcloud) in
    alias|function) complete -o nosort -F _linklocal_aliased ibmcloud ;;
esac
""",
    # zsh and fish complete an alias as what it stands for; a function has to be named.
    "zsh": """\
(( $+functions[ibmcloud] )) && compdef _linklocal_completion ibmcloud
""",
    "fish": """\
if functions --query ibmcloud
    complete --command ibmcloud --wraps linklocal
end
""",
}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: commands, options, and names of instances and servers.
    Where `ibmcloud` is an alias or a function when the script is read, it is completed, too.

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
    click.echo(_ALIASED[shell])


def instance_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Instances of the server whose name begins so, with their status. Empty when nobody answers."""
    return _offered(context, incomplete, "instances")


def server_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Bare metal servers whose name begins so, with their status. Empty when nobody answers."""
    return _offered(context, incomplete, "bare_metal_servers")


def machine_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Instances, then bare metal servers, for commands that take either."""
    return [
        *_offered(context, incomplete, "instances"),
        *_offered(context, incomplete, "bare_metal_servers"),
    ]


def _offered(context: click.Context, incomplete: str, collection: str) -> list[CompletionItem]:
    state_dir: Path | None = context.params.get("state_dir")
    return [
        CompletionItem(item["name"], help=item["status"])
        for item in _listed(state_dir, collection)
        if item["name"].startswith(incomplete)
    ]


def _listed(state_dir: Path | None, collection: str) -> list[dict[str, Any]]:
    # Not IBM's SDK, which takes half a second to import: a completion must answer at once.
    import httpx

    from linklocal.cli.operator import OperatorClient

    try:
        client = OperatorClient(state_dir, timeout=SECONDS)
        found: list[dict[str, Any]] = client.request(
            "GET", f"/v1/{collection}?version=2024-11-12&generation=2&limit=100"
        )[collection]
    except (OperatorError, httpx.HTTPError, ValueError, KeyError):
        return []
    return found
