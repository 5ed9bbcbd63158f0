"""Sampling: truncation against NumPy, frequencies against the exact distribution, seeds, graphs."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st

from kerasseq.decoding import sampling
from kerasseq.decoding.sampling import (
    Generated,
    check_sampling,
    choose,
    greedy,
    sample,
    sampling_specs,
    truncated,
)
from kerasseq.decoding.settings import Sampling
from kerasseq.errors import UserError
from tests.decoding.models import Remembering, log_softmax, markov
from tests.examples import examples

NUMBERS = Sampling(
    tf.TensorSpec([], tf.float32, "temperature"),
    tf.TensorSpec([], tf.int32, "top_k"),
    tf.TensorSpec([], tf.float32, "top_p"),
)
INPUTS = [
    tf.TensorSpec([], tf.int32, "length"),
    NUMBERS,
    tf.TensorSpec([], tf.int64, "seed"),
    tf.TensorSpec([None], tf.int32, "stop"),
]


def inputs(length, sampling=Sampling(), seed=0, stop=()):  # noqa: B008 (it never changes)
    values = [length, sampling, seed, np.asarray(stop, "int32")]
    return tf.nest.map_structure(lambda value, spec: tf.constant(value, spec.dtype), values, INPUTS)


def test_the_numbers_as_inputs_of_a_function():
    assert sampling_specs() == NUMBERS


def reference_shares(logits, temperature, top_k, top_p):
    """The truncated distribution of one row, and how close the nucleus is to another one."""
    logits = np.asarray(logits, "float64") / temperature
    order = np.argsort(-logits, kind="stable")
    if top_k:
        order = order[:top_k]
    shares = np.exp(logits[order] - logits.max())
    shares /= shares.sum()
    margin = 1.0
    if top_p < 1:
        count = next(n for n in range(1, len(shares) + 1) if shares[:n].sum() >= top_p - 1e-12)
        margin = min(abs(shares[:n].sum() - top_p) for n in range(1, len(shares) + 1))
        order, shares = order[:count], shares[:count]
    result = np.zeros_like(logits)
    result[order] = shares / shares.sum()
    return result, margin


@pytest.fixture(scope="module")
def cut():
    return tf.function(truncated, input_signature=[tf.TensorSpec([None, None]), NUMBERS])


@examples(100)
@given(
    size=st.integers(1, 12),
    temperature=st.sampled_from([0.05, 0.7, 1.0, 3.0]),
    top_k=st.sampled_from([0, 0, 0, 1, 2, 5, 14]),
    top_p=st.sampled_from([1e-9, 0.2, 0.5, 0.9, 0.999, 1.0]),
    ties=st.booleans(),
    few=st.sampled_from([2, 512]),
    seed=st.integers(0, 2**16),
)
def test_truncation(cut, size, temperature, top_k, top_p, ties, few, seed):
    rng = np.random.default_rng(seed)
    logits = (2 * rng.normal(size=(3, size))).astype("float32")
    if ties:
        logits = np.round(logits)
    expected, margins = zip(
        *(reference_shares(row, np.float32(temperature), top_k, top_p) for row in logits),
        strict=True,
    )
    assume(min(margins) > 1e-5)
    _, asked, *_ = inputs(1, Sampling(temperature, top_k, top_p))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "FEW", few)
        # the constant is in the graph; where it is another the function runs as it is
        scores = (cut if few == 512 else truncated)(logits, asked).numpy()
    np.testing.assert_array_equal(scores <= -1e29, np.array(expected) == 0)
    assert (scores.max(axis=1) == 0).all()
    np.testing.assert_allclose(np.exp(log_softmax(scores)), expected, 1e-4, 1e-9)


def test_truncation_of_a_large_vocabulary():
    rng = np.random.default_rng(0)
    logits = np.stack([rng.normal(size=5000), 5 * rng.normal(size=5000)]).astype("float32")
    kept = [
        (truncated(logits, Sampling(1.0, top_k, top_p)).numpy() > -1e29).sum(axis=1).tolist()
        for top_k, top_p in ((0, 1.0), (40, 1.0), (2000, 1.0), (0, 0.9), (700, 0.9))
    ]
    expected = [
        [np.count_nonzero(reference_shares(row, 1.0, top_k, top_p)[0]) for row in logits]
        for top_k, top_p in ((0, 1.0), (40, 1.0), (2000, 1.0), (0, 0.9), (700, 0.9))
    ]
    assert kept == expected
    assert kept[3][0] > sampling.FEW > kept[3][1]  # both ways of finding a nucleus


def test_extreme_numbers_are_no_infinities():
    logits = [[1e4, -np.inf, 9e3, -1e30], [0.0, 0.0, 0.0, 1e-3]]
    for temperature in (1e-30, 1e-3, 1e30):
        scores = truncated(logits, Sampling(temperature, 0, 0.99)).numpy()
        assert np.isfinite(scores).all()
        assert (scores[:, [1, 3]] <= -1e29).tolist()[0] == [True, True]
    assert choose(logits, Sampling(1e-30), 0, 0).numpy().tolist() == [0, 3]


def assert_frequencies(tokens, shares):
    """Chi-square, with a bound that a right sampler misses once in a million."""
    counts = np.bincount(np.ravel(tokens), minlength=len(shares))
    assert not counts[shares == 0].any()
    expected = shares[shares > 0] * counts.sum()
    statistic = (((counts[shares > 0] - expected) ** 2) / expected).sum()
    freedom = len(expected) - 1
    assert statistic < freedom + 7 * np.sqrt(2 * freedom) + 10


@pytest.mark.parametrize(
    ("size", "temperature", "top_k", "top_p"),
    [(6, 1.0, 0, 1.0), (6, 0.5, 3, 1.0), (300, 2.0, 0, 1.0), (300, 1.0, 0, 0.8), (129, 1, 60, 0.9)],
)
def test_frequencies(size, temperature, top_k, top_p):
    logits = np.random.default_rng(0).normal(size=size).astype("float32")
    shares, _ = reference_shares(logits, temperature, top_k, top_p)
    asked = Sampling(temperature, top_k, top_p)
    table = np.tile(logits, (3000, 1))
    for seed, step in ((0, 0), (2**40, 7)):  # over rows
        seeds = seed + np.arange(3000)
        tokens = _chosen(
            table, inputs(1, asked)[1], tf.constant(seeds), tf.constant(step, tf.int64)
        )
        assert_frequencies(tokens, shares)
    drawn = sampled(np.tile(logits, (size, 1)), [0], inputs(3000, asked, seed=3))  # over steps
    assert_frequencies(drawn.tokens[0], shares)
    assert abs(np.corrcoef(drawn.tokens[0, 1:], drawn.tokens[0, :-1])[0, 1]) < 0.1


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None]),
        NUMBERS,
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([], tf.int64),
    ]
)
def _chosen(logits, asked, seeds, step):
    return choose(logits, asked, seeds, step)


@tf.function(
    input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([None], tf.int32), *INPUTS]
)
def _sampled(table, first, *asked):
    return sample(markov(table), (), first, *asked)


def sampled(table, first, asked):
    outputs = _sampled(np.float32(table), np.asarray(first, "int32"), *asked)
    return Generated(*(output.numpy() for output in outputs))


def test_rare_tokens_and_exact_shares():
    """The token at any share is the inverse of the summed mass, block borders included."""
    rng = np.random.default_rng(0)
    mass = rng.random((500, 1000)).astype("float32") * (rng.random((500, 1000)) < 0.02)
    mass[:, 127] = 1e-12
    share = rng.random(500)
    share[:50] = 0
    share[50:100] = 1 - 2.0**-52
    tokens = sampling._token_at(tf.constant(mass), tf.constant(share)).numpy()
    ends = np.cumsum(mass.astype("float64"), axis=1)
    rows = np.arange(500)
    assert (mass[rows, tokens] > 0).all()
    target = share * ends[:, -1]
    assert (ends[rows, tokens] >= target - 1e-5).all()
    assert ((ends - mass)[rows, tokens] <= target + 1e-5).all()


MODEL = Remembering(7)
FIRST = np.array([1, 5, 2, 0], "int32")
OPTIONS = {"sampling": Sampling(1.3, 5, 0.9), "seed": 11}


def test_log_probabilities_are_the_models():
    out = sample(MODEL, MODEL.state(4), FIRST, 15, stop=[6], **OPTIONS)
    tokens, lengths = out.tokens.numpy(), out.lengths.numpy()
    assert tokens.shape[1] == lengths.max()
    assert lengths.min() < lengths.max()
    for row in range(4):
        after, prefix = MODEL.log_probs(row), [FIRST[row]]
        expected = np.zeros(tokens.shape[1])
        for t in range(lengths[row]):
            expected[t] = after(prefix)[tokens[row, t]]
            prefix.append(tokens[row, t])
        np.testing.assert_allclose(out.log_probs[row], expected, 1e-4, 1e-5)
        ended = np.isin(tokens[row, : lengths[row]], [6])
        assert not ended[:-1].any()
        assert ended[-1] or lengths[row] == 15
        assert not tokens[row, lengths[row] :].any()


def test_greedy_is_sampling_with_top_k_1():
    for stop in ([], [0, 1]):
        likeliest = greedy(MODEL, MODEL.state(4), FIRST, 20, stop)
        for other in (
            sample(MODEL, MODEL.state(4), FIRST, 20, Sampling(top_k=1), seed=5, stop=stop),
            sample(MODEL, MODEL.state(4), FIRST, 20, Sampling(9.0, top_p=1e-9), stop=stop),
        ):
            for mine, theirs in zip(likeliest, other, strict=True):
                np.testing.assert_array_equal(mine, theirs)
    for row in range(4):
        after, prefix = MODEL.log_probs(row), [FIRST[row]]
        for _ in range(20):
            prefix.append(int(after(prefix).argmax()))
        untold = greedy(MODEL, MODEL.state(4), FIRST, 20)
        assert untold.tokens[row].numpy().tolist() == prefix[1:]


def test_equal_logits_give_the_lowest_id():
    table = np.zeros((5, 5), "float32")
    assert greedy(markov(table), (), [3], 4).tokens.numpy().tolist() == [[0] * 4]
    narrow = sample(markov(table), (), [3], 4, Sampling(top_k=1))
    assert narrow.tokens.numpy().tolist() == [[0] * 4]
    drawn = sampled(table, [3], inputs(200, Sampling(top_k=3))).tokens
    assert set(drawn.ravel().tolist()) == {0, 1, 2}


def test_seeds():
    table = np.zeros((50, 50))
    same = [sampled(table, [0], inputs(40, seed=seed)).tokens for seed in (3, 3)]
    np.testing.assert_array_equal(*same)
    others = [sampled(table, [0], inputs(40, seed=seed)).tokens for seed in (0, 1, 4, -3, 2**33)]
    assert len({other.tobytes() for other in [*others, same[0]]}) == 6
    assert (others[2][:, :-1] != same[0][:, 1:]).any()  # the next seed is not the next step
    rows = sampled(table, [0, 0], inputs(40, seed=3)).tokens
    np.testing.assert_array_equal(rows[0], rows[1])
    state = MODEL.state(2)
    own = sample(MODEL, state, [1, 1], 25, seed=[3, 4]).tokens.numpy()
    assert (own[0] != own[1]).any()
    for row, seed in enumerate((3, 4)):
        alone = sample(MODEL, MODEL.state(1), [1], 25, seed=seed).tokens
        assert alone.shape == (1, 25)
        if row == 0:  # the scripted model's state differs from row to row
            np.testing.assert_array_equal(own[:1], alone)


def test_a_row_does_not_depend_on_the_others():
    state = MODEL.state(4)
    together = sample(MODEL, state, FIRST, 25, stop=[6], **OPTIONS)
    for row in range(4):
        own = tf.nest.map_structure(lambda tensor: tensor[row : row + 1], state)  # noqa: B023
        alone = sample(MODEL, own, FIRST[row : row + 1], 25, stop=[6], **OPTIONS)
        length = int(alone.lengths[0])
        np.testing.assert_array_equal(together.tokens[row, :length], alone.tokens[0])
        np.testing.assert_allclose(together.log_probs[row, :length], alone.log_probs[0], 1e-5, 1e-6)
    # the last row is the same beside other contexts, also where these end sooner
    changed = sample(MODEL, state, [6, 6, 6, 0], 25, stop=[6], **OPTIONS)
    length = int(together.lengths[3])
    assert int(changed.lengths[3]) == length
    np.testing.assert_array_equal(together.tokens[3, :length], changed.tokens[3, :length])


def test_a_loop_in_python_gives_the_same():
    out = sample(MODEL, MODEL.state(4), FIRST, 12, **OPTIONS)
    tokens, state = tf.constant(FIRST), MODEL.state(4)
    for t in range(12):
        logits, state = MODEL(tokens, state)
        tokens = choose(logits, step=t, **OPTIONS)
        np.testing.assert_array_equal(tokens, out.tokens[:, t])


class Served(tf.Module):
    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.int32, "first"), *tf.nest.flatten(INPUTS)]
    )
    def serve(self, first, length, temperature, top_k, top_p, seed, stop):
        rows = tf.shape(first)[0]
        hidden = 0.1 * tf.tile(tf.range(tf.cast(rows, tf.float32))[:, None], [1, MODEL.size])
        state = (hidden, tf.range(rows) * 5 % 64), [tf.zeros([rows, 1, 2], tf.int64)]
        drawn = sample(MODEL, state, first, length, Sampling(temperature, top_k, top_p), seed, stop)
        likeliest = greedy(MODEL, state, first, length, stop)
        return {**drawn._asdict(), "greedy": likeliest.tokens}


def test_inside_a_saved_model(tmp_path):
    served = Served()
    tf.saved_model.save(served, str(tmp_path), signatures={"serving_default": served.serve})
    signature = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    names = [spec.name for spec in tf.nest.flatten(INPUTS)]
    for options, stop in ((OPTIONS, [6, 2]), ({}, []), ({"sampling": Sampling(top_p=0.6)}, [1])):
        asked = dict(zip(names, tf.nest.flatten(inputs(14, **options, stop=stop)), strict=True))
        out = signature(first=tf.constant(FIRST), **asked)
        expected = sample(MODEL, MODEL.state(4), FIRST, 14, **options, stop=stop)
        for name, value in expected._asdict().items():
            np.testing.assert_allclose(out[name], value, 1e-5, 1e-6)
        likeliest = greedy(MODEL, MODEL.state(4), FIRST, 14, stop)
        np.testing.assert_array_equal(out["greedy"], likeliest.tokens)
    nothing = signature(first=tf.zeros([0], tf.int32), **asked)
    assert nothing["tokens"].shape == (0, 0)


def test_every_token_stops():
    out = sampled(np.zeros((3, 3)), [0, 1], inputs(9, stop=[0, 1, 2]))
    assert out.tokens.shape == (2, 1)
    assert out.lengths.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0 and finite, got 0.0"),
        ({"temperature": float("nan")}, "temperature must be above 0 and finite, got nan"),
        ({"temperature": float("inf")}, "temperature must be above 0 and finite, got inf"),
        ({"top_k": -1}, "top_k must be 0 .* or more, got -1"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, got 0.0"),
        ({"top_p": 1.01}, "top_p must be above 0 and at most 1, got 1.01"),
        ({"length": 0}, "length must be from 1 to 1,000,000, got 0"),
    ],
)
def test_arguments_are_checked(change, message):
    right = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "length": 1}

    def check(length, **numbers):
        check_sampling(Sampling(**numbers), length)

    check(**right)
    with pytest.raises(UserError, match=message):
        check(**{**right, **change})
