"""The routes that watch the server: /healthz for a machine that restarts it, /metrics for Prometheus."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from segviz.server import metrics as telemetry

NO_STORE = {"Cache-Control": "no-store"}


def routes() -> list[Route]:
    """For `st.App(__file__, routes=routes())`."""
    return [Route("/healthz", healthz, methods=["GET"]), Route("/metrics", metrics, methods=["GET"])]


async def healthz(_: Request) -> Response:
    """200 while all is well, else 503 with what is wrong."""
    problems = telemetry.problems()
    body = {"status": "unwell" if problems else "ok", "problems": problems}
    return JSONResponse(body, 503 if problems else 200, NO_STORE)


async def metrics(_: Request) -> Response:
    """Prometheus's text format."""
    return Response(telemetry.metrics(), headers={**NO_STORE, "Content-Type": CONTENT_TYPE_LATEST})
