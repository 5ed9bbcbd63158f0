"""The server's paths, with models made on the spot, and as a process under load and signals."""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import string
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import tensorflow as tf

pytest.importorskip("fastapi", reason="the server needs kerasseq[serve]")
from fastapi.testclient import TestClient

from kerasseq.serve.app import Server, make_app
from kerasseq.serve.limits import Limits

LIMITS = Limits(body=20_000, rows=8, characters=50, waiting=64)


class Lengths(tf.Module):
    """Lengths of texts plus a number, which tells versions apart."""

    def __init__(self, number, slow=0):
        super().__init__()
        self.number = tf.Variable(number)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def serve(text):
            turns = tf.reduce_sum(tf.cos(tf.range(float(slow) * 1e6))) * 0 if slow else 0.0
            return {"size": tf.strings.length(text) + self.number + tf.cast(turns, tf.int32)}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, "text"), tf.TensorSpec([], tf.int32, "k")
            ]
        )  # fmt: skip
        def take(text, k):
            with tf.control_dependencies([tf.debugging.Assert(k > 0, ["k must be 1 or more"])]):
                return {"head": tf.strings.substr(text, 0, k), "text_bytes": text}

        self.serve, self.take = serve, take


def write(root, number, version=None, name="lengths", slow=0):
    """A version as an export leaves it."""
    module = Lengths(number, slow)
    work = root / name / f".incoming-{number}"
    tf.saved_model.save(
        module, str(work), signatures={"serving_default": module.serve, "take": module.take}
    )
    (work / "manifest.json").write_text(json.dumps({"task": "test", "settings": {"x": 1}}))
    work.rename(root / name / str(version or number))


@pytest.fixture
def root(tmp_path):
    write(tmp_path, 1)
    return tmp_path


@pytest.fixture
def client(root):
    with TestClient(make_app(Server(root, LIMITS, poll=0.05))) as client:
        yield client


PREDICT = "/v1/models/lengths:predict"


def post(client, body, path=PREDICT, **more):
    return client.post(path, json=body, **more)


def test_rows_and_columns(client):
    assert post(client, {"instances": ["ab", "c"]}).json() == {"predictions": [3, 2]}
    assert post(client, {"inputs": {"text": ["ab"]}}).json() == {"outputs": [3]}
    found = post(
        client, {"signature_name": "take", "inputs": {"text": ["abc", {"b64": "/w=="}], "k": 1}}
    )
    assert found.json() == {
        "outputs": {"head": ["a", "\ufffd"], "text_bytes": [{"b64": "YWJj"}, {"b64": "/w=="}]}
    }


def test_versions_status_and_metadata(client):
    path = "/v1/models/lengths/versions/1"
    assert post(client, {"instances": ["a"]}, f"{path}:predict").json() == {"predictions": [2]}
    state = {"version": "1", "state": "AVAILABLE",
             "status": {"error_code": "OK", "error_message": ""}}  # fmt: skip
    for where in (path, "/v1/models/lengths"):
        assert client.get(where).json() == {"model_version_status": [state]}
    found = client.get("/v1/models/lengths/metadata").json()
    assert found["model_spec"] == {"name": "lengths", "signature_name": "", "version": "1"}
    text = found["metadata"]["signature_def"]["signature_def"]["take"]["inputs"]["text"]
    assert text["dtype"] == "DT_STRING"
    assert text["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/v1/models/none:predict", {}, 404, "not found for request: Latest(none)"),
        ("POST", "/v1/models/lengths/versions/7:predict", {}, 404, "Specific(lengths, 7)"),
        ("GET", "/v1/models/none", None, 404, "Servable not found"),
        ("GET", "/v1/models/none/metadata", None, 404, "Servable not found"),
        ("GET", "/nothing", None, 404, "Malformed request: GET /nothing"),
        ("POST", "/v1/models/lengths/versions/x:predict", {}, 404, "Malformed request"),
        ("POST", "/v1/models/lengths:run", {}, 404, "Malformed request"),
        ("POST", "/v1/models/lengths:classify", {}, 400, "use predict"),
        ("GET", PREDICT, None, 405, "Malformed request: GET"),
        ("DELETE", "/v1/models/lengths", None, 405, "Malformed request: DELETE"),
        ("POST", PREDICT, {"instances": ["a"] * 9}, 400, "from 1 to 8 examples, got 9"),
        ("POST", PREDICT, {"instances": ["a" * 51]}, 400, "at most 50 characters, got 51"),
        ("POST", PREDICT, {"instances": ["a" * 30_000]}, 413, "at most 20000 bytes"),
        ("POST", PREDICT, {"signature_name": "no"}, 400, "not found in signature def"),
        ("POST", PREDICT, {"signature_name": "take", "inputs": {"text": ["a"], "k": 0}}, 400,
         "k must be 1 or more"),
        ("POST", PREDICT, {"signature_name": "take", "inputs": {"text": ["a"], "k": 101}}, 400,
         "k is at most 100"),
    ],
)  # fmt: skip
def test_errors_have_serving_s_shape(client, method, path, body, status, message):
    found = client.request(method, path, json=body)
    assert found.status_code == status
    assert set(found.json()) == {"error"}
    assert message in found.json()["error"]


