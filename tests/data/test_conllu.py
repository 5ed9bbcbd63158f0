import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.conllu import from_words, parse
from kerasseq.data.layouts import Asked
from kerasseq.errors import UserError


def word(number, form, upos="X", xpos="_", feats="_"):
    return "\t".join([str(number), form, "_", upos, xpos, feats, "_", "_", "_", "_"])


SENTENCE = [
    "# sent_id = made-up-1",
    "# text = Vas-y du 10 000 !",
    word(1, "Vas", "VERB", "V", "Mood=Imp|Number=Sing"),
    "1.1\tva\t_\tVERB\t_\t_\t_\t_\t0:root\t_",
    word(2, "-y", "PRON"),
    word("3-4", "du", "_"),
    word(3, "de", "ADP"),
    word(4, "le", "DET", "D"),
    word(5, "10 000", "NUM"),
    "# a comment between the words",
    word(6, "!", "PUNCT"),
]


def sentences(*lines):
    return list(parse(lines, "here"))


def test_words_tags_and_multiword_tokens():
    (sentence,) = sentences(*SENTENCE)
    assert len(sentence) == 6
    assert sentence.empty_nodes == 1
    tagged = sentence.tagged()
    assert tagged.words == ["Vas", "-y", "de", "le", "10 000", "!"]
    assert tagged.columns["upos"] == ["VERB", "PRON", "ADP", "DET", "NUM", "PUNCT"]
    assert tagged.columns["xpos"] == ["V", "_", "_", "D", "_", "_"]
    assert tagged.columns["feats"][:2] == ["Mood=Imp|Number=Sing", "_"]
    assert tagged.multiword == [(2, 3, "du")]
    assert tagged.text == "Vas-y du 10 000 !"


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
@pytest.mark.parametrize("blank_at_the_end", [True, False])
def test_lines_come_back_as_they_were(ending, blank_at_the_end):
    other = [word(1, "Non", "INTJ")]
    lines = [*SENTENCE, "", "  ", *other, *[""] * blank_at_the_end]
    read = list(parse([line + ending for line in lines], "here"))
    assert [sentence.lines for sentence in read] == [SENTENCE, other]


def test_a_byte_order_mark_is_no_part_of_the_text():
    (sentence,) = sentences("\ufeff" + SENTENCE[0], *SENTENCE[1:])
    assert sentence.lines == SENTENCE


def test_another_column_changes_nothing_else():
    (sentence,) = sentences(*SENTENCE)
    tags = ["A", "B", "C", "D", "E", "F"]
    for column, position in (("upos", 3), ("xpos", 4)):
        lines = sentence.with_column(column, tags)
        (again,) = sentences(*lines)
        assert again.tagged().columns[column] == tags
        for old, new in zip(SENTENCE, lines, strict=True):
            if old != new:
                fields, changed = old.split("\t"), new.split("\t")
                assert fields.pop(position) != changed.pop(position)
                assert fields == changed
    assert sentence.lines == SENTENCE
    with pytest.raises(ValueError, match="zip"):
        sentence.with_column("upos", tags[:-1])


def test_blanks_in_the_place_of_tabs():
    mixed = "1  fine\tfine  ADJ JJ\t_ 0   root _\t_"
    (sentence,) = sentences(mixed, word(2, "day"))
    assert sentence.tagged().columns["upos"] == ["ADJ", "X"]
    assert sentence.with_column("upos", ["NOUN", "Y"])[0] == "\t".join(
        ["1", "fine", "fine", "NOUN", "JJ", "_", "0", "root", "_", "_"]
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1\tword\tword\tX"], "here:1: 4 columns, but CoNLL-U has 10"),
        (["1 word X"], "here:1: 3 columns, but CoNLL-U has 10"),
        ([word(1, "a") + "\tmore"], "here:1: 11 columns"),
        ([word(1, "a"), "", word(1, "b"), word(3, "c")], "here:4: word 3 comes where 2 should"),
        (["# text = a", word(2, "a")], "here:2: word 2 comes where 1 should"),
        ([word(1, "a"), word(1, "b")], "here:2: word 1 comes where 2 should"),
        ([word("x", "a")], "here:1: 'x' is not an id"),
        ([word("1-", "a")], "here:1: '1-' is not an id"),
        ([word("9" * 5000, "a")], "is not an id"),
        ([word(1, "")], "here:1: column 2 (FORM) is empty"),
        ([word(1, " ")], "here:1: column 2 (FORM) is empty"),
        ([word(1, "a", upos="")], "here:1: column 4 (UPOS) is empty"),
        ([word("2-3", "ab"), word(1, "a")], "here:1: multi-word token 2-3 must begin at word 1"),
        ([word("1-0", "ab"), word(1, "a")], "here:1: multi-word token 1-0 must begin at word 1"),
        (
            [word("1-2", "ab"), word("1-3", "abc"), word(1, "a")],
            "here:2: multi-word token 1-3 must begin at word 3",
        ),
        (
            ["", word("1-2", "ab"), word(1, "a")],
            "here:2: the multi-word token ends at word 2, but the sentence has 1",
        ),
        ([word(1, "a"), word("2.1", "b")], "here:2: empty node 2.1 comes behind word 1"),
    ],
)
@pytest.mark.parametrize("blank_at_the_end", [True, False])
def test_what_is_wrong_is_said_with_its_line(lines, message, blank_at_the_end):
    with pytest.raises(UserError) as caught:
        sentences(*lines, *[""] * blank_at_the_end)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_blocks_without_words_are_no_sentences():
    assert sentences() == sentences("", " ", "") == []
    read = sentences("# only a comment", "", word("0.1", "a"), "", word(1, "b"))
    assert [sentence.tagged().words for sentence in read] == [["b"]]


