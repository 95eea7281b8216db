"""A worker looks once a second whether anybody is told of requests, and not at each."""

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace

from howdah import serving
from howdah.serving import settled

pytestmark = pytest.mark.anyio


class Recorder(trace.TracerProvider):
    """Tells what it was told."""

    def __init__(self):
        self.names = []

    def get_tracer(self, *_arguments, **_options):
        return _Tracer(self.names)


class _Tracer(trace.NoOpTracer):
    def __init__(self, names):
        self._names = names

    def start_span(self, name, *arguments, **options):
        self._names.append(name)
        return super().start_span(name, *arguments, **options)


def make_app(**telemetry) -> FastAPI:
    app = FastAPI(telemetry={"metrics": False, "logs": False, **telemetry})

    @app.get("/here")
    async def here() -> str:
        return "here"

    return app


async def ask(served) -> None:
    transport = httpx.ASGITransport(app=served)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/here")).json() == "here"


async def test_who_is_to_be_told_of_requests_is_told():
    recorder = Recorder()

    await ask(settled(make_app(tracer_provider=recorder)))

    assert recorder.names[:1] == ["GET"]


async def test_who_comes_later_is_told_from_the_next_look_on(monkeypatch):
    monkeypatch.setattr(serving, "_GLANCE", 0)
    providers = [trace.get_tracer_provider()]
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: providers[-1])
    recorder = Recorder()
    served = settled(make_app())
    await ask(served)

    providers.append(recorder)
    await ask(served)

    assert recorder.names[:1] == ["GET"]


async def test_a_second_of_requests_is_one_look(monkeypatch):
    looks = []
    found = trace.get_tracer_provider
    monkeypatch.setattr(
        trace, "get_tracer_provider", lambda: looks.append(1) or found()
    )
    monkeypatch.setattr(serving, "_GLANCE", 60)
    served = settled(make_app())

    for _ in range(20):
        await ask(served)

    assert len(looks) == 1
