"""Search spaces: what a file may change, and what is refused before anything is trained."""

import numpy as np
import pytest
import yaml

from kerasseq.config import replace
from kerasseq.errors import UserError
from kerasseq.tasks.sentiment.settings import SentimentSettings
from kerasseq.tasks.sentiment.task import Sentiment
from kerasseq.tuning.space import (
    Choice,
    Fixed,
    Range,
    When,
    changed_space,
    checked_points,
    checked_space,
    described,
    fitted,
    read_points,
    read_space,
)

TASK, SETTINGS = Sentiment(), SentimentSettings()
FIXED = Fixed(TASK.data_settings, TASK.vocabulary_settings, ("loss",))
OWN = {"model.cell": Choice(("gru", "lstm")), "model.units": Choice((32, 64))}


def read(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path, OWN)


def test_a_file_changes_adds_and_takes_out(tmp_path):
    space = read(
        tmp_path,
        "model.units: {low: 16, high: 64, step: 16}\n"
        "training.learning_rate: {low: 0.001, high: 0.01, log: true}\n"
        "model.word_dropout: {low: 0.0, high: 0.5, when: {model.cell: [lstm]}}\n"
        "model.cell: [lstm, simple_rnn]\n",
    )
    assert space == {
        "model.cell": Choice(("lstm", "simple_rnn")),
        "model.units": Range(16, 64, step=16),
        "training.learning_rate": Range(0.001, 0.01, log=True),
        "model.word_dropout": Range(0.0, 0.5, when=When("model.cell", ("lstm",))),
    }
    checked_space(space, SETTINGS, FIXED)
    assert read(tmp_path, "model.cell: null\n") == {"model.units": OWN["model.units"]}
    rates = read(tmp_path, "training.learning_rate: {low: 1e-3, high: 1e-2, log: true}")
    assert rates["training.learning_rate"] == Range(0.001, 0.01, log=True)
    assert described(space)["model.word_dropout"] == "0.0 to 0.5 when model.cell is lstm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "must hold settings by name"),
        ("a: [", "is not YAML"),
        ("model.cell: lstm", "must be a list of values"),
        ("model.cell: []", "must have a list of values"),
        ("model.units: {low: 1}", "must have low and high"),
        ("model.units: {low: 1, high: 2, by: 1}", "must have low and high"),
        ("model.units: {low: a, high: 2}", "must be numbers"),
        ("model.units: {low: 1, high: 2, when: model.cell}", "when must be one setting"),
        ("model.units: {low: 1, high: 2, when: {model.cell: []}}", "when must have a value"),
        ("model.unit: null", "model.unit is not varied as it is"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "space.yaml") in str(caught.value)


def test_a_missing_file():
    with pytest.raises(UserError, match=r"none\.yaml cannot be read"):
        read_space(__import__("pathlib").Path("none.yaml"), OWN)


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("model.unit", Choice((1,)), "no setting of the task"),
        ("text.min_count", Range(1, 2), "prepared anew for each of its values, so give a list"),
        ("model.units", Choice((8, 16, 8)), "a value stands twice in 8, 16, 8"),
        ("seed", Choice((1, 2)), "by which the data is read"),
        ("training.monitor", Choice(("accuracy", "loss")), "by which trials are compared"),
        (
            "training.decay",
            Choice(("linear", "cosin")),
            "decay must be one of none, linear, cosine",
        ),
        ("model.units", Range(8, 64, step=0.5), "step must be a whole number"),
        ("model.units", Choice((0, 8)), "units must be >= 1"),
        ("model.units", Choice((8, 16.0)), "16.0 is no int"),
        ("model.cell", Choice((1, 2)), "1 is no str"),
        ("model.word_dropout", Range(0.5, 0.2), "low must be below high"),
        ("model.word_dropout", Range(0.0, 0.5, log=True), "low above 0"),
        ("model.word_dropout", Range(0.1, 0.5, step=-0.1), "step must be above 0"),
        ("model.word_dropout", Range(0.0, 1.5), "word_dropout must be < 1"),
        ("model.word_dropout", Range(0.0, 0.5, when=When("model.bridge", ("a",))), "no choice"),
        ("model.word_dropout", Range(0.0, 0.5, when=When("model.cell", ("rnn",))), "never 'rnn'"),
    ],
)
def test_what_cannot_be_searched_is_refused(name, entry, message):
    with pytest.raises(UserError, match=message):
        checked_space({**OWN, name: entry}, SETTINGS, FIXED)
    with pytest.raises(UserError, match="is empty"):
        checked_space({}, SETTINGS, FIXED)


