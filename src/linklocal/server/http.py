"""ASGI middleware of the control plane: request ids, whole bodies within bounds, JSON assumed.

Each is a small class with `__call__(scope, receive, send)`. Contract: control-plane 1.2, sections 0.8.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from linklocal.errors import DomainError, Invalid, Problem, bad_field
from linklocal.ids import new_request_id
from linklocal.server.errors import error_response
from linklocal.server.validation import target_name

MAX_BODY = 1024 * 1024  # bytes, after decompression; the largest member is 64 KiB of user data
_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# The token endpoint is a form by its own standard; everything else is JSON whatever the header says.
_FORMS = ("/identity/token", "/identity/introspect", "/console")


class RequestIds:
    """Gives every answer `X-Request-Id` (fresh), `X-Global-Transaction-ID` (the same) and
    `X-Correlation-Id` (echoed), and puts the request id into `scope["state"]["request_id"]`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-correlation-id") or headers.get("transaction-id") or ""
        request_id = new_request_id()
        correlation_id = asked if _SAFE_ID.fullmatch(asked) else request_id
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["correlation_id"] = correlation_id

        async def send_with_ids(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer["X-Request-Id"] = request_id
                answer["X-Global-Transaction-ID"] = request_id
                answer["X-Correlation-Id"] = correlation_id
            await send(message)

        await self.app(scope, receive, send_with_ids)


class Bodies:
    """Reads the whole body within `MAX_BODY`, undoes gzip, and declares it JSON.

    `curl -d` sends a form type, IBM's SDK a merge-patch type; both carry JSON. Larger, truncated or
    wrongly compressed bodies are 400 `invalid_request` and never reach a route.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        headers = MutableHeaders(scope=scope)
        try:
            body = await _read(receive, headers.get("content-encoding", "identity"))
            if body is not None and b"\\ud" in body.lower():
                _check_unicode(body)
        except DomainError as error:
            await error_response(scope, error)(scope, receive, send)
            return
        if body is None:  # the client has gone
            return
        del headers["content-encoding"]
        headers["content-length"] = str(len(body))
        if not scope["path"].startswith(_FORMS):
            headers["content-type"] = "application/json"
        delivered = False

        async def replay() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


async def _read(receive: Receive, encoding: str) -> bytes | None:
    """The decoded body, None when the client disconnected. Raises Invalid."""
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        more = message.get("more_body", False)
    if size > MAX_BODY:
        raise _refused(f"The body is larger than {MAX_BODY // 1024} KiB: send less.")
    body = b"".join(chunks)
    match encoding.strip().lower():
        case "identity" | "":
            return body
        case "gzip":
            return _gunzip(body)
        case other:
            raise _refused(f"`Content-Encoding: {other[:40]}` is not supported: use gzip or none.")


def _gunzip(body: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise _refused("The body is not the gzip stream that its header says.") from error
    if len(plain) > MAX_BODY:
        raise _refused(f"The body is larger than {MAX_BODY // 1024} KiB after decompression.")
    if not stream.eof:
        raise _refused("The gzip stream of the body is cut off.")
    return plain


def _check_unicode(body: bytes) -> None:
    """JSON can escape half of a surrogate pair, which is no character and which no database stores.

    Raises Invalid with the first such member as target. What is no JSON at all is left to the route.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return
    broken = _surrogate(value, ())
    if broken is not None:
        name = target_name(broken).encode("utf-8", "replace").decode()
        message = f"`{name}` holds half of a surrogate pair: send valid Unicode."
        raise Invalid(bad_field(name, message) if name else Problem("invalid_request", message))


def _surrogate(value: Any, path: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    """The path of the first text with a lone surrogate; None when all is well."""
    if isinstance(value, str):
        return path if any("\ud800" <= c <= "\udfff" for c in value) else None
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
        if (key := next((k for k in value if _surrogate(k, ()) is not None), None)) is not None:
            return (*path, key)
    elif isinstance(value, list):
        items = enumerate(value)
    found = (_surrogate(inner, (*path, key)) for key, inner in items)
    return next((one for one in found if one is not None), None)


def _refused(message: str) -> Invalid:
    return Invalid(Problem("invalid_request", message))
