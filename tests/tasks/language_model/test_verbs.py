"""A language model of a small made-up language, through the command line as a user would."""

import contextlib
import functools
import gzip
import io
import itertools
import json
import math
import random
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasseq.app.runs
import kerasseq.app.verbs
import kerasseq.tasks.language_model.verbs
from kerasseq.app import cli
from kerasseq.errors import UserError
from kerasseq.export import saved_model, serving
from kerasseq.tasks.language_model import text_model as generation
from kerasseq.tasks.language_model.reading import TextCorpus
from kerasseq.tasks.language_model.task import LanguageModel, LanguageModelSettings, ModelSettings
from kerasseq.tasks.language_model.text_model import TextModel
from tests.tasks import conftest
from tests.tasks.conftest import export_elsewhere, given, load_once, load_run

TASK = LanguageModel()
call = functools.partial(conftest.call, task=TASK)

SMALL = [
    "--model.embedding=16", "--model.units=16", "--model.input_dropout=0",
    "--model.layer_dropout=0", "--model.output_dropout=0.1", "--streams.size=8",
    "--streams.length=12", "--training.learning_rate=0.03", "--training.average=0.9",
    "--training.epochs=3",
]  # fmt: skip
QUICK = [*SMALL, "--training.epochs=1", "--only-train"]
TYPES = {".", "a", "the", "it", "cat", "dog", "sees", "hears", "bird", "fish"}
BITS = 3.5  # of a line: which animal, which verb, it or another, and half the time which other
TOKENS = 6.5  # of a line, its end counted
RARE = "A zebra sees it.\n"  # too rare for the vocabulary


def write_text(path, lines, seed=0):
    """Lines in which `a` is always followed by one of two words."""
    draw = random.Random(seed)

    def line():
        words = ["A", draw.choice(["cat", "dog"]), draw.choice(["sees", "hears"])]
        words += ["the", draw.choice(["bird", "fish"])] if draw.random() < 0.5 else ["it"]
        return " ".join(words) + ".\n"

    content = "".join(line() for _ in range(lines))
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as stream:
        stream.write(RARE * 3 + content)
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("data") / "text.txt", 1200)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("data") / "short.txt", 300)


def train(folder, text, *options):
    """Trains and exports; what ``train`` printed. To be quick the export is verified with fewer
    texts, and not with one of 10,000 words; it reads a longer one below."""
    where = ["--run", folder / "run", "--saved-models", folder / "saved_models"]
    samples = LanguageModel.samples
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModel, "samples", lambda *words: samples(*words)[::6])
        patch.setattr(serving, "EDGE_CASES", serving.EDGE_CASES[:-1])
        patch.setattr(generation, "EDGE_CASES", serving.EDGE_CASES)
        return call("train", "--data", text, *where, *SMALL, *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, text):
    """A finished run at word level, its export, and what ``train`` printed."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(folder, text)


@pytest.fixture(scope="module")
def characters(tmp_path_factory, text):
    """The same at char level; what its export answers is compared below only."""
    folder = tmp_path_factory.mktemp("characters")
    level = ["--text.level=char", "--model.cell=gru", "--streams.length=20", "--streams.size=16"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "verify", lambda *_: "not verified")
        return folder, train(folder, text, *level)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
    """Runs and exports are loaded once, which else would take most of the time spent here."""
    load_once(monkeypatch, kerasseq.tasks.language_model.verbs)
    monkeypatch.setattr(kerasseq.tasks.language_model.verbs, "text_model", text_model)
    yield
    keras.mixed_precision.set_dtype_policy("float32")


text_models = {}


def text_model(run):
    if run.run.path not in text_models:
        text_models[run.run.path] = TextModel(run.model, run.assets.codec)
    return text_models[run.run.path]


def run_of(trained):
    return ["--run", trained[0] / "run"]


def export_of(trained):
    return ["--saved-model", trained[0] / "saved_models/language_model/1"]


def rows(*words):
    """The JSON objects that a verb prints."""
    return [json.loads(line) for line in call(*words, "--json").splitlines()]


def call_with_warnings(*words):
    """What a verb that succeeds prints, and what it says on standard error."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        assert cli.run(TASK, list(map(str, words))) == 0
    return out.getvalue(), errors.getvalue()


