"""Programs inside an instance, by `linklocal enter` of an unprivileged user: for tests and for examples."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from live import Dev, clean_environment, running

NOBODY = "65534"
# Root without any right that root has: for a checkout that other users cannot read.
_POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


def unprivileged() -> tuple[tuple[str, ...], str]:
    """What runs a command as a user without rights, and a Python that this user can run.

    Nothing for a user that has none anyway. The checkout's Python may be in a folder that is closed to
    others: then the system's of the same version takes its place, with the checkout's packages.
    """
    if os.geteuid() != 0:
        return (), sys.executable
    other = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/python{version}"):
        # By a shell of that user: setpriv itself can still start what the user cannot.
        tried = ("sh", "-c", "exec $0 -c 'import linklocal.cli.main'", python)
        done = subprocess.run(
            [*other, *tried],
            env=_environment(),
            capture_output=True,
            check=False,
            timeout=60,
            cwd="/",
        )
        if done.returncode == 0:
            return other, python
    return _POWERLESS, sys.executable


def _environment() -> dict[str, str]:
    return {**clean_environment(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path[1:]))}


@contextmanager
def entered_dev() -> Iterator[Inside]:
    """A `linklocal dev` of an unprivileged user, and the way into its instances."""
    user, python = unprivileged()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if f"--reuid={NOBODY}" in user:
            os.chown(folder, int(NOBODY), int(NOBODY))
        with running(folder / "state", user=user) as dev:
            yield Inside(dev, user, python, folder)


@dataclass(frozen=True)
class Inside:
    """`linklocal enter` against one dev, as the user that runs it."""

    dev: Dev
    user: Sequence[str]
    python: str
    home: Path

    def command(self, instance: str, *command: str) -> list[str]:
        """The command line of a command inside an instance."""
        return [
            *self.user, self.python, "-m", "linklocal", "enter",
            "--state-dir", str(self.dev.state_dir), instance, *(("--", *command) if command else ()),
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {**_environment(), "HOME": str(self.home), "SHELL": "/bin/sh"}

    def run(self, instance: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end."""
        return subprocess.run(
            self.command(instance, *command), env=self.environment(), cwd="/",
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    @contextmanager
    def shell(self, instance: str) -> Iterator[Shell]:
        """A shell inside that stays open."""
        process = subprocess.Popen(
            self.command(instance), env=self.environment(), cwd="/", text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with process:
            try:
                yield Shell(process)
            finally:
                process.send_signal(signal.SIGKILL)


@dataclass(frozen=True)
class Shell:
    """One open shell; a test's own time limit ends what hangs."""

    process: subprocess.Popen[str]

    def run(self, line: str) -> tuple[int, str]:
        """Exit status and output of one command line."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{{ {line}\n}} </dev/null; printf '\\n:%s:\\n' $?\n")
        self.process.stdin.flush()
        lines: list[str] = []
        while not (lines and lines[-1].startswith(":") and lines[-1].endswith(":\n")):
            read = self.process.stdout.readline()
            assert read, "".join(lines)
            lines.append(read)
        return int(lines[-1][1:-2]), "".join(lines[:-1]).strip()

    def ok(self, line: str) -> str:
        """Its output; it must succeed."""
        status, output = self.run(line)
        assert status == 0, (line, output)
        return output
