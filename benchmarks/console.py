"""Server time of every page of the console with 1,000 instances: wall and CPU, p50 and p95.

    .venv/bin/python benchmarks/console.py
    .venv/bin/python benchmarks/console.py --state /tmp/crowd       # makes them there, or finds them
    .venv/bin/python benchmarks/console.py --state /tmp/crowd --profile instances

The control plane runs in this process on a SQLite file in a temporary folder, and is asked without a
network: the time is from the request to the last byte of the page. Everything that a page could drown in
is there: 1,000 instances on one node, all linked to one trusted profile, and 1,000 calls of the last hour
of one of them.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import os
import pstats
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time

import httpx
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cloud_api import Api
from fakes.fleet import Host
from machine import SERVER_CORE, on_core, quantile

from linklocal.clock import SystemClock
from linklocal.console.app import HOW_TO_BUILD
from linklocal.console.pages import assets_built
from linklocal.document import NodeStatus
from linklocal.events import Event
from linklocal.fleet import nodes
from linklocal.iam.secrets import load_key_file
from linklocal.server.app import ControlPlane, build
from linklocal.settings import ServerSettings
from linklocal.store.migrations import upgrade

KEY = "benchmark-api-key-" + "k" * 26
CALLS = 1000
AIM = 0.1  # seconds, p95
LISTS = (
    "templates",
    "profiles",
    "api-keys",
    "ssh-keys",
    "images",
    "vpcs",
    "subnets",
    "floating-ips",
    "security-groups",
    "nodes",
    "report",
)


@dataclass
class Console:
    """A signed-in browser of a server that is full."""

    http: httpx.AsyncClient
    instance: str
    profile: str

    def pages(self) -> dict[str, str]:
        """What is measured, by name."""
        one = f"instances/{self.instance}"
        return {
            "instances": "instances",
            "search": "instances/rows?search=crowd-77",
            "instance": one,
            "metadata section": f"{one}/metadata",
            "status": f"{one}/status",
            "calls": f"{one}/calls",
            "what would break": f"{one}/preview?hop_limit=1",
            "create": "instances/new",
            "reinitialize": f"{one}/reinitialize",
            "profile": f"profiles/{self.profile}",
            **{name: name for name in LISTS},
        }

    async def load(self, path: str) -> tuple[float, float]:
        """Wall and CPU seconds of one page."""
        wall, cpu = perf_counter(), process_time()
        answer = await self.http.get(f"/console/{path}")
        took = perf_counter() - wall, process_time() - cpu
        if answer.status_code != 200:
            raise SystemExit(f"/console/{path}: {answer.status_code} {answer.text[:300]}")
        return took


@asynccontextmanager
async def full(folder: Path, count: int) -> AsyncIterator[Console]:
    """A server with that many instances."""
    settings = ServerSettings(
        state_dir=folder,
        database_url=f"sqlite:///{folder / 'linklocal.db'}",
        key_file=folder / "server.key",
    )
    upgrade(f"sqlite:///{folder / 'linklocal.db'}")
    load_key_file(folder / "server.key", create=True)
    async with build(settings, SystemClock(), url="http://console.test", dev=True) as control:
        account = (await control.bootstrap(KEY)).account_id
        transport = httpx.ASGITransport(control.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://console.test") as http:
            grant = "urn:ibm:params:oauth:grant-type:apikey"
            answer = await http.post("/identity/token", data={"grant_type": grant, "apikey": KEY})
            http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            api = Api(http, account)
            found = await api.request("GET", "/v1/instances?limit=1")
            if not found["total_count"]:
                await fill(control, api, count)
                found = await api.request("GET", "/v1/instances?limit=1")
            id = found["instances"][0]["id"]
            started = await api.request("GET", f"/v1/instances/{id}/initialization")
            await call(control, id)
            await http.post("/console/sign-in", data={"api_key": KEY})
            yield Console(http, id, started["default_trusted_profile"]["target"]["id"])


async def fill(control: ControlPlane, api: Api, count: int) -> None:
    """That many instances on a node that has applied everything."""
    host = await Host("node-1").join(control.database, control.clock.now())
    begin = perf_counter()
    made = await api.create(count)
    print(f"{count} instances made in {perf_counter() - begin:.0f} s", flush=True)
    async with control.database.transaction() as connection:
        node = await nodes.get(connection, host.node_id)
        assert node is not None
        addresses = {id: f"127.0.0.1:{10_000 + port}" for port, id in enumerate(made)}
        status = NodeStatus(node.revision, {}, addresses, "1.0")
        await nodes.report(connection, host.node_id, status, control.clock.now())


async def call(control: ControlPlane, id: str) -> None:
    """The calls of the last hour of one instance."""
    now = control.clock.now()
    async with control.database.transaction() as connection:
        for number in range(CALLS):
            refused = number % 10 == 0
            event = Event(
                time=now - timedelta(seconds=3 * number),
                action="is.metadata.instance.read",
                outcome="failure" if refused else "success",
                status=403 if refused else 200,
                trace=f"{number:032x}",
                instance_id=id,
                target=id,
                message="The metadata service is disabled." if refused else None,
                detail={"path": "/metadata/v1/instance", "protocol": "http", "peer_ttl": 64},
            )
            await control.events.record(connection, event)


async def measure(folder: Path, count: int, rounds: int) -> None:
    async with full(folder, count) as console:
        pages = console.pages()
        gc.freeze()  # as the server does when it has started
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in pages}
        for number in range(rounds + 2):  # the first two compile templates and warm caches
            for name, path in pages.items():
                took = await console.load(path)
                if number >= 2:
                    times[name].append(took)
        print(f"{rounds} loads each; load average {os.getloadavg()[0]:.1f}; milliseconds")
        print(f"{'page':<18}{'p50':>8}{'p95':>8}{'CPU p50':>9}{'CPU p95':>9}")
        for name, took in times.items():
            wall, cpu = ([pair[i] for pair in took] for i in (0, 1))
            figures = [quantile(kind, share) for kind in (wall, cpu) for share in (0.5, 0.95)]
            late = "  above the aim" if figures[3] > AIM else ""
            p50, p95, cpu50, cpu95 = (f"{figure * 1e3:.1f}" for figure in figures)
            print(f"{name:<18}{p50:>8}{p95:>8}{cpu50:>9}{cpu95:>9}{late}")


async def profiled(folder: Path, count: int, rounds: int, name: str) -> None:
    async with full(folder, count) as console:
        path = console.pages()[name]
        await console.load(path)
        profiler = cProfile.Profile()
        profiler.enable()
        for _ in range(rounds):
            await console.load(path)
        profiler.disable()
        pstats.Stats(profiler).sort_stats("cumtime").print_stats(70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--state", type=Path, help="a folder to keep the instances in")
    parser.add_argument("--profile", metavar="PAGE", help="profile one page instead")
    asked = parser.parse_args()
    if not assets_built():
        raise SystemExit(HOW_TO_BUILD)
    with tempfile.TemporaryDirectory() as place, on_core(SERVER_CORE):
        folder = asked.state or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        if asked.profile:
            uvloop.run(profiled(folder, asked.instances, asked.rounds, asked.profile))
        else:
            uvloop.run(measure(folder, asked.instances, asked.rounds))


if __name__ == "__main__":
    main()
