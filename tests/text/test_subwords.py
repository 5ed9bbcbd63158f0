"""Words and subwords: what they keep of a text, what is learned, the twin in the graph."""

import os
import sys
import time
import unicodedata
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.models import BPE

from kerasseq.errors import UserError
from kerasseq.text.subwords import BLANK, MAX_RUN, SubwordCodec, join, units
from kerasseq.text.subwords_graph import GraphSubwordCodec
from kerasseq.text.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK, Vocabulary
from tests import warm
from tests.examples import examples
from tests.text.code_points import every_code_point, lines, parts

LEVELS = ("word", "subword")
TEXTS = [
    "The lower house is the newest, and the widest.",
    "Lower it now, then slow down! (The new one...)",
    "Die Häuser sind neu; das neueste Haus ist größer als die Häuser.",
    "a-a-a aaaa aaaaaaaa abab ababab 1999 2000 2001",
    "木村さんは木の家に住む。 木木木 안녕 안녕하세요",
]
any_text = st.text(st.characters(exclude_categories=["Cs"]))
# what meets seldom in text over all of Unicode: marks and jamo that compose, blanks of all kinds
awkward = st.lists(
    st.one_of(
        st.sampled_from("abehlnorstuwdT.,-!木家안\u0301\u0308\u1100\u1161\u11a8é☃😀\u200d\ufe0f"),
        st.sampled_from(" \n\t\r\x00\x1c\x85\xa0\u2000\u2028\u3000\u2581\u200b\u0378"),
        st.sampled_from(["the", " lower", "Häuser", "aaaa", "<unk>", "<eos>", "x" * 70, "안녕"]),
    ),
    max_size=30,
).map("".join)
texts = st.one_of(any_text, awkward)


def normal(text):
    """What comes back of a text, spelled out."""

    def kept(char):
        selector = 0xFE00 <= ord(char) < 0xFE10 or 0xE0100 <= ord(char) < 0xE01F0
        return unicodedata.category(char)[0] in "LMNPS" and not selector and char != BLANK

    normalized = unicodedata.normalize("NFC", text)
    return " ".join("".join(char if kept(char) else " " for char in normalized).split())


@cache
def learned(level):
    return SubwordCodec.learn(TEXTS, level, size=120 if level == "subword" else 40)


def parts_of(codec):
    return codec.level, codec.vocabulary.tokens, codec.merges


class Twin:
    """A codec's graph twin, traced once."""

    def __init__(self, codec):
        module = GraphSubwordCodec(codec)
        self.encode = tf.function(module.encode, [tf.TensorSpec([None], tf.string)])
        self.encode_with_units = tf.function(
            module.encode_with_units, [tf.TensorSpec([None], tf.string)]
        )
        ids = tf.TensorSpec([None, None], tf.int32)
        self.decode = tf.function(module.decode, [ids, tf.TensorSpec([None], tf.int32)])
        self.copy = tf.function(
            lambda ids, lengths, copies: module.decode(ids, lengths, copies),
            [ids, tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, None], tf.string)],
        )
        ragged = tf.RaggedTensorSpec([None, None], tf.int32, 1)
        self.decode_ragged = tf.function(module.decode, [ragged])


@cache
def twin(level):
    return Twin(learned(level))


def strings(rows):
    return tf.constant([row.encode() for row in rows], tf.string)


def in_graph(codec, rows):
    return GraphSubwordCodec(codec).encode(strings(rows)).to_list()


