"""The node's own API for this host's operators: JSON over a Unix socket that only its owner can open.

It works with the server down. `fetch` and `post` are the client's side, for the command
line. What it changes are attachments (`attaching.py`); nothing here is reachable from an instance.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from linklocal.errors import OperatorError

SOCKET = "node.sock"
HEAD_MOST = 16_384  # bytes
SECONDS = 5.0  # for a request to arrive, and for an answer to be taken
_SUN_PATH = 107  # bytes that a Unix socket's address can have


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    content: bytes
    type: str = "application/json"
    status: int = 200


def json_page(value: Any, status: int = 200) -> Page:
    """A value as JSON."""
    return Page(json.dumps(value).encode(), status=status)


# Path -> what makes its answer. Makers are quick and do no I/O.
Pages = Mapping[str, Callable[[], Page]]
# Path -> what a POST with a JSON object does; it answers within `SECONDS`.
Actions = Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Page]]]
BODY_MOST = 16_384  # bytes


# --- the node's side -------------------------------------------------------------------------------


@asynccontextmanager
async def serving(
    state_dir: Path, pages: Pages, actions: Actions | None = None
) -> AsyncIterator[None]:
    """Answer on `<state_dir>/node.sock` inside the block. The caller owns the folder.

    Raises OperatorError when the socket cannot be made.
    """
    path = state_dir / SOCKET
    path.unlink(missing_ok=True)  # of a node that was killed
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as address:
            sock.bind(address)
        # Nobody can connect before `listen`, so there is no moment with a wider mode.
        path.chmod(0o600)
    except OSError as error:
        sock.close()
        raise OperatorError(
            f"{path} cannot be made: {error.strerror}.",
            "Name a state folder on a local file system with --state-dir.",
            exit_code=2,
        ) from error
    async with _answering(sock, pages, actions or {}):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@asynccontextmanager
async def serving_port(host: str, port: int, pages: Pages) -> AsyncIterator[None]:
    """Answer on a TCP port inside the block. Raises OperatorError when it is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OperatorError(
            f"{host}:{port} cannot be listened on: {error.strerror}.",
            "Choose another port with LINKLOCAL_STATUS_PORT.",
            exit_code=2,
        ) from error
    async with _answering(sock, pages, {}):
        yield


@asynccontextmanager
async def _answering(sock: socket.socket, pages: Pages, actions: Actions) -> AsyncIterator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(SECONDS):
                await _answer(reader, writer, pages, actions)
        writer.close()

    start = asyncio.start_unix_server if sock.family == socket.AF_UNIX else asyncio.start_server
    server = await start(answer, sock=sock, limit=HEAD_MOST, backlog=64)
    try:
        yield
    finally:
        # Not `wait_closed`: a client that stays connected must not hold up the end of the node.
        server.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pages: Pages, actions: Actions
) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        page = _error(431, "The head of the request is too long.")
    else:
        action = actions.get(_words(head)[1]) if _words(head)[0] == "POST" else None
        page = await _act(head, reader, action) if action is not None else _page(head, pages)
    reason = HTTPStatus(page.status).phrase
    writer.write(
        f"HTTP/1.1 {page.status} {reason}\r\nContent-Type: {page.type}\r\n"
        f"Content-Length: {len(page.content)}\r\nConnection: close\r\n\r\n".encode()
        + page.content
    )
    await writer.drain()


async def _act(
    head: bytes,
    reader: asyncio.StreamReader,
    action: Callable[[Mapping[str, Any]], Awaitable[Page]],
) -> Page:
    length = re.search(rb"(?i)\r\ncontent-length: *(\d{1,6})\r\n", head)
    if length is None or int(length[1]) > BODY_MOST:
        return _error(400, f"A body of at most {BODY_MOST} bytes is needed.")
    try:
        body = json.loads(await reader.readexactly(int(length[1])))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return _error(400, "The body is no JSON object.")
    return await action(body)


def _words(head: bytes) -> list[str]:
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return words if len(words) == 3 else ["", "", ""]


def _page(head: bytes, pages: Pages) -> Page:
    words = _words(head)
    if not words[2].startswith("HTTP/1."):
        return _error(400, "This is not an HTTP/1.1 request.")
    maker = pages.get(words[1].partition("?")[0])
    if maker is None:
        return _error(404, f"There is: {', '.join(sorted(pages))}.")
    if words[0] != "GET":
        return _error(405, "Only GET is answered here.")
    return maker()


def _error(status: int, message: str) -> Page:
    return json_page({"error": message}, status)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """An address of the socket that fits, also where the folder's name is long."""
    if len(os.fsencode(path)) <= _SUN_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


# --- the client's side -----------------------------------------------------------------------------


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with _short(self._path) as address:
            self.sock.connect(address)


def fetch(state_dir: Path, path: str) -> Any:
    """What the node with this state folder answers to `GET path`, parsed. Blocks for 5 s at most.

    Raises OperatorError with the next step when no node runs there.
    """
    status, content = _call(state_dir, "GET", path)
    if status != 200:
        raise OperatorError(
            f"The node answered {status} to {path}.",
            "Use a command line of the node's version.",
        )
    return json.loads(content)


def post(state_dir: Path, path: str, body: Mapping[str, Any]) -> Any:
    """What the node does when asked, parsed. Blocks for 5 s at most. Raises OperatorError."""
    status, content = _call(state_dir, "POST", path, json.dumps(body))
    answer = json.loads(content)
    if status >= 400:
        raise OperatorError(
            str(answer.get("error", f"The node answered {status}.")),
            "Change what the message names, and run the command again.",
        )
    return answer


def _call(state_dir: Path, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    connection = _UnixConnection(state_dir / SOCKET)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise OperatorError(
            f"No node runs with the state folder {state_dir}.",
            "Start one with `linklocal node run` (or `linklocal dev`), or name the folder of the one "
            "that runs with --state-dir.",
        ) from error
    except PermissionError as error:
        raise OperatorError(
            f"The node with the state folder {state_dir} belongs to another user.",
            "Ask as that user, or as root.",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise OperatorError(
            f"The node with the state folder {state_dir} does not answer: {error}.",
            "Look into its log, and start it again if it hangs.",
        ) from error
    finally:
        connection.close()
    return response.status, content


async def attachments_of(state_dir: Path) -> list[dict[str, Any]]:
    """`GET /v1/attachments` of the node with this state folder. Raises OperatorError."""
    listed: list[dict[str, Any]] = await asyncio.to_thread(fetch, state_dir, "/v1/attachments")
    return listed
