"""A language model is trained, evaluated and described, and what a run refuses."""

import json
import math
import shutil

import keras
import numpy as np
import pytest

import kerasseq
import kerasseq.app.run
import kerasseq.app.runs
from kerasseq import compat
from kerasseq.app.runs import read_data
from kerasseq.data.corpus import Corpus
from kerasseq.tasks.language_model.reading import lines_of
from kerasseq.tasks.language_model.settings import LanguageModelSettings
from kerasseq.text.shortened import shortened
from tests import warm
from tests.tasks.conftest import ROOT
from tests.tasks.language_model.conftest import (
    BITS,
    QUICK,
    SMALL,
    TASK,
    TOKENS,
    TYPES,
    call,
    call_with_warnings,
    report_of,
    rows,
    run_of,
    write_text,
)

pytestmark = pytest.mark.usefixtures("_loaded_once")

# -- train, evaluate, export, describe -------------------------------------------------------------


def test_train_learns_reports_and_exports(trained):
    folder, printed = trained
    run = folder / "run"
    for name in ("run.json", "settings.yaml", "data.json", "vocabulary.txt", "text.json",
                 "samples.json", "metrics.jsonl", "training.json", "model.keras", "curves.png",
                 "evaluation/test.json", "evaluation/test.png"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert not (run / "checkpoint.npz").exists()
    for part in ("cut from the end of the text, by position: 0.05 validation, 0.1 test",
                 "kernel of recurrent", "perplexity", "line ends counted", "examples:",
                 "exported to", "serving_default on", "next_token on",
                 "generate on", "score on", "none GPU-only"):  # fmt: skip
        assert part in printed
    samples = json.loads((run / "samples.json").read_text())
    examples = printed[printed.index("examples:") : printed.index("exporting:")]
    shown = [line for line in examples.splitlines() if line.endswith(" ...")]
    assert shown == [f"{shortened(sample)} ..." for sample in samples[:3]]
    report = report_of(run)
    bound = 2 ** (BITS / TOKENS)
    assert 0.95 * bound < report["perplexity"] < 1.08 * bound
    assert report["level"] == "word"
    assert report["nats_per_token"] == pytest.approx(math.log(report["perplexity"]), abs=1e-4)
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2, 3]
    for record in history:
        assert record["validation_perplexity"] == pytest.approx(
            math.exp(record["validation_loss"]), abs=1e-4
        )
    assert history[-1]["validation_perplexity"] < history[0]["validation_perplexity"]
    manifest = json.loads((folder / "saved_models/language_model/1/manifest.json").read_text())
    assert {"task", "settings", "data", "training", "evaluation", "versions"} <= set(manifest)
    assert manifest["evaluation"] == report


def test_the_data_report_counts_tokens_and_unknown_ones(trained, text):
    data = json.loads((trained[0] / "run/data.json").read_text())
    lines = text.read_text().splitlines(keepends=True)
    splits = data["splits"]
    assert list(splits) == ["train", "validation", "test"]
    assert sum(split["examples"] for split in splits.values()) == len(lines)
    assert sum(split["characters"] for split in splits.values()) == len("".join(lines))
    # five words, the full stop and the line end, or one word less
    whole = sum(len(line.split()) + 2 for line in lines)
    assert sum(split["tokens"] for split in splits.values()) == whole
    assert splits["train"]["unknown"] == 3
    assert splits["test"]["unknown"] == splits["validation"]["unknown"] == 0
    assert data["vocabulary"] == len(TYPES) + 4
    assert data["units"] == "words"
    vocabulary = (trained[0] / "run/vocabulary.txt").read_text().splitlines()
    assert set(vocabulary[4:]) == TYPES
    counts = json.loads((trained[0] / "run/text.json").read_text())["counts"]
    assert sum(counts) == splits["train"]["tokens"]
    assert counts[:4] == [0, 3, 0, splits["train"]["examples"]]


def test_the_same_command_does_not_train_or_score_again(trained, text):
    folder, _ = trained
    before = (folder / "run/training.json").read_text()
    printed = call("train", "--data", text, "--run", folder / "run", *SMALL, "--only-train")
    assert "is trained already" in printed
    assert (folder / "run/training.json").read_text() == before
    line = call("train", "--data", text, "--run", folder / "run", *SMALL, "--seed=2", status=2)
    assert "other settings (seed: 1 -> 2)" in line


