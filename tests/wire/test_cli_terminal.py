"""The command line as a process: what differs on a terminal and in a pipe, and completion in a real shell."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
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

    def at_terminal(
        self, *words: str, dialog: Sequence[tuple[str, str]] = (), **variables: str
    ) -> tuple[int, str]:
        """Exit status and all that was shown.

        `dialog`: each time, what must have been shown since the last typing, and what is typed then.
        """
        master, slave = pty.openpty()
        process = subprocess.Popen(
            words, env=self.environment | variables, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        shown, heard, left = b"", 0, list(dialog)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 1.0)[0]:
                continue
            try:
                part = os.read(master, 4096)
            except OSError:  # Linux: the other side is closed
                break
            shown += part
            if left and left[0][0].encode() in shown[heard:]:
                heard = len(shown)
                os.write(master, left.pop(0)[1].encode())
        os.close(master)
        assert not left, shown
        return process.wait(20), shown.decode()


@pytest.fixture
def user(dev: Dev, tmp_path: Path) -> User:
    return User(dev, tmp_path)


def test_a_terminal_is_asked_and_shows_how_far_it_is(user: User, cloud: Cloud) -> None:
    name = cloud.create()["name"]
    stop = ("linklocal", "is", "instance-stop", name, "--wait")
    status, shown = user.at_terminal(*stop, dialog=[("[y/N]", "n\n")])
    assert status == 130
    assert "Stopping" not in shown
    status, shown = user.at_terminal(*stop, dialog=[("[y/N]", "y\n")])
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


# Commands, options and their values, and instances of the server: what is typed, what completes it.
COMPLETED = (
    ("linklocal is instance-up", "instance-update"),
    ("linklocal is instance-update --metadata-service-p", "--metadata-service-protocol"),
    ("linklocal is instance-update --metadata-service-protocol https dem", "demo"),
)
ALIASED = ("ibmcloud is instance-up", "instance-update")
BASH = """
source <(linklocal completion bash)
COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_linklocal_completion linklocal
printf '%%s\\n' "${COMPREPLY[@]}"
"""
# Tab completes as it always does; then the line is printed whole, and the next one is empty.
ZSHRC = """
PS1='ready> '
autoload -Uz compinit
compinit -D -u
ibmcloud() { linklocal "$@"; }
source <(linklocal completion zsh)
complete-and-print() { zle expand-or-complete; zle -I; print -r -- "line: $BUFFER"; BUFFER=; }
zle -N complete-and-print
bindkey '^I' complete-and-print
"""


def test_an_alias_is_completed_too(user: User, tmp_path: Path) -> None:
    """`alias ibmcloud=linklocal`, or a function; a program of that name keeps its own completion."""
    script = BASH.replace("_linklocal_completion linklocal", '"$registered" ibmcloud')
    find = 'registered=$(complete -p ibmcloud 2>&1 | sed -n "s/.*-F \\([^ ]*\\) .*/\\1/p")\n'
    script = script.replace("COMP_WORDS", f"{find}COMP_WORDS", 1) % "ibmcloud is instance-up"
    for alias in ("shopt -s expand_aliases; alias ibmcloud=linklocal\n",
                  'ibmcloud() { linklocal "$@"; }\n'):  # fmt: skip
        done = user.piped("bash", "-c", alias + script)
        assert done.stdout.split() == ["instance-update"], done
    (tmp_path / "ibmcloud").write_text("#!/bin/sh\n")
    (tmp_path / "ibmcloud").chmod(0o755)
    done = user.piped("bash", "-c", script)
    assert not done.stdout.strip(), done


def test_completion_in_a_real_bash(user: User) -> None:
    for words, offered in COMPLETED:
        done = user.piped("bash", "-c", BASH % words)
        assert offered in done.stdout.split(), done


@pytest.mark.needs("zsh", "zsh")
def test_completion_in_a_real_zsh(user: User, tmp_path: Path) -> None:
    """Tab is pressed at its prompt."""
    (tmp_path / ".zshrc").write_text(ZSHRC)
    offered = (*COMPLETED, ALIASED)
    typed = [("ready> ", f"{words}\t") for words, _ in offered]
    status, shown = user.at_terminal(
        "zsh", "--no-globalrcs", "-i", dialog=[*typed, ("ready> ", "exit\n")],
        ZDOTDIR=str(tmp_path), TERM="xterm",
    )  # fmt: skip
    lines = [line.split() for line in shown.splitlines() if line.startswith("line: ")]
    assert [line[-1] for line in lines] == [word for _, word in offered], shown
    assert status == 0


@pytest.mark.needs("fish", "fish")
def test_completion_in_a_real_fish(user: User, tmp_path: Path) -> None:
    """`complete -C` answers what Tab would offer: each word, a tab, what it is."""
    offered = (*COMPLETED, ALIASED)
    asked = "; ".join(f"complete -C '{words}'" for words, _ in offered)
    done = user.piped(
        "env",
        f"HOME={tmp_path}",
        "fish",
        "-c",
        f"function ibmcloud; linklocal $argv; end; linklocal completion fish | source; {asked}",
    )
    lines = done.stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [word for _, word in offered], done
    assert "demo\trunning" in lines
