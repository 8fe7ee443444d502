"""The command line as a process: what differs on a terminal and in a pipe, and completion in a real shell."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cloud import Cloud
from live import Dev, clean_environment

SECONDS = 60.0


class User:
    """Somebody in front of a dev's machine, with a terminal or without."""

    def __init__(self, dev: Dev, folder: Path) -> None:
        program = folder / "linklocal"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m linklocal "$@"\n')
        program.chmod(0o755)
        self.environment = {
            **clean_environment(),
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "LINKLOCAL_STATE_DIR": str(dev.state_dir),
            "LINKLOCAL_CONFIG_DIR": str(folder),
        }

    def piped(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=self.environment, input=text, capture_output=True, text=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip

    def at_terminal(self, *words: str, question: str = "", answer: str = "") -> tuple[int, str]:
        """Exit status and all that was shown; `answer` is typed when `question` has come."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            words, env=self.environment, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        shown = b""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 1.0)[0]:
                continue
            try:
                part = os.read(master, 4096)
            except OSError:  # Linux: the other side is closed
                break
            shown += part
            if question and question.encode() in shown:
                os.write(master, f"{answer}\n".encode())
                question = ""
        os.close(master)
        return process.wait(20), shown.decode()


@pytest.fixture
def user(dev: Dev, tmp_path: Path) -> User:
    return User(dev, tmp_path)


def test_a_terminal_is_asked_and_shows_how_far_it_is(user: User, cloud: Cloud) -> None:
    name = cloud.create()["name"]
    stop = ("linklocal", "is", "instance-stop", name, "--wait")
    status, shown = user.at_terminal(*stop, question="[y/N]", answer="n")
    assert status == 130
    assert "Stopping" not in shown
    status, shown = user.at_terminal(*stop, question="[y/N]", answer="y")
    assert status == 0
    assert f"Waiting for {name} to become stopped ..." in shown
    start = ("linklocal", "is", "instance-start", name, "--wait")
    assert user.at_terminal(*start)[0] == 0


def test_a_pipe_is_not_asked_and_hears_only_the_answer(user: User, cloud: Cloud) -> None:
    """Not even by a `y` that waits in the pipe."""
    name = cloud.create()["name"]
    refused = user.piped("linklocal", "is", "instance-delete", name, text="y\n")
    assert refused.returncode == 1
    assert refused.stderr.endswith("Next: Add -f to go on.\n")
    done = user.piped("linklocal", "is", "instance-delete", name, "-f", "--wait", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "OK\n", "")


BASH = """
source <(linklocal completion bash)
COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_linklocal_completion linklocal
printf '%%s\\n' "${COMPREPLY[@]}"
"""


def test_completion_in_a_real_bash(user: User) -> None:
    """Commands, options, their values, and instances of the server."""
    for words, offered in (
        ("linklocal is instance-up", "instance-update"),
        ("linklocal is instance-update --metadata-service-p", "--metadata-service-protocol"),
        ("linklocal is instance dem", "demo"),
    ):
        done = user.piped("bash", "-c", BASH % words)
        assert offered in done.stdout.split(), done