def report_of(run, name="test"):
    return json.loads((run / f"evaluation/{name}.json").read_text())


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
                 "this is one of the ...", "exported to", "serving_default on", "next_token on",
                 "generate on", "score on", "none GPU-only"):  # fmt: skip
        assert part in printed
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
    (path,) = (trained[0] / "run/evaluation").glob("other-*other-txt-gz.json")
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


def test_describe_before_and_after_training(trained, text, tmp_path):
    none = ["--run", tmp_path / "none"]
    printed = call("describe", *none, *SMALL, "--model.softmax=adaptive")
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
from kerasseq.tasks.language_model import text_model as generation
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
    words = [sys.executable, "-c", STOPPED_AND_CONTINUED, *runs, "--data", short, *options]
    done = subprocess.run(
        list(map(str, words)), cwd=conftest.ROOT, capture_output=True, text=True, check=False
    )
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
    used = kerasseq.app.runs.load_run(TASK, runs[0]).model  # as an export is
    assert {layer.compute_dtype for layer in used._flatten_layers()} == {"float32"}


# -- next ------------------------------------------------------------------------------------------


def test_next_knows_the_grammar(trained):
    before = "A dog hears it.\n" * 3  # the state of a text's start is rare in training
    a, the, end, start = rows(
        "next", f"{before}A", f"{before}a cat sees the", before[:-1], before, *run_of(trained)
    )
    for row, expected in ((a, {"cat", "dog"}), (the, {"bird", "fish"})):
        assert {each["token"] for each in row["next"][:2]} == expected
        assert sum(each["probability"] for each in row["next"][:2]) > 0.9
    assert (end["next"][0]["token"], start["next"][0]["token"]) == ("\n", "a")
    for row in (a, the, end, start):
        shares = [each["probability"] for each in row["next"]]
        assert shares == sorted(shares, reverse=True)
        assert len(shares) == 10
    printed = call("next", "a dog hears it.", *run_of(trained), "--k", 1)
    assert printed.startswith("a dog hears it. ...\n")
    assert "(line end)" in printed


def test_next_gives_no_more_than_there_is(trained):
    for model in (run_of(trained), export_of(trained)):
        for k in (1000, 10**15):
            (row,) = rows("next", "a", "--k", k, *model)
            assert len(row["next"]) == len(TYPES) + 2  # all but padding and BOS
            assert sum(each["probability"] for each in row["next"]) == pytest.approx(1, abs=1e-5)


AWKWARD = ["", "a", " \t", "A CAT sees\nthe bird.\n\nA", "👍🏽 e\u0301 naïve", "\udcff a", "a\r\nb"]


@pytest.mark.parametrize("level", ["trained", "characters"])
def test_awkward_prompts_are_answered_alike_by_run_and_export(level, request):
    model = request.getfixturevalue(level)
    texts = [*AWKWARD, *serving.EDGE_CASES[:-1]]
    for verb in ("next", "score"):
        ours, theirs = (
            [json.loads(line) for line in call_with_warnings(verb, *words)[0].splitlines()]
            for words in ([*texts, "--json", *m] for m in (run_of(model), export_of(model)))
        )
        assert [row["text"] for row in ours] == [t.replace("\udcff", "?") for t in texts]
        assert_same(ours, theirs)


