"""Searching and sampling with an encoder-decoder: against plain Python, alone and in batches."""

import contextlib
import functools
import types

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.data.batches import pad
from kerasseq.decoding.encoder_decoder import Ends, attention_of, draw, search
from kerasseq.tasks.translation.model import RecurrentTranslator
from tests.decoding.beam_reference import beam_reference
from tests.decoding.models import log_softmax
from tests.examples import examples

SIZE = 8
BOS, EOS = 2, 3
ENDS = Ends(BOS, EOS, (1,))
SOURCES = [[4, 5, 6, 7, 4], [7], [5, 5], [6, 4, 3], [4, 7, 7, 5]]
KINDS = ["additive", "bilinear", "none"]
DRAWN = {"additive": (1, -2.0), "bilinear": (3, -2.0), "none": (3, 0.0)}
"""Seed and score of the stop token: some outputs end early, others at their longest."""


@functools.cache
def made(kind="additive"):
    """A model with random weights, so large that every token matters; its kind of attention."""
    model = RecurrentTranslator(
        SIZE, SIZE, 4, units=6, encoder_units=3, attention=kind, tie_source=True,
        input_only=[0, BOS],
    )  # fmt: skip
    seed, usual = DRAWN[kind]
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(random.normal(0, 1.0, weight.shape))
    bias = model.embedding.bias
    bias.assign(bias.numpy() + usual * np.eye(SIZE)[EOS])
    return model


@contextlib.contextmanager
def leaning(model, eos=0.0, unk=0.0):
    """The scores of the stop token and of the excluded one are changed for a while.

    What was compiled of the model stays.
    """
    bias = model.embedding.bias
    before = bias.numpy()
    bias.assign(before + eos * np.eye(SIZE)[EOS] + unk * np.eye(SIZE)[1])
    try:
        yield
    finally:
        bias.assign(before)


class Scripted:
    """An encoder-decoder whose logits are looked up.

    They depend on the sum of the source's ids, on the position and on the last token; the attention
    goes one source token further with every step, and stays at the last.

    Args:
        tables: logits, float32 ``[sums, T, V, V]``, used in turn.
    """

    def __init__(self, tables):
        self.tables = np.float32(tables)
        self.decoder = types.SimpleNamespace(step=self._step)

    def encode(self, source, mask):
        which = tf.reduce_sum(tf.where(mask, source, 0), axis=1) % len(self.tables)
        state = {"position": tf.zeros_like(which), "which": which}
        return state, {"mask": mask, "which": which}

    def _step(self, tokens, state, memory):
        tf.debugging.assert_equal(memory["which"], state["which"])
        at = state["position"] % self.tables.shape[1]
        logits = tf.gather_nd(self.tables, tf.stack([state["which"], at, tokens], 1))
        last = tf.reduce_sum(tf.cast(memory["mask"], tf.int32), axis=1) - 1
        at = tf.minimum(state["position"], last)
        attention = tf.one_hot(at, tf.shape(memory["mask"])[1])
        return logits, {**state, "position": state["position"] + 1}, attention

    def after(self, source):
        """Log-probabilities after a prefix for one source, as the reference takes them."""
        tables = self.tables[sum(source) % len(self.tables)]
        return lambda prefix: tables[(len(prefix) - 1) % len(tables), prefix[-1]]


def batch(sources):
    return pad([np.array(ids, np.int32) for ids in sources])


@functools.cache
def forced(model):
    """Logits ``[T, V]`` and attention ``[T, S]`` of one pair, the model being called as in
    training."""

    def run(source, tokens):
        outputs, attention = model(source[None], tf.ones_like(source[None], tf.bool), tokens[None])
        return model.embedding(outputs, project=True)[0], attention[0]

    return tf.function(run, input_signature=[tf.TensorSpec([None], tf.int32)] * 2)


def following(model, source, ends=ENDS):
    """What the reference reads of a model: log-probabilities after a prefix, of what may follow."""

    @functools.cache
    def after(prefix):
        if isinstance(model, Scripted):
            logits = model.after(source)(prefix)
        else:
            logits = forced(model)(np.int32(source), np.int32(prefix))[0][-1]
        logits = np.array(logits, "float64")
        logits[list(ends.excluded)] = -1e30
        return log_softmax(logits)

    return after


@functools.cache
def compiled(model, ends=ENDS):
    """As a program uses it: all that can be a tensor is one, and no size is known."""
    ids, lengths = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
    whole, real = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
    return tf.function(
        lambda source, lengths, *how: search(model, source, lengths, ends, *how),
        input_signature=[ids, lengths, whole, whole, real, real],
    )


