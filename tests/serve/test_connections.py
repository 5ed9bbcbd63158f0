"""What is bounded before anything that a connection sends is trusted: seen through sockets."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, closing, suppress

import pytest

pytest.importorskip("fastapi", reason="the server needs kerasseq[serve]")

from tests.serve.lengths import write
from tests.serve.process import Process, until
from tests.serve.test_soak import resident

IDLE = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("bounded")
    write(root, 1)
    server = Process(
        root, "--max-idle", IDLE, "--max-connections", "40", "--max-connections-per-address", "30",
        "--max-seconds", "3", "--grace", "0",
    ).ready()  # fmt: skip
    yield server
    assert server.end() == 0


def connect(server, address="127.0.0.1"):
    return closing(
        socket.create_connection(("127.0.0.1", server.port), 10, source_address=(address, 0))
    )


def answer(one, most=65_536):
    """All that comes until the connection ends."""
    parts = []
    try:
        while part := one.recv(most):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def healthy(server):
    with urllib.request.urlopen(f"{server.address}/healthz", timeout=5) as found:
        return json.load(found) == {"state": "ready"}


def is_open(one):
    """Whether a connection is still there."""
    one.setblocking(False)
    try:
        while one.recv(4096):
            pass
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"X" * 40_000, 431),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /" + b"a" * 90_000, 414),
        (b"\x16\x03\x01 this is TLS", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST /v1/models/lengths:predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
         b"chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 300 + b"\r\n", 431),
    ],
)  # fmt: skip
def test_a_head_that_is_too_much_is_refused(server, head, status):
    with connect(server) as one:
        one.sendall(head)
        one.settimeout(10)
        found = answer(one)
    assert found.split()[1] == str(status).encode(), found[:200]
    assert json.loads(found.rpartition(b"\r\n\r\n")[2])["error"]
    assert healthy(server)


def test_headers_for_ever_cost_no_memory(server):
    """100 MB on one connection; it is ended long before."""
    before = resident(server.process.pid)
    sent = 0
    with connect(server) as one:
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
        try:
            while sent < 100e6:
                sent += one.send(b"a" * 100_000)
        except OSError:
            pass
    assert sent < 100e6
    assert resident(server.process.pid) - before < 5
    assert healthy(server)


@pytest.mark.gate
def test_idle_and_dribbling_connections_are_ended_in_time(server):
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(server)) for _ in range(5)]
        dribbling = [stack.enter_context(connect(server)) for _ in range(5)]
        after = [stack.enter_context(connect(server)) for _ in range(5)]
        for one in dribbling:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        for one in after:  # that has asked once, and waits
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        end = time.monotonic() + IDLE + 2.5
        while time.monotonic() < end:
            for one in dribbling:
                with suppress(OSError):
                    one.sendall(b"s")
            time.sleep(0.3)
        assert not any(map(is_open, [*silent, *dribbling, *after]))


def test_a_head_that_comes_late_is_told(server):
    with connect(server) as one:
        one.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        one.settimeout(10)
        found = answer(one)
    assert b" 408 " in found
    assert b"a head arrives within 2 seconds" in found


def test_too_many_connections_give_way_and_those_that_work_stay(server):
    with ExitStack() as stack:
        waiting = [stack.enter_context(connect(server)) for _ in range(100)]
        assert healthy(server)
        assert until(lambda: sum(map(is_open, waiting)) <= 30, 5)
        assert is_open(waiting[-1])
        # of another address there is room all the same
        others = [stack.enter_context(connect(server, "127.0.0.2")) for _ in range(8)]
        assert healthy(server)
        time.sleep(0.2)
        assert all(map(is_open, others))


@pytest.mark.gate
def test_a_client_that_does_not_read_its_answers_is_ended(server):
    """Many requests behind one another."""
    with connect(server) as one:
        one.settimeout(1)
        with suppress(OSError):
            for _ in range(100):
                one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        time.sleep(5)
        assert not is_open(one)
    assert healthy(server)


@pytest.mark.gate
def test_health_is_answered_where_there_are_few_descriptors(tmp_path):
    """300 silent connections, and a process that may have 200 files open."""
    write(tmp_path, 1)

    def start(words, **options):
        limit = f"ulimit -n 200; exec {sys.executable} " + " ".join(words)
        return subprocess.Popen(["bash", "-c", limit], **options)

    server = Process(tmp_path, "--grace", "0", start=start).ready()
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(server))
        assert until(lambda: healthy(server), 10)
        assert healthy(server)
    assert server.end() == 0
    assert any("fewer connections than asked for" in line for line in server.log)