def assert_same(ours, theirs):
    """Strings and whole numbers equal, other numbers nearly; the export leaves out ``unknown``."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert set(one) - set(other) <= {"unknown"}
        for name, value in other.items():
            if name == "next":
                pairs = zip(one["next"], value, strict=True)
                for mine, its in pairs:
                    assert mine["probability"] == pytest.approx(its["probability"], abs=1e-5)
                    if its["probability"] > 1e-3:  # less likely ones may change places
                        assert mine["token"] == its["token"]
            elif isinstance(value, float):
                assert one[name] == pytest.approx(value, rel=1e-5, abs=1e-5)
            else:
                assert one[name] == value


def test_a_prompt_of_unknown_words_is_answered_with_a_warning(trained):
    for words in (["next", "Zebra"], ["generate", "Zebra", "--length", 3]):
        out, errors = call_with_warnings(*words, *run_of(trained))
        assert errors == "tokens of 'Zebra' that the model does not know: 1\n"
        assert out
    assert out.startswith("<unk>")
    _, errors = call_with_warnings("next", "the", "", *run_of(trained))
    assert errors == ""


# -- generate --------------------------------------------------------------------------------------


def generated(trained, *words, model=run_of):
    return rows("generate", *words, *model(trained))


def test_a_seed_makes_a_text(trained):
    long = ["a", "--length", 60]
    once, again = (generated(trained, *long, "--seed", 5) for _ in range(2))
    assert once == again
    several = generated(trained, *long, "--seed", 5, "--samples", 3)
    alone = [generated(trained, *long, "--seed", seed)[0] for seed in (5, 6, 7)]
    assert several == alone
    assert len({row["text"] for row in several}) == 3
    hot = generated(trained, *long, "--seed", 5, "--temperature", 50)
    assert hot[0]["text"] != once[0]["text"]
    assert hot[0]["perplexity"] > 5 > once[0]["perplexity"]
    for row in (*several, *hot):
        assert row["tokens"] == 60
        assert row["prompt"] == "a"
        assert row["perplexity"] == pytest.approx(math.exp(-row["log_prob"] / 60))
        assert "<unk>" not in row["text"]


def test_greedy_is_what_every_narrow_choice_gives(trained):
    stop = ["a", "--stop", "\\n", "--length", 30]
    (greedy,) = generated(trained, *stop, "--greedy")
    for narrow in (["--beam", 1], ["--top-k", 1], ["--top-p", 1e-6], ["--temperature", 1e-6]):
        (row,) = generated(trained, *stop, *narrow)
        assert (row["text"], row["tokens"]) == (greedy["text"], greedy["tokens"])
        assert row["log_prob"] == pytest.approx(greedy["log_prob"], abs=1e-4)
    assert greedy["text"].endswith(".\n")
    assert greedy["text"].split()[1] in ("cat", "dog")
    (scored,) = rows("score", greedy["text"].strip(), *run_of(trained))
    (first,) = rows("score", "a", "--tokens", *run_of(trained))
    # the prompt is given, and the unknown word is never generated
    alone = scored["log_prob"] - first["token_log_probs"][0][1]
    assert greedy["log_prob"] == pytest.approx(alone, abs=0.05)


def test_stop_tokens_end_a_text(trained):
    for stops, ends in ((["."], "."), (["cat", "dog"], ("cat", "dog")), (["\\n"], "\n")):
        given = [word for stop in stops for word in ("--stop", stop)]
        for seed in (1, 2, 3):
            (row,) = generated(trained, "a", *given, "--seed", seed, "--top-k", 2)
            assert row["text"].endswith(ends)
            assert row["tokens"] < 20
    for row in generated(trained, "a", "--beam", 3, "--n-best", 2, "--stop", "sees", "--stop", "."):
        assert row["text"].endswith(("sees", "."))


def test_what_streams_is_the_text(trained, characters):
    for model in (trained, characters):
        for prompt in ("", "A dog", 'a "cat'):
            (row,) = generated(model, prompt, "--length", 25, "--seed", 3)
            printed, _ = call_with_warnings(
                "generate", prompt, "--length", 25, "--seed", 3, *run_of(model)
            )
            assert printed == row["text"] + "\n"
    printed = call("generate", "a", "--length", 5, "--samples", 2, *run_of(trained))
    texts = [row["text"] for row in generated(trained, "a", "--length", 5, "--samples", 2)]
    assert printed == "".join(f"{text}\n\n" for text in texts)


def test_beams_are_distinct_and_sorted_by_perplexity(trained):
    beam = ["a", "--beam", 8, "--n-best", 6, "--length", 30]
    found = generated(trained, *beam)
    assert len({row["text"] for row in found}) == 6
    assert all(row["text"].endswith("\n") for row in found)
    perplexities = [row["perplexity"] for row in found]
    assert perplexities == sorted(perplexities)
    # of the eight sentences of the grammar after `a`, those with `it` are the likeliest
    likely = generated(trained, *beam, "--length-penalty", 0)
    assert [row["log_prob"] for row in likely] == sorted(r["log_prob"] for r in likely)[::-1]
    assert all(" it." in row["text"] for row in likely[:4])
    printed = call("generate", *beam, *run_of(trained))
    assert printed.count("perplexity") == 6
    (best,) = generated(trained, "a", "--beam", 8, "--length", 30)
    assert best == found[0]


@pytest.mark.parametrize("level", ["trained", "characters"])
def test_an_export_generates_what_the_run_does(level, request):
    model = request.getfixturevalue(level)
    for words in (["A", "--seed", 9, "--samples", 2, "--length", 30], ["", "--greedy"],
                  ["a c\n👍\n", "--temperature", 0.7, "--top-k", 4, "--top-p", 0.9, "--seed", -4],
                  ["\udcff", "--top-k", 10**15, "--length", 10, "--seed", 2**63 - 1]):  # fmt: skip
        (ours, _), theirs = (
            call_with_warnings("generate", *words, *run_of(model), "--json"),
            generated(model, *words, model=export_of),
        )
        ours = [json.loads(line) for line in ours.splitlines()]
        assert_same(
            [{**r, "perplexity": 0} for r in ours], [{**r, "perplexity": 0} for r in theirs]
        )
        for one, other in zip(ours, theirs, strict=True):
            assert one["perplexity"] == pytest.approx(other["perplexity"], rel=1e-4)


def test_a_shell_may_pass_bytes_of_no_encoding(trained):
    """Half surrogates, which standard output would not take."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    for verb, model in itertools.product(("generate", "next"), (run_of, export_of)):
        with contextlib.redirect_stdout(out):
            assert cli.run(TASK, [verb, "a \udcff", "--json", *map(str, model(trained))]) == 0
    found = [json.loads(line) for line in out.buffer.getvalue().splitlines()]
    assert [row.get("prompt", row.get("text")) for row in found] == ["a ?"] * 4


