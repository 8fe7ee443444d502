"""99 instances that behave while the hundredth floods: their latency before, during and after."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from keepalive import Guest
from machine import CLIENT_CORE, on_core, program, quantile
from servers import INSTANCE_PATH, documents, node

GUESTS = 99
PERIOD = 0.2  # seconds between the calls of one guest
RATE = 2000.0  # calls a second and instance: the default of `instance_rate`


def isolation(folder: Path, seconds: float) -> Iterator[str]:
    """The flood is wrk with 128 connections at low priority: it must not starve the guests' own core."""
    wrk = program("wrk", "wrk")
    with node(folder / "node", documents(GUESTS + 1), rate=RATE) as ours, on_core(CLIENT_CORE):
        p99 = {}
        for name, delays, errors in asyncio.run(_measure(wrk, ours.ports, seconds)):
            p99[name] = quantile(delays, 0.99)
            yield (
                f"{name:7} {len(delays):6} calls of {GUESTS} guests  errors {errors}  "
                f"p50 {quantile(delays, 0.5) * 1e3:.2f} ms  p99 {p99[name] * 1e3:.2f} ms"
            )
    yield f"RATIO {p99['during'] / p99['before']:.2f} of the p99 before the flood (aim 2)"


async def _measure(
    wrk: str, ports: list[int], seconds: float
) -> list[tuple[str, list[float], int]]:
    token = await (await Guest.connect(ports[-1])).token()
    before = await _behave(ports[:-1], seconds)
    command = [wrk, "-t1", "-c128", f"-d{round(seconds) + 2}s", "-H", "Host: 169.254.169.254"]
    command += ["-H", f"Authorization: Bearer {token}"]
    flood = await asyncio.create_subprocess_exec(
        *command,
        f"http://127.0.0.1:{ports[-1]}{INSTANCE_PATH}",
        stdout=asyncio.subprocess.DEVNULL,
        preexec_fn=lambda: os.nice(15),
    )
    await asyncio.sleep(1)
    during = await _behave(ports[:-1], seconds)
    await flood.wait()
    await asyncio.sleep(2)
    after = await _behave(ports[:-1], seconds)
    return [("before", *before), ("during", *during), ("after", *after)]


async def _behave(ports: list[int], seconds: float) -> tuple[list[float], int]:
    """Each guest reads its instance every PERIOD over one connection. Delays, and calls that failed."""
    delays: list[float] = []
    failed = 0

    async def one(number: int, port: int) -> None:
        nonlocal failed
        guest = await Guest.connect(port)
        headers = {"Authorization": f"Bearer {await guest.token()}"}
        await asyncio.sleep(PERIOD * number / GUESTS)
        for _ in range(max(1, round(seconds / PERIOD))):
            begin = perf_counter()
            status, _ = await guest.call("GET", INSTANCE_PATH, headers)
            delays.append(perf_counter() - begin)
            failed += status != 200
            await asyncio.sleep(max(0.0, PERIOD - (perf_counter() - begin)))
        guest.close()

    await asyncio.gather(*(one(n, port) for n, port in enumerate(ports)))
    return delays, failed
