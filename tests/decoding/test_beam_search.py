"""Beam search: against a plain one that runs to the end, and against enumeration."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.decoding.beam import Beams, beam_search, check_beam, coverage_penalty
from kerasseq.decoding.sampling import greedy
from kerasseq.errors import UserError
from tests.decoding.beam_reference import beam_reference, best_of, every_sequence, normalised
from tests.decoding.models import Remembering, log_softmax, markov, timed
from tests.examples import examples

NORMALISATIONS = ["gnmt", "average", "none"]


@functools.cache
def compiled(normalise):
    """Beam search over tables, with all that can be a tensor as one, sizes unknown."""

    def search(tables, first, width, length, stop, alpha, n_best):
        state = tf.zeros_like(first)
        return beam_search(
            timed(tables), state, first, width, length, stop, alpha, n_best, normalise
        )

    scalar, ids = tf.TensorSpec([], tf.int32), tf.TensorSpec([None], tf.int32)
    tables, alpha = tf.TensorSpec([None, None, None]), tf.TensorSpec([])
    signature = [tables, ids, scalar, scalar, ids, alpha, scalar]
    return tf.function(search, input_signature=signature)


def search(table, first, width, length, stop, alpha, n_best, normalise):
    """For a table ``[V, V]``, the same at each position, or ``[T, V, V]``."""
    tables = np.broadcast_to(np.float32(table), (length, *np.shape(table)[-2:]))
    arrays = np.asarray(first, "int32"), np.int32(width), np.int32(length)
    more = np.asarray(stop, "int32"), np.float32(alpha), np.int32(n_best)
    outputs = compiled(normalise)(tables, *arrays, *more)
    return Beams(*(output.numpy() for output in outputs))


def following(tables):
    """The reference's log-probabilities for tables ``[T, V, V]``."""
    log_probs = log_softmax(np.float32(tables))
    return lambda prefix: log_probs[len(prefix) - 1, prefix[-1]]


def found(beams, row):
    """One sentence's sequences as the reference gives them; shape and padding checked."""
    assert beams.tokens.shape == (*beams.lengths.shape, beams.lengths.max(initial=0))
    sequences = []
    for n, length in enumerate(beams.lengths[row]):
        tokens = beams.tokens[row, n]
        assert not tokens[length:].any()
        numbers = beams.log_probs[row, n], beams.scores[row, n]
        if length == 0:
            assert numbers == (np.float32(-1e30), np.float32(-1e30))
            assert not beams.finished[row, n]
            continue
        sequences.append((tuple(tokens[:length].tolist()), *numbers, beams.finished[row, n]))
    return sequences


def assert_same(ours, theirs):
    assert [(tokens, finished) for tokens, _, _, finished in ours] == [
        (tokens, finished) for tokens, _, _, finished in theirs
    ]
    for index in (1, 2):
        np.testing.assert_allclose(
            [entry[index] for entry in ours], [entry[index] for entry in theirs], 1e-4, 1e-4
        )


@examples(100)
@given(
    size=st.integers(1, 6),
    shape=st.sampled_from([(1, 1), (2, 2), (3, 1), (5, 4)]),
    length=st.integers(1, 7),
    stops=st.integers(0, 3),
    scale=st.sampled_from([0.3, 1.0, 4.0]),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 2.5, -0.7]),
    normalise=st.sampled_from(NORMALISATIONS),
    seed=st.integers(0, 2**16),
)
def test_equals_a_beam_that_runs_to_the_end(
    size, shape, length, stops, scale, alpha, normalise, seed
):
    width, n_best = shape
    rng = np.random.default_rng(seed)
    tables = scale * rng.normal(size=(length, size, size))
    stop = rng.permutation(size)[:stops]
    first = rng.integers(0, size, 3)
    beams = search(tables, first, width, length, stop, alpha, n_best, normalise)
    after = following(tables)
    for row, token in enumerate(first):
        expected = beam_reference(after, token, width, length, set(stop), alpha, n_best, normalise)
        assert_same(found(beams, row), expected)


