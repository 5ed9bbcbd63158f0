"""The web application: TensorFlow Serving's paths, a page, health and metrics."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.requests import ClientDisconnect

from kerasseq.serve.batching import Batcher, OverloadedError
from kerasseq.serve.limits import Limits
from kerasseq.serve.models import Served, Store
from kerasseq.serve.protocol import (
    DEFAULT,
    BadRequestError,
    answer,
    parse_json,
    parse_predict,
    signature_of,
)

LOG = logging.getLogger("kerasseq.serve")
PAGE = Path(__file__).with_name("page.html")
MODEL = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d{1,18}))?"
    r"(?P<what>/metadata|:predict|:classify|:regress)?"
)
OPEN = ("/", "/healthz")
"""Paths that need no token: the page asks for it."""

RETRY_AFTER = "1"
LARGE = 5_000
"""Values of an answer that takes so long to write that others should not wait for it."""

CLIENT_CLOSED = 499
"""In the log, as nginx has it: nobody was there to read an answer."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of the page: all of it is in one file, and it talks to this server alone."""


class Metrics:
    """What Prometheus reads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "kerasseq_requests_total", "Requests.", ["model", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "kerasseq_request_seconds", "Time to answer.", ["model"], registry=self.registry
        )
        self.batch = Histogram(
            "kerasseq_batch_examples", "Examples that were run together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256), registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "kerasseq_waiting_examples", "Examples that wait to be run.", registry=self.registry
        )


class Server:
    """The models and the queue behind the paths.

    Args:
        root: folder of exported models.
        limits: bounds of requests.
        token: that clients must bring; empty for none.
        poll: seconds between looks for new versions.
        threads: batches of a model that are run at once.
    """

    def __init__(
        self, root: Path, limits: Limits, token: str = "", poll: float = 5.0, threads: int = 2
    ):
        self.store, self.limits = Store(root), limits
        self._token, self._poll, self._threads = token, poll, threads
        self.metrics = Metrics()

    @asynccontextmanager
    async def life(self, app: FastAPI) -> AsyncIterator[None]:
        """From the first models loaded to the last request answered."""
        self._batchers: dict[str, Batcher] = {}
        await asyncio.to_thread(self.store.refresh)
        task = asyncio.create_task(self._look())
        yield
        task.cancel()
        for batcher in self._batchers.values():
            batcher.close()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            try:
                await asyncio.to_thread(self.store.refresh)
            except Exception as error:  # it looks again
                LOG.error("cannot look for models", extra={"error": str(error)[:300]})

    def _batcher(self, name: str) -> Batcher:
        """A model's own: a slow one keeps no other waiting."""
        if name not in self._batchers:
            self._batchers[name] = Batcher(self.limits, self._threads, self.metrics.batch.observe)
        return self._batchers[name]

    def allowed(self, request: Request) -> bool:
        """Whether a request may be answered."""
        if not self._token or request.url.path in OPEN:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self._token.encode())
        return same and scheme.lower() == "bearer"

    # -- answers ---------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        """Any request below ``/v1/models``."""
        path = request.url.path
        found = MODEL.fullmatch(path)
        malformed = f"Malformed request: {request.method} {path[:200]}"
        if not found:
            return error(400, malformed)
        name = found["name"]
        version = int(found["version"]) if found["version"] else None
        request.state.model = name if self.store.get(name, None) else "unknown"
        what = found["what"]
        if request.method not in ("GET", "POST") or (request.method == "POST") != (
            (what or "").startswith(":")
        ):
            return error(400, malformed)
        served = self.store.get(name, version)
        if served is None:
            if what is None:
                return error(404, f"Could not find any versions of model {name}")
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            return error(404, f"Servable not found for request: {asked}")
        if what is None:
            return JSONResponse(status_of(served))
        if what == "/metadata":
            return JSONResponse(metadata_of(served))
        if what != ":predict":
            return error(400, f"{what[1:]} is not served; use predict")
        try:
            body = await read_body(request, self.limits)
            return await self._predict(served, body, request)
        except BadRequestError as refused:
            return error(refused.status, str(refused))
        except OverloadedError as overloaded:
            return error(503, str(overloaded), RETRY_AFTER=RETRY_AFTER)
        except tf.errors.InvalidArgumentError as refused:
            return error(400, reason(refused))

    async def _predict(self, served: Served, body: bytes, client: Request) -> Response:
        request = parse_json(body)
        signature = signature_of(request)
        if signature not in served.inputs:
            raise BadRequestError(
                f'Serving signature name: "{signature[:60]}" not found in signature def'
            )
        predict = parse_predict(request, served.inputs[signature], self.limits)
        run = asyncio.ensure_future(self._batcher(served.name).run(served, predict))
        gone = asyncio.ensure_future(disconnected(client))
        try:
            await asyncio.wait(
                (run, gone), timeout=self.limits.seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if gone.done() and not run.done():
                return Response(status_code=CLIENT_CLOSED)
            if not run.done():
                raise OverloadedError(f"no answer within {self.limits.seconds:g} seconds")
            outputs = run.result()
            if sum(values.size for values in outputs.values()) < LARGE:
                return JSONResponse(answer(outputs, predict.by_row))
            return await asyncio.to_thread(lambda: JSONResponse(answer(outputs, predict.by_row)))
        finally:
            run.cancel()
            gone.cancel()

    def models(self) -> list[dict[str, Any]]:
        """What the page shows tabs for."""
        return [
            {
                "name": served.name,
                "version": served.version,
                "label": label_of(served),
                "signatures": sorted(served.inputs),
                "outputs": sorted(served.signature_def.get(DEFAULT, {}).get("outputs", {})),
                "page": served.manifest.get("page", {}),
                "classes": served.manifest.get("data", {}).get("classes", []),
            }
            for served in self.store.all()
        ]


def label_of(served: Served) -> str:
    """A word or two for the tab of a model: what its export says, or the name of its task."""
    task = str(served.manifest.get("task", served.name))
    return str(served.manifest.get("label", task.replace("_", " ").capitalize()))


def status_of(served: Served) -> dict[str, Any]:
    """A version's state, as TensorFlow Serving says it."""
    state = {"error_code": "OK", "error_message": ""}
    return {
        "model_version_status": [
            {"version": str(served.version), "state": "AVAILABLE", "status": state}
        ]
    }


def metadata_of(served: Served) -> dict[str, Any]:
    """A version's signatures, as TensorFlow Serving says them."""
    return {
        "model_spec": {
            "name": served.name,
            "signature_name": "",
            "version": str(served.version),
        },
        "metadata": {"signature_def": {"signature_def": served.signature_def}},
    }


async def read_body(request: Request, limits: Limits) -> bytes:
    """A request's body.

    Raises:
        BadRequestError: if it is too long, or takes too long; no more is read then.
    """
    parts = []
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body:
                    raise BadRequestError(f"a request's body has at most {limits.body} bytes", 413)
                parts.append(part)
    except TimeoutError:
        raise BadRequestError(f"a request arrives within {limits.seconds:g} seconds", 408) from None
    return b"".join(parts)


async def disconnected(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def reason(refused: tf.errors.InvalidArgumentError) -> str:
    """What a graph's assertion says, without the request's texts and the graph's nodes."""
    found = re.search(r"assertion failed: \[([^\]]*)\]", str(refused))
    return found[1] if found else "the model refuses these inputs"


def error(status: int, message: str, **headers: str) -> JSONResponse:
    """An error in TensorFlow Serving's shape."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    text = message.encode("utf-8", "backslashreplace").decode()  # half surrogates of a request
    return JSONResponse({"error": text}, status, named)


class Gate:
    """Around every request: the token, the metrics, the log, and an answer whatever fails.

    Args:
        app: what answers.
        server: see :class:`Server`.
    """

    def __init__(self, app: Any, server: Server):
        self._app, self._server = app, server

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI says it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        request = Request(scope, receive)
        request.state.model = ""
        status = 0

        async def keep(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        if not self._server.allowed(request):
            refused = error(401, "a bearer token is needed", WWW_AUTHENTICATE="Bearer")
            await refused(scope, receive, keep)
        else:
            try:
                await self._app(scope, receive, keep)
            except asyncio.CancelledError:  # the time to drain is over
                if not status:
                    ended = error(503, "the server has ended", RETRY_AFTER=RETRY_AFTER)
                    await ended(scope, receive, keep)
            except ClientDisconnect:
                status = CLIENT_CLOSED
            except Exception:
                LOG.exception("failed")
                if not status:
                    failed = error(500, "the server failed; its log says why")
                    await failed(scope, receive, keep)
        spent = time.perf_counter() - start
        model = request.state.model
        if model:
            self._server.metrics.requests.labels(model, status).inc()
            self._server.metrics.seconds.labels(model).observe(spent)
        LOG.info(
            "request",
            extra={
                "method": request.method,
                "path": request.url.path[:200],
                "status": status,
                "milliseconds": round(1000 * spent, 1),
            },
        )


def make_app(server: Server) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="kerasseq", lifespan=server.life, docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False,
    )  # fmt: skip

    app.add_middleware(Gate, server=server)

    @app.api_route("/", methods=["GET", "HEAD"])
    async def page() -> HTMLResponse:
        headers = {"Content-Security-Policy": POLICY}
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=headers)

    @app.api_route("/healthz", methods=["GET", "HEAD"])
    async def health() -> JSONResponse:
        loaded = [served.name for served in server.store.all()]
        return JSONResponse({"models": loaded}, 200 if loaded else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        server.metrics.waiting.set(sum(b.waiting for b in server._batchers.values()))
        return Response(generate_latest(server.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/models")
    async def models() -> JSONResponse:
        return JSONResponse(server.models())

    @app.api_route("/v1/models/{rest:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
    async def serving(request: Request) -> Response:
        return await server.handle(request)

    @app.exception_handler(404)
    async def missing(request: Request, _: Exception) -> JSONResponse:
        return error(404, f"Malformed request: {request.method} {request.url.path[:200]}")

    @app.exception_handler(405)
    async def not_allowed(request: Request, _: Exception) -> JSONResponse:
        return error(405, f"Malformed request: {request.method} {request.url.path[:200]}")

    return app
