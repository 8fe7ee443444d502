"""The command line run inside the test's process: IBM's SDK is then imported once, not for each command."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from live import clean_environment

from linklocal.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command printed and its exit status."""

    stdout: str
    stderr: str
    status: int

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Terminal:
    """A user in front of one state folder, with a configuration folder of its own. No terminal."""

    def __init__(self, state_dir: Path | None, config_dir: Path, **variables: str) -> None:
        self.variables = {"LINKLOCAL_CONFIG_DIR": str(config_dir), **variables}
        if state_dir is not None:
            self.variables["LINKLOCAL_STATE_DIR"] = str(state_dir)

    def run(self, *arguments: str, **variables: str) -> Done:
        """Run `linklocal ARGUMENTS` to its end."""
        raw = io.BytesIO(), io.BytesIO()
        out, err = (io.TextIOWrapper(buffer, "utf-8", write_through=True) for buffer in raw)
        status = 0
        stdin, sys.stdin = sys.stdin, io.StringIO()
        try:
            with (
                _environment(clean_environment() | self.variables | variables),
                redirect_stdout(out),
                redirect_stderr(err),
            ):
                main(list(arguments))
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            sys.stdin = stdin
        texts = [buffer.getvalue().decode() for buffer in raw]
        return Done(texts[0], texts[1], status)

    def ok(self, *arguments: str, **variables: str) -> str:
        """What it prints; it must succeed."""
        done = self.run(*arguments, **variables)
        assert done.status == 0, done
        return done.stdout

    def json(self, *arguments: str, **variables: str) -> Any:
        """Its `--output JSON`; it must succeed."""
        return json.loads(self.ok(*arguments, "--output", "JSON", **variables))

    def refused(self, *arguments: str, **variables: str) -> str:
        """What it says on stderr; it must fail with 1, `FAILED` first and a next step last."""
        done = self.run(*arguments, **variables)
        assert done.status == 1, done
        lines = done.stderr.strip().splitlines()
        assert lines[0] == "FAILED", done
        assert lines[-1].startswith("Next: "), done
        return done.stderr