def test_numbers_get_the_types_of_their_settings():
    found = checked_space(
        {
            "training.clip_norm": Range(1, 5),
            "model.word_dropout": Range(0, 0.3, step=0.1),
            "training.learning_rate": Choice((0.001, 1)),
            "model.units": Range(8, 64, step=8),
        },
        SETTINGS,
        FIXED,
    )
    assert found == {
        "training.clip_norm": Range(1.0, 5.0),
        "model.word_dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "training.learning_rate": Choice((0.001, 1.0)),
        "model.units": Range(8, 64, step=8),
    }
    assert not found["training.clip_norm"].whole


def test_every_task_has_a_space_that_can_be_searched():
    from kerasseq.tasks.language_model.task import LanguageModel
    from kerasseq.tasks.tagging.task import Ner, PosTagging
    from kerasseq.tasks.translation.task import Translation

    for task in (Sentiment(), PosTagging(), Ner(), LanguageModel(), Translation()):
        checked_space(
            task.search_space,
            task.settings_class(),
            Fixed(task.data_settings, task.vocabulary_settings, task.vocabulary_goals),
        )


def test_metrics_that_a_vocabulary_changes_compare_no_vocabularies():
    settings = replace(SETTINGS, {"training.monitor": "loss"})
    sizes = {"text.vocabulary_size": Choice((100, 1000))}
    with pytest.raises(UserError, match="loss says nothing of models whose vocabularies differ"):
        checked_space(sizes, settings, FIXED)
    assert checked_space(sizes, SETTINGS, FIXED) == sizes


def test_points_are_read_as_settings(tmp_path):
    path = tmp_path / "points.yaml"
    path.write_text("- {model.units: 64, training.clip_norm: 2}\n- model: {cell: gru}\n")
    assert read_points(path, SETTINGS) == [
        {"model.units": 64, "training.clip_norm": 2.0}, {"model.cell": "gru"}
    ]  # fmt: skip
    path.write_text(yaml.safe_dump(SETTINGS.to_dict()))  # such as best.yaml
    assert fitted(read_points(path, SETTINGS)[0], OWN, SETTINGS.flat()) == {
        "model.cell": "lstm", "model.units": 64
    }  # fmt: skip
    for text, message in [
        ("- {model.unit: 64}", "point 1: model.unit is no setting"),
        ("- {model.units: 64}\n- {model.units: many}", "point 2: model.units: 'many' is no int"),
        ("- 64", "point 1 must hold settings by name, got 64"),
        ("[", "is not YAML"),
    ]:
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_points(path, SETTINGS)


def test_a_value_that_a_point_does_not_name_is_told_as_such():
    with pytest.raises(UserError, match="cell is lstm, as it is without a change, none of gru"):
        fitted({"model.units": 32}, {**OWN, "model.cell": Choice(("gru",))}, SETTINGS.flat())


def test_numbers_of_numpy_are_numbers():
    space = changed_space({"model.units": [np.int64(8), 16]}, {}, "space")
    assert checked_space(space, SETTINGS, FIXED) == {"model.units": Choice((8, 16))}
    assert checked_points([{"model.units": np.int64(8)}], SETTINGS, "enqueue") == [
        {"model.units": 8}
    ]
