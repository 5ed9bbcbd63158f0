"""Around every request: who may ask, the log, the metrics, and an answer whatever fails."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from kerasseq.serve.access import Access

LOG = logging.getLogger("kerasseq.serve")

RETRY_AFTER = "1"

CLIENT_CLOSED = 499
"""In the log, as nginx has it: nobody was there to read an answer."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""Names of requests that are taken from clients, such as a proxy; others get a new one."""


class Counts(Protocol):
    """What is told of each request."""

    def observe(self, model: str, status: int, seconds: float) -> None:
        """Takes one that named a model, or ``unknown``."""


def error(status: int, message: str, **headers: str) -> JSONResponse:
    """An error in TensorFlow Serving's shape."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    text = message.encode("utf-8", "backslashreplace").decode()  # half surrogates of a request
    return JSONResponse({"error": text}, status, named)


class Gate:
    """Around every request.

    Args:
        app: what answers.
        access: who may ask.
        metrics: is told of requests.
        is_open: whether a path needs no token.
    """

    def __init__(self, app: Any, access: Access, metrics: Counts, is_open: Callable[[str], bool]):
        self._app, self._access, self._metrics = app, access, metrics
        self._is_open = is_open

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI says it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        request = Request(scope, receive)
        request.state.model = ""
        given = request.headers.get("x-request-id", "")
        name = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        more = [(b"x-request-id", name.encode())]
        if origin := self._access.is_foreign(request):
            more += [(b"access-control-allow-origin", origin.encode()), (b"vary", b"Origin")]
        status = 0

        async def keep(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        refused = self._refused(request, origin)
        if refused:
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
                LOG.exception("failed", extra={"request": name})
                if not status:
                    failed = error(500, "the server failed; its log says why")
                    await failed(scope, receive, keep)
        spent = time.perf_counter() - start
        if request.state.model:
            self._metrics.observe(request.state.model, status, spent)
        LOG.info(
            "request",
            extra={
                "request": name,
                "method": request.method,
                "path": request.url.path[:200],
                "status": status,
                "milliseconds": round(1000 * spent, 1),
            },
        )

    def _refused(self, request: Request, origin: str) -> Response | None:
        """The answer to a request that goes no further."""
        if why := self._access.refusal(request):
            return error(*why)
        if origin and request.method == "OPTIONS":  # a browser asks before it asks
            allowed = {
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": "authorization, content-type, x-request-id",
                "Access-Control-Max-Age": "600",
            }
            return Response(status_code=204, headers=allowed)
        if not self._is_open(request.url.path) and not self._access.knows(request):
            return error(401, "a bearer token is needed", WWW_AUTHENTICATE="Bearer")
        return None
