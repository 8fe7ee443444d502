"""The server's answers, read with suspicion: sizes, shapes, and the errors that a call can end in.

Nothing here sends; `control_client.py` does. An answer that is not understood counts as none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from linklocal.clock import parse_rfc3339
from linklocal.errors import Problem, Target
from linklocal.metadata.wire import UpstreamUnavailable

MAX_LINE = 16 * 2**20  # a document holds at most 64 KiB of user data, and lists
MAX_ANSWER = 2**20


class ServerUnavailable(Exception):
    """The server cannot be reached, is not ready, or is not ours. The message says what was seen."""


class ServerRefused(Exception):
    """The server answered with an error of its own; `problem.code` is of metadata contract 2.3."""

    def __init__(self, status: int, problem: Problem) -> None:
        self.status = status
        self.problem = problem
        super().__init__(problem.message)


class NodeRevoked(ServerRefused):
    """The server has revoked this node: it must serve nothing."""


class ClockSkewed(ServerUnavailable):
    """The server refuses what this node signs because their clocks differ."""


async def lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """NDJSON lines without their newline. Unlike httpx's own, split at newlines and nothing else."""
    buffer = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            buffer += chunk
            while (end := buffer.find(b"\n")) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                yield line
            if len(buffer) > MAX_LINE:
                raise ServerUnavailable(f"the stream sent a line of more than {MAX_LINE} bytes")
    except httpx.HTTPError as error:
        raise unavailable(error) from error


async def read(response: httpx.Response) -> bytes:
    """The whole body. Raises ServerUnavailable when it is too large, httpx.HTTPError."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER:
            raise ServerUnavailable(f"the server answered more than {MAX_ANSWER} bytes")
    return bytes(content)


def json_object(content: bytes) -> dict[str, Any] | None:
    """A JSON object, or None if it is none."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def problem(envelope: dict[str, Any] | None) -> Problem | None:
    """The first error of the envelope (metadata contract 2.3), or None if it is none of ours."""
    try:
        first = (envelope or {})["errors"][0]
        target = first.get("target")
        return Problem(
            text(first["code"]),
            text(first["message"]),
            None if target is None else Target(target["name"], target["type"], target.get("value")),
            first.get("more_info"),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None


def unavailable(error: httpx.HTTPError | TimeoutError) -> ServerUnavailable:
    """What httpx or a time-out saw, in words."""
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return ServerUnavailable("the server did not answer in time")
    return ServerUnavailable(f"the server cannot be reached: {str(error) or type(error).__name__}")


def date_of(response: httpx.Response) -> datetime | None:
    """What the server says that its clock shows."""
    try:
        theirs = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return theirs.replace(tzinfo=UTC) if theirs.tzinfo is None else theirs


@contextlib.contextmanager
def understood(
    what: str, raised: type[UpstreamUnavailable | ServerUnavailable] = ServerUnavailable
) -> Iterator[None]:
    """An answer without what it must have is as good as none."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise raised(f"the server's answer to {what} was not understood: {error!r}") from error


def text(value: Any) -> str:
    """Text. Raises ValueError, without the value: it may be a token."""
    if not isinstance(value, str):
        raise ValueError("not text")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """A list of one text or more. Raises ValueError."""
    if not isinstance(value, list) or not value:
        raise ValueError("not a list of texts")
    return tuple(text(item) for item in value)


def seconds(value: Any) -> int:
    """Epoch seconds, or RFC 3339."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("not a time")
    moment: datetime | None = None if isinstance(value, int) else parse_rfc3339(value)
    return int(value) if moment is None else int(moment.timestamp())
