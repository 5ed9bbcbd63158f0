"""The server as a process of its own, under load and signals."""

import http.client
import json
import signal
import socket
import threading
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="the server needs kerasseq[serve]")

from tests.serve.lengths import PREDICT, write
from tests.serve.process import Process, real

FOR_EVER = 100_000  # turns of a model, which take longer than any test waits


@pytest.mark.gate
def test_what_nobody_waits_for_is_not_run(tmp_path):
    """Clients that have gone leave the queue, and time is bounded for those that stay."""
    write(tmp_path, 1, slow=FOR_EVER)
    server = Process(tmp_path, "--max-waiting", "8", "--max-rows", "8", "--max-seconds", "1.5",
                     "--batch-threads", "1").ready()  # fmt: skip
    body = json.dumps({"instances": ["a"] * 8}).encode()
    lines = [f"POST {PREDICT} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
    try:
        for _ in range(3):  # each would be refused if those before it were still there
            with socket.create_connection(("127.0.0.1", server.port)) as one:
                one.sendall(head + body)
                time.sleep(0.3)
            time.sleep(0.2)
        with pytest.raises(urllib.error.HTTPError) as refused:
            server.ask({"instances": ["a"]}, PREDICT)
        with refused.value as answer:
            assert (answer.code, answer.headers["retry-after"]) == (503, "1")
            assert json.load(answer) == {"error": "no answer within 1.5 seconds"}
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.sendall(head + body[:-1])
            assert b" 408 " in one.recv(100)
    finally:
        server.process.kill()
        server.end()
    statuses = [json.loads(line).get("status") for line in server.log if line.startswith("{")]
    assert statuses.count(499) == 3


def test_the_time_to_drain_is_bounded(tmp_path):
    write(tmp_path, 1, slow=FOR_EVER)
    server = Process(tmp_path, "--drain", "1").ready()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, {"instances": ["a"]}, PREDICT)
        time.sleep(0.5)
        start = time.perf_counter()
        server.end()
        assert time.perf_counter() - start < 10
        error = asked.exception()
        assert isinstance(error, OSError | http.client.HTTPException)
        if isinstance(error, urllib.error.HTTPError):
            with error:
                assert json.load(error) == {"error": "the server has ended"}


def test_sigterm_answers_what_has_come_and_takes_no_more(tmp_path):
    write(tmp_path, 1, slow=3)
    server = Process(tmp_path, start=real).ready()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.ask, {"instances": ["abc"]}, PREDICT) for _ in range(4)]
        time.sleep(0.05)
        assert server.end() == 0
        answers = []
        for one in asked:
            try:
                answers.append(one.result())
            except OSError:
                answers.append(None)
    assert answers.count({"predictions": [4]}) >= 1
    lines = [json.loads(line) for line in server.log if line.startswith("{")]
    assert any(line.get("status") == 200 for line in lines)
    with pytest.raises(urllib.error.URLError):
        server.ask({"instances": ["a"]}, PREDICT)


@pytest.mark.gate
def test_a_kill_loses_only_what_is_in_flight(tmp_path):
    write(tmp_path, 1)
    server = Process(tmp_path).ready()
    statuses = []
    enough = threading.Event()

    def client():
        while not enough.is_set():
            try:
                statuses.append(server.ask({"instances": ["abc"]}, PREDICT) == {"predictions": [4]})
            except (OSError, http.client.HTTPException):  # an answer may be cut, too
                statuses.append(None)
                time.sleep(0.2)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    time.sleep(0.3)
    server.end(signal.SIGKILL)
    again = Process(tmp_path, port=server.port).ready()
    before, deadline = len(statuses), time.monotonic() + 60
    while True not in statuses[before:] and time.monotonic() < deadline:
        time.sleep(0.1)
    enough.set()
    for one in clients:
        one.join()
    assert again.end() == 0
    assert False not in statuses
    assert None in statuses[:before]
    assert True in statuses[before:]
