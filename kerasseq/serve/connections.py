"""Connections, bounded before anything that they send is trusted.

uvicorn reads HTTP by httptools, which keeps whatever is sent as headers, for as long as it takes.
Here a head has a size, a number of lines and a time, and a server has a number of connections.
Where there are more, those that wait for a request longest give way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import sys
from collections import Counter
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kerasseq.errors import UserError
from kerasseq.serve.limits import Limits

LOG = logging.getLogger("kerasseq.serve")

FILES = 64
"""File descriptors that models, logs and the page have for themselves."""

LINGER = 1.0
"""Seconds that a connection has to read why it is ended."""

THROWN_AWAY = 2**20
"""Bytes that it may send meanwhile."""

FEWEST = 8
"""Connections that a server is worth something with."""


class HeadError(Exception):
    """What a head must not be, and the status that says so."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Door:
    """Lets connections in, and keeps those that wait for a request by how long they do.

    Args:
        limits: bounds of connections.

    Raises:
        UserError: if the process may open too few files.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._most = min(limits.connections, _descriptors() - FILES)
        if self._most < FEWEST:
            raise UserError(f"too few open files are allowed for {FEWEST} connections: ulimit -n")
        if self._most < limits.connections:
            extra = {"connections": self._most, "why": "ulimit -n"}
            LOG.warning("fewer connections than asked for", extra=extra)
        self._open: Counter[str] = Counter()
        self._waiting: dict[Connection, None] = {}

    @property
    def open(self) -> int:
        """Connections that there are."""
        return self._open.total()

    def enter(self, connection: Connection) -> bool:
        """Whether a new connection may stay."""
        address = connection.address
        self._open[address] += 1
        if self._open[address] > self._limits.connections_per_address:
            return self._make_room(address)
        return self.open <= self._most or self._make_room("")

    def _make_room(self, address: str) -> bool:
        """Ends the connection that has waited longest, of an address or of all."""
        for one in self._waiting:
            if not address or one.address == address:
                one.end()
                return True
        return False

    def waits(self, connection: Connection) -> None:
        """A connection has no request that is answered."""
        self._waiting[connection] = None

    def works(self, connection: Connection) -> None:
        """A connection has one."""
        self._waiting.pop(connection, None)

    def leave(self, connection: Connection) -> None:
        """A connection is no more, or soon."""
        self._waiting.pop(connection, None)
        self._open[connection.address] -= 1
        if not self._open[connection.address]:
            del self._open[connection.address]


def _descriptors() -> int:
    """File descriptors that this process may still open."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 10**9
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return 10**9
    try:
        return allowed - len(os.listdir("/proc/self/fd"))
    except OSError:
        return allowed


class Connection(HttpToolsProtocol):
    """One connection, which has a time to send a head, and a size for it.

    Args:
        door: of the server.
        limits: bounds of heads.
        **uvicorn: as its protocol takes them.
    """

    def __init__(self, door: Door, limits: Limits, **uvicorn: Any):
        super().__init__(**uvicorn)
        self._door, self._limits = door, limits
        self.address = ""
        self._size = self._read = self._lines = 0
        self._in_head, self._left = True, False
        self._refused: HeadError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    # -- of the transport ------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Lets it in, or answers that there is no room."""
        super().connection_made(transport)
        self.address = _grouped(self.client[0] if self.client else "")
        if self._door.enter(self):
            self._wait()
        else:
            self._refuse(HeadError(503, "there are too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads as much as a head may have."""
        if self._left:
            self._size += len(data)
            if self._size > THROWN_AWAY:
                self.transport.abort()
            return
        super().data_received(data)
        if self._in_head and not self._left:
            self._size += len(data)
            if self._size > self._limits.head:
                self._refuse(self._too_large())

    def pause_writing(self) -> None:
        """The client does not read: it has some time to go on."""
        self.flow.pause_writing()
        self._stuck = self.loop.call_later(self._limits.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        if self._stuck:
            self._stuck.cancel()
        self.flow.resume_writing()

    # -- of the parser ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._size, self._read, self._lines = True, 0, 0, 0

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        super().on_url(url)
        if len(self.url) > self._limits.line:
            raise HeadError(414, f"a request's path has at most {self._limits.line} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head, or one behind the body."""
        self._lines += 1
        self._read += len(name) + len(value)
        if self._lines > self._limits.headers:
            raise HeadError(431, f"a request has at most {self._limits.headers} headers")
        if self._read > self._limits.head:
            raise self._too_large()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request begins."""
        self._in_head, self._size = False, 0
        self._stop_waiting()
        self._door.works(self)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """A request ends; the next one may have come already."""
        super().on_response_complete()
        if not self._left and (self.cycle is None or self.cycle.response_complete):
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no HTTP, or not to be read."""
        context: BaseException | None = sys.exception()
        while context is not None and not isinstance(context, HeadError):
            context = context.__context__
        self._refuse(context or HeadError(400, "this is no HTTP"))

    # -- what becomes of it ----------------------------------------------------------------------

    def _too_large(self) -> HeadError:
        return HeadError(431, f"a request's head has at most {self._limits.head} bytes")

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(self._limits.idle, self._late)
        self._door.waits(self)

    def _stop_waiting(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self._size:
            self._refuse(HeadError(408, f"a head arrives within {self._limits.idle:g} seconds"))
        else:
            self.end()

    def _refuse(self, why: HeadError) -> None:
        if self._left:
            return
        body = json.dumps({"error": str(why)}).encode()
        head = (
            f"HTTP/1.1 {why.status} {HTTPStatus(why.status).phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        LOG.info("refused", extra={"status": why.status, "why": str(why), "from": self.address})
        self._leave()
        if self.cycle and not self.cycle.response_complete:  # of what came before: it ends, too
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(head.encode() + body)
        # what it still sends is read and thrown away for a while, or it would not read the answer
        self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.abort)

    def end(self) -> None:
        """Closes it; what it is told may still be sent, for a while."""
        self._leave()
        self.transport.close()
        self.loop.call_later(LINGER, self.transport.abort)

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            self._stop_waiting()
            self._door.leave(self)


def _grouped(address: str) -> str:
    """An address; of IPv6 the network of 64 bits, all of which one client may have."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(ipaddress.ip_network(f"{found}/64", strict=False))


def connections(limits: Limits) -> Any:
    """What uvicorn makes connections by.

    Raises:
        UserError: if the process may open too few files.
    """
    return partial(Connection, Door(limits), limits)