# -- score -----------------------------------------------------------------------------------------


def test_score_follows_the_chain_rule(trained):
    line = "A cat sees the bird."
    (row,) = rows("score", line, "--tokens", *run_of(trained))
    tokens = ["a", "cat", "sees", "the", "bird", ".", "\n"]
    assert [token for token, _ in row["token_log_probs"]] == tokens
    assert sum(p for _, p in row["token_log_probs"]) == pytest.approx(row["log_prob"], abs=1e-4)
    assert row["perplexity"] == pytest.approx(math.exp(-row["log_prob"] / 7), rel=1e-5)
    assert (row["tokens"], row["unknown"], row["text"]) == (7, 0, line)
    prefixes = [" ".join(tokens[:i]) for i in range(7)]
    for answer, (token, log_prob) in zip(
        rows("next", *prefixes, "--k", 100, *run_of(trained)), row["token_log_probs"], strict=True
    ):
        shares = {each["token"]: each["probability"] for each in answer["next"]}
        assert math.log(shares[token]) == pytest.approx(log_prob, abs=1e-4)


def test_score_of_many_lines(trained, tmp_path, monkeypatch):
    lines = ["A cat sees it.", "Cat the a it.", "", "A zebra 👍"]
    path = tmp_path / "lines.txt.gz"
    path.write_bytes(gzip.compress("".join(f"{line}\r\n" for line in lines).encode()))
    out, said = call_with_warnings("score", "--file", path, "--json", *run_of(trained))
    found = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in found] == lines
    assert [row["tokens"] for row in found] == [6, 6, 1, 4]
    assert [row["unknown"] for row in found] == [0, 0, 0, 2]
    assert found[0]["perplexity"] < 2 < 10 < found[1]["perplexity"]
    total = sum(row["log_prob"] for row in found)
    perplexity = math.exp(-total / 17)
    assert said == (
        f"4 lines, 17 tokens with line ends: log-probability {total:.2f}, "
        f"perplexity {perplexity:.2f}\n"
    )
    given(monkeypatch, "".join(f"{line}\n" for line in lines).encode())
    shown, _ = call_with_warnings("score", "--tokens", *run_of(trained))
    assert "4 tokens, 2 unknown  A zebra 👍" in shown
    assert "(line end)" in shown
    (tmp_path / "empty").touch()
    assert call("score", "--file", tmp_path / "empty", *run_of(trained)) == ""


@pytest.mark.parametrize("model", [run_of, export_of])
def test_score_reads_a_line_of_any_length(trained, monkeypatch, model):
    line = "a cat sees the bird . " * 10_000
    several = "a cat sees the bird . " * 300  # more than are read at once
    given(monkeypatch, f"{line}\n{several}\na cat sees it.\n".encode())
    out, _ = call_with_warnings("score", "--json", *model(trained))
    long, *others = map(json.loads, out.splitlines())
    assert long["tokens"] == 60_001
    assert math.isfinite(long["log_prob"])
    expected = rows("score", several, "a cat sees it.", *run_of(trained))
    assert [row["tokens"] for row in others] == [1801, 6]
    for found, wanted in zip(others, expected, strict=True):
        assert found["log_prob"] == pytest.approx(wanted["log_prob"], rel=1e-5)


