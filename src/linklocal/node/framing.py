"""Bytes of one connection -> complete HTTP/1.1 requests, or one refusal after which nothing is read.

llhttp (httptools) parses, in its strict mode; this module holds the caps and everything on which llhttp
is laxer than the strictest server we compared with. It must not write, keep time or know a transport:
`http.py` does. The rules are listed, with their verdicts, in `tests/unit/node/http_cases.py`.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from typing import NoReturn

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserInvalidURLError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from linklocal.metadata.wire import Request
from linklocal.node.hosts import HostPolicy
from linklocal.node.limits import Limits


class Phase(enum.Enum):
    """Where in a request the input stands."""

    BETWEEN = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()


# Reading a member of an Enum class costs as much as the rest of a comparison.
_BETWEEN, _HEAD, _BODY = Phase
# Names as clients write them, so that most headers need no decoding.
_NAMES = {
    name.encode(): name.lower()
    for name in (
        *(
            "Accept",
            "Accept-Encoding",
            "Authorization",
            "Connection",
            "Content-Length",
            "Content-Type",
        ),
        *("Host", "Metadata-Flavor", "User-Agent", "accept", "accept-encoding", "authorization"),
        *("connection", "content-length", "content-type", "host", "metadata-flavor", "user-agent"),
    )
}


@dataclass(slots=True)
class Framed:
    """A complete request. `keep_alive` is the client's wish; `old` means HTTP/1.0."""

    request: Request
    keep_alive: bool
    old: bool


@dataclass(slots=True)
class Refusal:
    """The input cannot be trusted any further; answered in its turn, then the connection closes.

    `path` is as far as it was read, "" when it was not.
    """

    status: int
    message: str
    rule: str
    path: str = ""


class _Stop(Exception):
    """Makes llhttp return from the callback that refused."""


