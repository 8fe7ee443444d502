"""OpenTelemetry traces, where the usual `OTEL_*` variables ask for them. docs/tracing.md

The SDK is an extra and is imported only when tracing is on: off costs one comparison with None per call.
Callers pass names of operations, codes and statuses as attributes: never bodies, headers, queries or
tokens. Messages of exceptions are not recorded, because they may quote what was sent. No global provider
is set, so that FastAPI's own spans, which have queries and such messages, stay off. Variables named
`OTEL_*` are a standard of their own, read by the SDK; this module only looks whether they ask for anything.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from linklocal import __version__
from linklocal.errors import OperatorError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

LAST_SECONDS = 1.5  # for what is not sent when the process ends
EXPORTERS = ("otlp", "console", "none")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
Attribute = str | int


class Span:
    """One operation that is going on."""

    def __init__(self, traces: Traces, attributes: Mapping[str, Attribute]) -> None:
        from opentelemetry import trace

        self._statuses = trace.Status, trace.StatusCode
        self.of = traces
        self._ended = False
        self._span = trace.get_current_span()
        self._span.set_attributes(dict(attributes))

    def set(self, **attributes: Attribute | None) -> None:
        """Add facts; `__` in a name stands for a dot, None is left out."""
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(name.replace("__", "."), value)

    def rename(self, name: str) -> None:
        """Call it what it turned out to be."""
        self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """It ended badly: `kind` is a code or the name of an error."""
        made, codes = self._statuses
        if self._span.is_recording():
            self._span.set_attribute("error.type", kind)
            self._span.set_status(made(codes.ERROR))

    def end(self) -> None:
        """It ends here, though its block goes on. Once is enough."""
        if not self._ended:
            self._ended = True
            self._span.end()

    def pass_on(self, headers: MutableMapping[str, str]) -> None:
        """Add `traceparent` to the headers of a request to somebody who may go on with this trace."""
        self.of.propagator.inject(headers)


class Traces:
    """Makes spans; one for each process. `close` sends what is not sent yet."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("linklocal", __version__)
        self._kinds = {
            "server": SpanKind.SERVER,
            "client": SpanKind.CLIENT,
            "internal": SpanKind.INTERNAL,
        }
        self.propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self,
        name: str,
        kind: str,
        headers: Mapping[str, str] | None = None,
        **attributes: Attribute,
    ) -> Iterator[Span]:
        """A span around the block, in the trace of the one around it, or of the caller's `traceparent`
        in `headers`. `kind` is server, client or internal. An exception marks it as failed by its type.
        """
        context = None if headers is None else self.propagator.extract(headers)
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(
            name,
            context,
            self._kinds[kind],
            record_exception=False,
            set_status_on_exception=False,
            end_on_exit=False,
        ):
            span = Span(self, named)
            try:
                yield span
            except BaseException as error:
                span.fail(type(error).__name__)
                raise
            finally:
                span.end()

    def close(self) -> None:
        """Hand over what is waiting, but let no collector that is away hold up the end of a process."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(LAST_SECONDS)


def span_of(
    traces: Traces | None, name: str, kind: str, **attributes: Attribute
) -> AbstractContextManager[Span | None]:
    """A span where tracing is on; None at no cost where it is off."""
    return nullcontext() if traces is None else traces.span(name, kind, None, **attributes)


@contextmanager
def tracing(service: str, environment: Mapping[str, str]) -> Iterator[Traces | None]:
    """What makes spans inside the block, or None when the environment does not ask for traces.

    On: `OTEL_TRACES_EXPORTER` names an exporter, or an OTLP endpoint is set. `service` is the name
    unless `OTEL_SERVICE_NAME` gives one. Raises OperatorError (exit code 2) when the extra is missing
    or the exporter is not one of `EXPORTERS`.
    """
    asked = wanted(environment)
    if asked is None:
        yield None
        return
    traces = Traces(_provider(service, asked, environment))
    try:
        yield traces
    finally:
        traces.close()


def wanted(environment: Mapping[str, str]) -> str | None:
    """The exporter that the environment asks for. Raises OperatorError for one that is none here."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not named:
        named = "otlp" if any(environment.get(name) for name in _ENDPOINTS) else "none"
    if named not in EXPORTERS:
        raise OperatorError(
            f"OTEL_TRACES_EXPORTER is `{named}`, which linklocal does not have.",
            f"Set it to one of {', '.join(EXPORTERS)}.",
            exit_code=2,
        )
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), None)
    if named == "otlp" and protocol not in (None, "http/protobuf"):
        raise OperatorError(
            f"Traces cannot be sent with the OTLP protocol `{protocol}`.",
            f"Set {_PROTOCOLS[1]}=http/protobuf; its usual port is 4318.",
            exit_code=2,
        )
    return None if named == "none" else named


def _provider(service: str, exporter: str, environment: Mapping[str, str]) -> TracerProvider:
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        made = _exporter(exporter)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise OperatorError(
            "The environment asks for OpenTelemetry traces (OTEL_*), but its SDK is not installed.",
            "pip install linklocal[otel], or unset the variables, or set OTEL_SDK_DISABLED=true.",
            exit_code=2,
        ) from error
    facts = {"service.version": __version__}
    given = environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not environment.get("OTEL_SERVICE_NAME") and "service.name=" not in given:
        facts["service.name"] = service
    provider = TracerProvider(resource=Resource.create(facts), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(made))
    return provider


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
