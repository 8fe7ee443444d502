"""The README's first minute, block by block, against a running `linklocal dev`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from live import Dev, clean_environment

README = Path(__file__).parents[2] / "README.md"
SECTION = "## The first minute"
# What stands in the README -> what this run has in its place. Nothing else is changed.
LITERALS = {
    "http://127.0.0.1:8080": "{api}",
    "http://127.0.0.1:8775": "{demo}",
    "/var/lib/linklocal": "{state}",
}


def blocks(language: str) -> list[str]:
    text = README.read_text()
    section = text[text.index(SECTION) :]
    section = section[: section.index("\n## ", 1)]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def filled(block: str, dev: Dev) -> str:
    demo = next(i["metadata"] for i in dev.ready["instances"] if i["name"] == "demo")
    values = {"{api}": dev.api, "{demo}": demo, "{state}": str(dev.state_dir)}
    for literal, name in LITERALS.items():
        block = block.replace(literal, values[name])
    return block


def test_the_number_of_blocks() -> None:
    """A new block must be run here, too."""
    assert (len(blocks("sh")), len(blocks("python"))) == (2, 2)


@pytest.mark.needs("curl", "curl")
def test_shell_blocks(dev: Dev) -> None:
    environment = {
        **clean_environment(),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LINKLOCAL_STATE_DIR": str(dev.state_dir),
    }
    outputs = [
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", filled(block, dev)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        for block in blocks("sh")
    ]

    assert '"name":"demo"' in outputs[0]
    assert '"access_token":"ey' in outputs[0]
    assert "Response hop limit" in outputs[1]


def test_python_blocks(dev: Dev) -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", filled(block, dev)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for block in blocks("python")
    ]

    assert "demo" in outputs[0]
    attached = [a for a in dev.attachments().values() if a["name"] == "my-instance"]
    assert [a["enabled"] for a in attached] == [True]
