import time
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.text.codec import Codec, StreamDecoder, count_tokens, guess_units
from kerasseq.text.codec_graph import GraphCodec
from kerasseq.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from tests.examples import examples
from tests.text.code_points import every_code_point, lines

UNITS = ("words", "blanks", "characters")
any_text = st.text(st.characters(exclude_categories=["Cs"]))
awkward = st.text(
    st.sampled_from("ab.Aé\u0301<>/='’\"(@- \n\n\r\t\x00\x0b\x1c\x1f\x85\xa0\u2028\u3000\ufeff木😀")
)
texts = st.one_of(any_text, awkward)
TOKENS = {
    "characters": [*"abé.,\"'( \r\x85\u2028木😀A\x00", "\ufeff"],
    "words": ["a", "b", "é", ".", ",", '"', "(", "don't", "木", "😀", "ab"],
    "blanks": ["a", "b", "é", ".", '"', "``", "n't", "@-@", "@,@", "Ab", "<", "\x00", "\ufeffa"],
}


def made(units, tokens=None):
    tokens = TOKENS[units] if tokens is None else tokens
    return Codec(units, Vocabulary.from_counts(dict.fromkeys(tokens, 1), 1000))


class Twins:
    """A codec and its graph twin, traced once."""

    def __init__(self, codec):
        self.codec, twin = codec, GraphCodec(codec)
        self.encode = tf.function(twin.encode, [tf.TensorSpec([None], tf.string)])
        self.decode = tf.function(
            twin.decode, [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)]
        )
        self.decode_ragged = tf.function(
            twin.decode, [tf.RaggedTensorSpec([None, None], tf.int32, 1)]
        )


@pytest.fixture(scope="module")
def twins():
    return {units: Twins(made(units)) for units in UNITS}


@pytest.mark.parametrize("units", UNITS)
@examples(60)
@given(st.lists(texts, max_size=4))
def test_both_encode_alike(twins, units, rows):
    found = twins[units].encode(tf.constant([text.encode() for text in rows], tf.string))
    assert found.dtype == tf.int32
    assert found.to_list() == [twins[units].codec.encode(text).tolist() for text in rows]


@pytest.mark.parametrize("units", UNITS)
@examples(40)
@given(st.lists(st.one_of(st.binary(max_size=12), texts.map(str.encode)), max_size=4))
def test_invalid_bytes_count_as_the_replacement_character(units, rows):
    twins = with_replacement(units)
    found = twins.encode(tf.constant(rows, tf.string)).to_list()
    assert found == [twins.codec.encode(row.decode("utf-8", "replace")).tolist() for row in rows]


@cache
def with_replacement(units):
    return Twins(made(units, ["a", "\ufffd", "\ufffd\ufffd"]))


@pytest.mark.parametrize("units", ["blanks", "characters"])  # words: in test_tokenizer
@every_code_point
def test_every_code_point_is_encoded_alike(twins, rest, units):
    rows = lines(rest, "a", 4096)
    found = twins[units].encode(tf.constant(rows)).to_list()
    assert found == [twins[units].codec.encode(row).tolist() for row in rows]


@pytest.mark.parametrize("units", UNITS)
@examples(100)
@given(st.data())
def test_both_decode_alike_and_so_does_the_stream(twins, units, data):
    codec = twins[units].codec
    ids = st.integers(0, len(codec.vocabulary) - 1)
    quote = int(codec.vocabulary.encode(['"'])[0])
    rows = data.draw(st.lists(st.lists(st.one_of(ids, st.just(quote))), min_size=1, max_size=4))
    expected = [codec.decode(row) for row in rows]
    ragged = tf.ragged.constant(rows, tf.int32, ragged_rank=1)
    assert [t.decode() for t in twins[units].decode_ragged(ragged).numpy()] == expected
    lengths = tf.cast(ragged.row_lengths(), tf.int32)
    # what stands behind a row's end does not count
    padded = twins[units].decode(ragged.to_tensor(UNK), lengths)
    assert [text.decode() for text in padded.numpy()] == expected
    for row, text in zip(rows, expected, strict=True):
        stream = StreamDecoder(codec)
        pieces = [stream.push(token) for token in row]
        assert "".join(pieces) == text
        for size in range(len(row)):
            assert "".join(pieces[:size]) == codec.decode(row[:size])