def test_evaluate_another_split_and_other_data(trained, text, tmp_path):
    assert "validation split:" in call("evaluate", *run_of(trained), "--split", "validation")
    other = write_text(tmp_path / "other.txt.gz", 50, seed=7)
    printed = call("evaluate", *run_of(trained), "--on", other)
    assert "other.txt.gz" in printed
    (path,) = (trained[0] / "run/evaluation").glob("other-*other-txt-gz-test-*.json")
    report = json.loads(path.read_text())
    assert path.with_suffix(".png").stat().st_size > 0
    assert report["unknown"] == 3
    assert [band["tokens"] for band in report["bands"] if band["frequency"] == "unknown"] == [3]
    assert sum(band["tokens"] for band in report["bands"]) == report["tokens"]
    assert sum(band["nll_share"] for band in report["bands"]) == pytest.approx(1, abs=1e-3)


def test_characters_are_learned(characters):
    folder, printed = characters
    report = report_of(folder / "run")
    assert report["bits_per_token"] < 0.35  # the bound is about 0.18
    assert report["bits_per_character"] == report["bits_per_token"]
    assert "bits per character" in printed
    assert report["tokens"] == report["characters"]
    data = json.loads((folder / "run/data.json").read_text())
    assert (data["units"], data["level"]) == ("characters", "char")
    (row,) = rows("next", "A cat sees t", *run_of(characters))
    assert row["next"][0]["token"] == "h"
    assert row["next"][0]["probability"] > 0.95
    (row,) = rows("next", "A ", *run_of(characters), "--k", 2)
    assert {each["token"] for each in row["next"]} == {"c", "d"}
    (row,) = rows("generate", "A c", *run_of(characters), "--greedy", "--stop", "\\n")
    assert row["text"].startswith("A cat ")
    assert row["text"].endswith(".\n")
    assert row["tokens"] == len(row["text"]) - 3


