import pytest

from kerasseq.data.layouts import Asked, Layout, layout_of
from kerasseq.errors import UserError


def rows(text):
    return [[line.split() for line in block.splitlines()] for block in text.split("\n\n")]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a X", "word xpos/ner"),
        ("a DT B-NP\nb NN I-NP", "word xpos chunk"),
        ("De Art O\nJan N B-PER", "word xpos ner"),
        ("a X O\nb Y B-thing", "word xpos 3"),
        ("a X O", "word xpos 3"),
        ("ran VBD run", "word 2 3"),
        ("a B-PER O\nb O B-LOC", "word ner inner"),
        ("0 a O\n1 b B-LOC", "number word xpos/ner"),
        ("1 a O B-PER\n2 b B-LOC O\n\n1 c O O", "number word ner inner"),
        ("1 CD O\n2 CD B-LOC\n\n7 CD O", "word xpos ner"),
        ("a X B-NP B-LOC", "word xpos chunk ner"),
        ("a _ _ B-CW\nb _ _ O", "word _ _ ner"),
        ("a DT (NP* O\nb NN *) B-GPE", "word xpos parse ner"),
        ("a c d B-GPE", "word 2 3 ner"),
        ("a b c d", "word 2 3 4"),
        ("a b X B-NC O", "word lemma xpos chunk ner"),
        ("a b X B-NC x", "word 2 3 4 5"),
    ],
)
def test_the_tags_tell_the_columns(text, fields):
    assert " ".join(layout_of(rows(text)).fields) == fields


def test_numbers_and_names_choose():
    layout = Layout.of(["id", "form", "upos", "x:y"])
    assert layout.asked(Asked("x:y"), "here").columns == (("upos", 2), ("x:y", 3))
    other = layout.asked(Asked("3", "X:Y"), "here")
    assert (other.word, dict(other.columns)) == (3, {"upos": 2, "3": 2})
    for asked, message in [
        (Asked("5"), r"here: there is no column '5'; there are 4: id, form, .*--column takes"),
        (Asked("0"), "there is no column '0'"),
        (Asked("2"), "column 2 is that of the words: give another --column, or --word_column"),
        (Asked("upos", "lemma"), r"there is no column 'lemma'; .*--word_column takes"),
    ]:
        with pytest.raises(UserError, match=message):
            layout.asked(asked, "here")
    with pytest.raises(UserError, match=r"no column is named FORM.*--word_column; there are a, b"):
        Layout.of(["a", "b"]).asked(Asked(), "here")


def test_the_note():
    assert Layout.of(["number", "word", "xpos/ner", "4"], "mine").note("tabs") == (
        "columns: number, word, xpos or ner, column 4 (tabs, as mine)"
    )
