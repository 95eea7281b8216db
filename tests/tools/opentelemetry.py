"""OpenTelemetry: an app that is instrumented, all apps that are, and FastAPI's own."""

from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

DURATIONS = ("http.server.duration", "http.server.request.duration")


class Watch:
    """Providers that keep what they are told."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._reader])
        self.providers = {"tracer_provider": tracers, "meter_provider": meters}

    def take(self) -> Any:
        spans = self._spans.get_finished_spans()
        self._spans.clear()
        served = [_told(span) for span in spans if span.kind is SpanKind.SERVER]
        inner = [span.name for span in spans if span.kind is not SpanKind.SERVER]
        # A resource has written its JSON before FastAPI would.
        inner = sorted(name for name in inner if name != "fastapi.serialization")
        return {"served": served, "inner": inner}

    def measured(self) -> Any:
        """Return which requests have been timed, and how many of each."""
        data = self._reader.get_metrics_data()
        points = (
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name in DURATIONS
            for point in metric.data.data_points
        )
        return sorted([*_request(it.attributes), it.count] for it in points)


# By their old names and their new ones.
_METHOD = ("http.method", "http.request.method")
_STATUS = ("http.status_code", "http.response.status_code")


def _told(span: ReadableSpan) -> Any:
    told = _first(span.attributes, "http.route"), _first(span.attributes, *_STATUS)
    raised = [dict(it.attributes or {})["exception.type"] for it in span.events]
    return span.name, *told, span.status.status_code.name, raised


def _request(attributes: Any) -> Any:
    names = _METHOD, ("http.route", "http.target"), _STATUS
    return [_first(attributes, *each) for each in names]


def _first(attributes: Any, *names: str) -> Any:
    return next((attributes[it] for it in names if it in attributes), "")


async def seen() -> Any:
    # The last one changes what `fastapi.FastAPI` is.
    return {"app": await _app(), "native": await _native(), "class": await _class()}


async def _app() -> Any:
    from tools.notes import make_app

    app, watch = make_app(), Watch()
    FastAPIInstrumentor.instrument_app(app, **watch.providers)
    return await _seen(app, watch)


async def _native() -> Any:
    from tools.notes import make_app

    watch = Watch()
    return await _seen(make_app(telemetry=watch.providers), watch)


async def _class() -> Any:
    watch = Watch()
    trace.set_tracer_provider(watch.providers["tracer_provider"])
    FastAPIInstrumentor().instrument(meter_provider=watch.providers["meter_provider"])
    from tools.notes import make_app

    return await _seen(make_app(), watch)


async def _seen(app: Any, watch: Watch) -> Any:
    from tools.notes import watched

    seen = await watched(app, watch.take)
    return {**seen, "measured": watch.measured()}
