"""What is measured, and what it is measured against, as child processes: a node, a dev server, nginx.

Each is started on the server's core with a temporary folder, and ended by its process id.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fakes.documents import full_document
from live import clean_environment
from machine import SERVER_CORE, free_port, on_core, program

from linklocal.document import InstanceDocument
from linklocal.ids import InstanceId, vpc_crn
from linklocal.node.local_api import fetch

START_SECONDS = 120.0
VERSION = "version=2025-08-26"
INSTANCE_PATH = f"/metadata/v1/instance?{VERSION}"
TOKEN_PATH = f"/identity/v1/token?{VERSION}"
UNLIMITED = 1e9  # calls a second: where the server is to be measured, not its limit


@dataclass(frozen=True, slots=True)
class Node:
    """A node that serves a file. `ports`: of its instances, in the order of the documents."""

    pid: int
    ports: list[int]


def documents(count: int, *, serving: bool = True) -> list[InstanceDocument]:
    """Full documents (all of the metadata contract's examples, 4 KiB to read) of distinct instances."""
    made = []
    for number in range(count):
        id = InstanceId(f"0717_00000000-0000-4000-8000-{number:012d}")
        full = full_document()
        crn = vpc_crn(full.zone, full.account_id, "instance", id)
        claims = json.loads(json.dumps(full.claims).replace(full.instance_id, id))
        metadata = json.loads(json.dumps(full.metadata).replace(full.instance_id, id))
        service = replace(full.metadata_service, response_hop_limit=64)
        made.append(
            replace(
                full, instance_id=id, crn=crn, claims=claims, metadata=metadata,
                metadata_service=service, serving=serving,
            )
        )  # fmt: skip
    return made


@contextmanager
def node(
    folder: Path, served: Sequence[InstanceDocument], rate: float = UNLIMITED
) -> Iterator[Node]:
    """`linklocal node run --snapshot` with a loopback port for each instance."""
    folder.mkdir()
    snapshot, state, log = folder / "documents.json", folder / "state", folder / "node.log"
    snapshot.write_text(json.dumps([document.to_json() for document in served]))
    command = [sys.executable, "-m", "linklocal", "node", "run", "--loopback-ports"]
    command += ["--snapshot", str(snapshot), "--state-dir", str(state)]
    environment = {
        **clean_environment(),
        "LINKLOCAL_INSTANCE_RATE": str(rate),
        "LINKLOCAL_LOOPBACK_PORT_BASE": "10240",
    }
    with child(command, log, environment) as process:
        listening = sum(document.serving for document in served)
        status = _wait(process, log, state, len(served), listening)
        by_id = {item["instance"]: item["address"] for item in fetch(state, "/v1/attachments")}
        ports = [port_of(by_id[d.instance_id]) for d in served if d.serving]
        assert status["listening"] == listening
        yield Node(process.pid, ports)


def port_of(address: str) -> int:
    """The port of `http://127.0.0.1:PORT`."""
    return int(address.rpartition(":")[2])


def _wait(
    process: subprocess.Popen[bytes], log: Path, state: Path, count: int, listening: int
) -> dict[str, Any]:
    """Until the node serves what it should; its status."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if (state / "node.sock").exists():
            status: dict[str, Any] = fetch(state, "/v1/status")
            if status["documents"] == count and status["listening"] == listening:
                return status
        time.sleep(0.05)
    raise RuntimeError(f"The node did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def child(
    command: Sequence[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on the server's core, inside the block."""
    with log.open("ab") as output, on_core(SERVER_CORE):
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  keepalive_requests 1000000000; open_file_cache max=10; tcp_nopush off;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location = {path} {{
      default_type "application/json; charset=utf-8"; etag off; if_modified_since off;
      add_header X-Request-Id $request_id;
      alias {folder}/body.json;
    }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, body: bytes) -> Iterator[Node]:
    """nginx with one worker and its access log on, answering GET instance with `body`."""
    command = program("nginx", "nginx-light")
    folder.mkdir()
    (folder / "body.json").write_bytes(body)
    port = free_port()
    (folder / "nginx.conf").write_text(
        _NGINX.format(folder=folder, port=port, path=INSTANCE_PATH.partition("?")[0])
    )
    arguments = [command, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    log = folder / "nginx.log"
    with child(arguments, log, dict(os.environ)) as process:
        deadline = time.monotonic() + 10
        while not (folder / "nginx.pid").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield Node(process.pid, [port])
