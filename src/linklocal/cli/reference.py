"""`docs/cli.md` from the commands themselves. `linklocal cli-reference` prints it; a test compares.

Nothing is written twice: a command's page is its help.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

HEAD = """# Command line

Every command of `linklocal`, as its `--help` says. Made by `linklocal cli-reference > docs/cli.md`.

Options that all `is` and `iam` commands have (`--output JSON`, `-q`, `--state-dir`) are in each help and
left out here. Exit status: 0 done, 1 failed or typed wrongly, 2 a process could not be started.
"""
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
