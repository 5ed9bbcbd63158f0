import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.batches import (
    BatchSettings,
    TokenBatchSettings,
    blocks,
    fixed_batches,
    pad,
    padding_waste,
    shuffled_batches,
    sorted_batches,
    token_batches,
)

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=80).map(np.array)
settings = st.builds(
    BatchSettings, st.integers(1, 9), st.integers(1, 5), pad_to_multiple=st.integers(1, 9)
)
budgets = st.builds(
    TokenBatchSettings, st.integers(1, 200), st.integers(1, 90), pad_to_multiple=st.integers(1, 9)
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


SIZES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192]


def cells(lengths, batch, budget):
    multiple = budget.pad_to_multiple
    return len(batch) * -(-int(lengths[batch].max()) // multiple) * multiple


@given(lengths, budgets, st.integers(0, 9), st.integers(0, 3))
def test_batches_by_tokens_hold_every_sequence_once_within_the_budget(lengths, budget, seed, epoch):
    batches = token_batches(lengths, budget, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(len(b) == 1 or cells(lengths, b, budget) <= budget.tokens for b in batches)
    again = token_batches(lengths, budget, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


@given(lengths, budgets, st.integers(0, 9))
def test_batches_by_tokens_are_of_few_sizes_but_for_the_last_of_a_pool(lengths, budget, seed):
    pools = -(-len(lengths) // budget.pool)
    sizes = [len(batch) for batch in token_batches(lengths, budget, seed, 0)]
    assert sum(size not in SIZES for size in sizes) <= pools


def test_a_batch_by_tokens_is_as_large_as_the_sizes_allow():
    budget = TokenBatchSettings(tokens=100, pool=1000, pad_to_multiple=4)
    for length, size in [(1, 24), (5, 12), (9, 8), (13, 6), (17, 4), (33, 2), (51, 1), (500, 1)]:
        batches = token_batches(np.full(1000, length), budget, 1, 0)
        assert {len(batch) for batch in batches[:-1]} <= {size, 1000 % size}, length


def test_epochs_and_seeds_of_batches_by_tokens_differ():
    lengths, budget = np.arange(1, 101), TokenBatchSettings(tokens=200, pool=50)
    first, *others = (
        [batch.tolist() for batch in token_batches(lengths, budget, seed, epoch)]
        for seed, epoch in [(1, 0), (1, 1), (2, 0)]
    )
    assert first not in others
    assert len({frozenset(map(tuple, batches)) for batches in (first, *others)}) == 3


@given(lengths, budgets)
def test_fixed_batches_begin_with_the_longest(lengths, budget):
    order = np.concatenate(fixed_batches(lengths, budget))
    assert sorted(order) == list(range(len(lengths)))
    assert lengths[order].tolist() == sorted(lengths, reverse=True)
    assert order.tolist() == sorted(order, key=lambda i: (-lengths[i], i))


def test_batches_by_tokens_waste_little_on_lengths_like_sentences():
    random = np.random.default_rng(0)
    lengths = random.poisson(random.gamma(1.8, 9, 12_000)) + 1
    budget = TokenBatchSettings()
    waste = padding_waste(lengths, token_batches(lengths, budget, 1, 0), budget.pad_to_multiple)
    assert waste < 0.15
