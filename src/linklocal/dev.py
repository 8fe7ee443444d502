"""`linklocal dev`: server, node and SQLite file in one process, seeded, for a newcomer's first minute.

The node talks to the server through the same routes and stream as on a fleet, over loopback, so that
this shortcut cannot rot. It knows everything below it and nothing imports it but the command line.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from fastapi import FastAPI
from pydantic import SecretStr

from linklocal.clock import SystemClock
from linklocal.errors import OperatorError
from linklocal.files import private_folder, raise_file_limit, sole_owner, write_private
from linklocal.iam.bootstrap import SetUp
from linklocal.iam.caller import Caller
from linklocal.node.agent import build as build_node
from linklocal.node.listener import Listener
from linklocal.node.local_api import attachments_of
from linklocal.observability import configure_logging
from linklocal.server import routing
from linklocal.server.app import ControlPlane, build
from linklocal.server.run import listening_socket, serving
from linklocal.server.seed import SeedLevel, seed
from linklocal.settings import NodeSettings, ServerSettings
from linklocal.testing.faults import Faults
from linklocal.testing.injection import CuttingConnection, Injection
from linklocal.testing.routes import keys_routes, testing_routes
from linklocal.tracing import tracing

READY_SECONDS = 30.0  # how long a start may take before it is a failure
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DevOptions:
    """Options of the command that are no settings of the server."""

    seed: SeedLevel = "demo"
    ready_file: Path | None = None
    reset: bool = False


def run_dev(settings: ServerSettings, options: DevOptions, say: Say) -> None:
    """Run until SIGINT or SIGTERM. Raises OperatorError when it cannot start."""
    configure_logging(
        "warning" if settings.log_level == "info" else settings.log_level, settings.log_format
    )
    raise_file_limit()  # each instance's listener takes two descriptors
    folder = private_folder(settings.state_dir)
    with sole_owner(folder, "linklocal dev"):
        if options.reset:
            _forget(folder)
        (folder / "dev.json").unlink(missing_ok=True)
        uvloop.run(_dev(settings, options, say))


def _forget(folder: Path) -> None:
    """Empty a state folder, but only one that linklocal made."""
    known = {
        "linklocal.db",
        "linklocal.db-wal",
        "linklocal.db-shm",
        "linklocal.db.lock",
        "server.key",
        "apikey",
        "ca.pem",
        "identity-ca.pem",
        "dev.json",
        "node",
        "lock",
        "audit",
        "events",
    }
    strangers = {path.name for path in folder.iterdir() if path.suffix != ".tmp"} - known
    if strangers:
        raise OperatorError(
            f"{folder} holds files that are not linklocal's: {', '.join(sorted(strangers)[:5])}.",
            "Move them, or name another folder with --state-dir.",
            exit_code=2,
        )
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


async def _dev(settings: ServerSettings, options: DevOptions, say: Say) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = settings.state_dir
    clock = SystemClock()
    faults = Faults(clock, workers=NodeSettings(state_dir=folder / "node").workers)
    with (
        tracing("linklocal", os.environ) as traces,
        listening_socket(settings.host, settings.port) as sock,
    ):
        host, port = sock.getsockname()[:2]
        url = f"http://{_reachable(host)}:{port}"
        async with (
            build(settings, clock, url=url, dev=True, traces=traces) as control,
            serving(_for_tests(control, faults), sock),
        ):
            api_key, made = await _first_start(control, folder)
            node = build_node(
                await _node_settings(control, folder, url),
                clock,
                traces,
                listener=partial(
                    Listener, answer=Injection(faults).answer, connection=CuttingConnection
                ),
            )
            node_task = asyncio.create_task(node.run(stop))
            try:
                await _either(node.ready, node_task, stop)
                await seed(control, _administrator(made), options.seed)
                attached = await _attached(control, folder / "node", node_task, stop)
                ready = _ready(control, made.account_id, url, api_key, folder, attached)
                write_private(
                    folder / "dev.json", json.dumps({"api": url, "pid": os.getpid()}).encode()
                )
                if options.ready_file is not None:
                    write_private(
                        options.ready_file.absolute(), json.dumps(ready, indent=1).encode()
                    )
                say(_banner(ready, folder, control.console.codes.new(api_key)))
                await _either(stop, node_task, stop)
            except _StoppedEarly:
                pass
            finally:
                stop.set()
                await asyncio.wait_for(node_task, 5)
    (folder / "dev.json").unlink(missing_ok=True)


def _for_tests(control: ControlPlane, faults: Faults) -> FastAPI:
    """The server with what makes it a test double, before anything of the server's own."""
    app = control.app
    routing.add(app, testing_routes(control, faults))
    # First come, first served: these answer in place of routes that are there already.
    app.router.routes[:0] = keys_routes(control, faults).routes
    return app


