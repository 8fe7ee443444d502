"""`docs/cli.md` and `docs/settings.md` from the commands and settings themselves; tests compare.

`linklocal cli-reference` and `linklocal settings-reference` print them. Nothing is written twice: a command's
page is its help, a setting's line its description.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from linklocal.cli.left_out import page

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

HEAD = """# Command line

Every command of `linklocal`, as its `--help` says. Made by `linklocal cli-reference > docs/cli.md`. The
examples are not run as they stand, as each is about resources of its own; a test holds them to the options.

Options that all `is` and `iam` commands have (`--output JSON`, `-q`, `--state-dir`) are in each help and
left out here. Exit status: 0 done, 1 failed or typed wrongly, 2 a process could not be started.
"""
SETTINGS_HEAD = """# Settings

Each process reads its settings from the environment; options of its command come before them. Made by
`linklocal settings-reference > docs/settings.md`.

`linklocal dev` is both processes and reads both lists. Lists and maps are JSON. A variable with a value that
cannot be read ends the start with the variable's name. What the command line as a client reads
(`IBMCLOUD_API_KEY`, `LINKLOCAL_API`, ...) stands in the help of `linklocal login`."""
_EVERYWHERE = {"output", "quiet", "state_dir", "old_json", "help"}


@click.command("cli-reference", hidden=True)
def cli_reference() -> None:
    """Print docs/cli.md.

    \b
    Example:
      linklocal cli-reference > docs/cli.md
    """
    root = click.get_current_context().find_root().command
    click.echo(reference(root), nl=False)


@click.command("metadata-openapi", hidden=True)
def metadata_openapi() -> None:
    """Print the OpenAPI document of the metadata API, as JSON.

    \b
    Example:
      linklocal metadata-openapi > metadata-openapi.json
    """
    from linklocal.metadata.openapi import document

    click.echo(json.dumps(document(), indent=2))


@click.command("settings-reference", hidden=True)
def settings_reference() -> None:
    """Print docs/settings.md.

    \b
    Example:
      linklocal settings-reference > docs/settings.md
    """
    from linklocal.settings import NodeSettings, ServerSettings

    parts = [SETTINGS_HEAD]
    for title, settings in (("Server", ServerSettings), ("Node", NodeSettings)):
        rows = [_setting(name, field) for name, field in settings.model_fields.items()]
        parts.append(
            f"## {title}\n\n| variable | default | what it is |\n|---|---|---|\n" + "\n".join(rows)
        )
    click.echo("\n\n".join(parts))


def _setting(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        default = "the user's state folder; `/var/lib/linklocal` for root"
    elif field.default is None:
        default = "none"
    else:
        value = field.default
        default = f"`{value if isinstance(value, str) else json.dumps(value, default=sorted)}`"
    text = " ".join((field.description or "").split()).replace("|", "\\|")
    return f"| `LINKLOCAL_{name.upper()}` | {default} | {text} |"


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that is shown, groups before their members, by name."""
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            if not command.commands[name].hidden:
                yield from walk(command.commands[name], f"{path} {name}")


def reference(root: click.Command) -> str:
    """The whole page."""
    parts = [HEAD]
    for path, command in walk(root, "linklocal"):
        level = "##" if isinstance(command, click.Group) else "###"
        parts.append(f"{level} {path}\n\n{_body(path, command)}")
    parts.append(page())
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _body(path: str, command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    head, mark, example = text.partition("Example:\n")
    lines = [head.rstrip()]
    if not isinstance(command, click.Group):
        words = " ".join(command.collect_usage_pieces(click.Context(command)))
        lines.append(f"Usage: `{path} {words}`")
        options = [_option(p) for p in command.params if isinstance(p, click.Option) and _shown(p)]
        if options:
            lines.append("\n".join(options))
    if mark:
        lines.append(f"```sh\n{inspect.cleandoc(example)}\n```")
    return "\n\n".join(lines)


def _shown(option: click.Option) -> bool:
    return not option.hidden and option.name not in _EVERYWHERE


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    value = "" if option.is_flag else f" `{option.make_metavar(click.Context(click.Command('x')))}`"
    return f"- {names}{value}" + (f": {option.help}" if option.help else "")
