"""Driving one connection without sockets, and reading its answers with a parser of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fakes.clock import FakeClock
from fakes.transport import MemoryTransport

from linklocal.metadata.wire import Request, Response
from linklocal.node import refusals
from linklocal.node.framing import Refusal
from linklocal.node.hosts import HostPolicy
from linklocal.node.http import Connection, Heads
from linklocal.node.limits import Limits, Totals
from linklocal.node.turns import Turns, Waiting

HOST = b"Host: 169.254.169.254\r\n"
Answerer = Callable[[Request], Response | Awaitable[Response]]


def say_path(request: Request) -> Response:
    """200 and a body that tells what was understood."""
    told = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "body": request.body.decode("latin-1"),
        "base": request.base,
    }
    return Response(200, json.dumps(told).encode(), f"trace-{request.path}")


class _NoTurns(Turns):
    """Everybody's turn is now: there may be no loop."""

    def take(self, connection: Waiting) -> bool:
        return True


class FakeSite:
    """A listener without socket: answers with `answer`, remembers what was asked and refused."""

    def __init__(
        self, answer: Answerer = say_path, *, limits: Limits | None = None, loopback: bool = False
    ) -> None:
        self.limits = limits or Limits()
        self.turns = _NoTurns(0)
        self.clock = FakeClock()
        self.hosts = HostPolicy(loopback=loopback)
        self.heads = Heads(self.clock)
        self.buffer = Totals().buffer
        self.answer = answer
        self.asked: list[Request] = []
        self.refused: list[Refusal] = []
        self.told: list[tuple[Request | Refusal, Response]] = []
        self.open: set[Connection] = set()
        self.full: Response | None = None
        self.errors: list[BaseException | None] = []

    def opened(self, connection: Connection) -> Response | None:
        self.open.add(connection)
        return self.full

    def closed(self, connection: Connection) -> None:
        self.open.remove(connection)

    def respond(self, request: Request) -> Response | Awaitable[Response]:
        self.asked.append(request)
        return self.answer(request)

    def refuse(self, refusal: Refusal) -> Response:
        self.refused.append(refusal)
        return refusals.malformed(refusal)

    def failed(self, error: BaseException | None) -> Response:
        self.errors.append(error)
        return refusals.defect()

    def answered(
        self, connection: Connection, asked: Request | Refusal, response: Response
    ) -> None:
        self.told.append((asked, response))

    def connect(
        self, *, tls: bool = False, stuck: bool = False
    ) -> tuple[Connection, MemoryTransport]:
        connection = Connection(self, tls=tls)
        return connection, MemoryTransport(stuck=stuck, half_close=not tls).connect(connection)


@dataclass
class Answer:
    """One answer as it was on the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: bool = field(default=False)

    def json(self) -> dict[str, object]:
        data: dict[str, object] = json.loads(self.body)
        return data

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]+")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([ -~]*)")


def read_answers(data: bytes, *, heads: tuple[int, ...] = (), whole: bool = True) -> list[Answer]:
    """Every answer in the bytes; ValueError on anything that is not one.

    `heads`: indexes of answers (interim ones not counted) to HEAD. `whole`: nothing may be cut off.
    """
    answers: list[Answer] = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            if whole:
                raise ValueError(f"cut off: {data[:80]!r}")
            break
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            raise ValueError(f"no status line: {first[:80]!r}")
        headers: dict[str, str] = {}
        for line in lines:
            match = _FIELD.fullmatch(line)
            if match is None or match[1].decode().lower() in headers:
                raise ValueError(f"bad header: {line[:80]!r}")
            headers[match[1].decode().lower()] = match[2].decode()
        if int(status[1]) == 100:
            answers.append(Answer(100, headers, b"", interim=True))
            data = rest
            continue
        index = sum(not a.interim for a in answers)
        size = 0 if index in heads else int(headers["content-length"])
        if len(rest) < size and whole:
            raise ValueError("cut off in a body")
        answers.append(Answer(int(status[1]), headers, rest[:size]))
        data = rest[size:]
    return answers


def assert_complete(answer: Answer) -> None:
    """What every final answer carries, whoever made it."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["date"].endswith(" GMT")
    assert answer.headers["x-request-id"]
    if answer.status >= 400 and answer.body:
        body = answer.json()
        assert body["status_code"] == answer.status
        assert body["trace"] == answer.headers["x-request-id"]
        assert isinstance(body["errors"], list)
        assert body["errors"][0]["message"]
