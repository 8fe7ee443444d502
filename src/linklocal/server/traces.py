"""One span for each call of the control plane: VPC API, IAM, nodes and console. docs/tracing.md

It tells the operation, the status, the request id and the code of a refusal. It must not look at queries,
headers (but `traceparent`) or bodies: those carry secrets.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from linklocal.server.metrics import operation_name
from linklocal.tracing import Span, Traces

_UNTRACED = ("/healthz", "/readyz", "/metrics", "/console/static")


class TraceCalls:
    """The middleware. What a span shows is known when the answer begins; a stream's span ends there
    too, so that it is not as long as the stream. Must stand inside `RequestIds`."""

    def __init__(self, app: ASGIApp, *, traces: Traces) -> None:
        self.app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
            await self.app(scope, receive, send)
            return
        method: str = scope["method"]
        with self._traces.span(
            method, "server", Headers(scope=scope), http__request__method=method
        ) as span:

            async def send_traced(message: Message) -> None:
                await send(message)
                if message["type"] == "http.response.start":
                    _tell(span, scope, message["status"])
                    names = {name.lower() for name, _ in message.get("headers", ())}
                    if b"content-length" not in names:
                        span.end()

            await self.app(scope, receive, send_traced)


def _tell(span: Span, scope: Scope, status: int) -> None:
    state = scope.get("state", {})
    operation = operation_name(scope)
    login = state.get("login")
    span.rename(f"{scope['method']} {operation}")
    span.set(
        http__response__status_code=status,
        linklocal__operation=operation,
        linklocal__request_id=state.get("request_id"),
        linklocal__grant=login.grant if login is not None else None,
    )
    problems = state.get("problems", ())
    if problems:
        span.set(linklocal__problem=problems[0].code)
    if status >= 500:
        span.fail(str(status))
