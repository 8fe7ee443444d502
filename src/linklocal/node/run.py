"""`linklocal node run`: the agent as a process of its own, until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog
import uvloop

from linklocal.clock import SystemClock
from linklocal.files import raise_file_limit
from linklocal.node.agent import build
from linklocal.observability import configure_logging
from linklocal.settings import NodeSettings
from linklocal.tracing import tracing

log = structlog.get_logger(__name__)


def run_node(settings: NodeSettings) -> None:
    """Run until SIGINT or SIGTERM. Raises OperatorError when the node cannot start."""
    configure_logging(settings.log_level, settings.log_format)
    raise_file_limit()
    uvloop.run(_run(settings))


async def _run(settings: NodeSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tracing("linklocal-node", os.environ) as traces:
        agent = build(settings, SystemClock(), traces)
        said = asyncio.create_task(_say_ready(agent.ready, settings))
        try:
            await agent.run(stop)
        finally:
            said.cancel()


async def _say_ready(ready: asyncio.Event, settings: NodeSettings) -> None:
    await ready.wait()
    log.info("Node is ready", state_dir=str(settings.state_dir))
