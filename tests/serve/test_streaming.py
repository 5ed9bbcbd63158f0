"""Texts that are generated token by token."""

import http.client
import json
import time

import keras
import pytest
import tensorflow as tf

pytest.importorskip("fastapi", reason="the server needs kerasseq[serve]")

from kerasseq.app.registry import find_task
from kerasseq.config import replace
from kerasseq.storage import write_json
from kerasseq.text.codec import Codec
from kerasseq.text.vocabulary import Vocabulary
from tests.serve.lengths import write
from tests.serve.process import Process, until

pytestmark = pytest.mark.gate
TEXT = 'the film was " a wonderful " story , and it rains again : do n\'t go !'
STREAM = "/v2/models/{}/generate_stream"


def write_model(root, name, units):
    """An untrained language model, as an export leaves it."""
    task = find_task("language_model")
    keras.utils.set_random_seed(1)
    settings = replace(task.settings_class(), {"model.embedding": 8, "model.units": 8})
    tokens = TEXT.split() if units == "words" else sorted(set(TEXT))
    codec = Codec(units, Vocabulary.from_counts(dict.fromkeys(tokens, 1), 60))
    assets = task.assets_class(codec, None)
    model = task.build_model(settings, assets, portable=True)
    serving = task.use(model, settings, assets).serving(["the film"])
    functions = {name: served.function for name, served in serving.signatures.items()}
    path = root / name / "1"
    tf.saved_model.save(serving.module, str(path), signatures=functions)
    write_json(path / "manifest.json", {"task": task.name, "page": serving.page})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("streams")
    write_model(root, "words", "words")
    write_model(root, "characters", "characters")
    write(root, 1)
    server = Process(root, "--grace", "0", "--max-streams", "2").ready()
    yield server
    assert server.end() == 0


def stream(server, name, body):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", STREAM.format(name), json.dumps(body))
    return connection, connection.getresponse()


def events(server, name, body):
    connection, answer = stream(server, name, body)
    assert answer.status == 200, answer.read()
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.read().decode().split("\n\n")
    connection.close()
    assert lines.pop() == ""
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("name", ["words", "characters"])
@pytest.mark.parametrize("prompt", ["", "the film", 'and " it\nwas', "x" * 50])
def test_what_is_streamed_is_what_is_generated_at_once(server, name, prompt):
    drawn = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 5}
    first, *tokens, last = events(
        server, name, {"text_input": prompt, "parameters": {"length": 150, **drawn}}
    )
    whole = server.ask(
        {"signature_name": "generate", "inputs": {"text": [prompt], "length": 150, **drawn}},
        f"/v1/models/{name}:predict",
    )["outputs"]
    assert first["prompt"] + "".join(one["text_output"] for one in tokens) == whole["text"][0]
    assert len(tokens) == last["generated"] == 150
    assert last["log_prob"] == pytest.approx(whole["log_prob"][0], rel=1e-4)
    assert first["unknown"] == whole["unknown"][0]
    assert (first["model_name"], first["model_version"], last["seed"]) == (name, "1", 5)


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        ("none", {"text_input": "a"}, 404, "Latest(none)"),
        ("lengths", {"text_input": "a"}, 400, "lengths generates nothing token by token"),
        ("words", {}, 400, "needs text_input"),
        ("words", {"text_input": "a" * 20_001}, 400, "at most 20000 characters"),
        ("words", {"text_input": "a", "parameters": {"beam": 1}}, 400, "no parameter 'beam'"),
        ("words", {"text_input": "a", "parameters": {"length": 0}}, 400, "length is from 1 to"),
        ("words", {"text_input": "a", "parameters": {"top_k": 1.5}}, 400, "top_k is a whole"),
        ("words", {"text_input": "a", "parameters": {"top_p": 0}}, 400, "top_p must be"),
        ("words", {"text_input": "a", "parameters": {"seed": "x"}}, 400, "seed is a whole"),
    ],
)
def test_what_cannot_be_streamed_is_told_before_it_begins(server, name, body, status, message):
    connection, answer = stream(server, name, body)
    assert answer.status == status
    assert message in json.load(answer)["error"]
    connection.close()


def test_tokens_come_as_they_are_made_and_end_when_the_client_goes(server):
    body = {"text_input": "the", "parameters": {"length": 1000}}
    several = [stream(server, "words", body) for _ in range(2)]
    for _, answer in several:
        assert b"prompt" in answer.readline()
    connection, refused = stream(server, "words", body)
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    connection.close()
    for one, _ in several:
        one.close()
    time.sleep(0.1)

    def free():
        connection, answer = stream(server, "words", {**body, "parameters": {"length": 1}})
        answer.read()
        connection.close()
        return answer.status == 200

    assert until(free, 5)
