"""A wheel, built here, installs and runs without a checkout and without Node."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from linklocal import __version__

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(
        UV,
        "build",
        "--wheel",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        folder,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_what_is_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert f"linklocal-{__version__}.dist-info/licenses/LICENSE" in names
    assert "linklocal/py.typed" in names
    assert any(name.startswith("linklocal/store/migrations/versions/0001") for name in names)
    assert "linklocal/console/templates/instance.html" in names
    information = f"linklocal-{__version__}.dist-info"
    texts = {
        name: zipfile.ZipFile(wheel).read(f"{information}/{name}").decode()
        for name in ("METADATA", "entry_points.txt")
    }
    assert "[pytest11]\nlinklocal = linklocal.pytest_plugin" in texts["entry_points.txt"]
    assert "Requires-Dist: pytest; extra == 'pytest'" in texts["METADATA"]
    assert not [name for name in names if name.startswith(("tests/", "locks/", "docs/"))]


@pytest.mark.needs("npm", "npm")
def test_the_consoles_assets_are_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assets = {name.rpartition("/")[2] for name in names if "/console/static/" in name}
    assert {"console.js", "console.css", "htmx.js", "hx-sse.js", "LICENSES.txt"} <= assets
    assert not [name for name in names if "node_modules" in name]


def test_it_installs_and_runs_without_a_checkout_and_without_node(
    wheel: Path, tmp_path: Path
) -> None:
    """The dependencies are those of this environment; the package itself comes from the wheel alone."""
    target = tmp_path / "installed"
    run(UV, "pip", "install", "--python", sys.executable, "--no-deps", "--target", target, wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Neither node nor npm is on this PATH.
    environment = {"PYTHONPATH": str(target), "PATH": str(elsewhere)}
    where = "import linklocal, linklocal.dev, linklocal.server.app; print(linklocal.__file__)"

    version = run(sys.executable, "-m", "linklocal", "--version", cwd=elsewhere, **environment)
    imported = run(sys.executable, "-c", where, cwd=elsewhere, **environment)

    assert version.split() == ["linklocal,", "version", __version__]
    assert imported.startswith(str(target))
