"""Hostile requests through sockets: never a fault of the server, no growth, no hang."""

import gzip
import json
import random
import socket
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="the server needs kerasseq[serve]")

from tests.serve.lengths import PREDICT, write
from tests.serve.process import Process
from tests.serve.test_soak import resident

GOOD = json.dumps({"instances": ["fine"]}).encode()
PATHS = [
    PREDICT, "/", "/healthz", "/v1/models", "/models", "/openapi.json", "/v2/health/ready",
    "/v1/models/lengths/versions/99:predict", "/v1/models/lengths/labels/x:predict",
    "/v2/models/lengths/generate_stream", "/v1/models/%00:predict", "/v1/models/" + "a" * 500,
    "/v1/models/lengths/versions/" + "9" * 30, "//", "/v1/../../etc/passwd", "*", "/%ff%fe",
]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "XX"]
LINES = [
    "Host: localhost", "Host: evil.example", "Host:", "Connection: close", "Connection: upgrade",
    "Upgrade: websocket", "Expect: 100-continue", "Content-Length: 5", "Content-Length: -1",
    "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked", "Content-Encoding: gzip", "Content-Encoding: br",
    "Origin: null", "Origin: https://evil.example", "Authorization: Bearer \xff",
    "X-Request-Id: " + "x" * 300, "X-Request-Id: a\tb", "Accept-Encoding: gzip", "X: " + "y" * 5000,
    ": no name", "Bad Name: x", "X\x00Y: z", " folded", "Range: bytes=0-", "Cookie: a=b",
]  # fmt: skip
VALUES = [None, True, -1, 1e308, 10**400, "\x00", "\ud800", "", [], {}, [[]], ["a"] * 100,
          [["a"]], {"text": {"b64": 3}}, [{"b64": "!"}], {"text": [None]}, [1, "a"]]  # fmt: skip


def body_of(draw):
    kind = draw.randrange(8)
    if kind == 0:
        return draw.randbytes(draw.randrange(300))
    if kind == 1:
        mutated = bytearray(GOOD)
        for _ in range(draw.randrange(1, 4)):
            mutated[draw.randrange(len(mutated))] = draw.randrange(256)
        return bytes(mutated)
    if kind == 2:
        return draw.choice([b"[", b'{"instances":', b'{"a":[']) * draw.choice([10, 3000])
    if kind == 3:
        return gzip.compress(b" " * draw.choice([10, 10_000_000]))
    if kind == 4:
        return gzip.compress(GOOD)[: draw.randrange(60)]
    if kind == 5:
        return b"\n".join(b"%x\r\n%s\r" % (draw.randrange(9), GOOD[:5]) for _ in range(5))
    keys = ["instances", "inputs", "signature_name", "text_input", "parameters"]
    return json.dumps({k: draw.choice(VALUES) for k in draw.sample(keys, 2)}).encode()


def request_of(draw):
    """Bytes that a client might send who means no good, or cannot speak HTTP."""
    if draw.random() < 0.05:
        return draw.randbytes(draw.randrange(1, 400))
    body = body_of(draw)
    lines = draw.sample(LINES, draw.randrange(6))
    if draw.random() < 0.7:
        lines.append("Host: localhost")
    if draw.random() < 0.7:
        lines.append(f"Content-Length: {len(body)}")
    version = draw.choice(["1.1"] * 5 + ["1.0", "2.0", "0.9", "x"])
    method = draw.choice(["POST"] * 10 + METHODS)
    first = f"{method} {draw.choice([PREDICT] * 10 + PATHS)} HTTP/{version}"
    end = draw.choice(["\r\n"] * 8 + ["\n", "\r"])
    head = end.join([first, *lines, "", ""]).encode("latin-1", "replace")
    whole = head + body
    if draw.random() < 0.15:
        whole = whole[: draw.randrange(len(whole) + 1)]
    return whole * draw.choice([1] * 9 + [3])


def statuses_of(port, draw, counts):
    """Sends one, and gives the statuses of what comes back."""
    sent = request_of(draw)
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        one.settimeout(0.5 if draw.random() < 0.9 else 3)
        found = b""
        try:
            one.sendall(sent)
            one.shutdown(socket.SHUT_WR)
            while part := one.recv(65_536):
                found += part
        except (TimeoutError, ConnectionError):
            pass
    for line in found.split(b"HTTP/1.1 ")[1:]:
        status = int(line[:3])
        counts[status] += 1
        assert status < 500 or status == 503, (sent[:300], line[:300])
    counts["nothing"] += not found


@pytest.mark.parametrize(
    "count",
    [pytest.param(500, marks=pytest.mark.gate), pytest.param(10_000, marks=pytest.mark.slow)],
)
@pytest.mark.timeout(900)
def test_hostile_requests_are_answered_and_it_goes_on(tmp_path, count):
    write(tmp_path, 1)
    server = Process(tmp_path, "--grace", "0", "--max-seconds", "3", "--max-idle", "3").ready()
    counts = Counter()
    try:
        with ThreadPoolExecutor(8) as pool:
            first = [pool.submit(statuses_of, server.port, random.Random(-i), counts)
                     for i in range(200)]  # fmt: skip
            for one in first:
                one.result()
            before = resident(server.process.pid)
            asked = [pool.submit(statuses_of, server.port, random.Random(i), counts)
                     for i in range(count)]  # fmt: skip
            for one in asked:
                one.result()
        assert resident(server.process.pid) - before < 20
        request = urllib.request.Request(f"{server.address}{PREDICT}", GOOD)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer) == {"predictions": [5]}
    finally:
        assert server.end() == 0
    assert {200, 400, 404} <= set(counts), counts
    assert not [line for line in server.log if "Traceback" in line]
    for line in server.log:
        json.loads(line)  # one line each, whatever was sent
