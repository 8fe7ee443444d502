"""The files of deploy/hooks: each calls what linklocal has, in the words of what it is installed for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from linklocal.cli.main import cli
from linklocal.node.guests import ANNOTATION, LIBVIRT_BEGINS, LIBVIRT_ENDS

FOLDER = Path(__file__).parents[2] / "deploy" / "hooks"
PROGRAM = "/opt/linklocal/bin/linklocal"


def test_the_oci_hook_is_for_containers_with_the_annotation() -> None:
    read = json.loads((FOLDER / "oci.json").read_text())
    [pattern] = read["when"]["annotations"]

    assert read["version"] == "1.0.0"
    assert read["hook"]["path"] == PROGRAM
    assert CliRunner().invoke(cli, [*read["hook"]["args"][1:], "--help"]).exit_code == 0
    assert re.search(pattern, ANNOTATION)
    assert not re.search(pattern, "xlinklocalxinstancex")
    assert read["stages"] == ["createRuntime", "poststop"]


def test_the_libvirt_hook_passes_on_what_matters_and_says_nothing_else(tmp_path: Path) -> None:
    """What it prints would be taken for the domain's XML."""
    program = tmp_path / "linklocal"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    script = tmp_path / "qemu"
    script.write_text((FOLDER / "libvirt-qemu").read_text().replace(PROGRAM, str(program)))
    script.chmod(0o755)
    for operation in ("prepare", "start", "started", "stopped", "release", "migrate", "restore",
                      "reconnect", "attach"):  # fmt: skip
        said = subprocess.run(
            [script, "web", operation, "begin", "-"],
            check=True, capture_output=True, text=True, timeout=20,
        ).stdout  # fmt: skip
        passed = operation in (*LIBVIRT_BEGINS, *LIBVIRT_ENDS)
        assert said == (f"node hook libvirt web {operation} begin -\n" if passed else "")


@pytest.mark.needs("systemd-analyze", "systemd")
def test_systemd_understands_the_drop_in(tmp_path: Path) -> None:
    """With a unit and a program in the place of systemd-nspawn's and linklocal's."""
    drop_in = (FOLDER / "nspawn.conf").read_text().replace(PROGRAM, shutil.which("true") or "")
    drop_in = drop_in.replace("#Environment", "Environment")
    (tmp_path / "systemd-nspawn@web.service.d").mkdir()
    (tmp_path / "systemd-nspawn@web.service.d" / "linklocal.conf").write_text(drop_in)
    (tmp_path / "systemd-nspawn@.service").write_text(
        f"[Service]\nType=notify\nExecStart={shutil.which('true')}\n"
    )
    (tmp_path / "linklocal-node.service").write_text(
        f"[Service]\nExecStart={shutil.which('true')}\n"
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "systemd-nspawn@web.service")],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "linklocal" not in done.stderr, done.stderr


def test_the_drop_in_calls_what_linklocal_has() -> None:
    lines = dict(
        line.split("=", 1)
        for line in (FOLDER / "nspawn.conf").read_text().splitlines()
        if line.startswith("Exec")
    )
    for name, change in (("ExecStartPost", "attach"), ("ExecStopPost", "detach")):
        command = lines[name].removeprefix("-").removeprefix(f"{PROGRAM} ").split()
        assert command == ["node", "hook", "nspawn", change, "%i"]
        assert CliRunner().invoke(cli, [*command, "--help"]).exit_code == 0
