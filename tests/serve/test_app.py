"""The server's paths, with models made on the spot."""

import asyncio
import gzip
import json
import random
import shutil
import string
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import tensorflow as tf

pytest.importorskip("fastapi", reason="the server needs kerasseq[serve]")
from fastapi.testclient import TestClient

from kerasseq.serve.access import Access
from kerasseq.serve.app import Server, make_app
from kerasseq.serve.limits import Limits
from kerasseq.serve.versions import Choices
from tests.serve.lengths import PREDICT, write
from tests.serve.process import until

LIMITS = Limits(body=20_000, rows=8, characters=50, waiting=64)


@contextmanager
def opened(root, *options, **more):
    """A client of a server that has looked at its folder."""
    server = Server(root, *options, **more)
    with TestClient(make_app(server)) as client:
        assert until(lambda: server.store.looked)
        yield client


@pytest.fixture
def root(tmp_path):
    write(tmp_path, 1)
    return tmp_path


@pytest.fixture
def client(root):
    with opened(root, LIMITS, poll=0.05) as client:
        yield client


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """A client of a server whose models stay as they are."""
    root = tmp_path_factory.mktemp("steady")
    write(root, 1)
    with opened(root, LIMITS) as client:
        yield client


def post(client, body, path=PREDICT, **more):
    return client.post(path, json=body, **more)


def test_rows_and_columns(steady):
    assert post(steady, {"instances": ["ab", "c"]}).json() == {"predictions": [3, 2]}
    assert post(steady, {"inputs": {"text": ["ab"]}}).json() == {"outputs": [3]}
    found = post(
        steady, {"signature_name": "take", "inputs": {"text": ["abc", {"b64": "/w=="}], "k": 1}}
    )
    assert found.json() == {
        "outputs": {"head": ["a", "\ufffd"], "text_bytes": [{"b64": "YWJj"}, {"b64": "/w=="}]}
    }


def test_versions_status_and_metadata(steady):
    path = "/v1/models/lengths/versions/1"
    assert post(steady, {"instances": ["a"]}, f"{path}:predict").json() == {"predictions": [2]}
    state = {"version": "1", "state": "AVAILABLE",
             "status": {"error_code": "OK", "error_message": ""}}  # fmt: skip
    for where in (path, "/v1/models/lengths"):
        assert steady.get(where).json() == {"model_version_status": [state]}
    found = steady.get("/v1/models/lengths/metadata").json()
    assert found["model_spec"] == {"name": "lengths", "signature_name": "", "version": "1"}
    text = found["metadata"]["signature_def"]["signature_def"]["take"]["inputs"]["text"]
    assert text["dtype"] == "DT_STRING"
    assert text["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/v1/models/none:predict", {}, 404, "not found for request: Latest(none)"),
        ("POST", "/v1/models/lengths/versions/7:predict", {}, 404, "Specific(lengths, 7)"),
        ("GET", "/v1/models/none", None, 404, "Could not find any versions of model none"),
        ("GET", "/v1/models/none/metadata", None, 404, "Servable not found"),
        ("GET", "/nothing", None, 404, "Malformed request: GET /nothing"),
        ("POST", "/v1/models/lengths/versions/x:predict", {}, 400, "Malformed request"),
        ("POST", "/v1/models/lengths:run", {}, 400, "Malformed request"),
        ("POST", "/v1/models/lengths:classify", {}, 400, "use predict"),
        ("GET", PREDICT, None, 400, "Malformed request: GET"),
        ("DELETE", "/v1/models/lengths", None, 400, "Malformed request: DELETE"),
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
def test_errors_have_serving_s_shape(steady, method, path, body, status, message):
    found = steady.request(method, path, json=body)
    assert found.status_code == status
    assert set(found.json()) == {"error"}
    assert message in found.json()["error"]


def test_a_thousand_hostile_requests_are_answered_and_it_goes_on(steady):
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
        found = steady.post(path, content=body)
        statuses.add(found.status_code)
        if found.status_code != 200:
            assert 400 <= found.status_code < 500, (path, body[:100], found.text)
            assert found.json()["error"]
    assert {400, 404} <= statuses
    assert steady.post(PREDICT, content=good).json() == {"predictions": [5]}


def test_a_token_where_one_is_set(root):
    with opened(root, LIMITS, Access("secret")) as client:
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "secret"}):
            found = post(client, {"instances": ["a"]}, headers=headers)
            assert found.status_code == 401
            assert found.json() == {"error": "a bearer token is needed"}
        for right in ("Bearer secret", "bearer secret"):
            headers = {"Authorization": right}
            assert post(client, {"instances": ["a"]}, headers=headers).status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.get("/models").status_code == 401
        assert client.get("/healthz").status_code == client.get("/").status_code == 200