@functools.cache
def compiled_with_coverage():
    """Beam search whose model attends by the token that it reads; the width is a tensor too."""

    def search(tables, attention, mask, first, width, length, stop, beta, n_best):
        def step(tokens, state):
            logits, time = timed(tables)(tokens, state[0])
            return logits, (time, state[1] + tf.gather(attention, tokens))

        covered = tf.zeros([tf.size(first), tf.shape(attention)[1]])
        return beam_search(
            step, (tf.zeros_like(first), covered), first, width, length, stop, 0.6, n_best,
            bonus=lambda state: coverage_penalty(state[1], mask, beta),
        )  # fmt: skip

    scalar, ids = tf.TensorSpec([], tf.int32), tf.TensorSpec([None], tf.int32)
    signature = [
        tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None]),
        tf.TensorSpec([None], tf.bool), ids, scalar, scalar, ids, tf.TensorSpec([]), scalar,
    ]  # fmt: skip
    return tf.function(search, input_signature=signature)


@examples(60)
@given(
    size=st.integers(1, 5),
    shape=st.sampled_from([(1, 1), (2, 2), (3, 1), (5, 4)]),
    length=st.integers(1, 6),
    beta=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 2**16),
)
def test_coverage_penalty(size, shape, length, beta, seed):
    width, n_best = shape
    rng = np.random.default_rng(seed)
    tables = rng.normal(size=(length, size, size))
    attention = np.float32(rng.dirichlet(np.ones(4), size))
    mask = np.array([True, True, True, False])
    arguments = np.float32(tables), attention, mask, np.int32([size - 1, 0]), np.int32(width)
    more = np.int32(length), np.int32([0]), np.float32(beta), np.int32(n_best)
    outputs = compiled_with_coverage()(*arguments, *more)
    beams = Beams(*(output.numpy() for output in outputs))
    for row, first in enumerate((size - 1, 0)):

        def penalty(tokens, first=first):
            covered = attention[[first, *tokens[:-1]]].sum(0)[mask]
            return beta * np.log(np.minimum(covered, 1.0)).sum()

        expected = beam_reference(
            following(tables), first, width, length, {0}, 0.6, n_best, "gnmt", penalty
        )
        assert_same(found(beams, row), expected)


@examples(40)
@given(
    size=st.integers(2, 3),
    length=st.integers(1, 4),
    stops=st.integers(0, 2),
    alpha=st.sampled_from([0.6, 1.0]),
    normalise=st.sampled_from(NORMALISATIONS),
    seed=st.integers(0, 2**16),
)
def test_a_wide_beam_finds_the_best_of_all(size, length, stops, alpha, normalise, seed):
    rng = np.random.default_rng(seed)
    tables = rng.normal(size=(length, size, size))
    stop = set(range(stops))
    beams = search(tables, [0, size - 1], 90, length, sorted(stop), alpha, 5, normalise)
    for row, first in enumerate((0, size - 1)):
        every = every_sequence(following(tables), first, length, stop, size)
        assert_same(found(beams, row), best_of(*every, 5, normalise, alpha))


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_width_1_is_greedy(normalise):
    model = Remembering(11)
    first = np.arange(9) % 4
    for stop in ([], [1, 2, 8]):
        beams = beam_search(model, model.state(9), first, 1, 20, stop, 1.0, normalise=normalise)
        likeliest = greedy(model, model.state(9), first, 20, stop)
        np.testing.assert_array_equal(beams.tokens[:, 0], likeliest.tokens)
        np.testing.assert_array_equal(beams.lengths[:, 0], likeliest.lengths)
        total = tf.reduce_sum(likeliest.log_probs, axis=1)
        np.testing.assert_allclose(beams.log_probs[:, 0], total, 1e-5)


def test_width_1_is_greedy_where_sums_are_equal_by_rounding():
    # After some hundred tokens the float32 sums of both tokens are the same.
    table = np.log([[0.5 - 1e-6, 0.5 + 1e-6], [0.5 - 1e-6, 0.5 + 1e-6]])
    beams = search(table, [0], 1, 500, [], 0.0, 1, "none")
    assert (beams.tokens == 1).all()


