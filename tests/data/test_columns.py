from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.columns import parse_columns
from kerasseq.data.slashed import parse_slashed, simplify_brown
from kerasseq.errors import UserError

CHUNKED = ["A DT B-NP", "# #\tI-NP", "fell\t VBD  B-VP"]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", " \n"])
@pytest.mark.parametrize("blank_at_the_end", [True, False])
def test_three_columns(ending, blank_at_the_end):
    lines = ["\ufeff", "-DOCSTART- -X- -X- O", "", *CHUNKED, "", "", "Yes UH O"]
    lines += [""] * blank_at_the_end
    first, second = parse_columns([line + ending for line in lines], "here")
    assert first.words == ["A", "#", "fell"]
    assert first.columns == {"xpos": ["DT", "#", "VBD"], "chunk": ["B-NP", "I-NP", "B-VP"]}
    assert second.columns == {"xpos": ["UH"], "chunk": ["O"]}
    assert first.text is None
    assert first.multiword == []


def test_two_columns():
    (sentence,) = parse_columns(["\ufeffein DET", "5\u00a0000\tNUM"], "here")
    assert sentence.words == ["ein", "5\u00a0000"]
    # whether these are parts of speech or named entities, nothing tells
    assert sentence.columns == {"xpos": ["DET", "NUM"], "ner": ["DET", "NUM"]}


def test_four_columns():
    lines = ["-DOCSTART- -X- -X- O", "", "U.N. NNP B-NP B-ORG", "official NN I-NP O", "", ". . O O"]
    first, second = parse_columns(lines, "here")
    assert first.words == ["U.N.", "official"]
    assert first.columns == {
        "xpos": ["NNP", "NN"], "chunk": ["B-NP", "I-NP"], "ner": ["B-ORG", "O"],
    }  # fmt: skip
    assert second.columns == {"xpos": ["."], "chunk": ["O"], "ner": ["O"]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["alone"], "here:1: 1 columns, which is none of the formats known: CoNLL-U"),
        ([*CHUNKED, "", "b NN"], "here:5: 2 columns, but the first token has 3; blanks and tabs "),
        (["a\tX", "b\tX\tY"], "here:2: 3 columns, but the first token has 2; blanks and tabs "),
        (["a\tX"] * 60 + ["", "b\t\tX"], "here:62: 3 columns, but the first token has 2"),
        (["a b\tX\tY", "\tX\tY"], "here:2: column 1 is empty or not there"),
    ],
)
def test_the_number_of_columns_is_that_of_the_first_token(lines, message):
    with pytest.raises(UserError) as caught:
        list(parse_columns(lines, "here"))
    assert str(caught.value).startswith(message)


def test_slashed_tokens():
    lines = ["\ufeff\tThe/at 1/2/cd\t//in ,/, \r\n", " \n", "End/nn ./."]
    first, second = parse_slashed(lines, "here")
    assert first.words == ["The", "1/2", "/", ","]
    assert first.columns == {"xpos": ["at", "cd", "in", ","]}
    assert second.words == ["End", "."]


@pytest.mark.parametrize("token", ["bare", "/nn", "word/", "/"])
def test_a_token_without_word_or_tag(token):
    with pytest.raises(UserError, match=rf"here:3: '{token}' is not of the form word/tag"):
        list(parse_slashed(["a/b", "", f"fine/jj {token}"], "here"))


def test_long_sentences_and_words():
    words = [f"w{i}" for i in range(4_999)] + ["ä" * 2_000]
    (columns,) = parse_columns([f"{word} X" for word in words], "here")
    (slashed,) = parse_slashed([" ".join(f"{word}/X" for word in words)], "here")
    assert columns == replace(
        slashed, columns={"xpos": slashed.columns["xpos"], "ner": ["X"] * 5000}
    )
    assert columns.words == words


texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r \ufeff"), min_size=1
)
tokens = st.tuples(texts.filter(lambda text: text != "-DOCSTART-"), texts)


@given(st.lists(st.lists(tokens, min_size=1), min_size=1))
def test_columns_are_read_as_written(sentences):
    lines = [line for rows in sentences for line in [*map(" ".join, rows), ""]]
    read = [list(zip(s.words, s.columns["xpos"], strict=True)) for s in parse_columns(lines, "x")]
    assert read == sentences


@pytest.mark.parametrize(
    ("published", "simple"),
    [
        ("nn", "NN"),
        ("np-tl", "NP"),
        ("nn-tl-hl", "NN"),
        ("fw-in+at-tl", "IN+AT"),
        ("fw-in+at-t", "IN+AT"),
        ("ppss+ber-n", "PPSS+BER"),
        ("ppss+bem", "PPSS+BEM"),
        ("fw-*", "*"),
        ("bedz*", "BEDZ*"),
        ("pp$$", "PP$$"),
        ("--", "--"),
        ("---hl", "--"),
        (",-hl", ","),
        ("''", "''"),
        ("nil", "NIL"),
        ("fw-", "FW-"),
        ("-hl", "-HL"),
    ],
)
def test_brown_tags(published, simple):
    assert simplify_brown(published) == simple
    assert simplify_brown(simple) == simple