def test_a_thousand_hostile_requests_are_answered_and_it_goes_on(client):
    """Whatever it is, the client is told: never a status of 500, never silence."""
    chance = random.Random(0)
    paths = [PREDICT, "/v1/models/lengths/versions/99:predict", "/v1/models/%00:predict",
             "/v1/models/" + "a" * 500 + ":predict", "/v1/models/lengths:predict/..",
             "/v1/models/lengths/versions/" + "9" * 30 + ":predict"]  # fmt: skip
    values = [None, True, -1, 1e308, 10**400, "\x00", "a\x00b", "\ud800", "", [], {}, [[]],
              ["a"] * 100, ["a" * 100], [["a"]], {"text": ["a"]}, {"text": {"b64": 3}},
              [{"b64": "!"}],
              {"text": [None]}, [1, "a"], [{"text": "a"}, {"text": "b", "x": 1}]]  # fmt: skip
    good = json.dumps({"instances": ["fine"]}).encode()
    statuses = set()
    for number in range(1000):
        kind = number % 5
        path = chance.choice(paths)
        if kind == 0:
            body = bytes(chance.randrange(256) for _ in range(chance.randrange(200)))
        elif kind == 1:
            body = bytearray(good)
            for _ in range(chance.randrange(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            body = bytes(body)
            if body == good:
                body += b"}"
        elif kind == 2:
            depth = chance.choice([10, 1000, 9000])
            body = chance.choice([b"[", b'{"instances":']) * depth
        elif kind == 3:
            keys = ["instances", "inputs", "signature_name", "x"]
            chosen = {k: chance.choice(values) for k in chance.sample(keys, chance.randrange(5))}
            body = json.dumps(chosen).encode()
        else:
            name = "".join(chance.choices(string.printable, k=5))
            body = json.dumps({"instances": [{name: chance.choice(values)}]}).encode()
        found = client.post(path, content=body)
        statuses.add(found.status_code)
        if found.status_code != 200:
            assert 400 <= found.status_code < 500, (path, body[:100], found.text)
            assert found.json()["error"]
    assert {400, 404} <= statuses
    assert client.post(PREDICT, content=good).json() == {"predictions": [5]}


def test_a_token_where_one_is_set(root):
    with TestClient(make_app(Server(root, LIMITS, token="secret"))) as client:
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "secret"}):
            found = post(client, {"instances": ["a"]}, headers=headers)
            assert found.status_code == 401
            assert found.json() == {"error": "a bearer token is needed"}
        right = {"Authorization": "Bearer secret"}
        assert post(client, {"instances": ["a"]}, headers=right).status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.get("/models").status_code == 401
        assert client.get("/healthz").status_code == client.get("/").status_code == 200


def test_health_metrics_and_logs_without_texts(client, caplog):
    caplog.set_level("INFO")
    assert client.get("/healthz").json() == {"models": ["lengths"]}
    post(client, {"instances": ["private words"]})
    client.get("/v1/models/" + "x" * 50)
    text = client.get("/metrics").text
    assert 'kerasseq_requests_total{model="lengths",status="200"} 1.0' in text
    assert 'kerasseq_requests_total{model="unknown",status="404"} 1.0' in text
    assert "xxxx" not in text
    assert "kerasseq_batch_examples_bucket" in text
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "private" not in logged
    assert any(getattr(record, "status", None) == 200 for record in caplog.records)


