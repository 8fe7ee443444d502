"""The units of deploy/systemd: what systemd says of them, and that they set what linklocal reads."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from linklocal.settings import NodeSettings, ServerSettings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
README = Path(__file__).parents[2] / "README.md"
# Exposure levels as docs state them: 0 is closed, 10 open. The node is root, with five capabilities.
SCORES = {"linklocal-server.service": 1.2, "linklocal-node.service": 3.6}
pytestmark = pytest.mark.needs("systemd-analyze", "systemd")


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("unit", SCORES)
def test_the_exposure_is_as_stated(unit: str) -> None:
    said = analyze("security", "--offline=true", "--no-pager", str(FOLDER / unit))
    score = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert score is not None
    assert float(score[1]) <= SCORES[unit], said
    assert f"`{unit}` {SCORES[unit]}" in README.read_text()


@pytest.mark.parametrize("unit", SCORES)
def test_systemd_understands_every_line(unit: str, tmp_path: Path) -> None:
    """With a program that is there in the place of linklocal's."""
    text = (FOLDER / unit).read_text().replace("/opt/linklocal/bin/linklocal", sys.executable)
    (tmp_path / unit).write_text(text)
    said = analyze("verify", "--man=no", str(tmp_path / unit))
    assert unit not in said, said


@pytest.mark.parametrize(
    ("unit", "settings", "command"),
    [
        ("linklocal-server.service", ServerSettings, "server"),
        ("linklocal-node.service", NodeSettings, "node run"),
    ],
)
def test_they_start_linklocal_with_settings_that_it_has(
    unit: str, settings: type[ServerSettings | NodeSettings], command: str
) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FOLDER / unit)
    service = parser["Service"]
    variables = [pair.partition("=")[0] for pair in service["Environment"].split()]

    assert service["ExecStart"] == f"/opt/linklocal/bin/linklocal {command}"
    assert variables
    for name in variables:
        assert name.removeprefix("LINKLOCAL_").lower() in settings.model_fields
    state_dir = f"LINKLOCAL_STATE_DIR=/var/lib/{service['StateDirectory']}"
    assert state_dir in service["Environment"].split()