def test_a_sentence_of_5000_words_and_a_word_of_2000_characters():
    words = [f"w{i}" for i in range(4_999)] + ["ä" * 2_000]
    (sentence,) = sentences(*(word(i, form) for i, form in enumerate(words, start=1)))
    assert sentence.tagged().words == words
    assert len(sentence.with_column("upos", ["N"] * 5_000)) == 5_000


def test_sentences_come_one_by_one():
    endless = itertools.cycle([word(1, "a"), ""])
    stream = parse(endless, "here")
    assert [len(next(stream)) for _ in range(3)] == [1, 1, 1]


forms = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r "), min_size=1)


@given(st.lists(forms, min_size=1), st.sampled_from(["upos", "xpos"]), st.data())
def test_lines_made_from_words_are_read_as_those_words(words, column, data):
    tags = data.draw(st.lists(forms, min_size=len(words), max_size=len(words)))
    (sentence,) = sentences(*from_words(words, column, tags))
    tagged = sentence.tagged()
    assert (tagged.words, tagged.columns[column]) == (words, tags)
    assert set(tagged.columns["feats"]) == {"_"}
    assert tagged.text is None
    swapped = data.draw(st.lists(forms, min_size=len(words), max_size=len(words)))
    assert sentence.with_column(column, swapped) == from_words(words, column, swapped)


def test_the_text_is_one_line():
    lines = from_words(["a", "b"], "upos", ["X", "Y"], text="a\n b")
    assert lines[0] == "# text = a b"
    assert sentences(*lines)[0].tagged().text == "a b"
    with pytest.raises(ValueError, match="zip"):
        from_words(["a", "b"], "upos", ["X"])


def test_a_note_takes_the_place_of_one_of_its_name():
    (one,) = sentences("1\tA\ta\tDET\tD\t_\t0\troot\t_\tP=0.5|SpaceAfter=No")
    line = one.with_column("upos", ["X"], ["P=0.9"])[0]
    assert line == "1\tA\ta\tX\tD\t_\t0\troot\t_\tSpaceAfter=No|P=0.9"


def test_comments_alone_are_given_if_they_are_wanted():
    lines = ["# alone", "", word(1, "a"), "", "# the end"]
    assert [one.lines for one in sentences(*lines)] == [[word(1, "a")]]
    given = list(parse(lines, "here", comments=True))
    assert [one.lines for one in given] == [["# alone"], [word(1, "a")], ["# the end"]]
    assert [len(one) for one in given] == [0, 1, 0]
    assert given[0].with_column("upos", [], []) == ["# alone"]


def test_blanks_at_the_end_of_a_field():
    (sentence,) = sentences(word(1, "a ", "X ")[:-1] + "_ ")
    assert (sentence.tagged().words, sentence.tagged().columns["upos"]) == (["a"], ["X"])
    assert sentence.trimmed == 2
    (line,) = sentence.with_column("upos", ["Y"], ["P=1"])
    assert line.split("\t")[9] == "P=1"


def test_the_words_may_be_in_another_column():
    line = "# text = Cats", "1\tCats\tcat\tNOUN\t_\t_\t_\t_\t_\t_"
    (sentence,) = sentences(*line)
    lemmas = sentence.tagged(Asked("4", "lemma"))
    assert (lemmas.words, lemmas.text, lemmas.columns["4"]) == (["cat"], None, ["NOUN"])


def test_columns_by_name():
    lines = ["# global.columns = ID FORM UPOS MISC X:Y", "1\ta\tX\tA=1\t*"]
    (sentence,) = sentences(*lines)
    assert sentence.tagged().columns == {"upos": ["X"], "x:y": ["*"]}
    assert sentence.with_column("x:y", ["1"], ["P=1"])[1] == "1\ta\tX\tA=1|P=1\t1"
    with pytest.raises(UserError, match="the file has no column FEATS to write to; it has ID, "):
        sentence.with_column("feats", ["1"])
