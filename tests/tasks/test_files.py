"""The verbs on files that people have: tables in and out, other columns, data that has moved."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

import kerasseq
import kerasseq.app.run
from kerasseq.errors import StorageError
from tests.tasks.conftest import SMALL, call, load_once, spawn

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def loaded_once(monkeypatch):
    load_once(monkeypatch)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A copy, which reports are written into."""
    return shutil.copytree(trained[0] / "run", tmp_path_factory.mktemp("files") / "run")


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


TICKETS = [
    {"id": "7", "body": "a film\nin two lines, superb", "queue": ""},
    {"id": "8", "body": "awful", "queue": "x"},
    {"id": "9", "body": "", "queue": "y"},
]


def test_a_table_keeps_its_columns(run, tmp_path):
    file, out = write(tmp_path / "tickets.csv", TICKETS), tmp_path / "labelled.csv"
    words = ["--run", run, "--file", file, "--column", "body"]
    call("predict", *words, "--output", out)
    rows = rows_of(out)
    assert [{name: row[name] for name in TICKETS[0]} for row in rows] == TICKETS
    texts = [row["body"] for row in TICKETS]
    found = [json.loads(line) for line in call("predict", *words, "--json").splitlines()]
    python = kerasseq.load(run, quiet=True).predict(texts)
    for row, line, one in zip(rows, found, python, strict=True):
        assert row["label"] == line["label"] == one.label
        assert float(row["probability"]) == line["probability"] == one.probability
    call("predict", *words, "--output", tmp_path / "a.parquet", "--limit", "2")
    call("predict", "--run", run, "--file", tmp_path / "a.parquet", "--column", "body",
         "--output", tmp_path / "again.jsonl")  # fmt: skip
    (first, _) = map(json.loads, (tmp_path / "again.jsonl").read_text().splitlines())
    assert first["predicted_label"] == first["label"]
    assert first["predicted_probability"] == pytest.approx(first["probability"])
    assert list(first)[:3] == list(TICKETS[0])


def test_the_column_that_the_run_knows_needs_no_option(run, reviews, tmp_path):
    out = tmp_path / "labelled.csv"
    call("predict", "--run", run, "--file", reviews, "--limit", "5", "--output", out)
    assert list(rows_of(out)[0]) == ["text", "label", "predicted_label", "probability"]


def test_what_a_table_cannot_be(run, tmp_path):
    file, where = write(tmp_path / "a.csv", TICKETS), ["--run", run]
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "n.jsonl").write_text('{"body": 3}\n')
    for words, message in (
        (["--file", file], "no column 'text'; it has 'id', 'body', 'queue' (--column names"),
        (["--file", tmp_path / "n.jsonl", "--column", "body"], "n.jsonl:1: column 'body' holds 3"),
        (["--file", tmp_path / "a.txt", "--output", "b.csv"], "--output is for a --file that is a"),
        (["--file", tmp_path / "a.txt", "--column", "b"], "--column is for a --file that is a"),
        (["--file", file, "--column", "body", "--output", "b.xls"], "b.xls: a table ends in .csv"),
        (["--file", tmp_path / "none.csv"], "none.csv does not exist"),
        (["--file", tmp_path], "is a folder"),
        (["a text", "--file", file], "give texts or --file, not both"),
        (["--file", file, "--column", "body", "--output", tmp_path / "a.tsv"], "cannot hold"),
    ):
        assert message in call("predict", *where, *words, status=2)


def test_a_long_text_is_said_to_be_cut(run, tmp_path):
    long = "word " * 10_000
    (one, other) = kerasseq.load(run, quiet=True).predict([long, "short"])
    assert (one.cut, other.cut) == (True, False)
    assert "(cut)" in call("predict", long, "--run", run)
    file = write(tmp_path / "a.csv", [{"text": long}, {"text": "b"}])
    words = ["predict", "--run", run, "--file", file, "--output", tmp_path / "b.csv"]
    assert "1 texts were longer than what is read of one" in spawn(*words, errors=True)


