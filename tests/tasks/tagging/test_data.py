import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.batches import TokenBatchSettings
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import TaggedSentence
from kerasseq.tasks.tagging.data import (
    UNKNOWN_TAG,
    TaggedBatches,
    WordTable,
    encode_corpus,
    encode_test,
)
from kerasseq.text.word_features import WordFeatures, WordSettings

SETTINGS = WordSettings(min_count=1, character_min_count=1, affix_min_count=1, affixes=2)


def sentence(rows, names=("upos", "xpos")):
    """``word/tag/tag`` ..."""
    words, *columns = zip(*(row.split("/") for row in rows.split()), strict=True)
    return TaggedSentence(
        list(words), {name: list(tags) for name, tags in zip(names, columns, strict=False)}
    )


TRAIN = [sentence("the/DET/dt old/ADJ/jj man/NOUN/nn"), sentence("the/DET/dt boats/NOUN/nns")]
CORPUS = Corpus(
    "made up",
    {
        "train": TRAIN,
        "validation": [sentence("old/NOUN/nn boats/NOUN/nns")],
        "test": [sentence("the/DET/dt ships/PROPN/nnps")],
    },
    ["a note"],
)


def test_tags_are_numbered_by_the_train_split():
    data = encode_corpus(CORPUS, "upos", SETTINGS)
    assert data.assets.names == ["ADJ", "DET", "NOUN"]
    assert [tags.tolist() for tags in data.splits["train"].tags] == [[1, 0, 2], [1, 2]]
    assert data.splits["test"].tags[0].tolist() == [1, UNKNOWN_TAG] == [1, -1]
    assert data.splits["test"].rows("upos") == ([["the", "ships"]], [["DET", "PROPN"]])
    assert data.assets.baseline.tag(["old", "boats"]) == ["ADJ", "NOUN"]
    assert encode_corpus(CORPUS, "xpos", SETTINGS).assets.names == ["dt", "jj", "nn", "nns"]


def test_the_report_counts():
    report = encode_corpus(CORPUS, "upos", SETTINGS).report
    assert (report["source"], report["notes"]) == ("made up", ["a note"])
    assert report["classes"] == ["ADJ", "DET", "NOUN"]
    assert report["vocabulary"] == 4 + 4
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert (train["examples"], train["tokens"], train["unknown_share"]) == (2, 5, 0)
    assert train["labels"] == {"DET": 2, "NOUN": 2, "ADJ": 1}
    assert train["length_percentiles"]["p100"] == 3
    assert (test["labels"], test["unknown_share"]) == ({"DET": 1, "PROPN": 1}, 0.5)


def digests(corpus, column="upos"):
    splits = encode_corpus(corpus, column, SETTINGS).report["splits"]
    return {name: split["sha256"] for name, split in splits.items()}


@pytest.mark.parametrize(
    "changed",
    [
        "old/ADJ/nn boats/NOUN/nns",
        "Old/NOUN/nn boats/NOUN/nns",
        "boats/NOUN/nns old/NOUN/nn",
        "old/NOUN/nn",
    ],
)
def test_the_digest_is_of_words_order_and_tags(changed):
    splits = {**CORPUS.splits, "validation": [sentence(changed)]}
    before, after = digests(CORPUS), digests(dataclasses.replace(CORPUS, splits=splits))
    assert {name for name in before if before[name] != after[name]} == {"validation"}


def test_the_digest_is_of_the_column_learned_alone():
    splits = {**CORPUS.splits, "validation": [sentence("old/NOUN/jj boats/NOUN/nns")]}
    other = dataclasses.replace(CORPUS, splits=splits)
    assert digests(CORPUS) == digests(other)
    assert digests(CORPUS, "xpos")["validation"] != digests(other, "xpos")["validation"]


def test_where_a_sentence_ends_is_in_the_digest():
    together = [sentence("a/X/x b/Y/y")]
    apart = [sentence("a/X/x"), sentence("b/Y/y")]
    first, second = (
        digests(Corpus("", {"train": TRAIN, "validation": TRAIN, "test": part}))["test"]
        for part in (together, apart)
    )
    assert first != second


def test_other_data_is_encoded_for_a_trained_model():
    data = encode_corpus(CORPUS, "upos", SETTINGS)
    for name in ("test", "all"):
        other = Corpus("other", {name: [sentence("ships/NOUN/x sail/VERB/y")]})
        encoded = encode_test(other, name, "upos", data.assets)
        assert set(encoded.splits) == {"test"}
        assert encoded.splits["test"].tags[0].tolist() == [2, -1]
        assert encoded.report["splits"][name]["unknown_share"] == 1
    several = Corpus("other", {"train": TRAIN, "test": CORPUS.splits["test"]})
    assert (
        encode_test(several, "test", "upos", data.assets).splits["test"].sentences
        == several.splits["test"]
    )


word = st.text("aeéx\u0301", min_size=1, max_size=5)
tagged = st.lists(
    st.lists(st.tuples(word, st.sampled_from("XYZ")), min_size=1).map(
        lambda rows: TaggedSentence([row[0] for row in rows], {"upos": [row[1] for row in rows]})
    ),
    min_size=1,
    max_size=12,
)


@given(tagged, st.integers(1, 30), st.integers(1, 4), st.integers(0, 3))
def test_batches_hold_the_words_and_tags_of_their_sentences(sentences, tokens, multiple, epoch):
    data = encode_corpus(
        Corpus("", {"train": sentences, "validation": sentences}), "upos", SETTINGS
    )
    settings = TokenBatchSettings(tokens=tokens, pool=5, pad_to_multiple=multiple)
    batches = TaggedBatches(data.splits["train"], settings, seed=1)
    for item in batches.epoch(epoch):
        batch = batches.fetch(item)
        index = batch["index"]
        assert all(part.dtype == np.int32 for part in batch.values())
        assert index.shape == batch["tags"].shape
        assert index.shape[1] % multiple == 0
        assert batches.tokens(item) == np.count_nonzero(index)
        assert not any(batch[name][0].any() for name in ("words", "characters", "affixes"))
        assert len(batch["words"]) == len(set(index[index > 0])) + 1
        for row, number in enumerate(item):
            sentence, length = sentences[number], len(sentences[number])
            features = data.assets.features.encode(sentence.words)
            at = index[row, :length]
            assert batch["words"][at].tolist() == features.words.tolist()
            assert batch["affixes"][at].tolist() == features.affixes.tolist()
            for ours, theirs in zip(batch["characters"][at], features.characters, strict=True):
                assert ours[ours > 0].tolist() == theirs[theirs > 0].tolist()
            ids = batch["tags"][row]
            assert [data.assets.names[i] for i in ids[:length]] == sentence.columns["upos"]
            assert not ids[length:].any()
            assert not index[row, length:].any()


def test_a_table_encodes_a_word_once_and_cuts_the_width_of_characters():
    features = WordFeatures.from_sentences([["a", "bb", "ccccc"]], SETTINGS)
    table = WordTable(features, [["bb", "a", "bb"], ["ccccc"]])
    assert [sequence.tolist() for sequence in table.sequences] == [[1, 2, 1], [3]]
    inputs = table.inputs(table.sequences[:1])
    assert inputs["index"].tolist() == [[1, 2, 1]]
    assert inputs["characters"].shape == (3, 4)
    assert table.inputs(table.sequences)["characters"].shape == (4, 7)
