"""Datadog: spans, of which none are sent."""

import os
from typing import Any

os.environ.update(
    DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
    DD_REMOTE_CONFIGURATION_ENABLED="false",
    DD_TRACE_STARTUP_LOGS="false",
)


async def seen() -> Any:
    from ddtrace import patch
    from ddtrace.trace import TraceFilter, tracer

    spans: list[Any] = []

    class Kept(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            spans.extend(trace)

    def take() -> Any:
        told = [_told(span) for span in spans if span.parent_id is None]
        spans.clear()
        return told

    tracer.configure(trace_processors=[Kept()])
    patch(fastapi=True, starlette=True)
    from tools.notes import make_app, watched

    return await watched(make_app(), take)


def _told(span: Any) -> Any:
    tags = (span.get_tag(it) for it in ("http.route", "http.status_code", "error.type"))
    return span.resource, *tags, span.error
