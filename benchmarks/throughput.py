"""GET instance against nginx, and token mint against `openssl speed`: alternating runs, medians."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import wrk
from keepalive import Guest
from machine import SERVER_CORE, median, on_core, program
from servers import INSTANCE_PATH, TOKEN_PATH, documents, nginx, node

ROUNDS = 3
_MINT_LUA = """
wrk.method = "PUT"
wrk.headers["Metadata-Flavor"] = "ibm"
wrk.body = '{"expires_in":300}'
"""


def gets(folder: Path, seconds: float) -> Iterator[str]:
    """GET instance with a checked token and events on, against nginx with its access log on."""
    program("nginx", "nginx-light")
    program("wrk", "wrk")
    with ExitStack() as stack:
        ours = stack.enter_context(node(folder / "node", documents(1)))
        token, body = asyncio.run(_token_and_body(ours.ports[0]))
        rival = stack.enter_context(nginx(folder / "nginx", body))
        headers = {"Host": "169.254.169.254", "Authorization": f"Bearer {token}"}
        yield (
            f"{len(body)} bytes; {ROUNDS} alternating runs of {seconds:g} s each, "
            f"{wrk.CONNECTIONS} connections"
        )
        for title, more in (
            ("keep-alive", {}),
            ("a connection per request", {"Connection": "close"}),
        ):
            loads: dict[str, list[wrk.Load]] = {"nginx": [], "linklocal": []}
            for _ in range(ROUNDS):
                for name, server in (("nginx", rival), ("linklocal", ours)):
                    loads[name].append(
                        wrk.run(
                            server.ports[0],
                            INSTANCE_PATH,
                            pid=server.pid,
                            seconds=seconds,
                            headers={**headers, **more},
                        )
                    )
            yield from _compared(title, loads)


def _compared(title: str, loads: dict[str, list[wrk.Load]]) -> Iterator[str]:
    middle = {}
    for name, runs in loads.items():
        rate, cpu = median([r.rate for r in runs]), median([r.cpu for r in runs])
        middle[name] = rate, cpu
        yield (
            f"{title}: {name:9} {rate:9,.0f}/s  {cpu * 1e6:6.1f} us CPU each  "
            f"p50 {median([r.p50 for r in runs]) * 1e3:.2f} ms  "
            f"p99 {median([r.p99 for r in runs]) * 1e3:.2f} ms  "
            f"errors {sum(r.errors for r in runs)}"
        )
    rate_ratio = middle["linklocal"][0] / middle["nginx"][0]
    cpu_ratio = middle["nginx"][1] / middle["linklocal"][1]
    yield f"{title}: RATIO {rate_ratio:.2f} of nginx by rate, {cpu_ratio:.2f} by server CPU (aim 0.75)"


async def _token_and_body(port: int) -> tuple[str, bytes]:
    guest = await Guest.connect(port)
    token = await guest.token()
    status, body = await guest.call("GET", INSTANCE_PATH, {"Authorization": f"Bearer {token}"})
    guest.close()
    if status != 200:
        raise RuntimeError(f"GET instance: {status} {body.decode()}")
    return token, body


def mint(folder: Path, seconds: float) -> Iterator[str]:
    """Create token over keep-alive connections, against the RSA signatures that one core can make."""
    program("wrk", "wrk")
    openssl = program("openssl", "openssl")
    signs: list[float] = []
    loads: list[wrk.Load] = []
    with node(folder / "node", documents(1)) as ours:
        script = folder / "mint.lua"
        script.write_text(_MINT_LUA)
        for _ in range(ROUNDS):
            signs.append(_signs(openssl, seconds))
            loads.append(
                wrk.run(
                    ours.ports[0],
                    TOKEN_PATH,
                    pid=ours.pid,
                    seconds=seconds,
                    headers={"Host": "169.254.169.254"},
                    script=script,
                )
            )
    rate, most = median([load.rate for load in loads]), median(signs)
    cpu = median([load.cpu for load in loads])
    yield f"openssl speed rsa2048: {most:,.0f} signatures/s"
    yield (
        f"PUT token:             {rate:,.0f}/s  {cpu * 1e6:.0f} us CPU each  "
        f"p99 {median([r.p99 for r in loads]) * 1e3:.1f} ms  errors {sum(r.errors for r in loads)}"
    )
    # openssl counts CPU time, so on a busy machine only the second one compares like with like.
    yield (
        f"RATIO {rate / most:.2f} of openssl's signing rate, {1 / (most * cpu):.2f} by CPU (aim 0.75)"
    )


def _signs(openssl: str, seconds: float) -> float:
    command = [openssl, "speed", "-seconds", str(max(1, round(seconds))), "rsa2048"]
    with on_core(SERVER_CORE):
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=4 * seconds + 60
        )
    found = re.search(r"^rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"openssl printed something else:\n{done.stdout}")
    return float(found[1])
