import pytest

from kerasseq.data.brackets import is_tree, parse_trees
from kerasseq.data.notes import Notes
from kerasseq.errors import UserError

TREES = """( (S
    (NP-SBJ (DT The) (JJ 1\\/2) (NN cat) )
    (VP (VBD sat) (-LRB- -LRB-) (NP (-NONE- *T*-1) )) (. .) ))

(NP (UH Yes))(X (-NONE- 0))
"""


def test_leaves_are_words_and_tags():
    notes = Notes()
    first, second = parse_trees(TREES.splitlines(), "here", notes)
    assert first.words == ["The", "1/2", "cat", "sat", "-LRB-", "."]
    assert first.columns == {"xpos": ["DT", "JJ", "NN", "VBD", "-LRB-", "."]}
    assert (second.words, second.columns) == (["Yes"], {"xpos": ["UH"]})
    assert notes.lines() == [
        "2 traces (-NONE-) skipped",
        r"1 words with \/ or \* are written with / or *",
        "1 trees without a word skipped",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n(S (DT a)", "here:2: the tree that begins here is not closed"),
        ("(S (DT a)))", r"here:1: '\)' stands outside"),
        ("(S (DT a))\nb", "here:2: 'b' stands outside"),
        ("(S (DT a b))", r"here:1: 'b' stands where \(TAG word\) is expected"),
        ("(S (DT a) b)", "here:1: 'b' stands where"),
        ("(S (DT))", r"here:1: \(DT\) has no word"),
        ("(S word (DT a))", r"here:1: \(S word\) has no word"),
    ],
)
def test_what_is_no_tree_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        list(parse_trees(text.splitlines(), "here", Notes()))


def test_a_column_file_may_begin_with_a_bracket():
    assert is_tree(TREES.splitlines())
    assert is_tree(["(TOP (NN a))"])
    assert not is_tree(["( ( O", "a NN B-NP", ") ) O"])
    assert not is_tree(["a/NN (/( b/NN )/)"])