# -- evaluate --------------------------------------------------------------------------------------


@pytest.fixture
def other(reviews, tmp_path):
    """The same reviews under other names."""
    rows = [{"body": row["text"], "kind": row["label"]} for row in rows_of(reviews)[:40]]
    return write(tmp_path / "other.csv", rows)


COLUMNS = ["--text_column", "body", "--label_column", "kind"]


def test_other_data_is_read_by_its_own_columns(run, reviews, other, tmp_path):
    first = call("evaluate", "--run", run, "--on", other, *COLUMNS)
    second = kerasseq.load(run, quiet=True).evaluate(other, text_column="body", label_column="kind")
    assert f"accuracy {second['accuracy']:.4f}" in first
    assert second["examples"] == 40
    shorter = call("evaluate", "--run", run, "--on", other, *COLUMNS, "--limit", "10")
    assert "10 examples" in shorter
    assert len(list((run / "evaluation").glob("other-*other-csv-all-*.json"))) == 2
    with pytest.raises(ValueError, match="no setting 'held_out' to read data by; there are"):
        kerasseq.load(run).evaluate(other, held_out=0.2)
    with pytest.raises(ValueError, match="text_column: for other data only"):
        kerasseq.load(run).evaluate(text_column="body")


def test_reports_of_files_of_the_same_letters_stay_apart(run, reviews, tmp_path):
    rows = rows_of(reviews)
    files = [write(tmp_path / f"a{mark}b.csv", rows[n : n + 20]) for n, mark in enumerate("-_")]
    paths = [kerasseq.load(run, quiet=True).evaluate(file).path for file in files]
    assert len(set(paths)) == 2
    in_memory = [(row["text"], row["label"]) for row in rows[:20]]
    report = kerasseq.load(run, quiet=True).evaluate(in_memory)
    assert report.path.name.startswith("other-memory-all-")


def test_errors_are_listed_the_most_confident_first(run, reviews, other, tmp_path):
    out = tmp_path / "errors.csv"
    rows = rows_of(other)
    for row in rows[:3]:
        row["kind"] = {"yes": "no", "no": "yes"}[row["kind"]]
    write(other, rows)
    printed = call("evaluate", "--run", run, "--on", other, *COLUMNS, "--errors", out)
    errors = rows_of(out)
    assert f"{len(errors)} errors written to {out}" in printed
    wrong = {row["body"] for row in rows[:3]}
    assert wrong <= {row["text"] for row in errors}
    shares = [float(row["probability"]) for row in errors]
    assert shares == sorted(shares, reverse=True)
    assert all(row["label"] != row["predicted"] for row in errors)
    mine = kerasseq.load(run, quiet=True).errors(split="test")
    report = kerasseq.load(run, quiet=True).evaluate(split="test")
    assert len(mine) == round((1 - report["accuracy"]) * report["examples"])


