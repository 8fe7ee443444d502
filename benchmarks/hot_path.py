"""What one GET of an instance costs in the node, in memory: no socket, no kernel, no other process.

`.venv/bin/python benchmarks/hot_path.py [--profile]` prints microseconds of CPU a call: the best round.
Use it before and after a change of the hot path; use `data_plane.py` for what a guest sees.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fakes.documents import full_document
from fakes.signer import FakeSigner
from fakes.upstream import FakeUpstream

from linklocal.clock import SystemClock
from linklocal.events import Event
from linklocal.ids import new_request_id
from linklocal.metadata import routes
from linklocal.metadata.served import Served
from linklocal.metadata.wire import Request
from linklocal.node.hosts import HostPolicy
from linklocal.node.http import Connection
from linklocal.node.limits import Limits, Totals
from linklocal.node.listener import Listener

ROUNDS = 7
CALLS = 5_000


class _NoEvents:
    def record(self, event: Event) -> None:
        """Dropped: the buffer is not measured here."""


class _Transport(asyncio.Transport):
    """Takes what is written and drops it."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        """Dropped."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def best(call: Callable[[], object]) -> float:
    """CPU seconds a call in the fastest round: what else runs on the machine only ever adds."""
    rounds = []
    for _ in range(ROUNDS):
        begin = process_time()
        for _ in range(CALLS):
            call()
        rounds.append((process_time() - begin) / CALLS)
    return min(rounds)


async def _calls() -> dict[str, Callable[[], object]]:
    clock = SystemClock()
    served = Served(full_document(), FakeSigner(), clock)
    upstream = FakeUpstream()
    create = Request(
        "PUT", "/identity/v1/token", "version=2025-08-26", {"metadata-flavor": "ibm"}, b"{}"
    )
    made = routes.handle(create, served, upstream)
    answer = await made  # type: ignore[misc] # create token is always awaited
    token = answer.body.decode().split('"access_token":"')[1].split('"')[0]
    headers = {"host": "169.254.169.254", "authorization": f"Bearer {token}", "accept": "*/*"}
    read = Request("GET", "/metadata/v1/instance", "version=2025-08-26", headers)
    listener = Listener(
        served,
        upstream,
        events=_NoEvents(),
        limits=Limits(turn=sys.maxsize),
        clock=clock,
        host_policy=HostPolicy(),
        rate=1e9,
        totals=Totals(),
    )
    connection = Connection(listener, tls=False)
    connection.connection_made(_Transport())
    wire = (
        "GET /metadata/v1/instance?version=2025-08-26 HTTP/1.1\r\nHost: 169.254.169.254\r\n"
        f"Authorization: Bearer {token}\r\nAccept: */*\r\n\r\n"
    ).encode()

    def received() -> None:
        listener.buffer[: len(wire)] = wire
        connection.buffer_updated(len(wire))

    def connected() -> None:
        one = Connection(listener, tls=False)
        one.connection_made(_Transport())
        listener.buffer[: len(wire)] = wire
        one.buffer_updated(len(wire))
        one.connection_lost(None)

    answered = routes.handle(read, served, upstream)
    assert getattr(answered, "status", None) == 200, answered
    return {
        "new_request_id": new_request_id,
        "check_token, seen before": lambda: served.check_token(token),
        "routes.handle": lambda: routes.handle(read, served, upstream),
        "bytes in -> bytes out": received,
        "the same on a new connection": connected,
    }


async def _main(profile: bool) -> None:
    calls = await _calls()
    for name, call in calls.items():
        print(f"{best(call) * 1e6:8.2f} us  {name}")
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(best, calls["bytes in -> bytes out"])
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="also show where the time goes")
    asyncio.run(_main(parser.parse_args().profile))
