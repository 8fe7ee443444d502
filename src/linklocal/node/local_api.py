"""The node's own API for this host: JSON over a Unix socket, for its own user, root, and who is listed.

It works with the server down. `fetch` and `post` are the client's side, for the command line and for
programs that hand over sockets. What it changes are attachments (`attaching.py`), who may is
`local_users.py`'s; nothing here is reachable from an instance.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from linklocal.errors import OperatorError
from linklocal.node.local_users import LocalUsers
from linklocal.node.unix_socket import Caller, Stream, TooLong, accepting

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
Action = Callable[[Mapping[str, Any], Caller], Awaitable[Page]]
Actions = Mapping[str, Action]
BODY_MOST = 16_384  # bytes


# --- the node's side -------------------------------------------------------------------------------


@asynccontextmanager
async def serving(
    state_dir: Path,
    pages: Pages,
    actions: Actions | None = None,
    *,
    users: LocalUsers | None = None,
    shared: Path | None = None,
) -> AsyncIterator[None]:
    """Answer on `<state_dir>/node.sock` inside the block. The caller owns the folder.

    `shared` is a second path, which `users` can reach; both know who asks.
    Raises OperatorError when a socket cannot be made.
    """
    known = users or LocalUsers()
    async with AsyncExitStack() as stack:
        for path, mode in ((state_dir / SOCKET, 0o600), (shared, 0o666)):
            if path is None:
                continue
            sock = _bound(path, mode)
            stack.callback(path.unlink, missing_ok=True)
            await stack.enter_async_context(_answering(sock, pages, actions or {}, known))
        yield


def _bound(path: Path, mode: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() or path.is_file():
            path.unlink()  # of a node that was killed
        with _short(path) as address:
            sock.bind(address)
        # Nobody can connect before `listen`, so there is no moment with a wider mode.
        path.chmod(mode)
    except OSError as error:
        sock.close()
        raise OperatorError(
            f"{path} cannot be made: {error.strerror}.",
            "Name a state folder on a local file system with --state-dir, and for LINKLOCAL_LOCAL_SOCKET "
            "a path in a folder that is there.",
            exit_code=2,
        ) from error
    return sock


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
    async with _answering(sock, pages, {}, None):
        yield


def _answering(
    sock: socket.socket, pages: Pages, actions: Actions, users: LocalUsers | None
) -> AbstractAsyncContextManager[None]:
    """`users` None: everybody may ask, of a port that has no users."""

    async def answer(stream: Stream) -> None:
        page = await _answer(stream, pages, actions, users)
        reason = HTTPStatus(page.status).phrase
        await stream.write(
            f"HTTP/1.1 {page.status} {reason}\r\nContent-Type: {page.type}\r\n"
            f"Content-Length: {len(page.content)}\r\nConnection: close\r\n\r\n".encode()
            + page.content
        )

    return accepting(sock, answer, SECONDS)


async def _answer(stream: Stream, pages: Pages, actions: Actions, users: LocalUsers | None) -> Page:
    try:
        head = await stream.read_until(b"\r\n\r\n", HEAD_MOST)
    except TooLong:
        return _error(431, "The head of the request is too long.")
    # Also of what is refused: an answer before the peer has sent everything would be lost.
    length = re.search(rb"(?i)\r\ncontent-length: *(\d{1,6})\r\n", head)
    fits = length is not None and int(length[1]) <= BODY_MOST
    content = await stream.read_exactly(int(length[1])) if length and fits else None
    method, target, _ = _words(head)
    path, uid = target.partition("?")[0], stream.caller.uid
    if users is not None and not users.may_ask(uid, method, path):
        return _error(403, users.refusal(uid))
    action = actions.get(path) if method == "POST" else None
    if action is None:
        return _page(head, pages)
    if content is None:
        return _error(400, f"A body of at most {BODY_MOST} bytes is needed.")
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return _error(400, "The body is no JSON object.")
    return await action(body, stream.caller)


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


class NodeAway(OperatorError):
    """No node runs there: not yet, or not any more."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, descriptors: Sequence[int]) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path
        self._descriptors = descriptors

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with _short(self._path) as address:
            self.sock.connect(address)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        # Descriptors travel with the first byte.
        descriptors, self._descriptors = self._descriptors, ()
        if descriptors:
            data = data[socket.send_fds(self.sock, [data], descriptors) :]
        if data:  # nothing is sent, too, and fails when the node has answered and gone
            self.sock.sendall(data)


def fetch(state_dir: Path, path: str) -> Any:
    """What the node with this state folder answers to `GET path`, parsed. Blocks for 5 s at most.

    Raises OperatorError with the next step when no node runs there.
    """
    status, content = _call(state_dir, "GET", path)
    if status == 403:
        raise OperatorError(
            str(json.loads(content)["error"]), "Ask as the node's user, or as root."
        )
    if status != 200:
        raise OperatorError(
            f"The node answered {status} to {path}.",
            "Use a command line of the node's version.",
        )
    return json.loads(content)


def post(
    state_dir: Path, path: str, body: Mapping[str, Any], descriptors: Sequence[int] = ()
) -> Any:
    """What the node does when asked, parsed. Blocks for 5 s at most. Raises OperatorError.

    `descriptors` are handed over; they stay open here.
    """
    status, content = _call(state_dir, "POST", path, json.dumps(body), descriptors)
    answer = json.loads(content)
    if status >= 400:
        raise OperatorError(
            str(answer.get("error", f"The node answered {status}.")),
            "Change what the message names, and run the command again.",
        )
    return answer


def _call(
    state_dir: Path,
    method: str,
    path: str,
    body: str | None = None,
    descriptors: Sequence[int] = (),
) -> tuple[int, bytes]:
    # A folder, or the socket itself: LINKLOCAL_LOCAL_SOCKET.
    where = state_dir if state_dir.is_socket() else state_dir / SOCKET
    connection = _UnixConnection(where, descriptors)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise NodeAway(
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
