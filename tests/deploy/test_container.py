"""The container file against the tree: what it copies is there, what it runs and sets is known.

Building it takes a registry, which tests do not have.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

from linklocal.cli.main import cli
from linklocal.settings import ServerSettings

ROOT = Path(__file__).parents[2]
LINES = re.findall(r"^([A-Z]+) (.*)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)


def of(instruction: str) -> list[str]:
    return [rest for name, rest in LINES if name == instruction]


def test_what_is_copied_is_in_the_tree() -> None:
    sources = [
        source
        for line in of("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source


def test_it_sets_what_linklocal_reads_and_runs_what_it_has() -> None:
    names = [word.partition("=")[0] for word in of("ENV")[0].split()]
    settings = [name for name in names if name.startswith("LINKLOCAL_")]
    assert settings
    for name in settings:
        assert name.removeprefix("LINKLOCAL_").lower() in ServerSettings.model_fields
    assert json.loads(of("ENTRYPOINT")[0]) == ["linklocal"]
    assert CliRunner().invoke(cli, [*json.loads(of("CMD")[0]), "--help"]).exit_code == 0


def test_every_stage_that_is_copied_from_exists() -> None:
    stages = [line.partition(" AS ")[2] for line in of("FROM")]
    for line in of("COPY"):
        if line.startswith("--from="):
            assert line.split()[0].removeprefix("--from=") in stages
