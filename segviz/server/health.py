"""The monitoring routes: /healthz for whatever restarts the server, /metrics for Prometheus."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from segviz.server.metrics import find_problems, render_metrics

NO_STORE = {"Cache-Control": "no-store"}


def health_routes() -> list[Route]:
    """The routes for `st.App`."""
    return [Route("/healthz", answer_healthz, methods=["GET"]), Route("/metrics", answer_metrics, methods=["GET"])]


async def answer_healthz(_: Request) -> Response:
    """200 while the server is well, else 503 with its problems."""
    problems = find_problems()
    body = {"status": "unwell" if problems else "ok", "problems": problems}
    return JSONResponse(body, 503 if problems else 200, NO_STORE)


async def answer_metrics(_: Request) -> Response:
    """All metrics in Prometheus's text format."""
    return Response(render_metrics(), headers={**NO_STORE, "Content-Type": CONTENT_TYPE_LATEST})
