"""The web application: TensorFlow Serving's paths, a page, health and metrics."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.middleware.gzip import GZipMiddleware

from kerasseq.serve.access import Access
from kerasseq.serve.batching import Batcher, OverloadedError
from kerasseq.serve.gate import CLIENT_CLOSED, RETRY_AFTER, Gate, error
from kerasseq.serve.limits import Limits
from kerasseq.serve.models import Served, Store
from kerasseq.serve.openapi import openapi
from kerasseq.serve.protocol import (
    DEFAULT,
    BadRequestError,
    answer,
    parse_json,
    parse_predict,
    signature_of,
)
from kerasseq.serve.streaming import event, generated, parse_generate
from kerasseq.serve.versions import Choices

LOG = logging.getLogger("kerasseq.serve")
PAGE = Path(__file__).with_name("page.html")
MODEL = re.compile(
    r"/v1/models/(?P<name>[^/:]+)"
    r"(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<what>/metadata|:predict|:classify|:regress)?"
)
OPEN = ("/", "/healthz", "/v2/health/live", "/v2/health/ready")
"""Paths that need no token: the page asks for it, and the others say how the server is."""

LARGE = 5_000
"""Values of an answer that takes so long to write that others should not wait for it."""

DIGITS = 18
"""Of a version, which is a whole number of 64 bits."""

COMPRESSED = 1024
"""Bytes from which an answer is compressed, for clients that take it; as TensorFlow Serving."""

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
        self.load = Gauge(
            "kerasseq_model_load_seconds", "Time that a served version took to load.",
            ["model", "version"], registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "kerasseq_waiting_examples", "Examples that wait to be run.", registry=self.registry
        )

    def observe(self, model: str, status: int, seconds: float) -> None:
        """Takes a request."""
        self.requests.labels(model, status).inc()
        self.seconds.labels(model).observe(seconds)


class Server:
    """The models and the queue behind the paths.

    Args:
        root: folder of exported models.
        limits: bounds of requests.
        access: who may ask.
        choices: which versions are served.
        poll: seconds between looks for new versions.
        threads: batches of a model that are run at once.

    Attributes:
        leaving: whether it will end soon: it still answers, and is no longer ready.
    """

    def __init__(
        self,
        root: Path,
        limits: Limits,
        access: Access | None = None,
        choices: Choices | None = None,
        poll: float = 5.0,
        threads: int = 2,
    ):
        self.store, self.limits = Store(root, choices or Choices()), limits
        self.access = access or Access()
        self._poll, self._threads = poll, threads
        self.metrics = Metrics()
        self.leaving = False
        self._streams = 0

    @asynccontextmanager
    async def life(self, app: FastAPI) -> AsyncIterator[None]:
        """From the first connection to the last request answered; models are loaded meanwhile."""
        self._batchers: dict[str, Batcher] = {}
        ended = threading.Event()
        # no thread of asyncio's, which it would wait for: an end comes at once
        threading.Thread(target=self._look, args=(ended,), daemon=True).start()
        yield
        ended.set()
        for batcher in self._batchers.values():
            batcher.close()

    def _look(self, ended: threading.Event) -> None:
        while True:
            try:
                self.store.refresh()
            except Exception as error:  # it looks again
                LOG.error("cannot look for models", extra={"error": str(error)[:300]})
            if ended.wait(self._poll):
                return

    def _batcher(self, name: str) -> Batcher:
        """A model's own: a slow one keeps no other waiting."""
        if name not in self._batchers:
            self._batchers[name] = Batcher(self.limits, self._threads, self.metrics.batch.observe)
        return self._batchers[name]

    def state(self) -> str:
        """``ready``, or why it is not: ``leaving``, ``loading`` or ``empty``."""
        if self.leaving:
            return "leaving"
        if not self.store.looked:
            return "loading"
        return "ready" if self.store.all() else "empty"

    # -- answers ---------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        """Any request below ``/v1/models``."""
        path = request.url.path
        found = MODEL.fullmatch(path)
        malformed = f"Malformed request: {request.method} {path[:200]}"
        if not found:
            return error(400, malformed)
        name = found["name"]
        digits = found["version"] or ""
        if len(digits.lstrip("0")) > DIGITS:
            return error(400, f"Failed to convert version: {digits[:60]} to numeric.")
        version = int(digits) if digits else found["label"]
        request.state.model = name if self.store.get(name) else "unknown"
        what = found["what"]
        if request.method not in ("GET", "POST") or (request.method == "POST") != (
            (what or "").startswith(":")
        ):
            return error(400, malformed)
        served = self.store.get(name, version)
        if what is None:
            return self._status(name, version)
        if served is None:
            return not_found(name, version)
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

    async def stream(self, request: Request, name: str, version: int | None) -> Response:
        """A text that is generated, token by token."""
        served = self.store.get(name, version)
        request.state.model = name if served else "unknown"
        if served is None:
            return not_found(name, version)
        if self._streams >= self.limits.streams:
            message = f"{self.limits.streams} texts are generated already"
            return error(503, message, RETRY_AFTER=RETRY_AFTER)
        try:
            body = parse_json(await read_body(request, self.limits))
            wanted = parse_generate(body, served, self.limits)
            events = generated(served, wanted, self._batcher(name).call)
            first = [await anext(events), await anext(events)]  # a wrong number is told at once
        except BadRequestError as refused:
            return error(refused.status, str(refused))
        except tf.errors.InvalidArgumentError as refused:
            return error(400, reason(refused))
        return StreamingResponse(
            self._sent(served, first, events),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    async def _sent(
        self, served: Served, first: list[dict[str, Any]], events: AsyncIterator[dict[str, Any]]
    ) -> AsyncIterator[str]:
        """Events as they come; a generation that nobody reads any more is not gone on with."""
        self._streams += 1
        try:
            for one in first:
                yield event(served, one)
            async for one in events:
                yield event(served, one)
        finally:
            self._streams -= 1

    def _status(self, name: str, version: int | str | None) -> Response:
        """The state of a model's versions, as TensorFlow Serving says it."""
        served, failed = self.store.versions(name)
        if version is not None:
            one = self.store.get(name, version)
            served = [one] if one else []
            failed = [each for each in failed if each.version == str(version)]
        states = [state_of(str(each.version), "AVAILABLE", "OK", "") for each in served]
        states += [state_of(each.version, "END", "UNKNOWN", each.reason) for each in failed]
        if states:
            return JSONResponse({"model_version_status": states})
        if isinstance(version, str):
            return not_found(name, version)
        which = "any versions" if version is None else f"version {version}"
        return error(404, f"Could not find {which} of model {name}")

    def listed(self) -> dict[str, Any]:
        """The models that are served, and what is not, with the reason."""
        failed = [
            {"name": one.name, "version": one.version, "reason": one.reason}
            for one in self.store.failed()
        ]
        return {"models": [served.name for served in self.store.all()], "failed": failed}

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


def not_found(name: str, version: int | str | None) -> Response:
    """What TensorFlow Serving says where no such version, or version of a label, is served."""
    if isinstance(version, str):
        return error(400, f"Unrecognized servable version label: {version[:60]}")
    asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return error(404, f"Servable not found for request: {asked}")


def label_of(served: Served) -> str:
    """A word or two for the tab of a model: what its export says, or the name of its task."""
    task = str(served.manifest.get("task", served.name))
    return str(served.manifest.get("label", task.replace("_", " ").capitalize()))


def state_of(version: str, state: str, code: str, message: str) -> dict[str, Any]:
    """A version's state, as TensorFlow Serving says it."""
    status = {"error_code": code, "error_message": message}
    return {"version": version, "state": state, "status": status}


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
    """A request's body, decompressed if it is gzip.

    Raises:
        BadRequestError: if it is too long, or takes too long; no more is read then.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip", ""):
        raise BadRequestError(f"a body is gzip or not compressed, not {coding[:30]}", 415)
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in coding else None
    parts = []
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                if unpack:  # no more of it than is allowed
                    part = unpack.decompress(part, limits.body - size + 1)
                size += len(part)
                if size > limits.body:
                    raise BadRequestError(f"a request's body has at most {limits.body} bytes", 413)
                parts.append(part)
    except zlib.error:
        raise BadRequestError("the body is no gzip") from None
    except TimeoutError:
        raise BadRequestError(f"a request arrives within {limits.seconds:g} seconds", 408) from None
    if unpack and not unpack.eof:
        raise BadRequestError("the body is cut gzip")
    return b"".join(parts)


async def disconnected(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def reason(refused: tf.errors.InvalidArgumentError) -> str:
    """What a graph's assertion says, without the request's texts and the graph's nodes."""
    found = re.search(r"assertion failed: \[([^\]]*)\]", str(refused))
    return found[1] if found else "the model refuses these inputs"


def make_app(server: Server) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="kerasseq", lifespan=server.life, docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False,
    )  # fmt: skip

    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED)
    app.add_middleware(
        Gate, access=server.access, metrics=server.metrics, is_open=OPEN.__contains__
    )

    @app.api_route("/", methods=["GET", "HEAD"])
    async def page() -> HTMLResponse:
        headers = {"Content-Security-Policy": POLICY}
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=headers)

    @app.api_route("/healthz", methods=["GET", "HEAD"])
    async def health() -> JSONResponse:
        state = server.state()
        return JSONResponse({"state": state}, 200 if server.store.all() else 503)

    @app.api_route("/v2/health/live", methods=["GET", "HEAD"])
    async def live() -> JSONResponse:
        return JSONResponse({"live": True})

    @app.api_route("/v2/health/ready", methods=["GET", "HEAD"])
    async def ready(request: Request) -> JSONResponse:
        state = server.state()
        found: dict[str, Any] = {"ready": state == "ready", "state": state}
        if server.access.knows(request):
            found |= {**server.listed(), "loading": server.store.loading()}
        return JSONResponse(found, 200 if state == "ready" else 503)

    @app.get("/metrics")
    @app.get("/monitoring/prometheus/metrics")
    async def metrics() -> Response:
        server.metrics.load.clear()
        for served in server.store.served():
            server.metrics.load.labels(served.name, served.version).set(served.seconds)
        server.metrics.waiting.set(sum(b.waiting for b in server._batchers.values()))
        return Response(generate_latest(server.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/models")
    async def models() -> JSONResponse:
        return JSONResponse({"shown": server.models(), **server.listed()})

    @app.get("/openapi.json")
    async def described() -> JSONResponse:
        return JSONResponse(openapi(server.store.all(), server.access.closed))

    @app.get("/v1/models")
    async def listed() -> JSONResponse:
        return JSONResponse(server.listed())

    @app.api_route("/v1/models/{rest:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
    async def serving(request: Request) -> Response:
        return await server.handle(request)

    @app.post("/v2/models/{name}/generate_stream")
    async def stream(request: Request, name: str) -> Response:
        return await server.stream(request, name, None)

    @app.post("/v2/models/{name}/versions/{version}/generate_stream")
    async def stream_version(request: Request, name: str, version: str) -> Response:
        number = int(version) if re.fullmatch(r"\d{1,18}", version) else -1
        return await server.stream(request, name, number)

    @app.exception_handler(404)
    async def missing(request: Request, _: Exception) -> JSONResponse:
        return error(404, f"Malformed request: {request.method} {request.url.path[:200]}")

    @app.exception_handler(405)
    async def not_allowed(request: Request, _: Exception) -> JSONResponse:
        return error(405, f"Malformed request: {request.method} {request.url.path[:200]}")

    return app