def in_python(codec, rows):
    return [ids.tolist() for ids in codec.encode_all(rows)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\x00\u200b\u2581", []),
        ("Don't go!  (Yet)", ["▁Don", "'", "t", "▁go", "!", "▁(", "Yet", ")"]),
        ("▁a▁▁b", ["▁a", "▁b"]),
        ("\ta\u3000b\x00c\n", ["▁a", "▁b", "▁c"]),
        ("<unk>-", ["▁<", "unk", ">", "-"]),
        ("e\u0301tude \u0301", ["▁étude", "▁\u0301"]),
        ("\u1112\u1161\u11ab국어", ["▁한국어"]),
        ("٣٫٥ 木。", ["▁٣", "٫", "٥", "▁木", "。"]),
        ("a\ud800b", ["▁a", "▁b"]),
        ("x" * 130, ["▁" + "x" * 64, "x" * 64, "xx"]),
        ("x" * 64 + "." + "x" * 65, ["▁" + "x" * 64, ".", "x" * 64, "x"]),
    ],
)
def test_units(text, expected):
    assert units(text) == expected


@examples(300)
@given(texts)
def test_units_spell_the_normal_text(text):
    found = units(text)
    assert join(found) == normal(text)
    assert all(len(unit.removeprefix(BLANK)) <= MAX_RUN for unit in found)
    assert units(join(found)) == found


@pytest.mark.parametrize("level", LEVELS)
@examples(60)
@given(texts)
def test_a_text_comes_back_if_its_characters_are_known(level, text):
    codec = SubwordCodec.learn([text], level, size=3000)
    ids = codec.encode(text)
    assert ids.dtype == np.int32
    assert UNK not in ids
    assert codec.decode(ids) == normal(text)


@pytest.mark.parametrize("level", LEVELS)
@examples(80)
@given(st.lists(texts, max_size=4))
def test_python_and_graph_encode_alike(level, rows):
    codec = learned(level)
    expected = in_python(codec, rows)
    assert expected == [codec.encode(row).tolist() for row in rows]
    ids, unit_of_token, words = twin(level).encode_with_units(strings(rows))
    assert ids.dtype == unit_of_token.dtype == tf.int32
    assert ids.to_list() == twin(level).encode(strings(rows)).to_list() == expected
    found = [[word.decode() for word in row] for row in words.to_list()]
    assert found == [[unit.removeprefix(BLANK) for unit in units(row)] for row in rows]
    for row, position, among in zip(rows, unit_of_token.to_list(), found, strict=True):
        assert [among[i] for i in position] == codec.words_of(row)


@pytest.mark.parametrize("level", LEVELS)
@examples(60)
@given(st.lists(st.one_of(st.binary(max_size=12), texts.map(str.encode)), max_size=4))
def test_invalid_bytes_count_as_the_replacement_character(level, rows):
    found = twin(level).encode(tf.constant(rows, tf.string)).to_list()
    assert found == in_python(learned(level), [row.decode("utf-8", "replace") for row in rows])


@pytest.mark.parametrize("glue", ["", "a"])
@every_code_point
def test_every_code_point_is_cut_alike(rest, glue):
    for part in parts(lines(rest, glue)):
        words = twin("word").encode_with_units(strings(part)).units.to_list()
        expected = [[unit.removeprefix(BLANK) for unit in units(row)] for row in part]
        assert [[word.decode() for word in row] for row in words] == expected


@st.composite
def many_merges(draw):
    """Subwords of few characters: much overlaps, and a token comes about in several ways."""
    alphabet = draw(st.sampled_from(["ab", "abc"]))
    tokens, merges = [BLANK, *alphabet], []
    for _ in range(draw(st.integers(0, 25))):
        pair = (draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens)))
        if pair not in merges and pair[1] != BLANK and len("".join(pair)) < 12:
            merges.append(pair)
            if "".join(pair) not in tokens:
                tokens.append("".join(pair))
    merges = draw(st.permutations(merges))
    return SubwordCodec("subword", Vocabulary((*SPECIAL_TOKENS, *tokens)), tuple(merges))


def one_by_one(codec, unit):
    """Byte-pair encoding as it is defined."""
    symbols = list(unit)
    while True:
        ranks = [
            (codec.merges.index(pair), i)
            for i, pair in enumerate(pairwise(symbols))
            if pair in codec.merges
        ]
        if not ranks:
            return codec.vocabulary.encode(symbols).tolist()
        _, i = min(ranks)
        symbols[i : i + 2] = ["".join(symbols[i : i + 2])]


