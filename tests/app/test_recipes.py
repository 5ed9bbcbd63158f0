import json
from pathlib import Path

import pytest

import kerasseq.__main__
from benchmarks.recipes import comment
from benchmarks.record import RESULTS
from kerasseq.app import cli
from kerasseq.app.recipes import FOLDER, find_recipe, recipe_names
from kerasseq.app.registry import find_task
from kerasseq.errors import UserError

NAMES = recipe_names()
# figures that come from a run of another record
OF_ANOTHER = {
    "ewt-upos-unseen": "ewt-upos",
    "gutenberg1268-time-to-textbook": "gutenberg1268-char",
    "tinyshakespeare-char-cache": "tinyshakespeare-char",
    "translation-speed-vs-pytorch": "multi30k-en-de",
    "translation-speed-vs-pytorch-bfloat16": "multi30k-en-de",
    "beam-speed-vs-joeynmt": "multi30k-en-de",
}


def keys(tree, prefix=""):
    for name, value in tree.items():
        yield from keys(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_pins_every_setting_of_today(name):
    recipe = find_recipe(name)
    task = find_task(recipe.task)
    settings = cli.settings_of(task, recipe.changes())
    assert {*keys(recipe.settings), "data"} == set(settings.flat())
    assert settings.to_dict() == {**settings.to_dict(), **recipe.settings}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_the_figure_of_its_record(name):
    recipe = find_recipe(name)
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith(comment(recipe))
    record = json.loads((RESULTS / f"{recipe.record}.json").read_text(encoding="utf-8"))
    shown = next(line for line in recipe.comment if line.startswith("figure:"))
    for value in record["values"]:
        assert f"{value:g}" in shown


def test_every_record_of_a_trained_model_has_a_recipe():
    recorded = {find_recipe(name).record for name in NAMES}
    for path in RESULTS.glob("*.json"):
        settings = json.loads(path.read_text(encoding="utf-8"))["settings"]
        trained = "training" in settings or "training" in settings.get("best", {})
        if trained and not path.stem.startswith("recipe-"):
            assert OF_ANOTHER.get(path.stem, path.stem) in recorded, path.stem


@pytest.mark.parametrize("path", sorted(RESULTS.glob("recipe-*.json")), ids=lambda p: p.stem)
def test_recipes_that_were_trained_again_give_what_their_record_says(path):
    """Within the interval that the test split itself leaves open."""
    again = json.loads(path.read_text(encoding="utf-8"))
    before = again["reference"]["the record"]
    room = 0.004 if max(before) <= 1 else 0.02 * max(before)
    for value in again["values"]:
        assert min(before) - room <= value <= max(before) + room


def parse(task, *words):
    task = find_task(task)
    return cli.parse(task, cli.verbs_of(task), ["train", *words], "program")[1]


def test_a_recipe_is_what_the_rest_of_the_line_changes(monkeypatch, tmp_path):
    monkeypatch.setenv("KERASSEQ_DATA", str(tmp_path))
    options = parse("language_model", "--recipe", "ptb", "--training.epochs=1")
    assert (options.run, options.settings.data) == ("runs/ptb", str(tmp_path / "lm/ptb"))
    assert (options.settings.training.epochs, options.settings.model.units) == (1, 650)
    options = parse("language_model", "--data=x", "--recipe=ptb", "--run", "here")
    assert options.settings.data == str(tmp_path / "lm/ptb")  # what comes later wins
    assert options.run == "here"
    options = parse("pos_tagging", "--recipe=sequoia")
    assert options.settings.data == ",".join(
        f"{split}={tmp_path}/pos/ud_french_sequoia/fr_sequoia-ud-{file}.conllu.gz"
        for split, file in (("train", "train"), ("test", "dev"))
    )
    assert parse("sentiment", "--recipe", "imdb-embedded").settings.data == "embedded"


def test_recipes_that_cannot_be(monkeypatch):
    monkeypatch.delenv("KERASSEQ_DATA", raising=False)
    for task, words, message in (
        ("language_model", ["--recipe", "pbt"], "no recipe 'pbt'; did you mean ptb"),
        ("language_model", ["--recipe", "zzzz"], "no recipe 'zzzz'; there are chunks, ewt"),
        ("sentiment", ["--recipe", "ptb"], "the recipe ptb is for language_model"),
        ("language_model", ["--recipe", "ptb"], "was measured on lm/ptb: give --data, or set"),
        ("language_model", ["--recipe"], "expected one argument"),
    ):
        with pytest.raises(UserError, match=message):
            parse(task, *words)
    assert parse("language_model", "--recipe", "ptb", "--data", "x").settings.data == "x"


def test_from_python(monkeypatch, tmp_path):
    monkeypatch.delenv("KERASSEQ_DATA", raising=False)
    with pytest.raises(ValueError, match="give --data, or set"):
        kerasseq.train("sentiment", recipe="imdb", run=tmp_path / "run")
    with pytest.raises(ValueError, match="is for language_model"):
        kerasseq.train("sentiment", recipe="ptb")


def test_they_are_listed(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["kerasseq", "recipes"])
    kerasseq.__main__.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert "perplexity on test: 72.36" in next(line for line in lines if " ptb " in f" {line}")


def test_benchmarks_hold_no_settings_of_their_own():
    for path in (Path(__file__).parents[2] / "benchmarks").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for group in ("model", "training", "streams", "batches", "text"):
            assert f'"--{group}.' not in text, path
