"""Memory of idle listeners: PSS of a node with many, before and after each was read once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from keepalive import Guest
from machine import pss_kib
from servers import INSTANCE_PATH, documents, node

INSTANCES = 1000


def idle(folder: Path, seconds: float) -> Iterator[str]:
    """Three nodes: one document; 1,001 of stopped instances (no listener); 1,001 with a listener each."""
    del seconds
    with node(folder / "one", documents(1)) as few:
        base = pss_kib(few.pid)
    with node(folder / "stopped", documents(INSTANCES + 1, serving=False)) as stopped:
        without = pss_kib(stopped.pid)
    with node(folder / "serving", documents(INSTANCES + 1)) as many:
        before = pss_kib(many.pid)
        asyncio.run(_read_each(many.ports))
        after = pss_kib(many.pid)
    yield f"PSS of the node: {base / 1024:.1f} MiB with 1 instance, {before / 1024:.1f} with {INSTANCES + 1}"
    yield f"a document, kept:              {(without - base) / INSTANCES:6.2f} KiB"
    yield f"a listener, before any read:   {(before - without) / INSTANCES:6.2f} KiB (aim 8)"
    yield f"both, after a token and a read:{(after - base) / INSTANCES:6.2f} KiB, connection closed again"


async def _read_each(ports: list[int]) -> None:
    for port in ports:
        guest = await Guest.connect(port)
        authorization = {"Authorization": f"Bearer {await guest.token()}"}
        status, body = await guest.call("GET", INSTANCE_PATH, authorization)
        guest.close()
        if status != 200:
            raise RuntimeError(f"GET instance: {status} {body.decode()}")
    await asyncio.sleep(1)
