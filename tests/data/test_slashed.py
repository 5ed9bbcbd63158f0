import pytest

from kerasseq.data.layouts import Asked
from kerasseq.data.notes import Notes
from kerasseq.data.slashed import mark_of, parse_slashed
from kerasseq.errors import UserError


def read(*lines, **more):
    notes = Notes()
    return list(parse_slashed(lines, "here", notes=notes, **more)), notes.lines()


def test_several_tags():
    lines = ["The/DT/O 1/2/CD/O", "", "Bern/NNP/B-LOC //SYM/O"]
    (first, second), notes = read(*lines)
    assert first.words == ["The", "1/2"]
    assert first.columns == {"xpos": ["DT", "CD"], "ner": ["O", "O"]}
    assert second.words == ["Bern", "/"]
    assert notes == ["columns: word, xpos, ner (joined by /, as CoNLL-2002)"]


def test_wikiner():
    lines = ["Ann|NNP|I-PER saw|VBD|O ||PUNC|O"]
    assert mark_of(["", *lines]) == "|"
    ((sentence,), notes) = read(*lines, mark="|", asked=Asked("3"))
    assert sentence.words == ["Ann", "saw", "|"]
    assert sentence.columns["ner"] == sentence.columns["3"] == ["I-PER", "O", "O"]
    assert notes == ["columns: word, xpos, ner (joined by |, as CoNLL-2002)"]
    with pytest.raises(UserError, match=r"here:2: 'b\|N' is not of the form word\|tag\|tag"):
        read(*lines, "b|N", mark="|")


def test_one_tag_of_spans_may_be_entities():
    ((sentence,), notes) = read("Ann/B-PER ran/O")
    assert sentence.columns == {"xpos": ["B-PER", "O"], "ner": ["B-PER", "O"]}
    assert notes == []


def test_penn_brackets_and_rulers():
    lines = ["=" * 38, "", "[ Ann/NNP ]", ",/, ", "[ 1\\/2/CD ]", "", "=" * 38, "[ a/DT", "b/NN ]"]
    assert mark_of(lines) == "/"
    (first, second), notes = read(*lines)
    assert first.words == ["Ann", ",", "1/2"]
    assert first.columns == {"xpos": ["NNP", ",", "CD"]}
    assert second.words == ["a", "b"]
    assert notes == [r"1 words with \/ or \* are written with / or *"]


def test_brackets_are_refused_in_no_file_of_penn():
    with pytest.raises(UserError, match=r"here:2: '\('"):
        read("a/DT", "( b/NN")


def test_the_first_of_several_tags_is_taken_and_counted():
    ((sentence,), notes) = read("read/VB|VBD it/PRP$|PRP a|b/NN |/SYM")
    assert sentence.words == ["read", "it", "a|b", "|"]
    assert sentence.columns == {"xpos": ["VB", "PRP$", "NN", "SYM"]}
    assert notes == ["2 words with several tags (VB|VBD): the first is taken"]


@pytest.mark.parametrize("line", ["a b/NN", "# newdoc", "", "a\tNN", "a|b NN|O"])
def test_other_lines_have_no_mark(line):
    assert mark_of([line]) == ""
