"""Spans of requests, kept in memory or sent to a collector."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from rawhttp import PREDICT, WAYS, connected, get, post
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
from waiting import SECONDS

from prepackaged.server.runtime import server as running
from prepackaged.server.telemetry.tracing import Tracing
from prepackaged.testing import Served, serve

ROWS = b'{"data": {"ndarray": [[1, 2], [3, 4]]}}'
TRACE, PARENT = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
CALLER = f"00-{TRACE:032x}-{PARENT:016x}-01"  # W3C traceparent

Spans = Callable[[int], list[ReadableSpan]]


class Traced:
    """A model that opens a span and fails at the value 13."""

    def __init__(self, provider: TracerProvider) -> None:
        self.tracer = provider.get_tracer("model")

    def predict(self, X: Any, names: Any) -> Any:
        with self.tracer.start_as_current_span("inside"):
            if X[0][0] == 13:
                raise ValueError("13 is unlucky")
            return X

    def transform_input(self, X: Any, names: Any) -> Any:
        return X


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """The in-memory exporter that receives the spans."""
    return InMemorySpanExporter()


@pytest.fixture
def server(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server whose spans go to the in-memory exporter."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(running, "start_tracing", lambda _: Tracing(provider))
    with serve(Traced(provider), tracing=True) as served:
        yield served


def spans(exporter: InMemorySpanExporter) -> tuple[ReadableSpan | None, ReadableSpan]:
    """The model's own span if there is one, and the request's only span."""
    own = [span for span in exporter.get_finished_spans() if span.name == "inside"]
    (request,) = (span for span in exporter.get_finished_spans() if span.name != "inside")
    return own[0] if own else None, request


@pytest.mark.parametrize("path", WAYS)
def test_a_request_is_a_span_below_its_callers(
    server: Served, exporter: InMemorySpanExporter, path: str
) -> None:
    """A request's span has its caller as parent, the model's span as child, and its attributes."""
    with connected(server.url) as connection:
        connection.ask(post(ROWS, path, f"traceparent: {CALLER}"))
    inside, span = spans(exporter)
    assert (span.name, span.kind) == (f"POST {PREDICT}", SpanKind.SERVER)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "url.path": PREDICT,
        "http.response.status_code": 200,
        "prepackaged.rows": 2,
    }
    assert (span.context.trace_id, span.parent and span.parent.span_id) == (TRACE, PARENT)
    assert inside is not None
    assert inside.parent == span.context
    assert (span.start_time or 0) < (inside.start_time or 0)
    assert (inside.end_time or 0) < (span.end_time or 0)


def test_a_request_without_a_caller_begins_a_trace(
    server: Served, exporter: InMemorySpanExporter
) -> None:
    """Without a traceparent, the request's span has no parent."""
    with connected(server.url) as connection:
        connection.ask(post(ROWS))
    assert spans(exporter)[1].parent is None


def test_a_call_over_grpc_is_a_span(server: Served, exporter: InMemorySpanExporter) -> None:
    """A gRPC call's span has its parent from the metadata, and gRPC's status."""
    message = prediction_pb2.SeldonMessage(data={"tensor": {"shape": [2, 1], "values": [1, 2]}})
    with grpc.insecure_channel(server.grpc) as channel:
        stub = prediction_pb2_grpc.ModelStub(channel)
        stub.Predict(message, metadata=[("traceparent", CALLER)], timeout=SECONDS)
    inside, span = spans(exporter)
    assert span.name == "gRPC /seldon.protos.Model/Predict"
    assert dict(span.attributes or {}) == {
        "rpc.system.name": "grpc",
        "rpc.method": "seldon.protos.Model/Predict",
        "rpc.response.status_code": "OK",
        "prepackaged.rows": 2,
    }
    assert (span.context.trace_id, span.parent and span.parent.span_id) == (TRACE, PARENT)
    assert inside is not None
    assert inside.parent == span.context


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"data": {"ndarray": [[13]]}}', 500, StatusCode.ERROR),
        (b"{", 400, StatusCode.UNSET),
    ],
)
def test_a_span_tells_a_failure_of_the_servers_from_the_clients(
    server: Served, exporter: InMemorySpanExporter, body: bytes, status: int, code: StatusCode
) -> None:
    """A 500 sets the span's status to error and a 400 does not, as OpenTelemetry specifies."""
    with connected(server.url) as connection:
        connection.ask(post(body))
    _, span = spans(exporter)
    assert (span.attributes or {})["http.response.status_code"] == status
    assert span.status.status_code == code


def test_every_method_is_a_span_and_what_probes_ask_is_none(
    server: Served, exporter: InMemorySpanExporter
) -> None:
    """Predictions and transformations have spans; health, metadata and unknown paths have none."""
    with connected(server.url) as connection:
        for path in ("/health/ping", "/health/status", "/metadata", "/nowhere"):
            connection.ask(get(path))
        connection.ask(post(ROWS, "/transform-input"))
    assert spans(exporter)[1].name == "POST /transform-input"


class Collector(BaseHTTPRequestHandler):
    """Stores the exported spans."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Any]:
    """A collector on a free port."""
    with HTTPServer(("localhost", 0), Collector) as server:
        server.taken = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_spans_go_where_the_environment_says(
    start_process: Callable[..., Any], collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans go where OpenTelemetry's variables say, and shutdown loses none."""
    endpoint = f"http://localhost:{collector.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    process = start_process("Mirror")
    with connected(process.server.url) as connection:
        connection.ask(post(ROWS))
    process.signal(signal.SIGTERM)
    assert process.status() == 0
    ((path, body),) = collector.taken
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (path, named["service.name"]) == ("/v1/traces", "Mirror")
    assert [span.name for span in resource.scope_spans[0].spans] == [f"POST {PREDICT}"]


def test_upstreams_variable_and_the_services_name_are_read(
    start_process: Callable[..., Any], collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRACING=1 turns tracing on, and OTEL_SERVICE_NAME names the service."""
    endpoint = f"http://localhost:{collector.server_port}/v1/traces"
    monkeypatch.setenv("TRACING", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "iris")
    process = start_process("Mirror")
    with connected(process.server.url) as connection:
        connection.ask(post(ROWS))
    process.signal(signal.SIGTERM)
    assert process.status() == 0
    ((_, body),) = collector.taken
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == "iris"


def test_a_missing_trace_collector_delays_no_request(
    start_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreachable collector delays neither requests nor the shutdown."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:9")
    process = start_process("Mirror")
    with connected(process.server.url) as connection:
        assert connection.ask(post(ROWS)).status == 200
    process.signal(signal.SIGTERM)
    assert process.status() == 0


WITHOUT = """
import sys
from prepackaged.server.runtime import cli
from prepackaged.server.telemetry import tracing
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
sys.modules["opentelemetry"] = None
print(tracing.start_tracing("Model"))
"""


def test_without_opentelemetry_nothing_is_traced() -> None:
    """OpenTelemetry is imported only when needed; if it is not installed, a log line says so."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"
    assert "Requests are not traced" in done.stderr
    assert "prepackaged[tracing]" in done.stderr