@examples(100)
@given(many_merges(), st.lists(st.text("aabbcx☃ ", max_size=40), min_size=1, max_size=4))
def test_merges_are_those_of_the_library_and_of_the_definition(codec, rows):
    expected = [[i for unit in units(row) for i in one_by_one(codec, unit)] for row in rows]
    assert in_python(codec, rows) == expected
    assert in_graph(codec, rows) == expected


@pytest.mark.parametrize("text", ["aaaa", "aaaaa", "a" * 200, "abababa", "aaxaa", "aa☃aa", "xxxx"])
def test_overlapping_pairs_are_merged_from_the_left(text):
    tokens = (*SPECIAL_TOKENS, BLANK, "a", "b", "aa", "aaaa", "ab", "aba")
    merges = (("a", "a"), ("aa", "aa"), ("a", "b"), ("ab", "a"))
    codec = SubwordCodec("subword", Vocabulary(tokens), merges)
    model = BPE({t: i for i, t in enumerate(tokens)}, list(merges), unk_token="<unk>")
    expected = [token.id for unit in units(text) for token in model.tokenize(unit)]
    assert codec.encode(text).tolist() == expected
    assert in_graph(codec, [text]) == [expected]
    assert expected == [i for unit in units(text) for i in one_by_one(codec, unit)]


@pytest.mark.parametrize("level", LEVELS)
@examples(100)
@given(st.data())
def test_python_and_graph_decode_alike(level, data):
    codec = learned(level)
    ids = st.one_of(st.integers(0, len(codec.vocabulary) - 1), st.sampled_from([PAD, UNK, EOS]))
    rows = data.draw(st.lists(st.lists(ids), min_size=1, max_size=4))
    expected = [codec.decode(row) for row in rows]
    ragged = tf.ragged.constant(rows, tf.int32, ragged_rank=1)
    assert [text.decode() for text in twin(level).decode_ragged(ragged).numpy()] == expected
    # what stands behind a row's end does not count
    padded, lengths = ragged.to_tensor(UNK), tf.cast(ragged.row_lengths(), tf.int32)
    assert [text.decode() for text in twin(level).decode(padded, lengths).numpy()] == expected
    words = [[data.draw(st.sampled_from(["Ulm", "木", "3"])) for _ in row] for row in rows]
    expected = [codec.decode(row, copies) for row, copies in zip(rows, words, strict=True)]
    copies = tf.ragged.constant(words, tf.string, ragged_rank=1)
    found = twin(level).copy(padded, lengths, copies.to_tensor())
    assert [text.decode() for text in found.numpy()] == expected
    found = GraphSubwordCodec(codec).decode(ragged, copies=copies)
    assert [text.decode() for text in found.numpy()] == expected


def test_what_is_unknown_is_a_word_of_its_own():
    tokens = (*SPECIAL_TOKENS, "▁the", "▁dog", ".", "▁")
    codec = SubwordCodec("subword", Vocabulary(tokens))
    for ids, text in {
        (4, UNK, 5, 6): "the <unk> dog.",
        (BOS, UNK, 6, EOS, PAD, PAD): "<unk>.",
        (4, 7, UNK, UNK, 5): "the <unk> <unk> dog",
        (7, 7, 4, 7): "the",
        (): "",
        (PAD, EOS): "",
    }.items():
        assert codec.decode(ids) == text
        padded = tf.constant([ids], tf.int32)
        assert GraphSubwordCodec(codec).decode(padded).numpy().tolist() == [text.encode()]
    assert codec.decode([4, UNK, 6], ["", "Ulm", ""]) == "the Ulm."
    assert codec.pieces([BOS, 4, UNK, EOS]) == ["<bos>", "▁the", "<unk>", "<eos>"]


