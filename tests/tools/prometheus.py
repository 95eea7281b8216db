"""Prometheus: the counters of requests, by what the instrumentator calls a handler."""

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_fastapi_instrumentator import Instrumentator


async def seen() -> Any:
    from tools.notes import client_of, make_app, watched

    app, registry = make_app(), CollectorRegistry()
    instrumentator = Instrumentator(should_group_status_codes=False, registry=registry)
    instrumentator.instrument(app).expose(app)
    seen = await watched(app, list)
    async with client_of(app) as client:
        text = (await client.get("/metrics")).text
    return {**seen, "counted": _counted(text)}


def _counted(text: str) -> Any:
    return sorted(
        (labels["handler"], labels["method"], labels["status"], sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "http_requests_total" and (labels := sample.labels)
    )
