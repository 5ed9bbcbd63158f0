"""Chunks by a CRF, through the command line."""

import itertools
import json
import random

import pytest

import kerasseq
from kerasseq.export import saved_model
from kerasseq.export.serving import EDGE_CASES
from kerasseq.tasks.tagging.export import AWKWARD_SENTENCES
from tests.tasks.conftest import export_elsewhere
from tests.tasks.tagging.conftest import SMALL, assert_same, call, export_of, run_of

pytestmark = [pytest.mark.gate, pytest.mark.usefixtures("_loaded_once")]


@pytest.fixture(scope="module")
def chunker(tmp_path_factory, chunks):
    """A finished run, its export, and what ``train`` printed. What each signature of the export
    answers is compared below only."""
    folder = tmp_path_factory.mktemp("chunker")
    where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
    where += ["--name", "pos_tagging"]
    crf = ["--column=chunk", "--model.output=crf", "--training.monitor=f1",
           "--training.evaluate_every=0"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "_prove", lambda *_: ("not proved", []))
        return folder, call("train", "--data", chunks, *where, *SMALL, *crf)


def test_chunks_are_learned_and_reported_as_spans(chunker):
    folder, printed = chunker
    report = json.loads((folder / "run/evaluation/test.json").read_text())
    assert report["span_f1"] > 0.9 > report["baseline"]["span_f1"]
    assert set(report["spans"]["kinds"]) == {"ADVP", "NP", "VP"}
    assert "span F1" in printed
    history = map(json.loads, (folder / "run/metrics.jsonl").read_text().splitlines())
    kept = json.loads((folder / "run/training.json").read_text())["validation"]["f1"]
    assert kept == pytest.approx(max(record["validation_f1"] for record in history), abs=1e-4)


def test_chunks_of_awkward_texts_are_alike_by_run_and_export(chunker, tmp_path):
    """By both signatures: of texts, and of words."""
    path = tmp_path / "words.txt"
    sentences = AWKWARD_SENTENCES[:-1]
    path.write_text("".join(" ".join(words) + "\n" for words in sentences), encoding="utf-8")
    for words in (["predict", *EDGE_CASES[:-1], "--json"],
                  ["tag", "--file", path, "--input", "tokens", "--output", "json"]):  # fmt: skip
        assert_same(*(call(*words, *model(chunker)) for model in (run_of, export_of)))


def test_chunks_obey_iob2_whatever_the_words(chunker, tmp_path):
    draw = random.Random(1)
    vocabulary = ["the", "plan", "they", "barfimish", "walk", ".", "quickly", "gandolates", "?"]
    path = tmp_path / "random.txt"
    lines = [" ".join(draw.choices(vocabulary, k=draw.randint(1, 30))) for _ in range(60)]
    path.write_text("\n".join(lines) + "\n")
    form = ["--file", path, "--input", "tokens", "--output", "json"]
    ours, theirs = (call("tag", *form, *model(chunker)) for model in (run_of, export_of))
    rows = [json.loads(line)["tags"] for line in ours.splitlines()]
    for before, tag in itertools.chain.from_iterable(
        itertools.pairwise(["O", *tags]) for tags in rows
    ):
        assert not tag.startswith("I-") or before in (f"B-{tag[2:]}", tag)
    assert_same(ours, theirs)


def test_chunks_have_no_place_in_conllu(chunker):
    line = call("tag", "a plan", "--output", "conllu", *run_of(chunker), status=2)
    assert "--output conllu has no place for the column 'chunk'" in line


def test_a_client_in_numpy_answers_as_keras_does(chunker, tmp_path):
    export_elsewhere(call, run_of(chunker), "onnx", tmp_path)


def test_spans_of_an_outcome_are_those_of_the_report(chunker):
    run = kerasseq.load(chunker[0] / "run", quiet=True)
    report = run.evaluate()
    accuracy, spans = run.trained.use.outcome(run.own_data("test"), "test").metrics
    assert accuracy.value == pytest.approx(report["accuracy"], abs=1e-5)
    assert spans.value == pytest.approx(report["span_f1"], abs=1e-5)