def test_words():
    codec = SubwordCodec.learn(["b a. a", "a . B"], "word", size=7)
    assert codec.vocabulary.tokens[4:] == ("▁a", ".", "▁.")
    assert codec.encode("a. c .").tolist() == [4, 5, UNK, 6]
    assert codec.words_of("a. c!") == ["a", ".", "c", "!"]
    assert codec.merges == ()
    fewer = SubwordCodec.learn(["b a. a", "a . B"], "word", size=7, min_count=2)
    assert fewer.vocabulary.tokens[4:] == ("▁a",)


def test_subwords():
    codec = SubwordCodec.learn(["low low low low lower newest newest widest"], "subword", size=18)
    # the characters, BLANK the last of them, and what merges
    assert codec.vocabulary.tokens[4:15] == (*"deilnorstw", BLANK)
    assert [a + b for a, b in codec.merges] == list(codec.vocabulary.tokens[15:])
    assert codec.pieces(codec.encode("lowest")) == ["▁low", "e", "s", "t"]
    assert codec.words_of("lowest, x") == ["lowest"] * 4 + [","] + ["x"] * 2
    assert codec.encode("x木").tolist() == [14, UNK, UNK]


def test_learning_gives_the_same_again():
    first = SubwordCodec.learn(TEXTS, "subword", 120)
    assert parts_of(SubwordCodec.learn(TEXTS, "subword", 120)) == parts_of(first)
    backwards = [" ".join(text.split()[::-1]) for text in TEXTS[::-1]]
    assert parts_of(SubwordCodec.learn(backwards, "subword", 120)) == parts_of(first)
    assert len(first.vocabulary) == 120
    assert first.vocabulary.tokens[:4] == SPECIAL_TOKENS


@pytest.mark.parametrize("size", [0, 4, 5, 6, 10])
def test_fewer_ids_than_characters(size):
    codec = SubwordCodec.learn(["abcd abc ab a e"], "subword", size)
    assert codec.vocabulary.tokens[4:] == tuple(sorted("▁abcde"[: max(0, size - 4)]))
    assert codec.merges == ()
    rows = ["abe", "", "▁", "e e"]
    assert in_graph(codec, rows) == in_python(codec, rows)
    assert codec.decode(codec.encode("a")) == (
        "a" if size > 5 else "<unk>" if size == 5 else "<unk> <unk>"
    )


def test_what_is_rare_is_unknown_and_no_pair_reaches_across_it():
    codec = SubwordCodec.learn(["axb ab"] + ["a b"] * 8, "subword", size=100, min_count=2)
    assert "x" not in codec.vocabulary.tokens
    # with x left out, "ab" would seem to be there twice
    assert "ab" not in codec.vocabulary.tokens
    assert codec.pieces(codec.encode("axb")) == ["▁a", "<unk>", "b"]


