"""The help of every command, and the page that is made of it."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from linklocal.cli.main import cli
from linklocal.cli.reference import reference, walk

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "cli.md"
COMMANDS = [
    (path, command)
    for path, command in walk(cli, "linklocal")
    if not isinstance(command, click.Group)
]


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == reference(cli), "run: linklocal cli-reference > docs/cli.md"


def test_the_page_of_settings_is_what_they_say() -> None:
    printed = CliRunner().invoke(cli, ["settings-reference"]).output
    path = DOCS / "settings.md"
    assert path.read_text() == printed, "run: linklocal settings-reference > docs/settings.md"


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_command_has_an_example_that_names_it(path: str, command: click.Command) -> None:
    assert command.help is not None
    _, mark, example = command.help.partition("Example:\n")
    assert mark
    assert path in example


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_option_is_explained(path: str, command: click.Command) -> None:
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, option.opts


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert f"_LINKLOCAL_COMPLETE={shell}_complete" in done.output