# -- cache -----------------------------------------------------------------------------------------


def test_cache_reports_beside_the_model(trained):
    printed = call("cache", *run_of(trained), "--size", 50)
    report = report_of(trained[0] / "run", "test-cache")
    plain = report_of(trained[0] / "run")
    assert report["perplexity"] == pytest.approx(plain["perplexity"], rel=1e-4)
    assert report["tokens"] == plain["tokens"]
    assert report["size"] == 50
    assert 0 < report["perplexity_with_cache"] < 1.2 * report["perplexity"]
    assert f"perplexity {report['perplexity']:.2f}, with a cache of 50 positions" in printed
    assert "validation split" in call("cache", *run_of(trained), "--split", "validation")


# -- the exported model ----------------------------------------------------------------------------


def test_the_savedmodel_has_its_inputs_and_outputs_by_name(trained):
    """That it needs tensorflow alone is what ``export`` verifies, in a clean process."""
    loaded = tf.saved_model.load(str(trained[0] / "saved_models/language_model/1"))
    found = {
        name: [
            {key: spec.dtype.name for key, spec in serve.structured_input_signature[1].items()},
            {key: spec.dtype.name for key, spec in serve.structured_outputs.items()},
        ]
        for name, serve in loaded.signatures.items()
    }
    text = {"text": "string"}
    likeliest = {"tokens": "string", "probabilities": "float32", "unknown": "int32"}
    drawing = {"length": "int32", "temperature": "float32", "top_k": "int32",
               "top_p": "float32", "seed": "int64"}  # fmt: skip
    assert found == {
        "serving_default": [text, likeliest],
        "next_token": [{**text, "k": "int32"}, likeliest],
        "generate": [
            {**text, **drawing},
            {"text": "string", "generated": "int32", "log_prob": "float32", "unknown": "int32"},
        ],
        "score": [
            text,
            {"log_prob": "float32", "perplexity": "float32", "tokens": "int32", "unknown": "int32"},
        ],
    }
    text = tf.constant([b"A cat sees", b"", b"\xff\xfe broken"])
    assert loaded.signatures["score"](text=text)["tokens"].numpy()[:2].tolist() == [4, 1]
    assert loaded.signatures["serving_default"](text=text)["tokens"].shape == (3, 5)
    made = loaded.signatures["generate"](
        text=text, length=tf.constant(4), temperature=tf.constant(1.0), top_k=tf.constant(1),
        top_p=tf.constant(1.0), seed=tf.constant(1, tf.int64),
    )  # fmt: skip
    (greedy,) = generated(trained, "A cat sees", "--greedy", "--length", 4)
    assert made["text"].numpy()[0].decode() == greedy["text"]


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
    data = TASK.load_data(settings, download=False)
    assert [s["examples"] for s in data.report["splits"].values()] == [203, 43, 63]
    (folder / "x.test.txt.gz").unlink()
    run = ["--run", tmp_path / "run"]
    monkeypatch.setattr(kerasseq.app.verbs, "_export", lambda *_: None)
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

    def read(*words):
        asked.append(words)
        return TextCorpus("tfds: made up", {"all": text.read_text()})

    monkeypatch.setattr("kerasseq.data.tfds.read_text", read)
    settings = LanguageModelSettings(data="tfds:made_up", text_column="body")
    data = TASK.load_data(settings, download=True)
    assert asked == [("made_up", "body", True)]
    assert list(data.splits) == ["train", "validation", "test"]


# -- init_from -------------------------------------------------------------------------------------


