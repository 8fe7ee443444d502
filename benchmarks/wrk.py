"""wrk as the load generator: run it on its core, read what it prints."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from machine import CLIENT_CORE, cpu_seconds, on_core, program

CONNECTIONS = 64
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What one run did. `cpu`: seconds of the server's CPU for each request; `errors` of any kind."""

    rate: float
    requests: int
    p50: float
    p99: float
    errors: int
    cpu: float


def run(
    port: int,
    path: str,
    *,
    pid: int,
    seconds: float,
    headers: Mapping[str, str],
    script: Path | None = None,
    connections: int = CONNECTIONS,
) -> Load:
    """One run against a server on loopback whose process id is `pid`."""
    command = [program("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--latency", "--timeout", "5s"]
    if script is not None:
        command += ["-s", str(script)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    before = cpu_seconds(pid)
    with on_core(CLIENT_CORE):
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{path}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
        )
    return _read(done.stdout, cpu_seconds(pid) - before)


def _read(text: str, cpu: float) -> Load:
    requests = int(_find(r"(\d+) requests in", text))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    socket_errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    errors = int(refused[1]) if refused else 0
    errors += sum(map(int, socket_errors.groups())) if socket_errors else 0
    return Load(
        rate=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        requests=requests,
        p50=_seconds(_find(r"^\s+50%\s+(\S+)", text)),
        p99=_seconds(_find(r"^\s+99%\s+(\S+)", text)),
        errors=errors,
        cpu=cpu / max(1, requests),
    )


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk printed something else:\n{text}")
    return found[1]


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr] # wrk's format
    return float(number) * _UNITS[unit]