def test_health_metrics_and_logs_without_texts(client, caplog):
    caplog.set_level("INFO")
    assert client.get("/healthz").json() == {"state": "ready"}
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
    assert until(lambda: client.get("/v1/models").json()["models"] == ["lengths", "other"])
    shutil.rmtree(root / "other")
    assert until(lambda: client.get("/v1/models").json()["models"] == ["lengths"])


def test_a_version_that_is_half_there_is_served_once_it_is_whole(root, client):
    write(root, 3, name="elsewhere")
    source, target = root / "elsewhere" / "3", root / "lengths" / "9"
    target.mkdir()
    for name in ("manifest.json", "saved_model.pb"):
        shutil.copy(source / name, target / name)
    time.sleep(0.4)
    assert post(client, {"instances": ["a"]}).json() == {"predictions": [2]}
    shutil.copytree(source / "variables", target / "variables")
    assert until(lambda: post(client, {"instances": ["a"]}).json() == {"predictions": [4]})


def test_the_newest_version_that_loads_is_served(root):
    write(root, 2)
    shutil.copytree(root / "lengths" / "2", root / "lengths" / "5")
    (root / "lengths" / "5" / "saved_model.pb").write_bytes(b"damaged")
    (root / "a file").write_text("beside the models")
    with opened(root, LIMITS, poll=0.05) as client:
        assert post(client, {"instances": ["a"]}).json() == {"predictions": [3]}
        shutil.rmtree(root / "lengths" / "2")
        assert until(lambda: post(client, {"instances": ["a"]}).json() == {"predictions": [2]})