def test_new_versions_are_picked_up_and_old_ones_go(root, client):
    assert post(client, {"instances": ["a"]}).json() == {"predictions": [2]}
    write(root, 5)
    assert until(lambda: post(client, {"instances": ["a"]}).json() == {"predictions": [6]})
    assert (
        post(client, {"instances": ["a"]}, "/v1/models/lengths/versions/1:predict").status_code
        == 404
    )
    write(root, 3, name="other")
    assert until(lambda: client.get("/healthz").json() == {"models": ["lengths", "other"]})
    shutil.rmtree(root / "other")
    assert until(lambda: client.get("/healthz").json() == {"models": ["lengths"]})


def test_a_damaged_version_is_left_out(root, client):
    (root / "lengths" / "9").mkdir()
    (root / "lengths" / "9" / "manifest.json").write_text("{}")
    time.sleep(0.3)
    assert post(client, {"instances": ["a"]}).json() == {"predictions": [2]}


def until(done, seconds=20.0):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if done():
            return True
        time.sleep(0.05)
    return False


# -- a process of its own --------------------------------------------------------------------------


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Process:
    """The server as a user starts it."""

    def __init__(self, root, *words, port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kerasseq.serve", str(root), "--port", str(self.port), *words],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.log = []
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr))
        self._reader.start()

    def ask(self, body, path=PREDICT):
        data = json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as found:
            return json.load(found)

    def ready(self):
        def healthy():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5):
                    return True
            except OSError:
                return False

        assert until(healthy, 60), self.log
        return self

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join()
        self.process.stderr.close()
        return self.process.returncode


def test_sigterm_answers_what_has_come_and_takes_no_more(tmp_path):
    write(tmp_path, 1, slow=3)
    server = Process(tmp_path).ready()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.ask, {"instances": ["abc"]}) for _ in range(4)]
        time.sleep(0.05)
        assert server.end() in (0, -signal.SIGTERM)
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
        server.ask({"instances": ["a"]})


def test_a_kill_loses_only_what_is_in_flight(root):
    server = Process(root).ready()
    statuses = []

    def client():
        for _ in range(100):
            try:
                statuses.append(server.ask({"instances": ["abc"]}) == {"predictions": [4]})
            except OSError:
                statuses.append(None)
                time.sleep(0.2)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    time.sleep(0.3)
    server.end(signal.SIGKILL)
    again = Process(root, port=server.port).ready()
    for one in clients:
        one.join()
    assert again.end() in (0, -signal.SIGTERM)
    assert False not in statuses
    assert statuses[-1] is True or True in statuses[-20:]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere is no folder"),
        ([".", "--max-rows", "0"], "--max-rows is too small"),
        ([".", "--poll", "0"], "--poll must be above 0"),
    ],
)
def test_wrong_options_are_one_line(words, message, capsys):
    from kerasseq.serve.__main__ import main

    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_nothing_is_lost_while_a_version_is_changed(root, client):
    """Requests go on while the newer one loads; each is answered by one of the two."""
    seen = set()
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            found = post(client, {"instances": ["a"]})
            assert found.status_code == 200
            seen.add(found.json()["predictions"][0])

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask) for _ in range(2)]
        write(root, 4)
        until(lambda: 5 in seen)
        stop.set()
        for one in asked:
            one.result()
    assert seen == {2, 5}


def test_too_many_at_once_get_503_and_when_to_come_again(tmp_path):
    write(tmp_path, 1, slow=3)
    limits = Limits(waiting=2, rows=1)

    async def go():
        import httpx

        server = Server(tmp_path, limits)
        app = make_app(server)
        async with server.life(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return await asyncio.gather(
                    *(client.post(PREDICT, json={"instances": ["a"]}) for _ in range(12))
                )

    answers = asyncio.run(go())
    counts = {a.status_code for a in answers}
    assert counts == {200, 503}
    refused = next(a for a in answers if a.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert "2 examples would wait" in refused.json()["error"]
