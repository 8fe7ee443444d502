"""The data plane's benchmarks, side by side in one run. `--help` says how; README.md what is printed.

Run by hand, on a quiet machine. Nothing here fails because something was slow.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # its documents and its dev server

import enforcement
import flood
import memory
import publication
import storm
import throughput
from machine import CLIENT_CORE, SERVER_CORE, Missing

Benchmark = Callable[[Path, float], Iterator[str]]
BENCHMARKS: dict[str, tuple[str, Benchmark]] = {
    "get": ("GET instance against nginx", throughput.gets),
    "mint": ("Create token against openssl speed rsa2048", throughput.mint),
    "memory": ("Memory of 1,000 idle listeners", memory.idle),
    "flood": ("99 instances while the hundredth floods", flood.isolation),
    "enforcement": ("A change until it is enforced", enforcement.changes),
    "publication": ("What an instance sees, from the API's response", publication.publications),
    "storm": ("A boot storm of 1,000 instances", storm.boots),
}


def main() -> None:
    """Run what was asked for, in order, each in a temporary folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=list(BENCHMARKS), metavar="NAME",
                        help=f"one of {', '.join(BENCHMARKS)}; may be repeated")  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of each run of a load generator"
    )
    options = parser.parse_args()
    if not 1 <= options.seconds <= 60:
        parser.error("--seconds must be between 1 and 60")
    load = os.getloadavg()[0]
    print(
        f"server on core {SERVER_CORE}, load generator on core {CLIENT_CORE}; load average {load:.1f}"
    )
    if SERVER_CORE == CLIENT_CORE:
        print("There is one core only: server and load generator take it from each other.")
    for name in options.only or BENCHMARKS:
        title, benchmark = BENCHMARKS[name]
        print(f"\n{title}  [{name}]", flush=True)
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="linklocal-benchmark-") as folder:
            try:
                for line in benchmark(Path(folder), options.seconds):
                    print(f"  {line}", flush=True)
            except Missing as missing:
                print(f"  not run: {missing}")
        print(f"  ({time.monotonic() - begin:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
