"""The server's process: how it begins, is told to end, and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import Any

import uvicorn

from kerasseq.serve.app import Server
from kerasseq.serve.limits import BACKLOG

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Uvicorn(uvicorn.Server):
    """Is told to end twice: first it is no longer ready, then it takes no more."""

    def __init__(self, config: uvicorn.Config, server: Server, grace: float):
        super().__init__(config)
        self._server, self._grace = server, grace

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes a signal."""
        grace = self._grace if sig == signal.SIGTERM and self._server.state() == "ready" else 0
        self._server.leaving = True
        if not grace:
            super().handle_exit(sig, frame)
            return

        def later() -> None:
            self._loop.call_later(grace, super(_Uvicorn, self).handle_exit, sig, None)

        self._loop.call_soon_threadsafe(later)


def run(
    app: Any, server: Server, connections: Any, bound: socket.socket, grace: float, drain: int
) -> None:
    """Serves until a signal, and ends the process with status 0.

    Args:
        app: from :func:`kerasseq.serve.app.make_app`.
        server: behind it.
        connections: makes a connection.
        bound: where it listens.
        grace: seconds after SIGTERM until it takes no more.
        drain: seconds that what has come has then.
    """
    for number in SIGNALS:  # uvicorn raises them again when it is done
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app, http=connections, ws="none", server_header=False, log_config=None,
        access_log=False, backlog=BACKLOG, timeout_keep_alive=round(server.limits.idle) + 1,
        timeout_graceful_shutdown=drain,
    )  # fmt: skip
    _Uvicorn(config, server, grace).run([bound])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that load or run a model would be waited for
