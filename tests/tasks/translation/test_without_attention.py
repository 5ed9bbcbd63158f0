"""The plain encoder-decoder, and its comparison with the other."""

import json

import pytest

from tests.tasks.conftest import export_elsewhere
from tests.tasks.translation.conftest import (
    FILES,
    SENTENCE,
    SMALL,
    assert_same,
    call,
    export_of,
    report_of,
    rows,
    run_of,
    verified_with_less,
)

pytestmark = [pytest.mark.gate, pytest.mark.usefixtures("loaded_once")]


@pytest.fixture(scope="module")
def plain(tmp_path_factory, files):
    """A finished run without attention, less trained, and its export."""
    folder = tmp_path_factory.mktemp("plain")
    where = ["--run", folder / "run.v2", "--saved-models", folder / "saved_models"]
    where += ["--name", "translation"]
    options = [
        *SMALL, "--model.attention=none", "--model.tie=two", "--model.input_feeding=true",
        "--scheduled_sampling=0.2", "--training.max_steps=60",
    ]  # fmt: skip
    with verified_with_less():
        return folder, call("train", "--data", files, *FILES, *where, *options)


def test_without_attention_nothing_unknown_is_given(plain, tmp_path):
    report = report_of(plain[0] / "run.v2")
    assert not any("<unk>" in text for text in report["translations"])
    for model, message in (
        (run_of(plain), "was trained without attention"),
        (export_of(plain), "the exported version was trained without attention"),
    ):
        line = call("translate", "a", "--plot-attention", tmp_path / "a.png", *model, status=2)
        assert message in line
    assert not (tmp_path / "a.png").exists()
    ours, theirs = (rows("translate", SENTENCE, "", *m) for m in (run_of(plain), export_of(plain)))
    assert_same(ours, theirs)


def test_compare_two_runs(trained, plain):
    (_, first), (_, second) = run_of(trained), run_of(plain)
    printed = call("compare", first, second)
    for part in ("60 sentences, paired bootstrap", "BLEU  run", "run.v2", "difference", "p = "):
        assert part in printed
    path = first / "evaluation/test-against-run.v2.json"
    report = json.loads(path.read_text())
    assert report["bleu"]["second"]["score"] == pytest.approx(
        report_of(second)["bleu"]["score"], abs=1e-3
    )
    assert report["bleu"]["difference"] < 0
    assert (first / "evaluation/test-against-run.v2.png").stat().st_size > 0
    assert "are the same run" in call("compare", first, first, status=2)
    assert "difference (run less run.v2)" in call("compare", second, first, "--split", "validation")
    assert "compare takes two runs, got 1" in call("compare", first, status=2)
    line = call("compare", first, "--split", "test", second, status=2)
    assert f"unexpected '{second}': give all texts and names together" in line


def test_a_client_in_numpy_answers_as_keras_does(plain, tmp_path):
    export_elsewhere(call, run_of(plain), "onnx", tmp_path)
