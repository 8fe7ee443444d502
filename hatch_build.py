"""Builds the console's scripts and styles into the package before a wheel or an sdist is made of it.

Needs npm only where `frontend/` is and the assets are missing or older than their sources: a wheel made
from an sdist takes the assets that the sdist brought.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's generic is not for plugins
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files. Raises when a step of npm fails."""
        frontend = Path(self.root) / "frontend"
        built = Path(self.root) / "src/linklocal/console/static/console.js"
        if version == "editable" or not frontend.is_dir() or not outdated(frontend, built):
            return
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            self.app.display_warning("npm is missing: the package is made without console assets")
            return
        subprocess.run([npm, "ci", "--ignore-scripts", "--silent"], cwd=frontend, check=True)
        subprocess.run([node, "build.mjs"], cwd=frontend, check=True)


def outdated(frontend: Path, built: Path) -> bool:
    """Whether the assets are missing or older than what they are made from."""
    if not built.exists():
        return True
    sources = [
        frontend / "package-lock.json",
        frontend / "build.mjs",
        *(frontend / "entry").iterdir(),
    ]
    return max(source.stat().st_mtime for source in sources) > built.stat().st_mtime
