"""Texts with several classes: read, trained, exported, served."""

import csv
import json
import random
from collections import Counter

import pytest

import kerasseq
from kerasseq.data.delimited import TableFormat
from kerasseq.data.fields import labels_of
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.labels import LabelReader
from kerasseq.tasks.sentiment.reading import Columns, read_path
from tests.tasks.conftest import SMALL, call

WORDS = {"war": ["tank", "army"], "love": ["kiss", "heart"], "space": ["rocket", "moon"]}
SEVERAL = ["--multi_label", "true"]
MORE = ["--training.epochs=1", "--class_weight=balanced", "--training.monitor=macro_f1",
        "--threshold=0.4"]  # fmt: skip


def rows(count=240, seed=1):
    """Texts whose words tell their classes, of which there may be none."""
    draw = random.Random(seed)
    for number in range(count):
        labels = [name for name in WORDS if draw.random() < 0.4]
        words = [draw.choice(WORDS[name]) for name in labels] + ["a", "film", f"number {number}"]
        draw.shuffle(words)
        yield " ".join(words), labels


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "films.jsonl"
    lines = (json.dumps({"text": text, "label": labels}) for text, labels in rows())
    path.write_text("\n".join(lines) + "\n")
    return path


def make_run(folder):
    options = {
        "text": {"min_count": 1, "ngrams": 1},
        "model": {"embedding": 8, "units": 4},
        "batches": {"size": 8},
        "training": {"epochs": 5, "learning_rate": 0.03},
    }
    kerasseq.train(
        "sentiment", list(rows()), run=folder / "run", quiet=True, multi_label=True, **options
    )


@pytest.fixture(scope="module")
def run(once):
    folder, _ = once("films", make_run)
    return kerasseq.load(folder / "run", data=list(rows()))


def test_a_run_learns_every_class(run):
    report = run.evaluate()
    assert report["accuracy"] > 0.9
    assert report["micro_f1"] > 0.95
    assert set(report["classes"]) == set(WORDS)
    both, none = run.predict(["the army has a heart", "a film"])
    assert (both.label, both.labels) == (None, ["love", "war"])
    assert none.labels == []
    assert set(both.probabilities) == set(WORDS)
    assert run.path.joinpath("thresholds.json").exists()


def test_errors_are_rows_with_both_lists(run):
    errors = run.errors(split="train")
    wrong = {"example", "text", "labels", "predicted", "class", "probability"}
    assert all(set(row) == wrong and row["labels"] != row["predicted"] for row in errors)


@pytest.mark.parametrize(
    "kind",
    ["saved_model", *(pytest.param(kind, marks=pytest.mark.gate) for kind in ("litert", "onnx"))],
)
def test_an_export_gives_the_same_labels(run, kind, tmp_path):
    exported = kerasseq.load_export(run.export(tmp_path, format=kind))
    texts = ["the army has a heart", "a film", "moon rocket tank kiss"]
    ours, theirs = run.predict(texts), exported.predict(texts)
    assert [one.labels for one in theirs] == [one.labels for one in ours]


@pytest.mark.parametrize(
    ("value", "separator", "labels"),
    [
        (["war", "love"], "", ("love", "war")),
        ([], "", ()),
        ("", "", ()),
        ("war | love", "|", ("love", "war")),
        ("['war', 'love']", "", ("love", "war")),
        ("{'war', 'love'}", "", ("love", "war")),
        ("('war', 'love')", "", ("love", "war")),
        ({"war", "love"}, "", ("love", "war")),
        ("a\tb", "\\t", ("a", "b")),
        ("['a', 'b']", "none", ("['a', 'b']",)),
        ('["war"]', "", ("war",)),
        ("war", "", ("war",)),
        ("war, love", "none", ("war, love",)),
        (("war", "war"), "", ("war",)),
        ([3, 5], "", ("3", "5")),
    ],
)
def test_labels_are_read(value, separator, labels):
    assert labels_of(value, "f:1", "label", set(), Counter(), separator) == labels


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("war, love", "one class or several: --label_separator ',' splits it"),
        ([0, 1, 0], "each once, not a 0 or 1 for each class"),
        ([None], "label is missing, expected the name of a class"),
        ([1.5], "label is float 1.5"),
        ("['war' 'sci fi']", "looks like a list, but is none of Python or JSON"),
        ("[1 2]", "looks like a list, but is none of Python or JSON"),
        ([True, False], "not a 0 or 1 for each class"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(value, message):
    with pytest.raises(UserError, match=message):
        labels_of(value, "f:1", "label", set(), Counter())


def test_conversions_are_counted(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([["text", "label"], ["a", "x|y"], ["b", ""], ["c", "x|x"]])
    corpus = read_path(
        path, Columns("text", "label"), "utf-8", TableFormat(), LabelReader(True, "|")
    )
    assert [label for _, label in corpus.splits["all"]] == [("x", "y"), (), ("x",)]
    assert sorted(corpus.notes) == [
        "1 labels that a text has twice, counted once",
        "1 texts without any label",
        "2 labels split at the separator",
    ]


def test_without_the_option_several_labels_are_refused(table, tmp_path):
    with pytest.raises(UserError, match=r"a list of \d labels, .*--multi_label"):
        read_path(table, Columns("text", "label"), "utf-8")
    lines = tmp_path / "fasttext.txt"
    lines.write_text("__label__a __label__b one two\n__label__b three\n")
    with pytest.raises(UserError, match=r":1: expected one label.*--multi_label reads several"):
        read_path(lines, Columns("text", "label"), "utf-8")
    corpus = read_path(lines, Columns("text", "label"), "utf-8", labels=LabelReader(True))
    assert [tuple(example) for example in corpus.splits["all"]] == [
        ("one two", ("a", "b")), ("three", ("b",)),
    ]  # fmt: skip


@pytest.mark.gate
def test_from_the_command_line(table, tmp_path):
    where = ["--run", tmp_path / "run", "--saved-models", tmp_path / "saved"]
    out = call("train", "--data", table, *where, *SMALL, *SEVERAL, *MORE)
    assert "subset accuracy" in out
    assert "threshold" in out
    assert "exported to" in out
    call("evaluate", "--run", tmp_path / "run", "--on", table)
    call("predict", "--run", tmp_path / "run", "--file", table, "--output", tmp_path / "out.jsonl")
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert isinstance(first["labels"], list)


def test_what_only_several_labels_have_is_refused_without(table, tmp_path):
    for option in ("--threshold=0.5", "--label_separator=,"):
        out = call("train", "--data", table, "--run", tmp_path / "run", option, status=2)
        assert "only with --multi_label true" in out
    monitor = "--training.monitor=micro_f1"
    out = call("train", "--data", table, "--run", tmp_path / "run", monitor, status=2)
    assert "is accuracy where a text has one class" in out
