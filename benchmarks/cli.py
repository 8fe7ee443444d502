"""How long a command of the command line takes, as its user waits for it: wall and CPU time of a process.

    .venv/bin/python benchmarks/cli.py

Starts a `linklocal dev` of its own in a temporary folder and ends it. Modules are compiled once before it
measures, as they are in every installation after the first command, whatever the environment says.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AIMS = {"--help": 0.3, "is instances": 1.5}  # seconds
START_SECONDS = 60.0


def measure(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of one run. Raises CalledProcessError."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "linklocal", *words],
        env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
        state, ready = folder / "state", folder / "ready.json"
        dev = subprocess.Popen(
            [sys.executable, "-m", "linklocal", "dev", "--port", "0", "--state-dir", str(state),
             "--ready-file", str(ready)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready.exists():
                if dev.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("linklocal dev did not start.")
                time.sleep(0.05)
            api = json.loads(ready.read_text())["api"]
            environment = {**os.environ, "LINKLOCAL_STATE_DIR": str(state),
                           "LINKLOCAL_CONFIG_DIR": str(folder / "config")}  # fmt: skip
            load = os.getloadavg()[0]
            print(f"{runs} runs each against {api}; load average {load:.1f}")
            for command, aim in AIMS.items():
                measure(command.split(), environment)  # compiles
                measured = [measure(command.split(), environment) for _ in range(runs)]
                wall, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
                best = min(wall for wall, _ in measured)
                took = f"wall {wall:.2f} s (best {best:.2f}), CPU {cpu:.2f} s"
                print(f"linklocal {command:<14} {took}; aim {aim} s")
        finally:
            dev.terminate()
            dev.wait(30)


if __name__ == "__main__":
    main()
