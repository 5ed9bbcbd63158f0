import unicodedata
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.text import graph
from kerasseq.text.cut import cut
from kerasseq.text.tokenizer import tokenize
from kerasseq.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from tests.examples import examples
from tests.text.code_points import every_code_point, lines, parts

any_text = st.text(st.characters(exclude_categories=["Cs"]))
# Letters, marks, jamo and tags that meet each other, which text over all of Unicode seldom does.
awkward = st.text(
    st.sampled_from(
        "aeAE\u0301\u0323\u0308\u0345\u0338<>/='’ .\u1100\u1161\u11a8\uac00\u09c7\u09be"
        "\u0b47\u0b56İıßΣςÅ\u212b\u0344\u1e9e\ufb01\u2adc\u0f73\u0f71\u0f72❤\ufe0f\u200d\n\x00"
    )
)


def in_graph(texts):
    run = tf.function(graph.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
    if not hasattr(in_graph, "run"):
        in_graph.run = run
    ragged = in_graph.run(tf.constant([text.encode() for text in texts], tf.string))
    return [[token.decode() for token in row] for row in ragged.to_list()]


@examples(300)
@given(st.lists(st.one_of(any_text, awkward), min_size=1, max_size=4))
def test_python_and_graph_agree(texts):
    assert in_graph(texts) == [tokenize(text) for text in texts]


@every_code_point
def test_every_code_point_agrees_alone_and_after_a_letter(rest):
    for part in parts([*lines(rest), *lines(rest, "e")]):
        assert in_graph(part) == [tokenize(line) for line in part]


@examples(200)
@given(st.one_of(any_text, awkward))
def test_canonically_equivalent_texts_have_the_same_tokens(text):
    if "<" not in text:  # a tag is recognised before normalisation
        decomposed = unicodedata.normalize("NFD", text)
        assert in_graph([decomposed]) == [tokenize(text)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("   \n\t", []),
        ("I didn't like it.", ["i", "didn't", "like", "it", "."]),
        ("good<br /><br />film</p>", ["good", "film"]),
        ("i <3 this, 1 < 2 > 0", ["i", "<", "3", "this", ",", "1", "<", "2", ">", "0"]),
        ("rock 'n' roll''s", ["rock", "'", "n", "'", "roll", "'", "'", "s"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("e\u0301tude", ["étude"]),
        ("\u1112\u1161\u11ab", ["한"]),
        ("👍🏽 great", ["👍", "🏽", "great"]),
        ("❤\ufe0f", ["❤"]),
        ("映画は良い", ["映画は良い"]),
    ],
)
def test_examples(text, tokens):
    assert tokenize(text) == tokens
    assert in_graph([text]) == [tokens]


def test_long_runs_of_marks_are_composed():
    text = "a" + "\u0301\u0323" * 200 + "b" * 1000
    assert in_graph([text, "plain"]) == [tokenize(text), ["plain"]]


def test_vocabulary_is_by_frequency_then_alphabet(tmp_path):
    vocabulary = Vocabulary.from_counts(Counter(["b", "a", "c", "c", "\u2028x"[1:]]), size=7)
    assert vocabulary.tokens[4:] == ("c", "a", "b")
    assert (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
    vocabulary.save(tmp_path / "vocabulary.txt")
    assert Vocabulary.load(tmp_path / "vocabulary.txt").tokens == vocabulary.tokens
    assert len(Vocabulary.from_counts({"a": 1, "b": 2}, size=100, min_count=2)) == 5


@pytest.mark.parametrize("keep", ["head", "tail", "head+tail"])
@examples(30)
@given(st.lists(st.text("abc dé", max_size=40), min_size=1, max_size=4), st.integers(1, 9))
def test_ids_agree(keep, texts, length):
    vocabulary = Vocabulary.from_counts({"a": 3, "b": 2, "dé": 1}, size=10)
    layer = graph.TextToIds(vocabulary, length, keep)
    found, was_cut = layer(tf.constant([text.encode() for text in texts]))
    ids = found.numpy()
    for row, text, short in zip(ids, texts, was_cut.numpy(), strict=True):
        whole = vocabulary.encode(tokenize(text))
        expected = cut(whole, length, keep)
        assert short == (len(whole) > length)
        assert row[: len(expected) + 1].tolist() == [BOS, *expected]
        assert np.all(row[len(expected) + 1 :] == PAD)
    assert ids.shape[1] == np.max(np.sum(ids != PAD, axis=1))
