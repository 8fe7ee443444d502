"""The README and the pages of docs/, block by block: each is run as it stands, or says why it is not.

The blocks of one page are run in their order, shell blocks in one shell, against a running `linklocal dev`
that the pages share. `<!-- skip: next "reason" -->` above a block says why it is not run; which these are is
printed, and how many are run is pinned.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import unittest
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Dev, clean_environment, running
from sybil.document import Document
from sybil.example import Example
from sybil.parsers.markdown import CodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
# Made from the commands' help, where tests/unit/cli/test_reference.py holds the examples to the options.
MADE = {"docs/cli.md"}
LANGUAGES = ("sh", "python")
OTHERS = ("xml", "json", "yaml", "toml", "ini")  # nothing runs these: each says what reads it
# Page -> blocks that are run. A new block changes this, so that none is left out unseen.
RUN = {
    "README.md": 4,
    "docs/attaching.md": 3,
    "docs/first-steps.md": 5,
    "docs/operations.md": 3,
    "docs/testing.md": 3,
}
NEEDS_ROOT = {"docs/attaching.md"}
# What stands on a page -> what this run has in its place. Nothing else is changed.
LITERALS = {
    "http://127.0.0.1:8080": "{api}",
    "http://127.0.0.1:8775": "{demo}",
    "/var/lib/linklocal": "{state}",
}
ROOT_MARKS = (
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("nft", "nftables"),
)
SECONDS = 60.0
DONE = "--- block done ---"


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with running(tmp_path_factory.mktemp("docs") / "state") as started:
        yield started


class Reader:
    """Somebody who pastes a page's blocks: one shell and one folder for all of them."""

    def __init__(self, dev: Dev, folder: Path) -> None:
        self._dev = dev
        self._folder = folder
        self._environment = {
            **clean_environment(),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LINKLOCAL_STATE_DIR": str(dev.state_dir),
        }
        self._shell = subprocess.Popen(
            ["bash", "-euo", "pipefail"],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def filled(self, block: str) -> str:
        demo = next(i["metadata"] for i in self._dev.ready["instances"] if i["name"] == "demo")
        values = {"{api}": self._dev.api, "{demo}": demo, "{state}": str(self._dev.state_dir)}
        for literal, name in LITERALS.items():
            block = block.replace(literal, values[name])
        return block

    def sh(self, example: Example) -> None:
        """A block that fails ends the shell, as people would stop there."""
        assert self._shell.stdin
        assert self._shell.stdout
        timer = threading.Timer(SECONDS, self._shell.kill)
        timer.start()
        try:
            self._shell.stdin.write(f"{self.filled(str(example.parsed))}\necho '{DONE}'\n")
            self._shell.stdin.flush()
            said = []
            for line in self._shell.stdout:
                if line.endswith(f"{DONE}\n"):  # what a block says need not end its line
                    return
                said.append(line)
        finally:
            timer.cancel()
        pytest.fail(f"{example.path}:{example.line}: the block failed:\n{''.join(said)}")

    def python(self, example: Example) -> None:
        ran = subprocess.run(
            [sys.executable, "-c", self.filled(str(example.parsed))],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ran.returncode == 0, f"{example.path}:{example.line}: {ran.stderr}"

    def close(self) -> None:
        assert self._shell.stdin
        self._shell.stdin.close()
        self._shell.wait(20)


def blocks(page: Path, reader: Reader | None = None) -> Document:
    """A page's blocks; with a reader they can be evaluated."""
    return Document.parse(
        str(page),
        SkipParser(),
        *(CodeBlockParser(name, getattr(reader, name, _nobody)) for name in LANGUAGES),
        *(CodeBlockParser(name, _nobody) for name in OTHERS),
    )


def _nobody(_: Example) -> None:
    raise AssertionError("say what reads this block")


@pytest.mark.needs("curl", "curl")
@pytest.mark.needs("jq", "jq")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=ROOT_MARKS if name in NEEDS_ROOT else ())
        for name in (page.relative_to(ROOT).as_posix() for page in PAGES)
        if name not in MADE
    ],
)
def test_every_block_runs_or_says_why_not(name: str, dev: Dev, tmp_path: Path) -> None:
    reader = Reader(dev, tmp_path)
    not_run = {}
    ran = 0
    try:
        for example in blocks(ROOT / name, reader):
            try:
                example.evaluate()
                ran += isinstance(example.parsed, str)
            except unittest.SkipTest as skipped:
                not_run[f"{name}:{example.line}"] = str(skipped)
    finally:
        reader.close()
    print("not run:", not_run)
    assert all(not_run.values()), "say why it is not run"
    assert ran == RUN.get(name, 0)
