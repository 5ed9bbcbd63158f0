"""Exports in every format, and what ``verify`` finds of them later."""

import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import kerasseq
from kerasseq.export import formats
from tests.tasks.conftest import call, export_elsewhere, load_once, verified


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
    load_once(monkeypatch)


@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_a_client_in_numpy_answers_as_keras_does(trained, tmp_path, kind):
    version = export_elsewhere(call, ["--run", trained[0] / "run"], kind, tmp_path)
    said = subprocess.run(
        [sys.executable, version / "client.py"], input="it was superb\nit was awful\n",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [json.loads(line)["label"] for line in said.stdout.splitlines()] == ["yes", "no"]
    exported = kerasseq.load_export(version)
    assert exported.format == kind
    found = exported.predict(["it was superb", "two\nlines, awful", ""])
    wanted = kerasseq.load(trained[0] / "run", quiet=True).predict([one.text for one in found])
    for one, other in zip(found, wanted, strict=True):
        assert (one.label, one.cut, one.probabilities) == (other.label, other.cut, None)
        assert one.probability == pytest.approx(other.probability, abs=1e-5)
    line = call("predict", "hello", "--saved-model", version, status=2)
    assert f"is {kind}, which takes no texts: see client.py there" in line
    path = version / "vocabulary.json"
    vocabulary = json.loads(path.read_text())
    path.write_text(json.dumps({**vocabulary, "tokens": vocabulary["tokens"][::-1]}))
    assert not verified(version)


def test_a_model_that_a_format_cannot_hold_leaves_nothing(trained, tmp_path, monkeypatch):
    def refuse():
        raise ValueError("no such op")

    converter = types.SimpleNamespace(convert=refuse)
    monkeypatch.setattr(
        formats.tf.lite.TFLiteConverter, "from_saved_model", lambda *args, **more: converter
    )
    where = [
        "--run",
        trained[0] / "run",
        "--saved-models",
        tmp_path,
        "--format",
        "litert",
        "--name",
        "sentiment",
    ]
    assert "LiteRT cannot hold this model: no such op" in call("export", *where, status=2)
    assert not list((tmp_path / "sentiment-litert").iterdir())


def test_a_missing_package_is_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(formats.NEEDS, "onnx", ("no_such_package",))
    where = ["--run", trained[0] / "run", "--saved-models", tmp_path, "--format", "onnx"]
    assert "pip install 'tf2onnx" in call("export", *where, status=2)


def test_a_whole_export_is_as_it_was(trained, capsys):
    assert verified(trained[0] / "saved_models/sentiment/1")
    printed = capsys.readouterr().out
    assert "saved_model of sentiment" in printed
    assert "recorded answers, largest difference 0.0e+00" in printed


def replaced(old, new):
    assert len(old) == len(new)

    def change(path):
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))

    return change


def zeroed(path):
    content = bytearray(path.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    path.write_bytes(content)


def without_versions(path):
    manifest = json.loads(path.read_text())
    del manifest["versions"]
    path.write_text(json.dumps(manifest))


def with_answers(make):
    return lambda path: path.write_text(json.dumps(make(json.loads(path.read_text()))))


def not_a_number(answers):
    answers[0]["outputs"]["probability"] = [float("nan")]
    return answers


GRAPH, WEIGHTS = "saved_model.pb", "variables/variables.data-00000-of-00001"
CHANGES = [
    # as if internals had changed so that what was exported no longer fits
    (GRAPH, replaced(b"probability", b"likelihoods"), "the signature serving_default is"),
    (GRAPH, replaced(b"BlockLSTMV2", b"BlockLSTMV9"), "TensorFlow lacks: BlockLSTMV9"),
    (GRAPH, replaced(b"serving_default", b"serving_changed"), "the signature serving_changed is"),
    (GRAPH, lambda path: path.write_bytes(path.read_bytes()[:5000]), "cannot be read"),
    (WEIGHTS, zeroed, ""),
    ("manifest.json", without_versions, "lacks versions"),
    ("manifest.json", Path.unlink, "is not an exported version"),
    ("answers.json", Path.unlink, "no readable answers.json"),
    ("answers.json", with_answers(lambda _: []), "holds no recorded answers"),
    ("answers.json", with_answers(lambda _: {}), "holds no recorded answers"),
    ("answers.json", with_answers(lambda _: [1]), "each recorded answer needs inputs, outputs"),
    ("answers.json", with_answers(not_a_number), "probability differs by inf"),
]


@pytest.mark.parametrize(("name", "change", "message"), CHANGES, ids=range(len(CHANGES)))
def test_verify_finds_what_was_changed(trained, tmp_path, capsys, name, change, message):
    version = shutil.copytree(trained[0] / "saved_models/sentiment/1", tmp_path / "1")
    change(version / name)
    assert not verified(version)
    assert message in capsys.readouterr().err
