import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from kerasseq.tasks.sentiment.classifier import Classifier
from tests import warm
from tests.tasks.conftest import BAD, GOOD, ROOT, SMALL, call, command, load_once, write_reviews


@pytest.fixture(scope="module")
def trained(trained, tmp_path_factory):
    """A copy, which may be written to."""
    folder, printed = trained
    return shutil.copytree(folder, tmp_path_factory.mktemp("sentiment") / "trained"), printed


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
    load_once(monkeypatch)


def test_train_learns_reports_and_exports(trained):
    folder, printed = trained
    run = folder / "run"
    for name in ("run.json", "settings.yaml", "data.json", "vocabulary.txt", "classes.json",
                 "metrics.jsonl", "training.json", "model.keras", "curves.png",
                 "evaluation/test.json", "evaluation/test.png"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert any((run / "tensorboard").iterdir())
    assert not (run / "checkpoint.npz").exists()
    report = json.loads((run / "evaluation/test.json").read_text())
    assert report["accuracy"] >= 0.9
    for text in ("CPU: ", "kernel of recurrent", "padding waste", "log-loss", "exported to",
                 "examples:", "95 % interval"):  # fmt: skip
        assert text in printed
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]


def test_the_same_command_does_not_train_or_score_again(trained, reviews, monkeypatch):
    """It exports the next version, and leaves nothing else beside it."""
    folder, _ = trained
    before = (folder / "run" / "training.json").read_text()
    monkeypatch.setattr(Classifier, "evaluate", None)
    where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
    where += ["--name", "sentiment"]
    printed = call("train", "--data", reviews, *where, *SMALL)
    assert "is trained already" in printed
    assert "largest difference" in printed
    assert (folder / "run" / "training.json").read_text() == before
    assert sorted(p.name for p in (folder / "saved_models/sentiment").iterdir()) == ["1", "2"]


def test_other_settings_are_refused_with_the_difference(trained, reviews):
    folder, _ = trained
    where = ["--run", folder / "run"]
    line = call("train", "--data", reviews, *where, *SMALL, "--seed=2", status=2)
    assert "other settings (seed: 1 -> 2)" in line


def test_predict_reads_arguments_files_and_standard_input(trained, tmp_path, monkeypatch):
    run = ["--run", trained[0] / "run"]
    texts = [f"the film was {word}" for word in (GOOD[0], BAD[0], GOOD[1])] + ["", "👍"]
    from_arguments = call("predict", *texts, *run, "--json")
    path = tmp_path / "texts.txt"
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    assert call("predict", "--file", path, *run, "--json") == from_arguments
    with path.open(encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert call("predict", *run, "--json") == from_arguments
    results = [json.loads(line) for line in from_arguments.splitlines()]
    assert [result["text"] for result in results] == texts
    assert [result["label"] for result in results[:3]] == ["yes", "no", "yes"]
    for result in results:
        assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert result["probability"] == max(result["probabilities"].values())
    assert "yes" in call("predict", texts[0], *run)
    exported = ["--saved-model", trained[0] / "saved_models/sentiment/1"]
    for ours, theirs in zip(
        results, map(json.loads, call("predict", *texts, *exported, "--json").splitlines()),
        strict=True,
    ):  # fmt: skip
        assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-5)
        assert (ours["text"], ours["label"]) == (theirs["text"], theirs["label"])


def test_predict_streams(trained):
    """Answers come while the input is still open."""
    process = warm.Process(
        command("predict", "--run", trained[0] / "run"),
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdin.write(f"it was {GOOD[0]}\n" * 256)
    process.stdin.flush()
    assert "yes" in process.stdout.readline()
    process.stdin.close()
    assert process.stdout.read().count("\n") == 255
    process.stdout.close()
    assert process.wait() == 0


def test_evaluate_other_data(trained, tmp_path):
    run = ["--run", trained[0] / "run"]
    printed = call("evaluate", *run, "--on", write_reviews(tmp_path / "other.csv", 40, seed=9))
    assert "40 examples" in printed
    assert "validation split" in call("evaluate", *run, "--split", "validation")
    (tmp_path / "odd.csv").write_text("text,label\nfine,yes\nhm,perhaps\n")
    line = call("evaluate", *run, "--on", tmp_path / "odd.csv", status=2)
    assert "label 'perhaps' (example 2, 1 in all) does not occur" in line


def test_describe(trained, reviews):
    printed = call("describe", "--data", reviews, "--run", trained[0] / "run", *SMALL)
    for text in ("units: 4", "RecurrentStack", "(None, None, 8)", "total", "device plan",
                 "kernel of recurrent", f"vocabulary of {trained[0] / 'run'}"):  # fmt: skip
        assert text in printed


def test_the_savedmodel_is_served_from_raw_bytes(trained):
    path = trained[0] / "saved_models/sentiment/1"
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    outputs = serve(text=tf.constant([b"it was superb", b"", b"\xff\xfe broken", b"it was awful"]))
    assert set(outputs) == {"label", "probability", "probabilities"}
    assert outputs["probabilities"].shape == (4, 2)
    assert outputs["label"].numpy()[[0, 3]].tolist() == [b"yes", b"no"]
    assert np.isfinite(outputs["probabilities"].numpy()).all()
    manifest = json.loads((path / "manifest.json").read_text())
    assert {"task", "settings", "data", "training", "evaluation", "versions"} <= set(manifest)


def test_bad_runs_and_models_are_refused(trained, tmp_path):
    folder, _ = trained
    assert "holds no run" in call("evaluate", "--run", tmp_path / "none", status=2)
    other = shutil.copytree(folder / "run", tmp_path / "other")
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "task": "pos_tagging"}))
    line = call("predict", "hello", "--run", other, status=2)
    assert "is a run of the task 'pos_tagging', not 'sentiment'" in line
    model = shutil.copytree(folder / "saved_models/sentiment/1", tmp_path / "1")
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    line = call("predict", "hello", "--saved-model", model, status=2)
    assert "has export format 99, this kerasseq reads 1" in line
    (model / "manifest.json").unlink()
    assert "not an exported version" in call("predict", "a", "--saved-model", model, status=2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    line = call("train", "--run", tmp_path / "full", status=2)
    assert "is not empty and is not a run folder" in line


def test_a_file_in_another_encoding(trained, tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("bon\nun très bon film\n".encode("latin-1"))
    run = ["--run", trained[0] / "run"]
    line = call("predict", "--file", path, *run, status=2)
    assert ":2 is not utf-8: byte 0xe8" in line
    assert "très" in call("predict", "--file", path, *run, "--encoding", "latin-1")


def test_changed_data_is_refused(trained, reviews, tmp_path):
    run, data = shutil.copytree(trained[0] / "run", tmp_path / "run"), tmp_path / "data.csv"
    shutil.rmtree(run / "evaluation")
    record = json.loads((run / "run.json").read_text())
    record["settings"]["data"] = str(data)
    (run / "run.json").write_text(json.dumps(record))
    shutil.copy(reviews, data)
    assert "validation split" in call("evaluate", "--run", run, "--split", "validation")
    rows = data.read_text().splitlines()
    data.write_text("\n".join([rows[0], *rows[:0:-1]]) + "\n")
    line = call("evaluate", "--run", run, status=2)
    assert "the data has changed since" in line
    assert not (run / "evaluation/test.json").exists()