def test_an_answer_does_not_depend_on_what_it_was_run_with(tmp_path):
    """Where nothing says how wide an example's own part of an output is."""

    class Letters(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def serve(self, text):
            return {"letters": tf.strings.bytes_split(text).to_tensor("")}

    module = Letters()
    tf.saved_model.save(module, str(tmp_path / "letters" / "1"), {"serving_default": module.serve})
    (tmp_path / "letters" / "1" / "manifest.json").write_text("{}")
    limits = Limits(wait=0.3)
    with opened(tmp_path, limits) as client, ThreadPoolExecutor(4) as pool:
        texts = ["a", "bcd", "ef", "ghijk"]
        path = "/v1/models/letters:predict"
        asked = [pool.submit(post, client, {"instances": [text]}, path) for text in texts]
        found = [one.result().json()["predictions"] for one in asked]
    assert found == [[list(text)] for text in texts]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere is no folder"),
        ([".", "--max-rows", "0"], "--max-rows is too small"),
        ([".", "--poll", "0"], "--poll must be above 0"),
        ([".", "--poll", "nan"], "--poll must be above 0"),
        ([".", "--drain", "-1"], "--drain must be at least 0"),
        ([".", "--batch-threads", "0"], "--batch-threads must be at least 1"),
        ([".", "--max-waiting", "4"], "--max-waiting must be at least --max-rows"),
        ([".", "--port", "99999"], "--port is from 0 to 65535, got 99999"),
        ([".", "--host", "256.1.1.1"], "cannot listen on 256.1.1.1"),
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


def test_a_model_s_own_folder_is_told_from_a_folder_of_models(root, capsys):
    from kerasseq.serve.__main__ import main

    with pytest.raises(SystemExit):
        main([str(root / "lengths")])
    assert f"holds the versions of one model: serve {root}" in capsys.readouterr().err


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
    limits = Limits(waiting=2, rows=1, seconds=120)

    async def go():
        import httpx

        server = Server(tmp_path, limits)
        app = make_app(server)
        async with server.life(app):
            while not server.store.looked:
                await asyncio.sleep(0.05)
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


def test_the_rest_part_is_described(steady):
    found = steady.get("/openapi.json").json()
    assert found["openapi"] == "3.1.0"
    forms = found["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator({**forms, "components": found["components"]})
    for body in (
        {"instances": ["ab", {"b64": "YQ=="}]},
        {"instances": [{"text": "ab"}]},
        {"inputs": {"text": ["ab"]}},
        {"signature_name": "take", "inputs": {"text": ["abc"], "k": 1}},
    ):
        assert check.is_valid(body)
        assert post(steady, body).status_code == 200
    for body in ({}, {"instances": []}, {"signature_name": "take", "inputs": {"text": ["a"]}}):
        assert not check.is_valid(body)
        assert post(steady, body).status_code == 400


def test_versions_are_chosen_and_labelled_by_a_file_that_may_change(root, tmp_path):
    for number in (2, 3, 4):
        write(root, number)
    config = tmp_path / "served.yaml"
    config.write_text("lengths: {versions: [1, 3], labels: {stable: 1}}")
    with opened(root, LIMITS, choices=Choices(path=config), poll=0.05) as client:
        assert post(client, {"instances": ["a"]}).json() == {"predictions": [4]}
        for path, size in (("versions/1", 2), ("labels/stable", 2), ("versions/3", 4)):
            found = post(client, {"instances": ["a"]}, f"/v1/models/lengths/{path}:predict")
            assert found.json() == {"predictions": [size]}
        states = client.get("/v1/models/lengths").json()["model_version_status"]
        assert [state["version"] for state in states] == ["3", "1"]
        config.write_text("lengths: {versions: all, labels: {stable: 3, next: 4}}")
        path = "/v1/models/lengths/labels/next:predict"
        assert until(lambda: post(client, {"instances": ["a"]}, path).status_code == 200)
        config.write_text("lengths: nonsense")  # what cannot be read changes nothing
        time.sleep(0.3)
        assert post(client, {"instances": ["a"]}, path).json() == {"predictions": [5]}


def test_what_cannot_be_served_harms_no_other_and_is_told(root):
    odd = {"list": "[]", "settings": '{"settings": null}', "classes": '{"data": {"classes": [1]}}'}
    for name, manifest in odd.items():
        shutil.copytree(root / "lengths/1", root / name / "1")
        (root / name / "1/manifest.json").write_text(manifest)
    shutil.copytree(root / "lengths/1", root / "a:b/1")
    shutil.copytree(root / "lengths/1", root / "zeros/007")
    with opened(root, LIMITS, poll=0.05) as client:
        found = client.get("/v1/models").json()
        assert found["models"] == ["lengths"]
        reasons = {one["name"]: one["reason"] for one in found["failed"]}
        assert reasons["list"] == "manifest.json is no object"
        assert reasons["settings"].startswith("manifest.json: settings is None")
        assert reasons["classes"].startswith("manifest.json: data.classes is [1]")
        assert "no colon" in reasons["a:b"]
        assert "without leading zeros" in reasons["zeros"]
        state = client.get("/v1/models/list").json()["model_version_status"][0]
        assert (state["version"], state["state"]) == ("1", "END")
        assert state["status"]["error_message"] == "manifest.json is no object"
        assert client.get("/models").json()["failed"] == found["failed"]
        assert post(client, {"instances": ["a"]}).json() == {"predictions": [2]}
        (root / "list/1/manifest.json").write_text("{}")  # it is tried again
        assert until(lambda: "list" in client.get("/v1/models").json()["models"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example:8501"}, 421),
        ({"Host": "localhost:8501"}, 200),
        ({"Host": "[::1]:8501"}, 200),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost:8501", "Origin": "http://localhost:8501"}, 200),
        ({"Host": "localhost", "Origin": "https://good.example"}, 200),
    ],
)
def test_hosts_and_origins(root, headers, status):
    access = Access("", ["localhost", "127.0.0.1", "::1"], ["https://good.example"])
    with opened(root, LIMITS, access) as client:
        found = post(client, {"instances": ["a"]}, headers=headers)
        assert found.status_code == status
        good = headers.get("Origin") == "https://good.example"
        allowed = found.headers.get("access-control-allow-origin")
        assert allowed == ("https://good.example" if good else None)
        if good:
            asked = client.options(PREDICT, headers=headers)
            assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (
                204, "GET, POST",
            )  # fmt: skip


def test_requests_have_names_and_states_have_no_others(root):
    with opened(root, LIMITS, Access("secret")) as client:
        assert client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers[
            "x-request-id"
        ] == "abc-1"  # fmt: skip
        assert len(client.get("/healthz", headers={"X-Request-Id": "a b\t"}).headers[
            "x-request-id"]) == 32  # fmt: skip
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True, "state": "ready"}
        for path in ("/v1/models", "/openapi.json", "/monitoring/prometheus/metrics"):
            assert client.get(path).status_code == 401
        token = {"Authorization": "Bearer secret"}
        assert client.get("/v2/health/ready", headers=token).json()["models"] == ["lengths"]
        text = client.get("/monitoring/prometheus/metrics", headers=token).text
        assert 'kerasseq_model_load_seconds{model="lengths",version="1"}' in text


def test_bodies_and_answers_may_be_gzip(steady):
    body = gzip.compress(json.dumps({"instances": ["ab"]}).encode())
    packed = {"Content-Encoding": "gzip"}
    assert steady.post(PREDICT, content=body, headers=packed).json() == {"predictions": [3]}
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 60_000
    assert steady.post(PREDICT, content=bomb[:19_000], headers=packed).status_code == 413
    assert steady.post(PREDICT, content=body[:-9], headers=packed).status_code == 400
    assert steady.post(PREDICT, content=b"x", headers={"Content-Encoding": "br"}).status_code == 415
    found = steady.get("/v1/models/lengths/metadata", headers={"Accept-Encoding": "gzip"})
    assert found.headers["content-encoding"] == "gzip"
    assert found.json()["model_spec"]["name"] == "lengths"