def test_equal_ones_in_the_order_of_ids():
    beams = search(np.zeros((4, 4)), [0], 3, 2, [2], 0.0, 3, "none")
    assert [tokens for tokens, *_ in found(beams, 0)] == [(2,), (0, 2), (0, 0)]
    assert beams.finished.tolist() == [[True, True, False]]


@pytest.mark.parametrize("normalise", NORMALISATIONS)
def test_state_follows_its_hypothesis(normalise):
    model = Remembering(7)
    first = [1, 5, 2]
    beams = beam_search(model, model.state(3), first, 4, 12, [6, 0], 0.8, 4, normalise)
    beams = Beams(*(output.numpy() for output in beams))
    for row, token in enumerate(first):
        after = model.log_probs(row)
        expected = beam_reference(after, token, 4, 12, {6, 0}, 0.8, 4, normalise)
        ours = found(beams, row)
        assert_same(ours, expected)
        assert len({tokens for tokens, *_ in ours}) == 4
        assert sorted(ours, key=lambda entry: (not entry[3], -entry[2])) == ours
        for tokens, total, score, _ in ours:
            steps = (after((token, *tokens[:t]))[v] for t, v in enumerate(tokens))
            np.testing.assert_allclose(total, sum(steps), 1e-4)
            np.testing.assert_allclose(score, normalised(total, len(tokens), normalise, 0.8), 1e-5)


def test_a_sentence_alone_is_the_same():
    model = Remembering(7, seed=1)
    state, first = model.state(5), np.array([1, 5, 2, 0, 3])
    together = beam_search(model, state, first, 3, 15, [6], n_best=3)
    assert len(set(together.lengths[:, 0].numpy())) > 1  # some end before others
    for row in range(5):
        own = tf.nest.map_structure(lambda tensor, row=row: tensor[row : row + 1], state)
        alone = beam_search(model, own, first[row : row + 1], 3, 15, [6], n_best=3)
        longest = alone.tokens.shape[2]
        np.testing.assert_array_equal(together.tokens[row, :, :longest], alone.tokens[0])
        np.testing.assert_array_equal(together.lengths[row], alone.lengths[0])
        np.testing.assert_allclose(together.scores[row], alone.scores[0], 1e-5)


def steps_taken(table, width, length, stop, **options):
    calls = []

    def step(tokens, state):
        calls.append(tokens)
        return tf.gather(np.float32(table), tokens), state

    beam_search(step, (), [0], width, length, stop, **options)
    return len(calls)


def test_stops_as_soon_as_nothing_can_change():
    table = np.log([[0.9, 0.05, 0.05]] * 3)  # at once 0.9; whatever goes on has at most 0.05
    assert steps_taken(table, 2, 50, [0], normalise="none") == 1
    assert steps_taken(table, 2, 50, [0], normalise="none", n_best=2) == 2
    # log 0.05 over 50 tokens is better than log 0.9 over one; log 0.05 ** 30 is not
    assert steps_taken(table, 2, 50, [0], normalise="average", alpha=1.0) == 2
    assert steps_taken(table, 2, 50, [1], normalise="average", alpha=1.0) == 50
    assert steps_taken(table, 2, 50, [], normalise="none") == 50
    assert steps_taken(table, 2, 50, [0, 1, 2], normalise="none") == 1


def test_stops_no_sooner_where_short_ones_are_preferred():
    tables = np.log([[[0.1, 0.9]] * 2, [[0.99, 0.01]] * 2, *[[[0.5, 0.5]] * 2] * 48])
    beams = search(tables, [0], 2, 50, [0], -1.0, 1, "average")
    assert [tokens for tokens, *_ in found(beams, 0)] == [(1, 0)]  # 2 log 0.891, over log 0.1


def test_fewer_sequences_than_places():
    beams = search(np.zeros((2, 2)), [1], 4, 1, [0], 0.6, 4, "gnmt")
    assert found(beams, 0)[0][0] == (0,)
    assert beams.lengths.tolist() == [[1, 1, 0, 0]]
    assert beams.finished.tolist() == [[True, False, False, False]]
    assert beams.tokens.tolist() == [[[0], [1], [0], [0]]]