def _reachable(host: str) -> str:
    """The address that this machine's programs use for a server that listens on `host`."""
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return "127.0.0.1"
    return f"[{address}]" if address.version == 6 else str(address)


async def _first_start(control: ControlPlane, folder: Path) -> tuple[str, SetUp]:
    """Account, key and roots exist afterwards; the API key is in `folder/apikey`."""
    path = folder / "apikey"
    # The file comes first: a crash in between leaves a key that the next start makes valid.
    api_key = path.read_text().strip() if path.exists() else control.iam.new_api_key_value()
    if not path.exists():
        write_private(path, f"{api_key}\n".encode())
    made = await control.bootstrap(api_key)
    write_private(folder / "ca.pem", (await control.iam.root_pem("tls")).encode())
    write_private(folder / "identity-ca.pem", (await control.iam.root_pem("identity")).encode())
    return api_key, made


def _administrator(made: SetUp) -> Caller:
    """The administrator, to seed as: the same caller that the API key in the state folder gives."""
    return Caller(made.account_id, made.iam_id, "user", token_id="seed")  # noqa: S106 - no secret


async def _node_settings(control: ControlPlane, folder: Path, url: str) -> NodeSettings:
    return NodeSettings(
        state_dir=private_folder(folder / "node"),
        server_url=url,
        join_token=SecretStr(await control.join_token("dev")),
        node_name="dev",
        loopback_ports=True,
    )


class _StoppedEarly(Exception):
    """A signal came before everything was ready."""


async def _either(event: asyncio.Event, task: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Wait for the event; a task that ends first is a failure of the start."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        task.result()
        if stop.is_set():
            raise _StoppedEarly
        raise OperatorError("The node ended.", "Start again with LINKLOCAL_LOG_LEVEL=debug.")


async def _attached(
    control: ControlPlane, node_folder: Path, node_task: asyncio.Task[None], stop: asyncio.Event
) -> list[dict[str, Any]]:
    """The listeners of all instances that are meant to run, once the node has opened them."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await control.all_acknowledged():
                if stop.is_set():
                    raise _StoppedEarly
                if node_task.done():
                    node_task.result()
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise OperatorError(
            f"The node did not open all listeners within {READY_SECONDS:.0f} s.",
            "Start again with LINKLOCAL_LOG_LEVEL=debug to see what it waits for.",
        ) from error
    # Every instance has a port here; what operators attached besides may be gone, which is no reason to
    # keep everything else from starting.
    return [item for item in await attachments_of(node_folder) if item["kind"] == "port"]


def _ready(
    control: ControlPlane,
    account_id: str,
    url: str,
    api_key: str,
    folder: Path,
    attached: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "api": url,
        "iam": url,
        "console": f"{url}/console",
        "api_key": api_key,
        "account_id": account_id,
        "region": control.region.name,
        "ca_cert": str((folder / "ca.pem").absolute()),
        "pid": os.getpid(),
        "instances": [
            {
                "id": item["instance"],
                "name": item["name"],
                "metadata": item["address"],
                "protocol": item["protocol"],
            }
            for item in attached
        ],
    }


def _banner(ready: dict[str, Any], folder: Path, sign_in_code: str) -> str:
    lines = [
        "linklocal is ready.",
        "",
        f"  API        {ready['api']}/v1",
        f"  IAM        {ready['iam']}/identity/token",
        f"  Console    {ready['console']}/sign-in?code={sign_in_code}",
        f"  API key    in {folder / 'apikey'}",
        f"  TLS root   {ready['ca_cert']}",
    ]
    for item in ready["instances"]:
        lines.append(f"  Instance   {item['name']}   {item['metadata']}   {item['id']}")
    if not ready["instances"]:
        lines.append("  Instance   none is running")
        return "\n".join(lines)
    metadata = ready["instances"][0]["metadata"]
    curl = "curl -s"
    if metadata.startswith("https"):
        curl += f" --cacert {ready['ca_cert']}"
    version = "version=2025-08-26"
    lines += [
        "",
        "Ask as that instance (paste):",
        "",
        f"  t=$({curl} -X PUT -H 'Metadata-Flavor: ibm' '{metadata}/identity/v1/token?{version}' \\",
        '      | sed \'s/.*"access_token":"\\([^"]*\\)".*/\\1/\')',
        f"  {curl} -H \"Authorization: Bearer $t\" '{metadata}/metadata/v1/instance?{version}'",
        "",
        "or with IBM's SDK for Python:",
        "",
        "  from ibm_cloud_sdk_core.authenticators import VPCInstanceAuthenticator",
        f"  print(VPCInstanceAuthenticator(url={metadata!r}).token_manager.get_token())",
        "",
        "Ctrl-C ends it; the next start has the same state.",
    ]
    return "\n".join(lines)
