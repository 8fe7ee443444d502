"""The programs in examples/ and the tests on docs/testing.md, run as their readers would run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from live import clean_environment

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SECONDS = 280


def run(folder: Path, *command: str) -> str:
    """What the command said. Fails with it when the command does."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            **clean_environment(),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


@pytest.mark.timeout(300)
def test_the_python_program_and_what_the_pages_say_about_testing(tmp_path: Path) -> None:
    """Its own tests and those of README and page, in one session: no test may leave anything to another."""
    folder = tmp_path / "app"
    shutil.copytree(EXAMPLES / "python-app", folder, ignore=shutil.ignore_patterns("__pycache__"))
    readme = (
        (ROOT / "README.md").read_text().partition("## In your tests\n")[2].partition("\n## ")[0]
    )
    page = (ROOT / "docs" / "testing.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme + page, flags=re.DOTALL)
    for number, block in enumerate(blocks):
        (folder / f"test_page_{number}.py").write_text(block)

    said = run(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")

    written = sum(len(re.findall(r"^def test_", block, flags=re.MULTILINE)) for block in blocks)
    assert (len(blocks), written) == (3, 4)
    own = 9
    assert f"{own + written} passed" in said


@pytest.mark.needs("npm", "npm")
@pytest.mark.timeout(300)
def test_the_node_program(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    shutil.copytree(EXAMPLES / "node-app", folder, ignore=shutil.ignore_patterns("node_modules"))

    run(folder, "npm", "ci", "--silent", "--prefer-offline")
    said = run(folder, "npm", "test")

    assert "# pass 4" in said
    assert "# fail 0" in said
