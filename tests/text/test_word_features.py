import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.tasks.tagging.data import WordTable
from kerasseq.text.vocabulary import PAD, UNK
from kerasseq.text.word_features import WordFeatures, WordSettings, affixes_of, normal_form
from kerasseq.text.word_features_graph import WordFeatureOps
from tests.examples import examples

PLENTY = WordSettings(min_count=1, character_min_count=1, affix_min_count=1)


def features_of(*words, **changes):
    return WordFeatures.from_sentences([words], WordSettings(**{**PLENTY.to_dict(), **changes}))


def tokens(vocabulary, ids):
    return [vocabulary.tokens[i] for i in ids]


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("U2", "u0"),
        ("1987", "0000"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("e\u0301tude", "étude"),
        ("Étude", "étude"),
        ("\u0661\u00b2", "\u0661\u00b2"),  # digits, but not ASCII's
        ("\u212b", "å"),
    ],
)
def test_normal_form(word, form):
    assert normal_form(word) == form


def test_affixes_are_none_where_the_word_is_shorter():
    assert affixes_of("ab", 3) == ["a…", "ab…", None, "…b", "…ab", None]
    assert affixes_of("ab", 0) == []


def test_a_word_by_its_id_characters_and_affixes():
    features = features_of("Sings", "sang", affixes=2)
    words, characters, affixes = features.encode(["SINGS", "sing", "s"])
    assert tokens(features.words, words) == ["sings", "<unk>", "<unk>"]
    assert tokens(features.characters, characters[1]) == [
        "<bos>", "s", "i", "n", "g", "<eos>", "<pad>"
    ]  # fmt: skip
    assert tokens(features.affixes, affixes[0]) == ["s…", "si…", "…s", "…gs"]
    assert tokens(features.affixes, affixes[2]) == ["s…", "<pad>", "…s", "<pad>"]


def test_case_counts_in_characters_alone():
    features = features_of("Abc", "abc")
    words, characters, affixes = features.encode(["Abc", "abc"])
    assert words[0] == words[1] != UNK
    assert characters[0].tolist() != characters[1].tolist()
    assert affixes[0].tolist() == affixes[1].tolist()


def test_combining_marks_are_composed():
    features = features_of("été")
    for ours, theirs in zip(
        features.encode(["e\u0301te\u0301"]), features.encode(["été"]), strict=True
    ):
        assert ours.tolist() == theirs.tolist()
        assert UNK not in ours


@pytest.mark.parametrize("longest", [2, 5, 40])
def test_of_a_word_of_2000_characters_both_ends_are_read(longest):
    features = features_of("a" * 1000 + "b" * 1000, max_characters=longest)
    _, characters, _ = features.encode(["a" * 1000 + "b" * 1000])
    head, tail = "a" * (longest // 2), "b" * (longest - longest // 2)
    assert tokens(features.characters, characters[0]) == ["<bos>", *head, *tail, "<eos>"]


def test_words_that_spell_special_tokens_are_unknown():
    features = features_of("<pad>", "<unk>", "<bos>", "<eos>", "fine")
    words, characters, _ = features.encode(["<pad>", "<unk>", "<bos>", "<eos>", "fine"])
    assert words.tolist() == [UNK, UNK, UNK, UNK, 4]
    assert tokens(features.characters, characters[0])[1:6] == list("<pad>")


def test_rare_words_characters_and_affixes_have_no_id():
    sentences = [["aaa", "aaa", "bab"], ["cab"]]
    settings = WordSettings(
        min_count=2, character_min_count=2, affix_min_count=2, affixes=1, vocabulary_size=5
    )
    features = WordFeatures.from_sentences(sentences, settings)
    assert features.words.tokens[4:] == ("aaa",)
    assert features.characters.tokens[4:] == ("a", "b")  # once a word: aaa counts thrice, not six
    assert features.affixes.tokens[4:] == ("…b",)


def test_affixes_can_be_turned_off():
    features = features_of("word", affixes=0)
    assert features.encode(["word", "x"]).affixes.shape == (2, 0)
    assert features.encode([]).characters.shape[0] == 0


words = st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1)
# Letters, marks, jamo, expansions and specials that meet each other, which words seldom do.
awkward = st.text(
    st.sampled_from(
        "aeAE09\u0301\u0323\u0308\u0345\u0338\u1100\u1161\u11a8\uac00\u09c7\u09beİıßΣςÅ\u212b"
        "\u0344\u1e9e\ufb01\u2adc\u0f73\u0f71\u0f72❤\ufe0f\u200d…<\x00"
    ),
    min_size=1,
)
special = st.sampled_from(["<pad>", "<unk>", "…", "a" * 2000, "é" * 41, "\u0301", "\ufffd"])
word = st.one_of(words, awkward, special, st.text("ab", min_size=1, max_size=3))
sentences = st.lists(st.lists(word, max_size=6), min_size=1, max_size=4)


