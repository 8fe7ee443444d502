"""A `linklocal dev` in a process of its own, on a state folder that only this session has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from linklocal.errors import OperatorError
from linklocal.pytest_plugin.double import Linklocal

START_SECONDS = 60.0
STOP_SECONDS = 20.0
# Instances have loopback ports below those that the kernel gives to clients. Sessions that run at once,
# as with pytest-xdist, begin at ports of their own; where ranges meet, a port in use is passed over.
_FIRST_PORT, _PORTS_EACH, _SLOTS = 12_000, 40, 500


@contextmanager
def running(folder: Path) -> Iterator[Linklocal]:
    """A running server inside the block. `folder` is an empty one for its state, its log and the rest.

    Raises OperatorError with the end of its log when it does not start.
    """
    ready, log = folder / "ready.json", folder / "dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, fixed arguments
            [
                *(sys.executable, "-m", "linklocal", "dev", "--port", "0"),
                *("--state-dir", str(folder / "state"), "--ready-file", str(ready)),
            ],
            env=_environment(),
            stdout=output,
            stderr=output,
        )
    try:
        _wait(process, ready, log)
        with Linklocal(json.loads(ready.read_text()), folder / "state") as double:
            yield double
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """Without the developer's own settings of linklocal, which are about another server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LINKLOCAL_")}
    first = _FIRST_PORT + os.getpid() % _SLOTS * _PORTS_EACH
    return {**kept, "LINKLOCAL_LOOPBACK_PORT_BASE": str(first)}


def _wait(process: subprocess.Popen[bytes], ready: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            end = log.read_text(errors="replace")[-2000:]
            raise OperatorError(
                f"`linklocal dev` did not start:\n{end}",
                "Start it by hand: `linklocal dev --port 0`.",
            )
        time.sleep(0.02)
