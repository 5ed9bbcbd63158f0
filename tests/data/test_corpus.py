import numpy as np
import pytest

from kerasseq.data.corpus import (
    Corpus,
    chosen_split,
    distinct,
    length_percentiles,
    ordered,
    shared_notes,
)
from kerasseq.errors import UserError


def here(*names):
    return Corpus("here", {name: [name] for name in names})


def test_the_split_meant():
    assert chosen_split(here("train", "test"), None) == "test"
    assert chosen_split(here("train", "test"), "train") == "train"
    assert chosen_split(here("all"), None) == "all"
    with pytest.raises(UserError, match="here has the splits train, validation: choose one with"):
        chosen_split(here("train", "validation"), None)
    with pytest.raises(UserError, match="here has no test split; it has train"):
        chosen_split(here("train"), "test")


def test_reports_have_splits_in_one_order():
    assert list(ordered({"test": 1, "train": 2, "validation": 3})) == [
        "train", "validation", "test",
    ]  # fmt: skip
    assert ordered({"all": 1}) == {"all": 1}


def test_the_first_of_all_with_the_same_content_stays():
    assert distinct(["b1", "a1", "b2", "a2", "c1"], lambda text: text[0]) == ["b1", "a1", "c1"]
    assert distinct([], str) == []


def test_what_splits_share_is_said():
    contents = {"train": set(range(2_000)), "validation": {1, 2}, "test": set(range(1, 5_000))}
    assert shared_notes(contents, "texts") == [
        "2 texts occur in both train and validation (kept as they came)",
        "1,999 texts occur in both train and test (kept as they came)",
        "2 texts occur in both validation and test (kept as they came)",
    ]
    assert shared_notes({"train": {1}, "test": {2}}, "texts") == []


def test_percentiles_are_whole_numbers():
    assert length_percentiles(np.arange(101)) == {
        "p5": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "p100": 100,
    }  # fmt: skip