@examples(60)
@given(st.lists(words | awkward | st.just("a\rb"), min_size=1))
def test_vocabularies_are_read_as_they_were_written(tmp_path_factory, seen):
    folder = tmp_path_factory.mktemp("vocabularies")
    features = features_of(*seen)
    features.save(folder)
    loaded = WordFeatures.load(folder, features.settings)
    for ours, theirs in zip(features.encode(seen), loaded.encode(seen), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def in_graph(features, sentences):
    """The graph's inputs for some sentences, as NumPy arrays."""
    encoded = [[word.encode() for word in sentence] for sentence in sentences]
    ragged = tf.ragged.constant(encoded, tf.string, ragged_rank=1)
    index, parts = WordFeatureOps(features)(ragged)
    return {name: part.numpy() for name, part in {"index": index.to_tensor(0), **parts}.items()}


def assert_agree(features, sentences):
    table = WordTable(features, sentences)
    expected = table.inputs(table.sequences)
    found = in_graph(features, sentences)
    assert set(found) == set(expected)
    for name, part in expected.items():
        assert found[name].dtype == part.dtype == np.int32
        np.testing.assert_array_equal(found[name], part, err_msg=name)


@examples(60)
@given(
    sentences.filter(any), st.lists(word, max_size=8), st.integers(2, 7), st.integers(0, 5)
)  # fmt: skip
def test_python_and_graph_agree(sentences, others, longest, affixes):
    """Where training saw every second word and some that do not occur."""
    seen = [*[word for sentence in sentences for word in sentence][::2], *others]
    assert_agree(features_of(*seen, max_characters=longest, affixes=affixes), sentences)


def changing():
    """Every letter that normalisation or case folding changes or moves."""
    letters = (chr(code) for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF)
    return [c for c in letters if unicodedata.combining(c) or normal_form(c) != c]


def test_every_letter_that_changes_agrees_alone_and_behind_another():
    letters = changing()
    behind = [f"e{letter}" for letter in letters]
    assert_agree(features_of(*letters[::2], *behind[::2], affixes=1), [letters, behind])


def test_a_word_that_comes_again_is_encoded_once():
    features = features_of("a", "b")
    found = in_graph(features, [["b", "a", "b"], ["a"]])
    assert found["index"].tolist() == [[1, 2, 1], [2, 0, 0]]
    assert tokens(features.words, found["words"]) == ["<pad>", "b", "a"]
    assert_agree(features, [["b", "a", "b"], ["a"]])


def test_equivalent_spellings_are_words_of_their_own_with_equal_features():
    features = features_of("é")
    found = in_graph(features, [["é", "e\u0301"]])
    assert found["index"].tolist() == [[1, 2]]
    for name in ("words", "characters", "affixes"):
        assert found[name][1].tolist() == found[name][2].tolist()


def test_empty_rows_and_an_empty_batch():
    features = features_of("a", "b")
    assert in_graph(features, [[], ["a", "b"], []])["index"].tolist() == [[0, 0], [1, 2], [0, 0]]
    nothing = in_graph(features, [[], []])
    assert nothing["index"].shape == (2, 0)
    assert nothing["words"].tolist() == [PAD]
    assert nothing["characters"].tolist() == [[PAD]]  # one column at least, for the network
    assert nothing["affixes"].tolist() == [[PAD] * 8]


def test_bytes_that_are_not_utf8_are_replacement_characters():
    features = features_of("a\ufffd")
    words = tf.ragged.constant([[b"a\xff", b"a"]], tf.string, ragged_rank=1)
    _, found = WordFeatureOps(features)(words)
    assert tokens(features.words, found["words"].numpy()) == ["<pad>", "a\ufffd", "<unk>"]
    spelled = tokens(features.characters, found["characters"].numpy()[1])
    assert spelled == ["<bos>", "a", "\ufffd", "<eos>"]
