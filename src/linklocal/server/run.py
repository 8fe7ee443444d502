"""Running the control plane: the socket, uvicorn around the app, the schema of the database."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from linklocal.clock import SystemClock
from linklocal.errors import OperatorError
from linklocal.files import private_folder
from linklocal.observability import configure_logging
from linklocal.server.app import build
from linklocal.settings import ServerSettings
from linklocal.store import migrations
from linklocal.tracing import tracing

# Clients keep connections open between calls; one that the server closes first fails just then.
IDLE_SECONDS = 120
DRAIN_SECONDS = 2  # what open requests and watch streams get when the server ends


@contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A listening TCP socket. Raises OperatorError (exit code 2) when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                step = "Stop what listens there, or choose another port: `--port 0` takes any free one."
            else:
                step = "Choose an address of this machine with --host."
            raise OperatorError(
                f"{host}:{port} cannot be listened on: {error.strerror}.", step, exit_code=2
            ) from error
        sock.listen(1024)
        yield sock


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process decides when it ends."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Streams:
    """Lets endless answers end with the server, instead of being waited for and cut off."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._open: set[asyncio.Task[object]] = set()
        self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        endless = False

        async def watched(message: Message) -> None:
            nonlocal endless
            await send(message)
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message.get("headers", ())}
                endless = b"content-length" not in names
            elif endless and message.get("more_body"):
                self._open.add(task)
                if self._ended:
                    task.cancel()

        try:
            await self.app(scope, receive, watched)
        except asyncio.CancelledError:
            if not (self._ended and task in self._open):
                raise
            task.uncancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._open.discard(task)

    def end(self) -> None:
        """Complete each answer that has begun and is not done, as it stands."""
        self._ended = True
        for task in self._open:
            task.cancel()


@asynccontextmanager
async def serving(app: FastAPI, sock: socket.socket) -> AsyncIterator[None]:
    """Serve the app on the socket inside the block; drain at its end."""
    streams = _Streams(app)
    config = uvicorn.Config(
        streams,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=IDLE_SECONDS,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:
        if task.done():
            task.result()
            raise OperatorError("The HTTP server ended at once.", "Look into the log above.")
        await asyncio.sleep(0.005)
    # The app lives as long as the process. Without this the collector walks all of it now and then,
    # which holds up every answer for a fifth of a second.
    gc.freeze()
    try:
        yield
    finally:
        streams.end()
        server.should_exit = True
        await task


def run_server(settings: ServerSettings, say: Callable[[str], None]) -> None:
    """`linklocal server`: run until SIGINT or SIGTERM. Raises OperatorError when it cannot start."""
    configure_logging(settings.log_level, settings.log_format)
    private_folder(settings.state_dir)
    uvloop.run(_server(settings, say))


async def _server(settings: ServerSettings, say: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with (
        tracing("linklocal-server", os.environ) as traces,
        listening_socket(settings.host, settings.port) as sock,
    ):
        host, port = sock.getsockname()[:2]
        url = settings.public_url or f"http://{host}:{port}"
        async with build(settings, SystemClock(), url=url, dev=False, traces=traces) as control:
            first_key = (await control.bootstrap(None)).api_key
            if first_key is not None:
                say(f"First API key (shown once): {first_key}")
            async with serving(control.app, sock):
                say(f"linklocal server: API {url}/v1, IAM {url}/identity/token")
                await stop.wait()


def upgrade_database(settings: ServerSettings) -> str:
    """`linklocal db upgrade`. Returns the revision that the schema is at."""
    private_folder(settings.state_dir)
    return migrations.upgrade(settings.resolved_database_url())