def test_init_from_takes_vectors_and_recurrent_weights(trained, tmp_path):
    path = write_text(tmp_path / "more.txt", 300)
    path.write_text("A horse sees it.\n" * 9 + path.read_text())
    run = trained[0] / "run"
    settings = LanguageModelSettings(
        data=str(path), init_from=str(run), model=ModelSettings(embedding=16, units=16, layers=2)
    )
    data = TASK.load_data(settings, download=False)
    model = TASK.build_model(settings, TASK.assets(data))
    before = model.embedding.embeddings.numpy()
    lines = TASK.adapt(model, settings, data)
    assert lines == [
        f"from {run}: vectors of {len(TYPES) + 4} of {len(TYPES) + 5} tokens",
        f"from {run}: 1 of 2 recurrent layers",
    ]
    source = load_run(TASK, run)
    mine, theirs = data.codec.vocabulary.tokens, source.assets.codec.vocabulary.tokens
    after = model.embedding.embeddings.numpy()
    for row, token in enumerate(mine):
        if token == "horse":
            np.testing.assert_array_equal(after[row], before[row])
        else:
            vector = source.model.embedding.embeddings.numpy()[theirs.index(token)]
            np.testing.assert_array_equal(after[row], vector)
    for one, other in zip(
        model.recurrent.cells[0].get_weights(),
        source.model.recurrent.cells[0].get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_training_starts_from_another_run(trained, short, tmp_path):
    start = ["--init_from", trained[0] / "run", "--training.learning_rate=1e-9"]
    printed = call("train", "--data", short, "--run", tmp_path / "run", *QUICK, *start)
    assert f"from {trained[0] / 'run'}: vectors of 14 of 14 tokens" in printed
    history = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    # only the bias of the softmax is not taken
    assert json.loads(history[0])["validation_perplexity"] < 3


def test_what_init_from_names_is_needed_in_training_only(trained, tmp_path):
    path = write_text(tmp_path / "more.txt", 300)
    run = shutil.copytree(trained[0] / "run", tmp_path / "first")
    settings = LanguageModelSettings(data=str(path), init_from=str(run))
    TASK.check(settings)
    shutil.rmtree(run)
    assert "validation" in TASK.load_data(settings, download=False).splits  # to evaluate it
    with pytest.raises(UserError, match=r"init_from: .* holds no run"):
        TASK.check(settings)


def test_init_from_refuses_other_runs(trained, short, tmp_path):
    def refused(source, *options):
        words = ["--data", short, "--run", tmp_path / "run", *QUICK, "--init_from", source]
        return call("train", *words, *options, status=2)

    run = trained[0] / "run"
    sizes = ["--model.units=8", "--model.embedding=8"]
    assert f"init_from: nothing of {run} fits this model: embeddings of size 16" in refused(
        run, *sizes
    )
    assert f"init_from: {tmp_path / 'none'} holds no run" in refused(tmp_path / "none")
    other = shutil.copytree(run, tmp_path / "other")
    (other / "training.json").unlink()
    assert f"init_from: {other} is not trained to the end" in refused(other)
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "task": "sentiment"}))
    line = refused(other)
    assert "is a run of the task 'sentiment', not 'language_model'" in line


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", [], "data is empty"),
        (b" \n\n", [], "data is empty"),
        (b"hello", [], "no text is left for the validation split (5 characters"),
        (b"a b\n" * 99, ["--text.min_count=999"], "no token of the train split occurs 999 times"),
        (bytes(range(256)), [], "data is not utf-8: byte 0x80 at offset 128"),
        (bytes(range(128)), [], "data is not a text file: NUL character at offset 0"),
        ("très\n".encode("latin-1") * 9, [], "data is not utf-8: byte 0xe8 at offset 2; if it"),
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--temperature", 0], "temperature must be above 0 and finite, got 0.0"),
        (["--temperature", -1], "temperature must be above 0"),
        (["--temperature", "nan"], "temperature"),
        (["--top-p", 0], "top_p must be above 0 and at most 1, got 0.0"),
        (["--top-p", 1.5], "top_p must be above 0 and at most 1, got 1.5"),
        (["--top-k", -1], "top_k must be 0 (all tokens) or more, got -1"),
        (["--length", 0], "length must be from 1 to 1,000,000, got 0"),
        (["--samples", 0], "--samples must be 1 or more, got 0"),
        (["--seed", 2**63], "--seed must be a number of 64 bits"),
        (["--seed", 2**63 - 1, "--samples", 2], "--seed must be a number of 64 bits"),
        (["--beam", 0], "width must be 1 or more, got 0"),
        (["--beam", 2, "--n-best", 3], "n_best must be from 1 to the beam's width 2, got 3"),
        (["--beam", 2, "--n-best", 0], "n_best must be from 1"),
        (["--n-best", 2], "--n-best and --length-penalty are for --beam"),
        (["--length-penalty", 0.5], "--n-best and --length-penalty are for --beam"),
        (["--beam", 2, "--temperature", 0.5], "give --beam, --greedy, or how to draw"),
        (["--beam", 2, "--greedy"], "give --beam, --greedy, or how to draw"),
        (["--greedy", "--samples", 2], "give --beam, --greedy, or how to draw"),
        (["and", "more"], "give one prompt, in quotes"),
        (["--lenght", 3], "unknown setting or option --lenght; did you mean --length?"),
    ],
)
def test_generate_refuses_what_makes_no_sense(trained, words, message):
    for model in (run_of(trained), export_of(trained)):
        assert message in call("generate", "a", *words, *model, status=2)


