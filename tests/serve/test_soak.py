"""A server under mixed requests, right and wrong, while versions come and go."""

import http.client
import json
import random
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs kerasseq[serve]")

from tests.serve.lengths import PREDICT, write
from tests.serve.process import Process

WORDS = ["", "a", "né", "映画は", "👍🏽", "مرحبا", "\x00", "x" * 40, "क़", "\n"]
GROWTH = 150  # MiB, most of which TensorFlow keeps of the versions that come and go meanwhile


def right(draw):
    """A request, and what it must answer for the version ``number``."""
    texts = ["".join(draw.choices(WORDS, k=draw.randint(0, 3))) for _ in range(draw.randint(1, 6))]
    sizes = [len(text.encode()) for text in texts]
    if draw.random() < 0.3:
        inputs = {"text": texts, "k": 1}
        body = {"signature_name": "take", "inputs": inputs}
        heads = [text.encode()[:1] for text in texts]
        if all(len(head.decode("utf-8", "ignore")) == len(head) for head in heads):
            wanted = [head.decode() for head in heads]
            return body, lambda answer, number: answer["outputs"]["head"] == wanted
    body = {"instances": [{"text": text} for text in texts]}
    return body, lambda answer, number: answer["predictions"] == [n + number for n in sizes]


WRONG = [
    (PREDICT, b"{", 400),
    (PREDICT, b"[]", 400),
    (PREDICT, b'{"instances": []}', 400),
    (PREDICT, b'{"instances": [{"text": 3}]}', 400),
    (PREDICT, b'{"instances": [{"txet": "a"}]}', 400),
    (PREDICT, b'{"signature_name": "none", "instances": ["a"]}', 400),
    (PREDICT, json.dumps({"instances": [{"text": "a"}] * 5000}).encode(), 400),
    (PREDICT, json.dumps({"instances": [{"text": "a" * 3_000_000}]}).encode(), 400),
    (PREDICT, b" " * 9_000_000, 413),
    ("/v1/models/none:predict", b'{"instances": ["a"]}', 404),
    ("/v1/models/lengths/versions/99:predict", b'{"instances": ["a"]}', 404),
    ("/v1/models/lengths:explain", b"{}", 400),
]


def ask(connection, path, body):
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def resident(pid):
    """MiB of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def client(port, seed, end, known, counts, faults):
    draw, connection = random.Random(seed), http.client.HTTPConnection("127.0.0.1", port)
    while time.monotonic() < end and not faults:
        if draw.random() < 0.8:
            body, holds = right(draw)
            before = set(known)
            status, found = ask(connection, PREDICT, json.dumps(body).encode())
            if status == 200:
                answer = json.loads(found)
                versions = before | set(known)  # of before, or one that came meanwhile
                if not any(holds(answer, number) for number in versions):
                    faults.append((body, answer, versions))
            elif status != 503:
                faults.append((body, status, found))
        else:
            path, raw, wanted = draw.choice(WRONG)
            status, found = ask(connection, path, raw)
            if status not in (wanted, 503) or b"error" not in found:
                faults.append((path, raw[:60], status, found[:200]))
        counts[status] += 1
    connection.close()


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(25, marks=pytest.mark.gate), pytest.param(600, marks=pytest.mark.slow)],
)
@pytest.mark.timeout(900)
def test_mixed_requests_while_versions_come_and_go(tmp_path, seconds):
    write(tmp_path, 100)
    server = Process(tmp_path, "--poll", "0.1").ready()
    try:
        counts, faults, growth = soak(tmp_path, server, seconds)
    finally:
        status = server.end()
    assert not faults
    assert counts[200] > 20 * seconds
    assert counts[400]
    assert counts[404]
    assert counts[413]
    assert growth < GROWTH
    assert status == 0
    assert not any("Traceback" in line for line in server.log)


def soak(root, server, seconds):
    """Answers by status, what was wrong with one, and the MiB that the server grew by."""
    known, counts, faults = [100], Counter(), []
    end = time.monotonic() + seconds
    clients = [
        threading.Thread(target=client, args=(server.port, seed, end, known, counts, faults))
        for seed in range(6)
    ]
    for one in clients:
        one.start()
    size = resident(server.process.pid)
    while time.monotonic() < end and not faults:
        time.sleep(seconds / 12)  # as many versions in a short soak as in a long one
        known.append(known[-1] + 100)
        write(root, known[-1])
        for number in known[:-3]:
            shutil.rmtree(root / f"lengths/{number}", ignore_errors=True)
        if time.monotonic() < end - seconds * 0.6:  # from then on it may not grow
            size = resident(server.process.pid)
    for one in clients:
        one.join()
    return counts, faults, resident(server.process.pid) - size
