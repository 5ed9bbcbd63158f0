"""Rows from whatever holds them in memory; what is no row is refused with its place."""

import numpy as np
import pytest

from kerasseq.data.memory import splits_of
from kerasseq.errors import UserError

COLUMNS = ("text", "label")
ROWS = [("good", "yes"), ("bad", "no")]


class Frame:
    """What is used of a pandas.DataFrame."""

    def __init__(self, **columns):
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return self._columns[name]


class Dataset:
    """What is used of a tf.data.Dataset."""

    def __init__(self, elements):
        self._elements = elements

    def as_numpy_iterator(self):
        return iter(self._elements)


def values(data, columns=COLUMNS):
    return {name: [row.values for row in rows] for name, rows in splits_of(data, columns).items()}


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        iter(ROWS),
        [list(row) for row in ROWS],
        (["good", "bad"], ["yes", "no"]),
        (iter(["good", "bad"]), np.array(["yes", "no"])),
        {"label": ["yes", "no"], "text": ["good", "bad"]},
        {"text": ["good", "bad"], "label": ["yes", "no"], "more": [1, 2]},
        Frame(index=[7, 8], label=["yes", "no"], text=["good", "bad"]),
        [{"text": "good", "label": "yes"}, {"text": "bad", "label": "no"}],
        Dataset([(b"good", b"yes"), (b"bad", b"no")]),
        Dataset([{"text": b"good", "label": b"yes"}, {"text": b"bad", "label": b"no"}]),
    ],
    ids=["rows", "iterator", "lists", "columns", "arrays", "mapping", "more columns", "table",
         "mappings", "dataset", "dataset of mappings"],
)  # fmt: skip
def test_the_same_rows_from_every_holder(data):
    assert values(data) == {"all": ROWS}


def test_splits_by_any_of_their_names():
    data = {"test": ROWS[:1], "dev": (["bad"], ["no"]), "train": Frame(text=["a"], label=["b"])}
    assert list(values(data)) == ["train", "validation", "test"]
    assert values(data)["validation"] == [("bad", "no")]


def test_a_text_is_lines_and_one_column_needs_no_tuples():
    assert values("one\ntwo", ("text",)) == {"all": [("one\n",), ("two",)]}
    assert values(["one", "two"], ("text",)) == {"all": [("one",), ("two",)]}
    assert values({"train": "one\n"}, ("text",)) == {"train": [("one\n",)]}


def test_a_row_says_its_place():
    (row,) = splits_of({"valid": ROWS[1:]}, COLUMNS)["validation"]
    assert (row.where, row.split) == ("data['valid'], row 1", "validation")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "data: expected rows, columns, a table or splits of them, got int 3"),
        ("a path?", "got str 'a path?'"),
        ({"train": ROWS, "other": ROWS}, "the key 'other' is neither a split"),
        ({"valid": ROWS, "dev": ROWS}, "two keys are the validation split, 'dev' is one of them"),
        ({"text": ["a"]}, "data: no column 'label'; it has 'text'"),
        (Frame(text=["a"], score=[1]), "data: no column 'label'; it has 'text', 'score'"),
        ([("a", "b", "c")], "data, row 1: expected 2 values (text, label), got 3"),
        ([("a", "b"), "ab"], "data, row 2: expected 2 values (text, label), got str 'ab'"),
        ([{"text": "a"}], "data, row 1: no column 'label'; it has 'text'"),
        ((["a"], ["b"], ["c"]), "a tuple holds the columns text, label, got 3 items"),
        ((["a", "b"], iter(["x"])), "label ends after 1 rows"),
    ],
)
def test_what_is_no_data_is_refused(data, message):
    with pytest.raises(UserError) as refused:
        values(data)
    assert message in str(refused.value)
