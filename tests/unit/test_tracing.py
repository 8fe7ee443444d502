"""Traces on and off, from the node through the server, and that nothing secret is in them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fakes.server import JOIN_TOKEN, FakeServer
from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from linklocal.clock import SystemClock
from linklocal.document import NodeStatus
from linklocal.errors import NotFound, OperatorError
from linklocal.metadata.wire import UpstreamUnavailable
from linklocal.node.control_client import ControlClient
from linklocal.node.identity import IdentityStore
from linklocal.server.errors import install_error_handlers
from linklocal.server.http import RequestIds
from linklocal.server.traces import TraceCalls
from linklocal.tracing import Traces, tracing, wanted

SECRET = "canary-secret-4711"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exported: InMemorySpanExporter) -> Iterator[Traces]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    traces = Traces(provider)
    yield traces
    traces.close()


def named(exported: InMemorySpanExporter, name: str) -> ReadableSpan:
    spans = exported.get_finished_spans()
    found = [span for span in spans if span.name == name]
    assert found, [span.name for span in spans]
    return found[0]


def app_with(traces: Traces) -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/v1/things/{id}", operation_id="get_thing")
    async def thing(id: str) -> JSONResponse:
        if id == "broken":
            raise RuntimeError(SECRET)
        if id == "missing":
            raise NotFound("id", id)
        return JSONResponse({"secret": SECRET})

    @app.get("/internal/v1/watch", operation_id="watch")
    async def watch() -> StreamingResponse:
        async def endless() -> AsyncIterator[bytes]:
            yield b"\n"

        return StreamingResponse(endless())

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({})

    app.add_middleware(TraceCalls, traces=traces)
    app.add_middleware(RequestIds)
    return app


async def test_a_call_of_the_server_goes_on_with_its_callers_trace(
    traces: Traces, exported: InMemorySpanExporter
) -> None:
    transport = httpx.ASGITransport(app_with(traces), raise_app_exceptions=False)
    caller = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "authorization": f"Bearer {SECRET}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        done = await client.get("/v1/things/1", params={"start": SECRET}, headers=caller)
        refused = await client.get("/v1/things/missing")
        broken = await client.get("/v1/things/broken")
        await client.get("/internal/v1/watch")
        await client.get("/healthz")

    first, second, third, stream = exported.get_finished_spans()
    assert (first.name, second.name, stream.name) == (*["GET get_thing"] * 2, "GET watch")
    assert first.context is not None
    assert first.context.trace_id == int("ab" * 16, 16)
    assert first.parent is not None
    assert first.parent.span_id == int("cd" * 8, 16)
    assert first.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "linklocal.operation": "get_thing",
        "linklocal.request_id": done.headers["x-request-id"],
    }
    assert second.attributes is not None
    assert second.attributes["linklocal.problem"] == "not_found"
    assert second.attributes["linklocal.request_id"] == refused.headers["x-request-id"]
    assert broken.status_code == 500
    assert not third.status.is_ok
    for span in exported.get_finished_spans():
        assert SECRET not in span.to_json()


async def test_a_node_passes_its_trace_on_and_shows_no_token(
    traces: Traces, exported: InMemorySpanExporter, tmp_path: Path
) -> None:
    async with FakeServer() as server:
        client = ControlClient(
            server.url, IdentityStore(tmp_path).keys(), SystemClock(), traces=traces
        )
        client.enrolment = await client.enrol(JOIN_TOKEN, "host-1")
        await client.report(NodeStatus(1))
        with pytest.raises(Exception):  # noqa: B017 - how the fake refuses is its own business
            await client.exchange(SECRET, None)
        heads = [head.get("traceparent") for head in server.heads]
        async with client.watch(0):
            pass
        await client.close()

    outer, inner = named(exported, "decide iam_tokens"), named(exported, "POST iam_tokens")
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert inner.context is not None
    assert f"{inner.context.span_id:016x}" in str(heads)
    assert not inner.status.is_ok
    assert named(exported, "GET watch").attributes is not None
    for span in exported.get_finished_spans():
        assert SECRET not in span.to_json()
        assert JOIN_TOKEN not in span.to_json()


async def test_a_server_that_is_away_is_a_failed_span(
    traces: Traces, exported: InMemorySpanExporter, tmp_path: Path
) -> None:
    client = ControlClient(
        "http://127.0.0.1:1", IdentityStore(tmp_path).keys(), SystemClock(), traces=traces
    )
    with pytest.raises(UpstreamUnavailable):
        await client.exchange("token", None)
    await client.close()
    assert named(exported, "decide iam_tokens").attributes == {"error.type": "UpstreamUnavailable"}


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "x"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, None),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, None),
    ],
)
def test_the_usual_variables_decide(environment: dict[str, str], exporter: str | None) -> None:
    assert wanted(environment) == exporter


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
    ],
)
def test_what_cannot_be_done_is_said(environment: dict[str, str], named: str) -> None:
    with pytest.raises(OperatorError, match=named), tracing("linklocal", environment):
        raise AssertionError


def test_off_imports_nothing_and_makes_nothing() -> None:
    program = (
        "import sys, linklocal.server.app, linklocal.node.agent\n"
        "from linklocal.tracing import tracing\n"
        "with tracing('x', {}) as traces:\n"
        "    assert traces is None\n"
        "print('opentelemetry.sdk' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"


def test_without_the_extra_the_command_names_it(tmp_path: Path) -> None:
    """The SDK is hidden from the process: `linklocal server` then ends at once and says what to install."""
    program = (
        "import sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "sys.modules['opentelemetry.sdk.resources'] = None\n"
        "from linklocal.cli.main import main\n"
        "main(['server', '--port', '0', '--state-dir', sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state")],
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install linklocal[otel]" in done.stderr
