import pytest

from kerasseq.data.span_brackets import iob2_of
from kerasseq.errors import UserError


def test_brackets_become_iob2():
    cells = ["*", "(PERSON*", "*", "*)", "(GPE)", "(ORG*)", "*"]
    tags = ["O", "B-PERSON", "I-PERSON", "I-PERSON", "B-GPE", "B-ORG", "O"]
    assert iob2_of(cells, list("abcdefg")) == tags


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["*", "*)"], r"b: '\*\)' ends an entity that has not begun"),
        (["(A*", "(B*)"], r"b: '\(B\*\)' begins within the entity A"),
        (["(A*", "*"], "b: the sentence ends within the entity A"),
        (["B-A"], "a: 'B-A' is no entity in brackets"),
    ],
)
def test_other_brackets_are_refused(cells, message):
    with pytest.raises(UserError, match=message):
        iob2_of(cells, list("abcdefg"[: len(cells)]))
