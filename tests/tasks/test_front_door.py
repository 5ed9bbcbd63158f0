"""kerasseq from Python: the same runs as by the command line, from data in memory too."""

import csv
import json
import logging
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import kerasseq
from kerasseq.tasks.language_model.task import LanguageModel
from kerasseq.tasks.sentiment.task import Sentiment
from kerasseq.tasks.tagging.task import PosTagging
from kerasseq.tasks.translation.task import Translation
from tests.tasks.conftest import ROOT, SMALL, call

SETTINGS = {
    "model": {"embedding": 8, "units": 4, "output_dropout": 0.2},
    "model.embedding_dropout": 0,
    "batches": {"size": 8},
    "text": {"min_count": 1, "ngrams": 1, "ngram_rows": 500},
    "training": {"learning_rate": 0.1, "epochs": 2, "average": 0.9},
    "held_out": 0.15,
}
WORDS = [*SMALL, "--training.epochs=2"]  # the same, as a shell has them


@pytest.fixture(scope="module")
def rows(reviews):
    with reviews.open(newline="", encoding="utf-8") as stream:
        return [(row["text"], row["label"]) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("door")
    return kerasseq.train("sentiment", rows, run=folder / "run", quiet=True, **SETTINGS)


def weights(folder):
    model = keras.saving.load_model(folder / "model.keras")
    return model.get_weights()


def test_import_is_light():
    program = (
        "import sys, time\nstart = time.perf_counter()\nimport kerasseq\n"
        "print(time.perf_counter() - start)\nkerasseq.list_tasks()\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.3


def test_list_tasks():
    assert {"sentiment", "pos_tagging", "ner", "language_model", "translation"} <= set(
        kerasseq.list_tasks()
    )


def test_the_command_line_and_the_call_make_the_same_run(reviews, run, tmp_path):
    """From a file by words, from rows by names: the same weights, report and predictions."""
    folder = tmp_path / "run"
    call("train", "--data", reviews, "--run", folder, "--only-train", *WORDS)
    for ours, theirs in zip(weights(run.path), weights(folder), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    call("evaluate", "--run", folder)
    run.evaluate()
    name = "evaluation/test.json"
    assert (run.path / name).read_bytes() == (folder / name).read_bytes()
    printed = call("predict", "it was superb", "--run", folder, "--json")
    (found,) = run.predict(["it was superb"])
    told = {name: value for name, value in vars(found).items() if value is not None}
    assert json.loads(printed) == told


def test_a_run_tells_what_it_is(run):
    assert run.task == "sentiment"
    assert run.settings.model.units == 4
    assert run.settings.data == "memory"
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert isinstance(run.model, keras.Model)
    assert run.plot().get_axes()
    report = run.evaluate()
    assert report["accuracy"] == report.figures["accuracy"]
    assert str(report).startswith("test split:\n  accuracy")
    assert run._repr_html_().startswith("<table>")
    assert report._repr_html_().startswith('<pre style="font-family: monospace">test split')
    assert run.plot()._repr_png_().startswith(b"\x89PNG")


def test_it_is_quiet(rows, tmp_path, capfd):
    settings = {**SETTINGS, "training": {"max_steps": 2}, "limit": 60}
    run = kerasseq.train("sentiment", rows, run=tmp_path / "run", quiet=True, **settings)
    run.predict(["it was superb"])
    run.evaluate()
    assert capfd.readouterr() == ("", "")
    run = kerasseq.load(tmp_path / "run")
    run.evaluate(rows[:20])
    assert "20 " in capfd.readouterr().out


def test_a_finished_run_is_given_back_and_other_data_is_refused(rows, run, capsys):
    again = kerasseq.train("sentiment", rows, run=run.path, **SETTINGS)
    assert "is trained already" in capsys.readouterr().out
    texts = ["it was superb", "it was awful"]
    assert again.predict(texts) == run.predict(texts)
    with pytest.raises(ValueError, match="the data has changed since"):
        kerasseq.train("sentiment", rows[1:], run=run.path, quiet=True, **SETTINGS)
    with pytest.raises(ValueError, match=r"other settings .*model.units: 4 -> 5"):
        kerasseq.train("sentiment", rows, run=run.path, **{**SETTINGS, "model.units": 5})


def test_load_and_its_data(rows, run):
    loaded = kerasseq.load(run.path, quiet=True)
    assert loaded.predict(["it was superb"]) == run.predict(["it was superb"])
    with pytest.raises(ValueError, match="was trained on data in memory: name a file"):
        loaded.evaluate(split="train")
    loaded = kerasseq.load(run.path, data=rows, quiet=True)
    report = loaded.evaluate(split="train")
    assert report["examples"] == 168
    loaded = kerasseq.load(run.path, data=rows[1:], quiet=True)
    with pytest.raises(ValueError, match="the data has changed since"):
        loaded.evaluate(split="validation")


def test_other_data_of_every_kind(rows, run, reviews):
    texts, labels = zip(*rows, strict=True)
    ours = run.evaluate(reviews)
    for data in (rows, (texts, labels), {"text": texts, "label": labels}, {"test": rows}):
        assert run.evaluate(data)["accuracy"] == ours["accuracy"]


def test_an_export_answers_as_the_run_does(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, "tensorflow")  # as TensorFlow sets it in a notebook
    path = run.export(tmp_path)
    assert "Assets written" not in caplog.text
    texts = ["it was superb", "it was awful", ""]
    for where in (path, path.parent):
        exported = kerasseq.load_export(where)
        assert (exported.task, exported.format) == ("sentiment", "saved_model")
        for ours, theirs in zip(run.predict(texts), exported.predict(texts), strict=True):
            assert ours.label == theirs.label
            assert ours.probability == pytest.approx(theirs.probability, abs=1e-5)
    assert "sentiment" in exported._repr_html_()


# -- callbacks -------------------------------------------------------------------------------------


def test_callbacks_of_keras_are_told_what_fit_tells_them(rows, tmp_path):
    events = []

    def note(name):
        return lambda at=None, logs=None: events.append((name, at, logs))

    log = tmp_path / "log.csv"
    callbacks = [
        keras.callbacks.CSVLogger(log),
        keras.callbacks.LambdaCallback(
            on_train_begin=note("train"), on_epoch_begin=note("epoch"),
            on_train_batch_begin=note("batch"), on_train_batch_end=note("batch end"),
            on_epoch_end=note("epoch end"), on_train_end=note("train end"),
        ),
    ]  # fmt: skip
    run = kerasseq.train(
        "sentiment", rows, run=tmp_path / "run", quiet=True, callbacks=callbacks, **SETTINGS
    )
    names = [name for name, *_ in events]
    steps = run.summary["steps"]
    assert names[0] == "train"
    assert names[-1] == "train end"
    assert names.count("batch") == names.count("batch end") == steps
    assert [event[1] for event in events if event[0] == "epoch"] == [0, 1]
    ends = [event[2] for event in events if event[0] == "epoch end"]
    for logs, row in zip(ends, run.history, strict=True):
        assert logs["val_accuracy"] == pytest.approx(row["validation_accuracy"], abs=1e-5)
        assert logs["loss"] == pytest.approx(row["loss"], abs=1e-5)
    with log.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert [row["epoch"] for row in written] == ["0", "1"]
    assert float(written[1]["val_loss"]) == pytest.approx(ends[1]["val_loss"])


def test_callbacks_change_nothing_but_may_stop(rows, run, tmp_path):
    class Logs(keras.callbacks.Callback):
        seen = ()

        def on_train_begin(self, logs=None):
            assert self.model.optimizer.get_config()["beta_1"] == 0.9

        def on_epoch_end(self, epoch, logs=None):
            optimizer = self.model.optimizer
            self.seen += ((float(optimizer.learning_rate), int(optimizer.iterations)),)

    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                self.model.stop_training = True

    seen = Logs()
    patient = keras.callbacks.EarlyStopping("val_accuracy", patience=5)  # its mode is "auto"
    other = kerasseq.train(
        "sentiment", rows, run=tmp_path / "seen", quiet=True, callbacks=[seen, patient], **SETTINGS
    )
    for ours, theirs in zip(run.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    rates = [(row["learning_rate"], row["step"]) for row in run.history]
    assert [(pytest.approx(rate), step) for rate, step in seen.seen] == rates
    best = max(row["validation_accuracy"] for row in run.history)
    assert patient.best == pytest.approx(best, abs=1e-5)
    assert not hasattr(seen.model, "optimizer")  # no part of the model that is saved
    stopped = kerasseq.train(
        "sentiment", rows, run=tmp_path / "stopped", quiet=True, callbacks=[Stops()], **SETTINGS
    )
    assert stopped.summary["steps"] == 5
    assert [row["step"] for row in stopped.history] == [5]


# -- the other tasks -------------------------------------------------------------------------------

FEW = {"training": {"max_steps": 3}, "quiet": True}


def test_tagging_from_lists(tmp_path):
    words = ["the", "cat", "sees", "a", "dog"]
    tags = ["DET", "NOUN", "VERB", "DET", "NOUN"]
    data = {"train": [(words, tags)] * 30 + [(["a"], ["DET"])], "dev": ([words], [tags]),
            "test": [(words, tags)]}  # fmt: skip
    run = kerasseq.train("pos_tagging", data, run=tmp_path / "run", **FEW)
    given, split = run.tag([words, "the cat"])
    assert given.tokens == words
    assert len(given.tags) == len(given.probabilities) == 5
    assert split.tokens == ["the", "cat"]
    (predicted,) = run.predict(["the cat"])
    assert predicted.tags == split.tags
    with pytest.raises(ValueError, match=r"row 1: 5 tokens, but 4 tags"):
        kerasseq.train("pos_tagging", [(words, tags[1:])], run=tmp_path / "bad", **FEW)


def test_a_language_model_from_a_string(tmp_path):
    text = "a cat sees the dog.\nthe dog hears it.\n" * 300
    options = {"streams": {"size": 4, "length": 8}, "model": {"units": 8, "embedding": 8}}
    run = kerasseq.train("language_model", text, run=tmp_path / "run", **options, **FEW)
    (row,) = run.next(["a cat"], k=3)
    assert len(row.next) == 3
    assert run.predict(["a cat"])[0].next[:3] == row.next
    first, second = run.generate("a", 5, samples=2, seed=3)
    assert first != second
    assert run.generate("a", 5, seed=4)[0] == second
    assert run.generate("a", 5, greedy=True) == run.generate("a", 5, greedy=True, seed=9)
    assert run.search("a", 5, beam=2)[0].tokens <= 5
    (scored,) = run.score(["a cat sees the dog."])
    assert sum(p for _, p in scored.token_log_probs) == pytest.approx(scored.log_prob, rel=1e-5)
    for wrong, message in (
        ({"temperature": 0}, "temperature must be above 0"),
        ({"heat": 1}, "no sampling 'heat'; there are temperature, top_k, top_p"),
        ({"samples": 0}, "samples must be a whole number of 1"),
        ({"stop": ["zebra"]}, "is not a token of the vocabulary"),
    ):
        with pytest.raises(ValueError, match=message):
            run.generate("a", 5, **wrong)


@pytest.mark.gate
def test_translation_from_pairs(tmp_path):
    pairs = [(f"the cat sees {n}", f"{n} sees cat the") for n in range(60)]
    options = {"text": {"level": "word"}, "model": {"units": 8, "encoder_units": 4, "embedding": 8}}
    run = kerasseq.train("translation", pairs, run=tmp_path / "run", **options, **FEW)
    (row,) = run.translate(["the cat sees 3"], n_best=2, size=3)
    assert len(row.translations) == 2
    assert run.predict(["the cat sees 3"])[0].text == "the cat sees 3"
    with pytest.raises(ValueError, match="the beam's size must be >= 1, got 0"):
        run.translate(["a"], size=0)
    with pytest.raises(ValueError, match="are the same run"):
        run.compare(kerasseq.load(run.path))


@pytest.mark.parametrize(
    "task", [PosTagging(), LanguageModel(), Translation()], ids=lambda t: t.name
)
def test_one_string_is_no_list_of_texts(task):
    from kerasseq.app.run import run_of

    run = run_of(task)(task, ROOT)
    for texts, kind in (("a text", "one string"), ({"text": ["a"]}, "a dict"), (None, "None")):
        with pytest.raises(ValueError, match=f"predict takes a list of texts, got {kind}"):
            run.predict(texts)


# -- what a caller gets wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "data", "settings", "message"),
    [
        ("sentimant", None, {}, "no task 'sentimant'; there are language_model"),
        ("sentiment", 3, {}, "data: expected rows, columns, a table or splits of them, got int 3"),
        ("sentiment", [("a", None)], {}, "data, row 1: label is missing"),
        ("sentiment", [(float("nan"), "x")], {}, "data, row 1: text is nan, expected a string"),
        ("sentiment", [("a", 1), ("b", "1")], {}, "row 2: label is '1': labels are of two kinds"),
        ("sentiment", [], {}, "data has no rows"),
        (
            "sentiment",
            {"train": [("a", "x")], "test": []},
            {},
            "no rows in its test split",
        ),
        ("sentiment", {"test": [("a", "x")]}, {}, "memory has no train split; it has test"),
        ("sentiment", {("a", "x")}, {}, "a set has no order"),
        ("sentiment", (5, 6), {}, "data: text is int 5, expected a column of values"),
        ("sentiment", [("a", np.array([1, 2]))], {}, "row 1: label is"),
        ("sentiment", [("a", "x"), ("b", "y")], {"limit": 1}, "(limit is 1)"),
        ("sentiment", "no/such/path.csv", {}, "no/such/path.csv does not exist"),
        ("sentiment", None, {"model": {"unitz": 3}}, "did you mean model.units"),
        ("sentiment", None, {"model": {"units": "many"}}, "model.units"),
        ("sentiment", None, {"model.units": 0}, "model.units must be >= 1, got 0"),
        ("sentiment", None, {"sed": 3}, "sed"),
    ],
)
def test_it_is_a_value_error_that_says_what(task, data, settings, message, tmp_path):
    with pytest.raises(ValueError, match=r".") as refused:
        kerasseq.train(task, data, run=tmp_path / "run", quiet=True, **settings)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_run_refuses_what_it_cannot_do(run, rows):
    with pytest.raises(ValueError, match="text 2 is 3, expected a string"):
        run.predict(["a", 3])
    with pytest.raises(ValueError, match="has no zz split; it has train, validation, test"):
        run.evaluate(split="zz")
    with pytest.raises(ValueError, match="format must be one of saved_model, litert, onnx"):
        run.export("x", format="zip")
    with pytest.raises(ValueError, match="callbacks must be a list of"):
        kerasseq.train("sentiment", rows, callbacks=[5], quiet=True)


def test_rows_of_an_array_are_rows(rows, run):
    assert run.evaluate(np.array(rows))["accuracy"] == run.evaluate(rows)["accuracy"]


def test_what_is_no_run_or_export_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no run"):
        kerasseq.load(tmp_path)
    with pytest.raises(ValueError, match="is not an exported version"):
        kerasseq.load_export(tmp_path)


def test_the_door_is_quick_to_say_no(tmp_path):
    start = time.perf_counter()
    with pytest.raises(kerasseq.UserError):
        kerasseq.train("sentiment", [("a", None)], run=tmp_path)
    assert time.perf_counter() - start < 5


# -- sweeps ----------------------------------------------------------------------------------------


@pytest.mark.gate
def test_a_sweep_gives_its_best_settings(rows, tmp_path, capfd):
    settings = {**SETTINGS, "training": {"max_steps": 4, "learning_rate": 0.1}, "quiet": True}
    sweep = kerasseq.tune(
        "sentiment", rows, run=tmp_path / "sweep", tuner="grid", max_trials=2, **settings,
        space=dict.fromkeys(Sentiment.search_space) | {"model.units": [3, 5]},
    )  # fmt: skip
    assert capfd.readouterr().out == ""
    assert sorted(t["changes"].get("model.units", 4) for t in sweep.trials) == [3, 4, 5]
    assert sweep.best.model.units in (3, 5)
    assert sweep.report["metric"] == "accuracy"
    assert sweep._repr_html_().count("<tr>") == 4
    best = tmp_path / "best"
    run = kerasseq.train("sentiment", rows, run=best, **{**settings, **sweep.changes})
    assert run.settings == sweep.best
    with pytest.raises(ValueError, match=r"space: model.units: must be a list"):
        kerasseq.tune("sentiment", rows, run=tmp_path / "x", space={"model.units": 3}, quiet=True)
