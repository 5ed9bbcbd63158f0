"""Pairs as ids and as batches: every pair once an epoch, long ones left out and counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.batches import TokenBatchSettings
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import Pair
from kerasseq.errors import UserError
from kerasseq.tasks.translation.data import (
    EncodedPairs,
    PairBatches,
    batch_of,
    encode_corpus,
    encode_pairs,
    encode_sources,
    summary,
)
from kerasseq.tasks.translation.settings import PairTextSettings
from kerasseq.text.subwords import SubwordCodec
from kerasseq.text.vocabulary import BOS, EOS, PAD, UNK

WORDS = PairTextSettings(level="word", min_count=1)


def ended(*ids):
    return np.array([*ids, EOS], np.int32)


def corpus(train, held_out=(("a b", "x y"),)):
    """A corpus of the given training pairs; the other splits are alike."""
    splits = {"train": train, "validation": held_out, "test": held_out}
    splits = {name: [Pair(*pair, pair[0]) for pair in part] for name, part in splits.items()}
    return Corpus("made up", splits, languages=("en", "xx"))


# -- batches ---------------------------------------------------------------------------------------


def test_batch_of_begins_shifts_and_pads():
    batch = batch_of([ended(4, 5, 6), ended(7)], [ended(8), ended(4, 5)])
    assert {name: array.tolist() for name, array in batch.items()} == {
        "source": [[4, 5, 6, EOS], [7, EOS, PAD, PAD]],
        "source_lengths": [4, 2],
        "inputs": [[BOS, 8, PAD], [BOS, 4, 5]],
        "targets": [[8, EOS, PAD], [4, 5, EOS]],
        "weights": [[1, 1, 0], [1, 1, 1]],
    }
    dtypes = {name: array.dtype for name, array in batch.items()}
    assert dtypes.pop("weights") == np.float32
    assert set(dtypes.values()) == {np.dtype(np.int32)}


sentences = st.lists(st.integers(4, 9), max_size=9).map(lambda ids: ended(*ids))
pairs = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=30)


@given(pairs, st.integers(1, 5))
def test_batch_of_any_pairs(pairs, multiple):
    sources, targets = zip(*pairs, strict=True)
    batch = batch_of(sources, targets, multiple)
    size, width = batch["source"].shape[1], batch["targets"].shape[1]
    assert size % multiple == width % multiple == 0
    assert size - multiple < max(map(len, sources)) <= size
    assert width - multiple < max(map(len, targets)) <= width
    for row, (source, target) in enumerate(pairs):
        assert batch["source_lengths"][row] == len(source)
        assert batch["source"][row].tolist() == [*source, *[PAD] * (size - len(source))]
        left = [PAD] * (width - len(target))
        assert batch["targets"][row].tolist() == [*target, *left]
        assert batch["inputs"][row].tolist() == [BOS, *target[:-1], *left]
        assert batch["weights"][row].tolist() == [1.0] * len(target) + [0.0] * len(left)


@given(
    pairs,
    st.builds(
        TokenBatchSettings,
        tokens=st.integers(1, 60),
        pool=st.integers(1, 40),
        pad_to_multiple=st.integers(1, 4),
    ),
    st.integers(0, 9),
    st.integers(0, 3),
)
def test_every_pair_is_there_once_an_epoch(pairs, settings, seed, number):
    sources, targets = map(list, zip(*pairs, strict=True))
    split = EncodedPairs([Pair("", "", "")] * len(pairs), sources, targets)
    batches = PairBatches(split, settings, seed)
    epoch = batches.epoch(number)
    assert sorted(np.concatenate(epoch).tolist()) == list(range(len(pairs)))
    for item in epoch:
        batch = batches.fetch(item)
        wanted = batch_of(
            [sources[i] for i in item], [targets[i] for i in item], settings.pad_to_multiple
        )
        for name, array in wanted.items():
            np.testing.assert_array_equal(batch[name], array)
        positions = max(batch["source"].size, batch["targets"].size)
        assert positions <= settings.tokens or len(item) == 1
        assert batches.tokens(item) == batch["weights"].sum()
    again = PairBatches(split, settings, seed)
    again.epoch(number + 1)
    assert [item.tolist() for item in again.epoch(number)] == [item.tolist() for item in epoch]


def test_epochs_and_seeds_differ():
    split = EncodedPairs(
        [Pair("", "", "")] * 40, [ended(4 + i % 5) for i in range(40)], [ended(4)] * 40
    )
    settings = TokenBatchSettings(tokens=8)
    orders = {
        str([item.tolist() for item in PairBatches(split, settings, seed).epoch(number)])
        for seed in (1, 2)
        for number in (0, 1)
    }
    assert len(orders) == 4


# -- encoding --------------------------------------------------------------------------------------


def test_encode_sources_cuts_and_ends():
    codec = SubwordCodec.learn(["a b c d"], "word", 50)
    whole = codec.encode("a b c d").tolist()
    found = encode_sources(["a b c d", "b", "", "zzz"], codec, 3)
    assert [ids.tolist() for ids in found] == [
        [*whole[:3], EOS], [whole[1], EOS], [EOS], [UNK, EOS],
    ]  # fmt: skip
    assert {ids.dtype for ids in found} == {np.dtype(np.int32)}
    exact = encode_sources(["a b c d"], codec, 4)[0]
    assert exact.tolist() == [*whole, EOS]


def test_one_vocabulary_or_two():
    train = [("a b", "x y"), ("a c", "x z"), ("b", "y")]
    joint = encode_corpus(corpus(train), WORDS)
    assert joint.assets.source_codec is joint.assets.target_codec
    tokens = set(joint.assets.source_codec.vocabulary.tokens[4:])
    assert tokens == {"▁" + letter for letter in "abcxyz"}
    apart = encode_corpus(corpus(train), PairTextSettings(level="word", min_count=1, joint=False))
    assert set(apart.assets.source_codec.vocabulary.tokens[4:]) == {"▁a", "▁b", "▁c"}
    assert set(apart.assets.target_codec.vocabulary.tokens[4:]) == {"▁x", "▁y", "▁z"}
    assert (apart.report["vocabulary"], apart.report["source_vocabulary"]) == (7, 7)
    assert joint.report["vocabulary"] == joint.report["source_vocabulary"] == 10
    for data in (joint, apart):
        for name, split in data.splits.items():
            assert len(split) == data.report["splits"][name]["examples"]
            for pair, source, target in zip(split.pairs, split.sources, split.targets, strict=True):
                assert source[-1] == target[-1] == EOS
                assert data.assets.source_codec.decode(source) == pair.source
                assert data.assets.target_codec.decode(target) == pair.target
        assert data.assets.languages == ("en", "xx")


def test_vocabularies_know_the_train_split_only():
    data = encode_corpus(corpus([("a b", "x y")] * 3, [("a q", "x q")]), WORDS)
    assert "▁q" not in data.assets.source_codec.vocabulary.tokens
    (source,), (target,) = (data.splits["test"].sources, data.splits["test"].targets)
    assert source[1] == target[1] == UNK
    assert data.report["splits"]["test"]["unknown_share"] == pytest.approx(1 / 3, abs=1e-4)
    assert data.report["splits"]["train"]["unknown_share"] == 0
    rare = encode_corpus(
        corpus([("a b", "x y"), ("a", "x")]), PairTextSettings(level="word", min_count=2)
    )
    assert set(rare.assets.source_codec.vocabulary.tokens[4:]) == {"▁a", "▁x"}
    few = encode_corpus(
        corpus([("a b", "x y")] * 3), PairTextSettings(level="word", vocabulary_size=6)
    )
    assert len(few.assets.source_codec.vocabulary) == 6


def test_long_pairs_are_left_out_of_training_and_counted():
    train = [("a b", "x y"), ("a b c", "x"), ("a", "x y z"), ("b", "y z")]
    held_out = [("a b a b a", "x y z x y")]
    short = PairTextSettings(level="word", min_count=1, max_length=2)
    data = encode_corpus(corpus(train, held_out), short)
    kept = [(pair.source, pair.target) for pair in data.splits["train"].pairs]
    assert kept == [train[0], train[3]]
    assert data.report["notes"] == ["2 training pairs left out with more than 2 tokens"]
    assert data.report["splits"]["train"]["examples"] == 2
    assert data.report["splits"]["train"]["tokens"] == 6
    assert max(map(len, data.splits["train"].sources)) == 3  # EOS is not counted
    # nothing is left out of the others, and nothing is cut
    assert [len(ids) for ids in data.splits["test"].sources] == [6]
    assert [len(ids) for ids in data.splits["validation"].targets] == [6]
    none = encode_corpus(corpus(train), WORDS)
    assert none.report["notes"] == []
    with pytest.raises(UserError, match="made up: no training pair has at most 1 tokens"):
        encode_corpus(corpus(train[:3]), PairTextSettings(level="word", min_count=1, max_length=1))


def test_the_report():
    codec = SubwordCodec.learn(["a b c"], "word", 50)
    made = [Pair("a b", "a", "a b"), Pair("c", "b q c", "c"), Pair("", "", "")]
    split = encode_pairs(made, codec, codec)
    report = summary(split)
    assert len(split) == 3
    assert report["sha256"] == summary(encode_pairs(made, codec, codec))["sha256"]
    for other in (made[::-1], [*made[:2], Pair("a", "", "")], [Pair("a", "b a", ""), *made[1:]]):
        assert summary(encode_pairs(other, codec, codec))["sha256"] != report["sha256"]
    assert {**report, "sha256": None, "length_percentiles": None} == {
        "examples": 3, "labels": {}, "tokens": 2 + 4 + 1, "source_tokens": 3 + 2 + 1,
        "unknown_share": round(1 / 7, 4), "length_percentiles": None, "sha256": None,
    }  # fmt: skip
    assert report["length_percentiles"]["p100"] == 4


def test_subwords_are_deterministic_and_come_back():
    train = [("the lower town", "die untere stadt"), ("the newest", "die neuesten")] * 4
    settings = PairTextSettings(vocabulary_size=60)
    first, second = (encode_corpus(corpus(train, train[:2]), settings) for _ in range(2))
    assert first.report == second.report
    assert (
        first.assets.source_codec.vocabulary.tokens == second.assets.source_codec.vocabulary.tokens
    )
    for name, split in first.splits.items():
        for mine, his in zip(split.sources, second.splits[name].sources, strict=True):
            np.testing.assert_array_equal(mine, his)
        for pair, ids in zip(split.pairs, split.targets, strict=True):
            assert first.assets.target_codec.decode(ids) == pair.target
            assert len(ids) > len(pair.target.split())