def test_finished_ones_come_before_better_unfinished_ones():
    table = np.log([[0.01, 0.99]] * 2)
    beams = search(table, [1], 2, 3, [0], 0.0, 2, "none")
    assert [(t, done) for t, _, _, done in found(beams, 0)] == [((0,), True), ((1, 0), True)]
    beams = search(table, [1], 4, 2, [0], 0.0, 4, "none")
    assert [t for t, *_ in found(beams, 0)] == [(0,), (1, 0), (1, 1)]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_each_sentence_has_its_own_length(alpha):
    """As if each were searched by itself, down to its length."""
    table = np.float32(np.random.default_rng(7).normal(size=(7, 7)))
    table[:, 0] -= 0.5  # so that some do not end by themselves
    firsts, lengths = [1, 2, 3, 4], [1, 4, 2, 6]
    outputs = beam_search(markov(table), (), firsts, 3, lengths, [0], alpha, 3)
    together = Beams(*(output.numpy() for output in outputs))
    after = following(np.broadcast_to(table, (6, 7, 7)))
    for row, (first, length) in enumerate(zip(firsts, lengths, strict=True)):
        expected = beam_reference(after, first, 3, length, {0}, alpha, 3, "gnmt")
        assert_same(found(together, row), expected)
    assert together.lengths.max(1).tolist() == lengths
    assert 0 < together.finished.mean() < 1


def test_forbidden_tokens_do_not_exist():
    table = np.array([[-np.inf, 0.0, -1e30], [0.0, 0.0, -np.inf], [0.0, 0.0, 0.0]])
    beams = search(table, [0], 5, 2, [0], 0.6, 5, "gnmt")
    assert [tokens for tokens, *_ in found(beams, 0)] == [(1, 0), (1, 1)]


def test_no_sentences():
    beams = search(np.zeros((3, 3)), [], 2, 5, [0], 0.6, 2, "gnmt")
    assert [output.shape for output in beams] == [(0, 2, 0), *[(0, 2)] * 4]


def test_inside_a_saved_model(tmp_path):
    model = Remembering(7)

    class Served(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.int32, "first"),
                tf.TensorSpec([], tf.int32, "length"),
                tf.TensorSpec([None], tf.int32, "stop"),
                tf.TensorSpec([], tf.float32, "alpha"),
            ]
        )
        def serve(self, first, length, stop, alpha):
            rows = tf.shape(first)[0]
            hidden = 0.1 * tf.tile(tf.range(tf.cast(rows, tf.float32))[:, None], [1, model.size])
            state = (hidden, tf.range(rows) * 5 % 64), [tf.zeros([rows, 1, 2], tf.int64)]
            return beam_search(model, state, first, 3, length, stop, alpha, 2)._asdict()

    served = Served()
    tf.saved_model.save(served, str(tmp_path), signatures={"serving_default": served.serve})
    signature = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    first = tf.constant([3, 1, 4])
    outputs = signature(
        first=first, length=tf.constant(9), stop=tf.constant([6, 2]), alpha=tf.constant(0.7)
    )
    expected = beam_search(model, model.state(3), first, 3, 9, [6, 2], 0.7, 2)
    for name, output in outputs.items():
        np.testing.assert_allclose(output, getattr(expected, name), 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 5), "width must be 1 or more, got 0"),
        ((3, 0, 5), "n_best must be from 1 to the beam's width 3, got 0"),
        ((3, 4, 5), "n_best must be from 1 to the beam's width 3, got 4"),
        ((3, 3, 0), "length must be from 1 to 1,000,000, got 0"),
    ],
)
def test_arguments_are_checked(arguments, message):
    check_beam(3, 3, 1)
    with pytest.raises(UserError, match=message):
        check_beam(*arguments)


def test_programming_errors():
    with pytest.raises(ValueError, match="`normalise` must be gnmt, average or none"):
        beam_search(markov(np.zeros((2, 2))), (), [0], 2, 3, [], normalise="length")
    with pytest.raises(UserError, match="width must be 1 or more"):
        beam_search(markov(np.zeros((2, 2))), (), [0], 0, 3, [])
    with pytest.raises(ValueError, match="structure"):
        beam_search(
            lambda t, state: (tf.zeros([2, 3]), state[0]), (np.zeros(1),) * 2, [0], 2, 3, []
        )
