"""Spans of requests with OpenTelemetry, if it is installed and turned on."""

import asyncio
import logging
import threading
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from prepackaged.headers import headers_of
from prepackaged.server.telemetry.context import RequestContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)


class Tracing:
    """Creates a span for each request, as a child of the caller's span if the headers name one.

    The span is the current one while the model's hooks are called for that request alone.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import propagate, trace

        self._provider = provider
        self._tracer = provider.get_tracer("prepackaged")
        self._trace = trace
        self._extract = propagate.extract

    def around(self, context: RequestContext) -> AbstractContextManager[Any]:
        """The context manager in which a model's hooks run."""
        return self._trace.use_span(
            self._span(context), record_exception=False, set_status_on_exception=False
        )

    def end(self, context: RequestContext, status: int, code: str) -> None:
        """End the request's span."""
        span = self._span(context)
        if code:
            span.set_attribute("rpc.response.status_code", code)
        else:
            span.set_attribute("http.response.status_code", status)
        if context.rows is not None:
            span.set_attribute("prepackaged.rows", context.rows)
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    async def stop(self, seconds: float) -> None:
        """Export the remaining spans, unless that takes too long."""
        export = threading.Thread(target=self._provider.shutdown, daemon=True)
        export.start()
        await asyncio.to_thread(export.join, seconds)

    def _span(self, context: RequestContext) -> Any:
        if context.span is None:
            elapsed = time.perf_counter() - context.started
            context.span = self._tracer.start_span(
                f"{context.method} {context.path}",
                context=self._extract(headers_of(context)),
                kind=self._trace.SpanKind.SERVER,
                attributes=_attributes(context),
                start_time=time.time_ns() - int(elapsed * 1e9),
            )
        return context.span


def _attributes(context: RequestContext) -> dict[str, str]:
    if context.method == "gRPC":
        return {"rpc.system.name": "grpc", "rpc.method": context.path.removeprefix("/")}
    return {"http.request.method": context.method, "url.path": context.path}


def start_tracing(service: str) -> Tracing | None:
    """Tracing as the environment's OTEL_* variables say; None if OpenTelemetry is not installed.

    The service has this name unless the environment gives it another.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import resources
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        logger.warning("Requests are not traced: %s; install prepackaged[tracing]", error)
        return None
    named = resources.Resource.create({resources.SERVICE_NAME: service})
    resource = named.merge(resources.OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)  # for spans of the model's own
    return Tracing(provider)