def test_data_that_has_moved_is_named_again(run, reviews, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    settings = json.loads((copy / "run.json").read_text())
    settings["settings"]["data"] = str(tmp_path / "gone.csv")
    (copy / "run.json").write_text(json.dumps(settings))
    words = ["evaluate", "--run", copy, "--split", "validation"]
    line = call(*words, status=2)
    assert "gone.csv does not exist; if it has moved, say where it lies now: --data" in line
    moved = shutil.copy(reviews, tmp_path / "moved.csv")
    assert "accuracy" in call(*words, "--data", moved)
    changed = write(tmp_path / "changed.csv", rows_of(reviews)[1:])
    shutil.rmtree(copy / "evaluation")
    assert "the data has changed since" in call(*words, "--data", changed, status=2)
    assert "give one" in call(*words, "--data", moved, "--on", moved, status=2)


def test_a_stored_report_is_shown_where_nothing_can_be_written(run, other, monkeypatch, capsys):
    kept = call("evaluate", "--run", run)

    def refuse(path, value):
        raise StorageError(f"{path} could not be written: Permission denied")

    monkeypatch.setattr(kerasseq.app.run, "write_json", refuse)
    assert call("evaluate", "--run", run) == kept
    report = kerasseq.load(run).evaluate(rows_in_memory(other))
    assert report.path is None
    assert report["examples"] == 40
    assert "the report is not kept" in capsys.readouterr().err


def rows_in_memory(path):
    return [(row["body"], row["kind"]) for row in rows_of(path)]


# -- compare, describe, exports' names -------------------------------------------------------------


@pytest.fixture(scope="module")
def weaker(reviews, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weaker") / "few"
    words = ["--training.max_steps=1", "--only-train", "--run", folder]
    call("train", "--data", reviews, *SMALL, *words)
    return folder


def test_two_runs_are_compared(run, weaker):
    printed = call("compare", run, weaker)
    for part in (
        "accuracy (higher is better)",
        "log-loss (lower",
        "McNemar's exact p",
        "right only",
    ):
        assert part in printed
    report = kerasseq.load(weaker, quiet=True).compare(kerasseq.load(run))
    accuracy = report["metrics"]["accuracy"]
    assert accuracy["difference"] == pytest.approx(accuracy["second"] - accuracy["first"], abs=1e-6)
    assert accuracy["second"] == kerasseq.load(run, quiet=True).evaluate()["accuracy"]
    test = accuracy["mcnemar"]
    right = test["only_second_right"] - test["only_first_right"]
    assert right == pytest.approx(accuracy["difference"] * report["count"], abs=1e-3)
    assert report.path == weaker / "evaluation/test-against-run.json"
    assert "are the same run" in call("compare", run, run, status=2)
    assert "holds no run" in call("compare", run, "none", status=2)


def test_describe_tells_of_the_run_that_is_named(weaker, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    printed = call("describe", "--run", weaker)
    assert "max_steps: 1" in printed
    assert f"vocabulary of {weaker}/" in " ".join(printed.split())
    line = call("describe", "--run", weaker, "--model.units", "77", status=2)
    assert "leave these out (model.units: 64 -> 77)" in line
    assert "holds no run" in call("describe", "--run", "none", status=2)


def test_exports_are_named_after_the_run(weaker, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(kerasseq.export.saved_model, "_prove", lambda *_: ("not proved", []))
    where = ["export", "--run", weaker, "--saved-models", tmp_path]
    assert f"exported to {tmp_path}/few/1/" in call(*where)
    assert f"exported to {tmp_path}/tickets/1/" in call(*where, "--name", "tickets")
    for name in ("../x", "a b", ".hidden"):
        assert "cannot be a served model's" in call(*where, "--name", name, status=2)
    path = tmp_path / "few/1/manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "task": "pos_tagging"}))
    line = call(*where, status=2)
    assert "few/1 is another model (task: pos_tagging -> sentiment): give the new one a" in line


def test_data_errors_come_before_tensorflow(tmp_path):
    import subprocess
    import sys

    (tmp_path / "bad.csv").write_text("text,label\na,b,c,d\n")
    script = (
        "import sys; from kerasseq.__main__ import main\n"
        "try: main()\nfinally: print('tensorflow' in sys.modules)"
    )
    for words, message in (
        (["train", "--data", "bad.csv"], "bad.csv:2: 4 fields, but the header has 2"),
        (["tune", "--data", "none.csv"], "none.csv does not exist"),
        (["predict", "--run", "none", "x"], "none holds no run"),
        (["evaluate", "--run", "none"], "none holds no run"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, "sentiment", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert message in done.stderr
        assert done.stdout.strip() == "False"
        assert done.returncode == 2


# -- what a reader tried ---------------------------------------------------------------------------


def test_what_is_read_is_not_replaced(run, reviews, tmp_path):
    file = shutil.copy(reviews, tmp_path / "a.csv")
    before = file.read_bytes()
    where = ["--run", run]
    for words in (
        ["predict", "--file", file, "--output", file],
        ["evaluate", "--on", file, "--errors", file],
        ["evaluate", "--data", file, "--errors", file],
        ["evaluate", "--errors", reviews],
    ):
        assert "would be replaced, and it is read" in call(*words, *where, status=2)
    assert file.read_bytes() == before


def test_a_stored_report_is_not_that_of_other_data(run, reviews, tmp_path):
    call("evaluate", "--run", run)
    changed = write(tmp_path / "changed.csv", rows_of(reviews)[1:])
    assert "the data has changed since" in call(
        "evaluate", "--run", run, "--data", changed, status=2
    )
    with pytest.raises(ValueError, match="the data has changed since"):
        kerasseq.load(run, data=str(changed), quiet=True).evaluate()


def test_no_errors_are_no_file(run, tmp_path):
    file = write(tmp_path / "easy.csv", [{"text": "superb wonderful film", "label": "yes"}])
    out = tmp_path / "errors.csv"
    printed = call("evaluate", "--run", run, "--on", file, "--errors", out)
    assert f"no errors, so that {out} is not written" in printed
    assert printed.count("vocabulary:") == 1  # the data is read once
    assert not out.exists()


def test_columns_without_data_are_refused(tmp_path):
    line = call("train", "--text_column", "body", "--run", tmp_path / "run", status=2)
    assert "text_column and no data: the embedded reviews have no such columns" in line


def test_arguments_of_the_wrong_kind(run, tmp_path):
    ours = kerasseq.load(run, quiet=True)
    for wrong, message in (
        (lambda: ours.compare(5), "other must be a path, got 5"),
        (lambda: ours.compare(tmp_path / "none"), "holds no run"),
        (lambda: ours.export(name=5), "name must be a string, got 5"),
        (lambda: ours.export(folder=5), "folder must be a path, got 5"),
        (lambda: ours.evaluate([("a", "yes")], limit="x"), "limit must be a whole number of 0 or"),
        (lambda: ours.evaluate(foo=1), "no setting 'foo' to read data by; there are encoding"),
        (lambda: ours.evaluate("a.csv", text_column=2), "text_column must be a string, got 2"),
        (lambda: ours.predict(np.array("a")), "predict takes a list of texts"),
        (lambda: kerasseq.train("sentiment", recipe=5), "recipe must be a string, got 5"),
        (lambda: kerasseq.tune("sentiment", space=5), "space must be a mapping"),
        (lambda: kerasseq.tune("sentiment", max_trials="x"), "max_trials must be a whole number"),
        (lambda: kerasseq.load(5), "path must be a path, got 5"),
        (lambda: kerasseq.load_export(None), "path must be a path, got None"),
        (lambda: kerasseq.train(5), "task must be a string, got 5"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            wrong()


def test_files_for_each_split_in_python(reviews, tmp_path):
    few = {"model": {"units": 4, "embedding": 4}, "text.ngrams": 0, "training": {"max_steps": 1}}
    data = {"train": str(reviews), "dev": reviews, "test": reviews}
    run = kerasseq.train("sentiment", data, run=tmp_path / "run", quiet=True, **few)
    assert run.settings.data == f"train={reviews},validation={reviews},test={reviews}"
    with pytest.raises(ValueError, match="are taken for files, the others are not"):
        kerasseq.train("sentiment", {"train": reviews, "test": [("a", "yes")]})


def test_another_models_name_is_not_taken(weaker, tmp_path, monkeypatch):
    monkeypatch.setattr(kerasseq.export.saved_model, "_prove", lambda *_: ("not proved", []))
    call("export", "--run", weaker, "--saved-models", tmp_path)
    path = tmp_path / "few/1/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["data"]["classes"] = ["no", "maybe"]
    path.write_text(json.dumps(manifest))
    line = call("export", "--run", weaker, "--saved-models", tmp_path, status=2)
    assert "few/1 is another model (classes: no, maybe -> no, yes)" in line
    odd = shutil.copytree(weaker, tmp_path / "my run é")
    line = call("export", "--run", odd, "--saved-models", tmp_path, status=2)
    assert "the run's folder, which names its export, 'my run é' cannot be" in line
    assert "give a --name" in line