@functools.cache
def compiled_draw(model, ends):
    ids, lengths = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
    return tf.function(
        lambda source, lengths, *how: draw(model, source, lengths, ends, *how),
        input_signature=[ids, lengths, tf.TensorSpec([]), tf.TensorSpec([None], tf.int64)],
    )


def drawn(model, sources, temperature, seeds, ends=ENDS):
    """One output of each source."""
    seeds = np.int64(seeds) + np.zeros(len(sources), np.int64)
    return compiled_draw(model, ends)(*batch(sources), np.float32(temperature), seeds)


def found(beams, row=0):
    """A row's outputs as the reference gives them."""
    return [
        (tuple(tokens[:length].tolist()), float(log_prob), float(score), bool(finished))
        for tokens, length, log_prob, score, finished in zip(
            *(part.numpy()[row] for part in beams), strict=True
        )
        if length
    ]


def assert_same(ours, theirs, rtol=1e-4):
    assert [(entry[0], entry[3]) for entry in ours] == [(entry[0], entry[3]) for entry in theirs]
    for index in (1, 2):
        np.testing.assert_allclose(
            [entry[index] for entry in ours], [entry[index] for entry in theirs], rtol, 1e-4
        )


def greedy(model, source):
    """The likeliest token each time, by a loop: output, log-probability, whether it ended."""
    after, tokens, total = following(model, source), (), 0.0
    while (not tokens or tokens[-1] != EOS) and len(tokens) < 2 * len(source) + 10:
        gains = after((BOS, *tokens))
        tokens, total = (*tokens, int(gains.argmax())), total + gains.max()
    return tokens, total, tokens[-1] == EOS


scripts = st.builds(
    lambda seed, scale: Scripted(
        # a table for every step of the longest output: a period would make equal scores
        scale * np.random.default_rng(seed).normal(size=(3, 18, SIZE, SIZE))
    ),
    st.integers(0, 2**16),
    st.sampled_from([0.3, 1.0, 4.0]),
)
sources = st.lists(st.lists(st.integers(4, 7), min_size=1, max_size=4), min_size=1, max_size=3)


# -- search ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_beam_of_1_is_greedy(kind):
    model = made(kind)
    beams = compiled(model)(*batch(SOURCES), 1, 1, 0.7, 0.0)
    lengths = set()
    for row, source in enumerate(SOURCES):
        tokens, total, ended = greedy(model, source)
        (entry,) = found(beams, row)
        assert (entry[0], entry[3]) == (tokens, ended)
        assert entry[1] == pytest.approx(total, abs=1e-4)
        assert entry[2] == pytest.approx(total / ((5 + len(tokens)) / 6) ** 0.7, abs=1e-4)
        lengths.add(len(tokens))
    assert len(lengths) > 1


@examples(20)
@given(model=scripts, sources=sources)
def test_a_beam_of_1_is_greedy_for_any_model(model, sources):
    beams = search(model, *batch(sources), ENDS, 1, 1, 1.0, 0)
    for row, source in enumerate(sources):
        tokens, total, ended = greedy(model, source)
        assert_same(found(beams, row), [(tokens, total, total / ((5 + len(tokens)) / 6), ended)])


@pytest.mark.parametrize("kind", KINDS)
def test_equals_a_plain_beam(kind):
    """Over the model's own log-probabilities, each prefix read anew."""
    model, width, n_best, alpha = made(kind), 4, 3, 0.8
    beams = compiled(model)(*batch(SOURCES), width, n_best, alpha, 0.0)
    for row, source in enumerate(SOURCES):
        length = 2 * len(source) + 10
        after = following(model, source)
        expected = beam_reference(after, BOS, width, length, {EOS}, alpha, n_best, "gnmt")
        assert_same(found(beams, row), expected)


@examples(25)
@given(
    model=scripts,
    sources=sources,
    shape=st.sampled_from([(2, 2), (3, 1), (5, 4)]),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    beta=st.sampled_from([0, 0.3]),
    excluded=st.sampled_from([(), (1,), (0, 1, 2)]),
)
def test_equals_a_plain_beam_for_any_model(model, sources, shape, alpha, beta, excluded):
    width, n_best = shape
    ends = Ends(BOS, EOS, excluded)
    beams = search(model, *batch(sources), ends, width, n_best, alpha, beta)
    for row, source in enumerate(sources):

        def penalty(tokens, source=source):
            left = max(0, len(source) - len(tokens))  # one source token is read with each token
            return beta * left * np.log(1e-9)

        expected = beam_reference(
            following(model, source, ends), BOS, width, 2 * len(source) + 10, {EOS}, alpha, n_best,
            "gnmt", penalty,
        )  # fmt: skip
        assert_same(found(beams, row), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.0, 0.4])