@pytest.mark.parametrize("level", LEVELS)
def test_nothing(level):
    codec = SubwordCodec.learn(["", " \n"], level, size=100)
    assert len(codec.vocabulary) == (5 if level == "subword" else 4)
    for text in ("", " \n\u2581"):
        assert codec.encode(text).shape == (0,)
        assert codec.encode(text).dtype == np.int32
        assert codec.words_of(text) == []
    assert codec.encode_all([]) == []
    module = GraphSubwordCodec(codec)
    assert module.encode(tf.zeros([0], tf.string)).to_list() == []
    assert module.encode(tf.constant(["", "a", " "])).to_list() == in_python(codec, ["", "a", " "])
    assert module.decode(tf.zeros([0, 3], tf.int32)).shape == (0,)
    assert module.decode(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("text", ["a" * 10**6, "ab" * 500_000, "." * 10**6, "aah " * 250_000])
def test_a_million_characters(level, text):
    start = time.perf_counter()
    ids = learned(level).encode(text)
    assert twin(level).encode(tf.constant([text, "the"])).to_list() == [
        ids.tolist(),
        learned(level).encode("the").tolist(),
    ]
    assert time.perf_counter() - start < 30


def test_a_batch_is_encoded_in_time():
    batch = tf.constant([" ".join([*TEXTS[0].split()[i % 8 :], TEXTS[2]]) for i in range(64)])
    took = []
    for _ in range(20):
        start = time.perf_counter()
        twin("subword").encode(batch)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.02


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_saved_is_loaded(level, tmp_path):
    path = tmp_path / "codec.json"
    learned(level).save(path)
    assert parts_of(SubwordCodec.load(path)) == parts_of(learned(level))


SPECIALS = '"<pad>", "<unk>", "<bos>", "<eos>"'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"level": "word", "tokens": "<pad>", "merges": []}',
        '{"level": "word", "tokens": ["a"], "merges": []}',
        f'{{"level": "letter", "tokens": [{SPECIALS}], "merges": []}}',
        f'{{"level": "word", "tokens": [{SPECIALS}, 3], "merges": []}}',
        f'{{"level": "word", "tokens": [{SPECIALS}, "a", "a"], "merges": []}}',
        f'{{"level": "word", "tokens": [{SPECIALS}, "a", "aa"], "merges": ["a a"]}}',
        f'{{"level": "subword", "tokens": [{SPECIALS}, "a"], "merges": ["a a"]}}',
        f'{{"level": "subword", "tokens": [{SPECIALS}, "a", "aa"], "merges": ["a a a"]}}',
        f'{{"level": "subword", "tokens": [{SPECIALS}, "a", "aa"], "merges": [3]}}',
        f'{{"level": "subword", "tokens": [{SPECIALS}, "a", "aa"], "merges": ["a a", "a a"]}}',
        f'{{"level": "subword", "tokens": [{SPECIALS}, "a", "aa"]',
    ],
)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "codec.json"
    path.write_text(content)
    with pytest.raises(UserError, match="is not a vocabulary of subwords"):
        SubwordCodec.load(path)
    with pytest.raises(UserError):
        SubwordCodec.load(tmp_path / "none.json")


def test_only_subwords_need_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert len(SubwordCodec.learn(TEXTS, "word", 30).encode("the house")) == 2
    with pytest.raises(UserError, match=r"needs the package tokenizers: pip install 'tokenizers"):
        SubwordCodec.learn(TEXTS, "subword", 30)


LOADS = """
import sys
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
for there_and_back in (loaded.word, loaded.subword):
    ids, texts = there_and_back(tf.constant(sys.argv[2:]))
    print(ids.numpy().tolist(), [text.decode() for text in texts.numpy()])
assert not {"kerasseq", "tokenizers"} & set(sys.modules)
"""


def there_and_back(codec):
    ops = GraphSubwordCodec(codec)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def run(texts):
        ids, unit_of_token, words = ops.encode_with_units(texts)
        copies = tf.gather(words, unit_of_token, batch_dims=1)
        return ids.to_tensor(PAD), ops.decode(ids, copies=copies)

    return ops, run


@pytest.mark.gate
def test_a_saved_model_needs_tensorflow_alone(tmp_path):
    module = tf.Module()
    module.words, module.word = there_and_back(learned("word"))
    module.subwords, module.subword = there_and_back(learned("subword"))
    tf.saved_model.save(module, str(tmp_path / "model"))
    rows = ["The newest Häuser!", "", "木 Ulm x"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = warm.run(["-c", LOADS, tmp_path / "model", *rows], cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    expected = ""
    for level in LEVELS:
        codec = learned(level)
        ids = [codec.encode(row).tolist() for row in rows]
        width = max(map(len, ids))
        texts = [codec.decode(i, codec.words_of(row)) for i, row in zip(ids, rows, strict=True)]
        expected += f"{[row + [PAD] * (width - len(row)) for row in ids]} {texts}\n"
    assert done.stdout == expected
