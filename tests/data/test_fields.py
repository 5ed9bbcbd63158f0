from collections import Counter

import numpy as np
import pytest

from kerasseq.data.fields import label_of, noted, strings_of, text_of
from kerasseq.errors import UserError


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "missing"), (float("nan"), "nan"), (b"a", "bytes b'a'"), (3, "int 3")],
)
def test_what_is_no_text_is_refused(value, shown):
    with pytest.raises(UserError, match=rf"data, row 3: text is {shown}, expected a string"):
        text_of(value, "data, row 3", "text")
    with pytest.raises(UserError, match="row 3: a value of tokens is"):
        strings_of(["a", value], "row 3", "tokens")
    with pytest.raises(UserError, match="row 3: tokens is str 'ab', expected a list"):
        strings_of("ab", "row 3", "tokens")


def test_labels_are_names_or_numbers_of_one_kind():
    kinds = set()
    assert [label_of(v, "row", "label", kinds) for v in (1, np.int64(0))] == ["1", "0"]
    with pytest.raises(
        UserError, match="row 9: label is '1': labels are of two kinds, int and str"
    ):
        label_of("1", "row 9", "label", kinds)
    for value, shown in ((float("nan"), "nan"), (None, "missing"), (0.5, "float 0.5"), ("", "str")):
        with pytest.raises(UserError, match=f"label is {shown}"):
            label_of(value, "row", "label", set())


def test_labels_with_two_lines_or_none_are_refused():
    for value in ("a\nb", "  ", "\ud800", "a\u2028b"):
        with pytest.raises(UserError, match="label is str"):
            label_of(value, "row", "label", set())
    with pytest.raises(UserError, match=r"label is float 1\.0, .* \.astype\(int\) mends it"):
        label_of(1.0, "row", "label", set())


def test_lists_are_unwrapped_or_joined_and_counted():
    counts: Counter[str] = Counter()
    assert label_of(["a"], "row", "label", set(), counts) == "a"
    assert text_of(["two", "words"], "row", "text", counts) == "two words"
    assert text_of(["one"], "row", "text", counts) == "one"
    assert noted(counts) == [
        "1 labels that were lists of one, unwrapped",
        "2 texts that were lists of words, joined by blanks",
    ]
    with pytest.raises(UserError, match="row: label is a list of 2 labels, and a text has one"):
        label_of(["a", "b"], "row", "label", set(), counts)
    for value in ([], [1], {"a": 1}, 5, [["a"]]):
        with pytest.raises(UserError, match=r"row: text is .*expected a string"):
            text_of(value, "row", "text", counts)