def test_verbs_refuse_what_they_cannot_do(trained):
    run, exported = run_of(trained), export_of(trained)
    for stop in ("zebra", "a cat", "", "\udcff"):
        line = call("generate", "a", "--stop", stop, *run, status=2)
        assert "is not a token of the vocabulary (such as " in line
    for words in (["--beam", 2], ["--stop", "."]):
        line = call("generate", "a", *words, *exported, status=2)
        assert "--beam and --stop need a --run" in line
    for model in (run, exported):  # float32 has no such numbers
        small = ["--temperature", 1e-50, "--top-p", 1e-50]
        drawn, greedy = (
            call("generate", "a", *how, "--length", 3, *model) for how in (small, ["--greedy"])
        )
        assert drawn == greedy
    assert "--tokens needs a --run" in call("score", "a", "--tokens", *exported, status=2)
    for model in (run, exported):
        for k in (0, -1):
            assert "--k must be 1 or more" in call("next", "a", "--k", k, *model, status=2)
        assert "not both" in call("next", "a", "--file", "b", *model, status=2)
    assert "--size must be 1 or more, got 0" in call("cache", "--size", 0, *run, status=2)


def test_damaged_runs_and_foreign_exports(trained, tmp_path):
    folder, _ = trained

    def damaged(name, content=None):
        run = shutil.copytree(folder / "run", tmp_path / f"{name}-{content is None}")
        (run / name).unlink()
        if content is not None:
            (run / name).write_bytes(content)
        return ["--run", run]

    model = (folder / "run/model.keras").read_bytes()
    cases = [
        (damaged("text.json"), "text.json is missing"),
        (damaged("text.json", b"[]"), "text.json is damaged"),
        (damaged("vocabulary.txt"), "vocabulary.txt is not a vocabulary file"),
        (damaged("model.keras"), "model.keras cannot be loaded"),
        (damaged("model.keras", model[:3000]), "model.keras cannot be loaded"),
        (damaged("training.json"), "is not trained to the end"),
        (["--run", tmp_path / "none"], "holds no run"),
    ]
    for run, message in cases:
        assert message in call("next", "a", *run, status=2)
    for words in (["generate", "a"], ["score", "a"], ["cache"]):
        assert message in call(*words, *run, status=2)
    line = call("evaluate", "--split", "train", *damaged("data.json"), status=2)
    assert "data.json is missing" in line

    copy = shutil.copytree(folder / "saved_models/language_model/1", tmp_path / "1")
    manifest = json.loads((copy / "manifest.json").read_text())
    for change, message in (
        ({"task": "sentiment"}, "is a model of the task 'sentiment', not 'language_model'"),
        ({"format": 99}, "has export format 99"),
    ):
        (copy / "manifest.json").write_text(json.dumps({**manifest, **change}))
        for verb in ("next", "generate", "score", "predict"):
            assert message in call(verb, "a", "--saved-model", copy, status=2)
    for verb in ("next", "generate", "score"):
        line = call(verb, "a", "--saved-model", folder / "run", status=2)
        assert "is not an exported version" in line
        assert "give a folder such as saved_models/TASK/1" in line


def test_changed_data_is_refused(short, tmp_path):
    path = shutil.copy(short, tmp_path / "text.txt")
    call("train", "--data", path, "--run", tmp_path / "run", *QUICK)
    path.write_text(path.read_text().replace("A cat sees it.", "A dog sees it.", 1))
    for verb in ("evaluate", "cache"):
        line = call(verb, "--run", tmp_path / "run", status=2)
        assert "the data has changed since" in line


@pytest.mark.parametrize(("made", "kind"), [("characters", "litert"), ("trained", "onnx")])
def test_a_client_in_numpy_answers_as_keras_does(made, kind, tmp_path, request):
    export_elsewhere(call, run_of(request.getfixturevalue(made)), kind, tmp_path)