def test_describe_before_and_after_training(trained, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = call("describe", *SMALL, "--model.softmax=adaptive")
    for part in ("RecurrentStack", "TiedEmbedding", "AdaptiveSoftmax", "assumed size",
                 "device plan", "kernel of recurrent"):  # fmt: skip
        assert part in printed
    printed = call("describe", "--data", text, *run_of(trained), *SMALL)
    assert f"vocabulary of {trained[0] / 'run'}" in printed


# -- resume ----------------------------------------------------------------------------------------

STOPPED_AND_CONTINUED = """
import os, signal, sys
import numpy as np
from kerasseq.app import cli
from kerasseq.training.trainer import Trainer
from kerasseq.tasks.language_model.task import LanguageModel

def train(run):
    return cli.run(LanguageModel(), ["train", "--run", run, *sys.argv[3:]])

train_on = Trainer._train_on

def stopped(self, item, progress):
    train_on(self, item, progress)
    if self.step == 25:
        os.kill(os.getpid(), signal.SIGINT)

assert train(sys.argv[1]) == 0
Trainer._train_on = stopped
assert train(sys.argv[2]) == 130
Trainer._train_on = train_on
with np.load(sys.argv[2] + "/checkpoint.npz") as stored:
    carried = [stored[f"carried/{i}"] for i in range(4)]
assert all(state.shape == (1, 8, 16) and state.any(axis=2).all() for state in carried)
assert train(sys.argv[2]) == 0
"""


@pytest.mark.gate
def test_a_run_that_was_stopped_ends_as_one_that_was_not(short, tmp_path):
    """With the state that streams carry, pieces of varying length, every kind of dropout, and in
    bfloat16, which NumPy's files do not know."""
    options = [
        *QUICK, "--training.epochs=2", "--model.layers=2", "--model.embedding_dropout=0.1",
        "--model.input_dropout=0.2", "--model.layer_dropout=0.2", "--model.output_dropout=0.2",
        "--model.recurrent_dropout=0.1", "--model.weight_drop=0.2", "--activation=1",
        "--temporal_activation=1", "--streams.spread=3", "--training.checkpoint_every=10",
        "--device.deterministic=true", "--device.precision=mixed_bfloat16",
    ]  # fmt: skip
    runs = [tmp_path / "straight", tmp_path / "stopped"]
    # in a process of its own: determinism, once asked for, is for good
    words = ["-c", STOPPED_AND_CONTINUED, *runs, "--data", short, *options]
    done = warm.run(words, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "resumed at step 25 of" in done.stdout
    assert "stopped at step 25 of" in done.stderr

    def weights(run):
        return keras.models.load_model(run / "model.keras", compile=False).get_weights()

    def history(run):
        lines = (run / "metrics.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]

    for straight, stopped in zip(*map(weights, runs), strict=True):
        np.testing.assert_array_equal(straight, stopped)
    assert history(runs[0]) == history(runs[1])
    used = kerasseq.app.runs.load_run(TASK, runs[0]).use.model  # as an export is
    assert {layer.compute_dtype for layer in compat.all_layers(used)} == {"float32"}


# -- variants --------------------------------------------------------------------------------------

VARIANTS = {
    "sampled": [
        "--model.softmax=sampled", "--model.sampled=6", "--model.cell=gru",
        "--streams.mode=sentences",
    ],
    "adaptive": ["--model.softmax=adaptive", "--model.cutoffs=6,10", "--model.cell=simple_rnn"],
    "mixed": [
        "--device.precision=mixed_bfloat16", "--model.embedding=12", "--text.level=char",
        "--text.vocabulary_size=12", "--score_streams=3",
    ],
}  # fmt: skip


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_variants_train_and_are_used(short, tmp_path, options):
    run = ["--run", tmp_path / "run"]
    call("train", "--data", short, *run, *QUICK, *options)
    call("evaluate", *run)
    assert report_of(tmp_path / "run")["perplexity"] < 8
    (row,) = rows("next", "a", "--k", 100, *run)
    assert sum(each["probability"] for each in row["next"]) == pytest.approx(1, abs=1e-2)
    assert rows("generate", "a", "--length", 3, *run)[0]["tokens"] == 3


def test_a_folder_of_splits(tmp_path, monkeypatch):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, lines in (("x.train.txt.gz", 200), ("x.valid.txt", 40), ("x.test.txt.gz", 60)):
        write_text(folder / name, lines, seed=lines)
    settings = LanguageModelSettings(data=str(folder))
    data = read_data(TASK, settings, download=False)
    assert [s["examples"] for s in data.report["splits"].values()] == [203, 43, 63]
    (folder / "x.test.txt.gz").unlink()
    run = ["--run", tmp_path / "run"]
    monkeypatch.setattr(kerasseq.app.run, "export_run", lambda *_: None)
    printed = call("train", "--data", folder, *run, *QUICK[:-1])
    assert "there is no test split" in printed
    assert "validation split:" in printed
    assert report_of(tmp_path / "run", "validation")["tokens"] > 0
    assert "validation split:" in call("evaluate", *run)
    for verb in (["evaluate", "--split", "test"], ["cache"]):
        line = call(*verb, *run, status=2)
        assert "data has no test split; it has train, validation" in line


def test_a_tfds_source(monkeypatch, text):
    asked = []

    def read(name, text_column, download):
        asked.append((name, text_column, download))
        return Corpus("tfds: made up", {"all": lines_of(text.read_text())})

    monkeypatch.setattr("kerasseq.tasks.language_model.tfds.read_tfds", read)
    settings = LanguageModelSettings(data="tfds:made_up", text_column="body")
    data = read_data(TASK, settings, download=True)
    assert asked == [("made_up", "body", True)]
    assert list(data.splits) == ["train", "validation", "test"]


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", [], "data is empty"),
        (b" \n\n", [], "data is empty"),
        (b"hello", [], "no text is left for the validation split (5 characters"),
        (b"a b\n" * 99, ["--text.min_count=999"], "no token of the train split occurs 999 times"),
        (bytes(range(256)), [], "data:2 is not utf-8: byte 0x80 at offset 117"),
        (bytes(range(128)), [], "data is not a text file: NUL character at offset 0"),
        ("très\n".encode("latin-1") * 9, [], "data:1 is not utf-8: byte 0xe8 at offset 2; if"),
        (None, ["--encoding=utf-9"], "unknown encoding 'utf-9'"),
        (None, ["--text.vocabulary_size=16"], "vocabulary_size 16 is more than the text can fill"),
        (None, ["--text.vocabulary_size=4"], "vocabulary_size must be 0 (all tokens) or >= 5"),
        (
            None,
            ["--text.level=char", "--text.tokenizer=words"],
            "tokenizer words is for level word",
        ),
        (None, ["--text.level=byte"], "byte"),
        (None, ["--model.softmax=adaptive"], "must be below the 14 ids of the vocabulary"),
        (None, ["--model.softmax=sampled"], "model.sampled 1,024 must be less than the 14 ids"),
        (None, ["--model.cutoffs=5,3"], "model.cutoffs must be ascending numbers, got '5,3'"),
        (None, ["--model.cutoffs=x"], "model.cutoffs must be ascending numbers, got 'x'"),
        (None, ["--streams.size=100000"], "streams.size 100,000 is more than the"),
        (None, ["--training.monitor=accuracy"], "no metric 'accuracy'; there are perplexity, loss"),
        (None, ["--validation_share=0"], "validation_share must be > 0"),
        (None, ["--test_share=0.5"], "test_share must be < 0.5"),
    ],
)
def test_bad_data_and_settings_are_one_line(tmp_path, short, content, options, message):
    path = tmp_path / "data"
    path.write_bytes(short.read_bytes() if content is None else content)
    where = ["--run", tmp_path / "run", "--saved-models", tmp_path]
    assert message in call("train", "--data", path, *where, *options, status=2)


def test_bad_sources_are_one_line(tmp_path, trained):
    missing = tmp_path / "none.txt"
    for words in (["train", "--data", missing, "--run", tmp_path / "run"],
                  ["evaluate", "--on", missing, *run_of(trained)]):  # fmt: skip
        assert f"{missing} does not exist" in call(*words, status=2)
    assert "none.txt cannot be read" in call("score", "--file", missing, *run_of(trained), status=2)
    (tmp_path / "books").mkdir()
    line = call("train", "--data", tmp_path / "books", "--run", tmp_path / "run", status=2)
    assert "no text file" in line
    latin = tmp_path / "latin.txt"
    latin.write_bytes("a\nun très bon chat\n".encode("latin-1"))
    for verb in ("next", "score"):
        line = call(verb, "--file", latin, *run_of(trained), status=2)
        assert f"{latin}:2 is not utf-8: byte 0xe8" in line
    out, _ = call_with_warnings("score", "--file", latin, "--encoding=latin-1", *run_of(trained))
    assert "très" in out


def test_changed_data_is_refused(short, tmp_path):
    path = shutil.copy(short, tmp_path / "text.txt")
    call("train", "--data", path, "--run", tmp_path / "run", *QUICK)
    path.write_text(path.read_text().replace("A cat sees it.", "A dog sees it.", 1))
    for verb in ("evaluate", "cache"):
        line = call(verb, "--run", tmp_path / "run", status=2)
        assert "the data has changed since" in line


# -- errors, comparison ----------------------------------------------------------------------------


def test_errors_and_outcome_are_those_of_the_report(trained, tmp_path):
    run = kerasseq.load(trained[0] / "run", quiet=True)
    report = run.evaluate()
    outcome = run.trained.use.outcome(run.own_data("test"), "test")
    lines, tokens = outcome.metrics
    assert lines.above.sum() == pytest.approx(report["nll"], rel=1e-5)
    assert tokens.value == pytest.approx(report["nats_per_token"], rel=1e-5)
    assert len(lines.above) == run.folder.need_json("data.json")["splits"]["test"]["examples"]
    errors = run.errors()
    shares = [row["probability"] for row in errors]
    assert shares == sorted(shares)
    assert len(errors) == min(1000, report["tokens"])
    text = "".join(run.trained.use.codec.decode(run.own_data("test").splits["test"])).split("\n")
    for row in errors[:20]:
        if row["token"] not in ("\n", "<unk>"):
            assert row["token"] == text[row["line"] - 1].split()[row["position"] - 1]
    copy = shutil.copytree(run.path, tmp_path / "copy")
    found = run.compare(kerasseq.load(copy, quiet=True))
    assert len(found["metrics"]) == 2
    assert all(row["p"] == 1.0 for row in found["metrics"].values())


def test_models_of_other_vocabularies_are_compared_by_lines(trained, characters):
    runs = [kerasseq.load(one[0] / "run", quiet=True) for one in (trained, characters)]
    digests = [run.folder.need_json("data.json")["splits"]["test"]["sha256"] for run in runs]
    if digests[0] != digests[1]:  # one is cut at a line, the other within it
        with pytest.raises(ValueError, match="the test splits of the two runs differ"):
            runs[0].compare(runs[1])
        return
    found = runs[0].compare(runs[1])
    assert list(found["metrics"]) == ["nats a line"]
