"""The application: API, page and metrics in one, and the server that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import prometheus_client as prometheus
from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles

from prosr.serve.api import router
from prosr.serve.guard import HANDLERS, RESPONSES, Guard
from prosr.serve.service import Denied, Service
from prosr.version import __version__


def create_app(service: Service, token: str | None, hosts: Sequence[str]) -> FastAPI:
    """The application of a service that has been started."""
    app = FastAPI(
        title="prosr",
        version=__version__,
        description="Enlarges pictures. Errors are problem documents (RFC 9457).",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        responses=RESPONSES,
        exception_handlers=HANDLERS,
    )
    app.state.service = service
    app.include_router(router)
    registry = prometheus.CollectorRegistry()
    app.add_middleware(Guard, service=service, token=token, hosts=hosts, registry=registry)
    _add_gauges(service, registry)

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(prometheus.generate_latest(registry), media_type="text/plain")

    @app.get("/healthz")
    async def healthz() -> str:
        """Whether the server answers."""
        return "ok"

    @app.get("/readyz")
    async def readyz() -> str:
        """Whether pictures are accepted and enlarged now."""
        if not service.ready:
            raise Denied(503, service.trouble or "the service is stopping", wait=1)
        return "ready"

    app.mount("/", StaticFiles(directory=Path(__file__).with_name("page"), html=True))
    return app


def _add_gauges(service: Service, registry: prometheus.CollectorRegistry) -> None:
    """Measure the state of the service when Prometheus asks."""
    pictures = prometheus.Gauge("prosr_pictures", "Of kept jobs", ["state"], registry=registry)
    for state in ("queued", "running", "done", "failed", "cancelled"):
        pictures.labels(state).set_function(partial(service.store.count, state))
    memory = prometheus.Gauge("prosr_memory_bytes", "Of all processes", registry=registry)
    memory.set_function(lambda: service.memory)
    used = prometheus.Gauge("prosr_spool_bytes", "Uploads and results", registry=registry)
    used.set_function(service.store.used)
