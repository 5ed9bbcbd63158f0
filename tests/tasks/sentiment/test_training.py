"""Runs that are trained otherwise, or not at all."""

import pytest

from kerasseq.export import serving
from tests.tasks.conftest import SMALL, call, export_elsewhere

LARGER = [*SMALL, "--model.layers=2", "--label_smoothing=0.1", "--training.max_steps=4"]


@pytest.fixture(autouse=True)
def _without_the_longest_text(monkeypatch):
    """Exports are proved without it here; that of ``trained`` is not."""
    monkeypatch.setattr(serving, "EDGE_CASES", serving.EDGE_CASES[:-1])


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Texts of three classes whose names are no words."""
    path = tmp_path_factory.mktemp("odd") / "odd.csv"
    rows = [f"word{i % 3} text {i},{['$a_^$', 'ü', '9'][i % 3]}\n" for i in range(60)]
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    return path


@pytest.mark.gate
@pytest.mark.parametrize(("cell", "pooling", "data", "precision"), [
    ("gru", "attention+mean", "reviews", "float32"), ("lstm", "max", "odd", "mixed_float16")
])  # fmt: skip
def test_model_variants_train_and_export(request, tmp_path, cell, pooling, data, precision):
    """In both directions and in half precision too; class names may be anything."""
    printed = call(
        "train", "--data", request.getfixturevalue(data), "--run", tmp_path / "run", *LARGER,
        f"--model.cell={cell}", f"--model.pooling={pooling}", "--model.bidirectional=true",
        "--text.ngrams=0", f"--device.precision={precision}", "--saved-models", tmp_path / "saved",
    )  # fmt: skip
    assert "exported to" in printed


@pytest.mark.gate
def test_ngrams_of_several_words_are_exported(reviews, tmp_path):
    """The client looks them up, in texts that have fewer words too."""
    where = ["--run", tmp_path / "run"]
    words = ["--model.cell=simple_rnn", "--model.pooling=last", "--model.bidirectional=false"]
    call("train", "--data", reviews, *where, *LARGER, *words, "--text.ngrams=3", "--only-train")
    assert "exported to" in call("export", *where, "--saved-models", tmp_path / "saved")
    export_elsewhere(call, where, "onnx", tmp_path / "saved")


def test_a_failed_start_leaves_nothing_behind(reviews, tmp_path):
    run = tmp_path / "run"
    where = ["--run", run, "--only-train", *SMALL]
    assert "does not exist" in call("train", "--data", tmp_path / "no.csv", *where, status=2)
    assert "no metric 'f1'" in call(
        "train", "--data", reviews, *where, "--training.monitor=f1", status=2
    )
    assert not run.exists()
    line = call(
        "train", "--data", reviews, *where, "--training.learning_rate=1e30",
        "--training.clip_norm=1e30", status=2,
    )  # fmt: skip
    assert "the loss is" in line
    assert "trained" in call("train", "--data", reviews, *where, "--training.max_steps=4")


def test_asking_for_what_the_machine_lacks(reviews, tmp_path):
    run = ["--run", tmp_path / "run"]
    line = call("train", "--data", reviews, *run, *SMALL, "--device.kernel=cudnn", status=2)
    assert "device.kernel: cudnn needs a GPU" in line
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").touch()
    assert "is a file" in call("train", "--data", reviews, "--run", tmp_path / "file", status=2)