def test_a_sentence_alone_is_the_same(kind, beta):
    run = compiled(made(kind))
    how = 3, 3, 1.0, beta
    together = run(*batch(SOURCES), *how)
    assert len(set(together.lengths.numpy().ravel())) > 2
    for row, source in enumerate(SOURCES):
        assert_same(found(together, row), found(run(*batch([source]), *how)), rtol=1e-5)


@pytest.mark.parametrize("width", [1, 3])
def test_an_output_ends_at_its_longest(width):
    """2 n + 10 tokens, whatever else is in the batch; what is cut there did not finish."""
    model = made()
    with leaning(model, eos=-60.0):
        beams = compiled(model)(*batch(SOURCES), width, width, 1.0, 0.0)
        made_up = drawn(model, SOURCES, 1.0, 1)
    for row, source in enumerate(SOURCES):
        entries = found(beams, row)
        assert len(entries) == width
        for tokens, _, _, finished in entries:
            assert not finished
            assert len(tokens) == 2 * len(source) + 10
            assert EOS not in tokens
    longest = [2 * len(source) + 10 for source in SOURCES]
    assert made_up.lengths.numpy().tolist() == longest
    for tokens, log_probs, length in zip(
        made_up.tokens.numpy(), made_up.log_probs.numpy(), longest, strict=True
    ):
        assert EOS not in tokens[:length]
        assert not tokens[length:].any()
        assert not log_probs[length:].any()


def test_excluded_ids_never_occur():
    model = made()
    free, kept = Ends(BOS, EOS), Ends(BOS, EOS, (1, 5))
    for ends, wanted in ((free, True), (kept, False)):
        with leaning(model, unk=30.0):  # nearly all of the probability
            beams = search(model, *batch(SOURCES), ends, 3, 3, 1.0, 0)
            made_up = drawn(model, SOURCES, 2.0, 1, ends)
        for tokens, lengths in (beams[:2], made_up[:2]):
            inside = tf.sequence_mask(lengths, tf.shape(tokens)[-1]).numpy()
            given = tokens.numpy()[inside]
            assert (given == 1).any() == wanted
            assert not np.isin(given, [0, BOS]).any()  # the model's own
    assert (beams.log_probs.numpy() > -50).all(), "the others share all of the probability"
    assert not np.isin(beams.tokens.numpy()[beams.tokens.numpy() > 0], [1, 5]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_coverage_penalty_is_that_of_the_formula(kind):
    model, width, alpha, beta = made(kind), 4, 0.8, 0.5
    source, lengths = batch(SOURCES)
    plain = compiled(model)(source, lengths, width, width, alpha, 0.0)
    beams = compiled(model)(source, lengths, width, width, alpha, beta)
    rows = np.repeat(np.arange(5), width)
    attention = attention_of(
        model, source[rows], lengths[rows], BOS, tf.reshape(beams.tokens, [len(rows), -1])
    )
    attention = tf.reshape(attention, [5, width, -1, source.shape[1]]).numpy()
    penalties = []
    for row, (size, entries) in enumerate(zip(lengths, map(found, [beams] * 5, range(5)),
                                              strict=True)):  # fmt: skip
        for weights, (tokens, log_prob, score, _) in zip(attention[row], entries, strict=True):
            covered = weights[: len(tokens), :size].sum(0)
            penalty = beta * np.log(np.minimum(covered, 1.0)).sum()
            normalised = log_prob / ((5 + len(tokens)) / 6) ** alpha
            assert score == pytest.approx(normalised + penalty, abs=1e-3)
            penalties.append(penalty)
        assert entries == sorted(entries, key=lambda entry: (not entry[3], -entry[2]))

        def penalty_of(tokens, row=row, size=size):
            weights = forced(model)(source[row, :size], np.int32([BOS, *tokens[:-1]]))[1].numpy()
            return beta * np.log(np.minimum(weights.sum(0), 1.0)).sum()

        expected = beam_reference(
            following(model, SOURCES[row]), BOS, width, 2 * size + 10, {EOS}, alpha, width, "gnmt",
            (lambda tokens: 0.0) if kind == "none" else penalty_of,
        )  # fmt: skip
        assert_same(entries, expected)
    if kind == "none":
        assert not any(penalties)
        np.testing.assert_array_equal(beams.scores, plain.scores)
    else:
        assert min(penalties) < -0.1
        assert not np.array_equal(beams.scores, plain.scores)


# -- attention -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_attention_of_outputs_is_that_of_the_steps(kind):
    model = made(kind)
    source, lengths = batch(SOURCES)
    outputs = np.random.default_rng(1).integers(4, SIZE, (5, 6)).astype(np.int32)
    weights = attention_of(model, source, lengths, BOS, outputs)
    assert weights.dtype == tf.float32
    mask = tf.sequence_mask(lengths, source.shape[1])
    state, memory = model.encode(source, mask)
    tokens = np.full(5, BOS, np.int32)
    for t in range(6):
        _, state, attention = model.decoder.step(tf.constant(tokens), state, memory)
        np.testing.assert_allclose(weights[:, t], attention, atol=1e-5)
        tokens = outputs[:, t]
    np.testing.assert_allclose(tf.reduce_sum(weights, axis=2), 1, atol=1e-5)
    if kind != "none":
        assert not weights.numpy()[np.broadcast_to(~mask.numpy()[:, None], weights.shape)].any()
    # what stands beyond an end does not matter to what is before it
    other = np.where(np.arange(6) < 3, outputs, 0)
    np.testing.assert_allclose(
        attention_of(model, source, lengths, BOS, other)[:, :4], weights[:, :4], atol=1e-6
    )


# -- draw ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_makes_an_output_whatever_else_is_drawn(kind):
    model, seeds = made(kind), np.array([7, 8, 9, 10, 7])
    together, again = (drawn(model, SOURCES, 1.0, seeds) for _ in range(2))
    for mine, his in zip(together, again, strict=True):
        np.testing.assert_array_equal(mine, his)
    for row, source in enumerate(SOURCES):
        alone = drawn(model, [source], 1.0, seeds[row])
        length = int(alone.lengths[0])
        assert length == int(together.lengths[row])
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[row, :length])
        np.testing.assert_allclose(
            alone.log_probs[0], together.log_probs[row, :length], rtol=1e-4, atol=1e-5
        )
        ended = together.tokens[row, length - 1] == EOS
        assert ended or length == 2 * len(source) + 10
        after, before = following(model, source), (BOS,)
        for token, log_prob in zip(*(part[0].numpy() for part in alone[::2]), strict=True):
            assert log_prob == pytest.approx(after(before)[token], abs=1e-4)
            before = (*before, int(token))
    others = [
        drawn(model, SOURCES, 1.0, seeds + 100 * n).tokens.numpy().tolist() for n in range(1, 4)
    ]
    assert together.tokens.numpy().tolist() not in others


