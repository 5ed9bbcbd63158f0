import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.batches import (
    BatchSettings,
    LabelledBatches,
    blocks,
    pad,
    padding_waste,
    shuffled_batches,
    sorted_batches,
)

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=80).map(np.array)
settings = st.builds(
    BatchSettings, st.integers(1, 9), st.integers(1, 5), pad_to_multiple=st.integers(1, 9)
)


@given(lengths, settings, st.integers(0, 9), st.integers(0, 3))
def test_an_epoch_holds_every_sequence_once(lengths, settings, seed, epoch):
    batches = shuffled_batches(lengths, settings, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(0 < len(batch) <= settings.size for batch in batches)
    again = shuffled_batches(lengths, settings, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_epochs_and_seeds_differ():
    lengths = np.arange(1, 101)
    first, *others = (
        np.concatenate(shuffled_batches(lengths, BatchSettings(size=4, pool=5), seed, epoch))
        for seed, epoch in [(1, 0), (1, 1), (2, 0)]
    )
    assert not any(np.array_equal(first, other) for other in others)


@given(lengths, settings, st.integers(0, 9))
def test_rows_are_right_padded_and_keep_their_tokens(lengths, settings, seed):
    sequences = [np.arange(1, n + 1, dtype=np.int32) for n in lengths]
    batches = LabelledBatches(sequences, lengths.astype(np.int32), settings, seed)
    cells = tokens = 0
    for item in batches.epoch(0):
        batch = batches.fetch(item)
        assert batch["ids"].shape[1] % settings.pad_to_multiple == 0
        assert batch["ids"].shape[1] - batch["lengths"].max() < settings.pad_to_multiple
        for row, n, label in zip(batch["ids"], batch["lengths"], batch["label"], strict=True):
            assert label == n
            assert row[:n].tolist() == list(range(1, n + 1))
            assert not row[n:].any()
        assert batches.tokens(item) == batch["lengths"].sum()
        cells += batch["ids"].size
        tokens += batches.tokens(item)
    assert tokens == lengths.sum()
    waste = padding_waste(lengths, batches.epoch(0), settings.pad_to_multiple)
    assert np.isclose(waste, 1 - tokens / cells)


def test_bucketing_wastes_little_on_lengths_like_reviews():
    random = np.random.default_rng(0)
    lengths = np.minimum(random.lognormal(5.3, 0.6, 20_000).astype(int) + 1, 400)
    waste = padding_waste(lengths, shuffled_batches(lengths, BatchSettings(), 1, 0), 1)
    arrival = padding_waste(lengths, np.array_split(random.permutation(20_000), 312), 1)
    assert waste < 0.02 < 0.3 < arrival


def test_sorted_batches_and_blocks():
    assert [b.tolist() for b in sorted_batches(np.array([3, 1, 2]), 2)] == [[1, 2], [0]]
    assert list(blocks(iter("abcde"), 2)) == [["a", "b"], ["c", "d"], ["e"]]
    ids, lengths = pad([np.array([7]), np.array([8, 9])])
    assert (ids.tolist(), lengths.tolist()) == ([[7, 0], [8, 9]], [1, 2])