class Framer:
    """One connection's input. `feed` fills `items`; whoever answers takes them from the left.

    `over`: nothing more is read. `steps` grows whenever a request begins or its headers end, so that the
    caller knows when to set a new deadline. `wants_continue`: the client waits for `100 Continue`.
    """

    __slots__ = (
        "_body",
        "_chunks",
        "_framing",
        "_head_fed",
        "_head_size",
        "_headers",
        "_hosts",
        "_keep_alive",
        "_limits",
        "_lines",
        "_method",
        "_old",
        "_parser",
        "_raw",
        "_replaying",
        "_request_base",
        "_scheme",
        "_url",
        "items",
        "over",
        "phase",
        "steps",
        "wants_continue",
    )

    def __init__(self, limits: Limits, hosts: HostPolicy, scheme: str) -> None:
        self._limits = limits
        self._hosts = hosts
        self._scheme = scheme + "://"
        self._parser = HttpRequestParser(self)
        self._replaying = False
        self._head_fed = 0
        self._raw = 0
        self._reset()
        self.items: deque[Framed | Refusal] = deque()
        self.phase = _BETWEEN
        self.over = False
        self.steps = 0
        self.wants_continue = False

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._lines = 0
        self._body: bytearray | None = None
        self._chunks = 0
        self._framing = b""

    # --- for the connection --------------------------------------------------------------------

    def feed(self, data: memoryview) -> None:
        """Read what arrived. What is wrong with it becomes a `Refusal` at the end of `items`."""
        if self.over:
            return
        if self.phase is _BETWEEN:
            self._enter(_HEAD)
            self._head_fed = 0
        steps = self.steps
        try:
            self._parse(data)
            self._check_unfinished(len(data), began_before=steps == self.steps)
        except _Stop:
            pass
        except HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Stop):
                raise
        except HttpParserError as error:
            # Behind a request that asked to close anything may follow.
            if not self.over:
                self._refuse_syntax(error)

    def stop(self) -> None:
        """Read nothing more; what is complete is still answered."""
        self.over = True
        self.wants_continue = False

    def release(self) -> None:
        """The connection is gone. Parser and framer hold each other: let reference counting free both."""
        self.stop()
        self.items.clear()
        del self._parser

    def refuse(self, status: int, message: str, rule: str) -> None:
        """End the input with a refusal, behind what is already complete."""
        if not self.over:
            self.stop()
            path = self._url.decode("latin-1").partition("?")[0]
            self.items.append(Refusal(status, message, rule, path))

    # --- parsing -------------------------------------------------------------------------------

    def _parse(self, data: memoryview) -> None:
        while True:
            try:
                self._parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                # The offer of another protocol (h2c from Java's client, for one) is declined by answering
                # in HTTP/1.1 (RFC 9110, 7.8). llhttp stops behind such a head and skips the body, so a
                # fresh parser takes the rest; it is told the framing that the first one has accepted.
                data = data[upgrade.args[0] :]
                self._parser = HttpRequestParser(self)
                if self._framing and not self.over:
                    self._replaying = True
                    self._parser.feed_data(b"POST / HTTP/1.1\r\n" + self._framing + b"\r\n\r\n")
                    self._replaying = False
                if self.over or not data:
                    return

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.steps += 1

    def _stop(self, status: int, message: str, rule: str) -> NoReturn:
        self.refuse(status, message, rule)
        raise _Stop

    def _refuse_syntax(self, error: HttpParserError) -> None:
        if isinstance(error, HttpParserInvalidMethodError):
            message = "The method is not one of HTTP's, or this is not HTTP at all."
        elif isinstance(error, HttpParserInvalidURLError):
            message = "The URL has characters that must be percent-encoded."
        else:
            message = f"The request is not well-formed HTTP/1.1: {error}."
        self.refuse(400, message, "framing")

    def _check_unfinished(self, fed: int, *, began_before: bool) -> None:
        """Bound what llhttp holds or swallows without telling: a header in the making, chunk extensions.

        A read that also holds the end of something else is not counted, so the bound is exceeded by
        one read at most.
        """
        limits = self._limits
        if not began_before or self.over:
            return
        if self.phase is _HEAD:
            self._head_fed += fed
            if self._head_fed > limits.head_bytes:
                self._too_large()
        elif self.phase is _BODY:
            self._raw += fed
            known = len(self._body or b"") + 16 * self._chunks
            if self._raw > known + limits.chunk_bytes:
                self._stop(
                    413,
                    "The body has too many chunk extensions or trailers. Send `Content-Length` instead.",
                    "chunk-size",
                )

    def _too_large(self) -> NoReturn:
        limits = self._limits
        self._stop(
            431,
            f"The URL may have {limits.url_bytes} bytes, the headers {limits.header_count} lines "
            f"and {limits.head_bytes} bytes together.",
            "head-size",
        )

    # --- called by httptools -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._replaying:
            return
        if self.over:
            raise _Stop
        self._head_fed = 0
        if self.phase is not _HEAD:
            self._enter(_HEAD)
        if len(self.items) >= self._limits.pipeline:
            self._stop(
                400,
                f"Only {self._limits.pipeline} requests may be sent ahead of their answers.",
                "pipeline",
            )

    def on_url(self, url: bytes) -> None:
        if self._replaying:
            return
        self._url += url
        if len(self._url) > self._limits.url_bytes:
            self._too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        size = self._head_size = self._head_size + len(name) + len(value) + 4
        limits = self._limits
        if self.phase is _BODY:  # a trailer: read, bounded and dropped (RFC 9110, 6.5.1)
            if size > limits.head_bytes and not self._replaying:
                self._too_large()
            return
        lines = self._lines = self._lines + 1
        headers = self._headers
        key = _NAMES.get(name) or name.decode("latin-1").lower()
        text = value.decode("latin-1").strip(" \t")
        if key not in headers:
            headers[key] = text
        elif key == "host":
            self._stop(400, "There is more than one `Host`. " + self._hosts.advice(), "host")
        else:
            headers[key] = f"{headers[key]}, {text}"
        if lines > limits.header_count or size + len(self._url) > limits.head_bytes:
            self._too_large()

    def on_headers_complete(self) -> None:
        if self._replaying:
            return
        self._enter(_BODY)
        self._raw = self._head_size = 0
        parser = self._parser
        headers = self._headers
        self._method = parser.get_method().decode("latin-1")
        version = parser.get_http_version()
        if version != "1.1" and version != "1.0":
            self._stop(400, "Only HTTP/1.1 and HTTP/1.0 are spoken here.", "http-version")
        self._old = version == "1.0"
        self._check_target()
        host = headers.get("host")
        authority = self._hosts.authority(host) if host is not None else None
        if authority is None:
            wrong = "`Host` is missing. " if host is None else "`Host` is foreign. "
            self._stop(400, wrong + self._hosts.advice(), "host")
        self._request_base = self._scheme + authority
        self._keep_alive = parser.should_keep_alive()
        if "content-length" in headers or "transfer-encoding" in headers:
            self._check_body()
        if "expect" in headers:
            self._check_expect(headers["expect"])

    def _check_target(self) -> None:
        url = self._url
        if not url.startswith(b"/") or self._method == "CONNECT":
            self._stop(
                400,
                "The request line must carry a path that begins with `/`: this is not a proxy.",
                "target-form",
            )
        if b"#" in url:
            self._stop(400, "A URL is sent without its `#fragment`.", "target-form")

    def _check_body(self) -> None:
        """llhttp has refused both headers together, either twice, signs, lists and an empty value."""
        coding = self._headers.get("transfer-encoding")
        if coding is not None:
            if self._old or coding.lower() != "chunked":
                self._stop(
                    400,
                    "`Transfer-Encoding` must be `chunked`, and the version HTTP/1.1.",
                    "transfer-encoding",
                )
            self._framing = b"Transfer-Encoding: chunked"
            return
        length = int(self._headers["content-length"])
        if length > self._limits.body_bytes:
            self._too_long()
        if length:
            self._framing = b"Content-Length: %d" % length

    def _too_long(self) -> NoReturn:
        self._stop(413, f"The body may have {self._limits.body_bytes} bytes.", "body-size")

    def _check_expect(self, value: str) -> None:
        if value.lower() != "100-continue":
            self._stop(400, "`Expect` can only be `100-continue`.", "expect")
        self.wants_continue = bool(self._framing) and not self._old

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        self.wants_continue = False
        if self._body is None:
            self._body = bytearray()
        self._body += body
        if len(self._body) > self._limits.body_bytes:
            self._too_long()

    def on_message_complete(self) -> None:
        if self._framing and self._parser.should_upgrade():
            return  # the body follows by way of `_parse`
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(
            self._method,
            path,
            query,
            self._headers,
            bytes(self._body) if self._body else b"",
            self._request_base,
        )
        self.items.append(Framed(request, self._keep_alive, self._old))
        self.phase = _BETWEEN
        self.wants_continue = False
        self._reset()
        if not self._keep_alive:
            self.stop()