@pytest.mark.parametrize("kind", KINDS)
def test_without_temperature_it_is_greedy(kind):
    model = made(kind)
    coldest = drawn(model, SOURCES, 1e-4, np.arange(5))
    for row, source in enumerate(SOURCES):
        tokens, total, _ = greedy(model, source)
        assert tuple(coldest.tokens[row, : coldest.lengths[row]].numpy().tolist()) == tokens
        # of the model itself, not of the temperature
        assert float(tf.reduce_sum(coldest.log_probs[row])) == pytest.approx(total, abs=1e-4)


def test_draws_have_the_probabilities_of_the_model():
    model, count = made(), 3000
    many = drawn(model, [SOURCES[2]] * count, 1.0, np.arange(count))
    shares = np.bincount(many.tokens[:, 0], minlength=SIZE) / count
    wanted = np.exp(following(model, SOURCES[2])((BOS,)))
    np.testing.assert_allclose(shares, wanted, atol=0.03)
    assert (shares[wanted < 1e-9] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_of_nothing_comes_nothing(kind):
    """A source that is only its end has one output, whatever the model would say; others keep
    theirs beside it."""
    full, empty = np.int32([[4, 5, EOS]]), np.int32([[EOS]])
    both = np.int32([[4, 5, EOS], [EOS, 0, 0]])
    model = made(kind)
    with leaning(model, eos=-5.0):
        found, alone, other = (
            compiled(model)(ids, np.int32(lengths), 3, 2, 1.0, 0.0)
            for ids, lengths in ((both, [3, 1]), (empty, [1]), (full, [3]))
        )
        seeds = np.int64([7, 7])
        drawn = compiled_draw(model, ENDS)(both, np.int32([3, 1]), np.float32(1), seeds)
    for beams, row in ((found, 1), (alone, 0)):
        assert beams.lengths[row].numpy().tolist() == [1, 0]
        tokens = beams.tokens[row].numpy()
        assert tokens[0, 0] == EOS
        assert tokens.sum() == EOS
        for scores in (beams.scores, beams.log_probs):
            assert scores[row].numpy().tolist() == [0.0, np.float32(-1e30)]
        assert beams.finished[row].numpy().tolist() == [True, False]
    np.testing.assert_array_equal(found.lengths[0], other.lengths[0])
    np.testing.assert_allclose(found.scores[0], other.scores[0], rtol=1e-4)
    assert int(drawn.lengths[1]) == 1
    assert drawn.tokens[1].numpy().sum() == drawn.tokens[1, 0].numpy() == EOS
    assert float(tf.reduce_sum(drawn.log_probs[1])) == 0
    assert int(drawn.lengths[0]) > 1
