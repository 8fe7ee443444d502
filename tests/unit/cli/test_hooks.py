"""What a hook's engine sees: an exit status, one line on standard error, nothing on standard output."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from linklocal.cli.main import cli


def hook(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, ["node", "hook", *arguments], env=environment)


def nothing_there(*options: str) -> Result:
    """A machine whose systemd-nspawn has ended: no process has this id."""
    return hook("nspawn", *options, "attach", "web", MAINPID=str(2**22 + 1))


def test_a_guest_that_cannot_be_attached_does_not_start() -> None:
    said = nothing_there()
    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr.startswith("linklocal: The systemd-nspawn of machine web ")
    assert said.stderr.count("\n") == 1


def test_a_guest_that_may_do_without_starts() -> None:
    said = nothing_there("--optional")
    assert (said.exit_code, said.stdout) == (0, "")
    assert said.stderr.startswith("linklocal: The systemd-nspawn of machine web ")


def test_a_hook_that_systemd_does_not_run_is_told() -> None:
    said = hook("nspawn", "attach", "web")
    assert said.exit_code == 1
    assert said.stderr == (
        "linklocal: MAINPID is not set. Run this from the unit's ExecStartPost=, or give --main-pid.\n"
    )


@pytest.mark.parametrize("operation", ["prepare", "start", "stopped", "migrate", "restore", "new"])
def test_what_else_libvirt_calls_for_is_no_concern(operation: str) -> None:
    """Nor is its standard input read: it would have to be printed again at `migrate`."""
    said = hook("libvirt", "web", operation, "begin", "-")
    assert (said.exit_code, said.output) == (0, "")