@examples(100)
@given(texts)
def test_characters_come_back_as_they_were(text):
    codec = Codec("characters", Vocabulary.from_counts(count_tokens(text, "characters"), 10**6))
    ids = codec.encode(text)
    assert ids.dtype == np.int32
    assert len(ids) == len(text)
    assert codec.decode(ids) == text


@pytest.mark.parametrize("units", UNITS)
@examples(60)
@given(texts)
def test_encoding_is_line_by_line(units, text):
    codec = made(units)
    expected = []
    for line in text.split("\n"):
        tokens = codec.tokens(line)
        expected += [*codec.vocabulary.encode(tokens), EOS]
    assert codec.encode(text).tolist() == expected[:-1]
    counted = count_tokens(text, units)
    assert sum(counted.values()) == len(expected) - 1 - text.count("\n")
    assert "\n" not in counted


def test_examples():
    codec = made("blanks")
    ids = codec.encode(" \" a b <eos> <unk>\n\n<pad> n't")
    a, b, quote, clitic = codec.vocabulary.encode(["a", "b", '"', "n't"])
    assert ids.tolist() == [quote, a, b, UNK, UNK, EOS, EOS, UNK, clitic]
    assert codec.decode([BOS, *ids, PAD]) == "\"a b <unk> <unk>\n\n<unk>n't"
    assert (
        made("words").encode("A <b>B\nb> .").tolist() == made("words").encode("a b\nb>.").tolist()
    )
    assert codec.encode("").shape == (0,)
    assert made("characters").encode("").shape == (0,)
    assert codec.decode([]) == ""
    assert GraphCodec(codec).decode(tf.zeros([0, 3], tf.int32)).shape == (0,)
    with pytest.raises(ValueError, match="units must be one of"):
        Codec("letters", codec.vocabulary)  # type: ignore[arg-type]


@pytest.mark.parametrize("units", UNITS)
def test_an_empty_vocabulary_knows_line_ends(units):
    codec = made(units, [])
    assert codec.encode("a\n").tolist() == [UNK, EOS]
    assert GraphCodec(codec).encode(tf.constant(["a\n", ""])).to_list() == [[UNK, EOS], []]
    assert codec.decode([UNK, EOS]) == "<unk>\n"


def test_half_a_surrogate_pair_is_unknown():
    codec = made("characters")
    assert codec.encode("a\ud800").tolist() == [*codec.encode("a"), UNK]
    assert count_tokens("\ud800\ud800", "characters") == {"\ud800": 2}


def test_what_was_tokenised_is_recognised():
    assert guess_units(" the <unk> of\n") == "blanks"
    assert guess_units("<unk>") == "blanks"
    assert guess_units("the x<unk> of <unk>. <unk>s") == "words"
    assert guess_units("plain") == "words"


@pytest.mark.parametrize("units", UNITS)
def test_a_million_tokens_on_one_line(units):
    text = "a b . " * 350_000
    start = time.perf_counter()
    codec = Codec(units, Vocabulary.from_counts(count_tokens(text, units), 100))
    ids = codec.encode(text)
    assert len(ids) == (len(text) if units == "characters" else 1_050_000)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("units", UNITS)
def test_a_prompt_is_encoded_in_time(twins, units):
    prompt = tf.constant(['The cat (a "black" one)\nsat on the mat.'])
    took = []
    for _ in range(20):
        start = time.perf_counter()
        twins[units].encode(prompt)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.003


def test_a_long_stream_takes_constant_time_each():
    stream = StreamDecoder(made("words"))
    start = time.perf_counter()
    for token in [4, 5, 9, 6, 7] * 4_000:
        stream.push(token)
    assert time.perf_counter() - start < 10
