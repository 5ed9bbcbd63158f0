"""The neural cache against its definition, token by token."""

import functools

import keras
import numpy as np
import pytest

from kerasseq.tasks.language_model import neural_cache, scorer
from kerasseq.tasks.language_model.model import RecurrentLanguageModel
from kerasseq.tasks.language_model.neural_cache import (
    LAMBDAS,
    THETAS,
    Cached,
    choose,
    mixed,
    read,
    report,
)
from kerasseq.tasks.language_model.scorer import Scorer
from kerasseq.text.vocabulary import EOS

SIZE = 9
THREE = (0.0, 0.5, 3.0)


def small_model(**changes):
    options = {"vocabulary_size": SIZE, "embedding_dim": 4, "units": 5} | changes
    model = RecurrentLanguageModel(**options)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.8, w.shape) for w in model.get_weights()])
    return model


def text(count=50, seed=1):
    return np.random.default_rng(seed).integers(EOS, SIZE, count).astype(np.int32)


def by_definition(model, ids, size, theta):
    """`p_cache` of each token, float64 `[N, V]`; zeros where nothing was read yet."""
    inputs = np.concatenate([[EOS], ids[:-1]]).astype(np.int32)[None]
    hidden = model(inputs)[0].numpy()[0].astype("float64")
    shares = np.zeros((len(ids), SIZE))
    for t in range(len(ids)):
        for i in range(max(0, t - size), t):
            shares[t, ids[i]] += np.exp(theta * hidden[t] @ hidden[i])
        if shares[t].any():
            shares[t] /= shares[t].sum()
    return shares


scorer_of = functools.cache(Scorer)  # its graph is traced once for each model
model_of = functools.cache(lambda cell: small_model(cell=cell))


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    monkeypatch.setattr(scorer, "POSITIONS", 12)
    monkeypatch.setattr(neural_cache, "Scorer", scorer_of)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("size", [1, 5, 12, 30, 100])
def test_shares_are_those_of_the_definition(size, cell):
    """In pieces of 12: caches that are smaller, as large, larger, and larger than the text."""
    model, ids = model_of(cell), text()
    cached = read(model, ids, size, THREE)
    assert list(cached.shares) == list(THREE)
    for theta, shares in cached.shares.items():
        assert shares.shape == (len(ids),)
        assert ((shares >= 0) & (shares <= 1 + 1e-6)).all()
        wanted = by_definition(model, ids, size, theta)[np.arange(len(ids)), ids]
        np.testing.assert_allclose(shares, wanted, atol=1e-5)
    np.testing.assert_allclose(cached.nll, scorer_of(model).nll(ids), atol=1e-6)


@pytest.mark.parametrize("positions", [1, 7, 1000])
def test_pieces_do_not_matter(monkeypatch, positions):
    model, ids = model_of("lstm"), text()
    wanted = read(model, ids, 10, THREE)
    monkeypatch.setattr(scorer, "POSITIONS", positions)
    found = read(model, ids, 10, THREE)
    np.testing.assert_allclose(found.nll, wanted.nll, atol=1e-5)
    for theta in THREE:
        np.testing.assert_allclose(found.shares[theta], wanted.shares[theta], atol=1e-5)


def test_large_similarities_do_not_overflow():
    cached = read(model_of("lstm"), text(), 10, (1e4,))
    (shares,) = cached.shares.values()
    assert np.isfinite(shares).all()
    assert ((shares >= 0) & (shares <= 1 + 1e-6)).all()


def test_under_mixed_bfloat16():
    ids = text(30)
    wanted = read(small_model(), ids, 10, (0.5,))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = read(small_model(), ids, 10, (0.5,))
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(found.shares[0.5], wanted.shares[0.5], atol=0.03)


def test_the_mixture_is_that_of_the_definition():
    model, ids = model_of("lstm"), text()
    cached = read(model, ids, 20, THREE)
    plain = np.exp(-cached.nll.astype("float64"))
    for theta in THREE:
        assert mixed(cached, theta, 0.0) == pytest.approx(
            cached.nll.mean(dtype="float64"), rel=1e-6
        )
        for weight in (0.1, 0.5):
            p = (1 - weight) * plain + weight * cached.shares[theta]
            p[0] = plain[0]  # the cache holds nothing yet
            assert mixed(cached, theta, weight) == pytest.approx(-np.log(p).mean(), rel=1e-6)


def test_the_mixture_is_a_distribution_over_the_vocabulary():
    model, ids = model_of("lstm"), text()
    inputs = np.concatenate([[EOS], ids[:-1]]).astype(np.int32)[None]
    probabilities = np.exp(model.log_probs(model(inputs)[0]).numpy()[0].astype("float64"))
    shares = by_definition(model, ids, 20, 0.5)
    total = 0.7 * probabilities + 0.3 * shares
    np.testing.assert_allclose(total[1:].sum(-1), 1, atol=1e-5)
    gold = total[np.arange(len(ids)), ids]
    gold[0] = probabilities[0, ids[0]]
    found = mixed(read(model, ids, 20, (0.5,)), 0.5, 0.3)
    assert found == pytest.approx(-np.log(gold).mean(), rel=1e-5)


def test_choose_takes_the_best_of_the_grid():
    cached = read(model_of("lstm"), np.tile(text(10), 6), 30, THETAS)
    theta, weight = choose(cached)
    best = mixed(cached, theta, weight)
    trials = [mixed(cached, t, w) for t in THETAS for w in LAMBDAS]
    assert best == min(trials)
    assert best < mixed(cached, theta, 0.0), "a text that repeats itself gains"
    found = report(cached, theta, weight, 30)
    assert found["theta"] == theta
    assert (found["size"], found["lambda"], found["tokens"]) == (30, weight, 60)
    assert found["perplexity"] == pytest.approx(np.exp(cached.nll.mean()), rel=1e-4)
    assert found["nats_per_token_with_cache"] == pytest.approx(best, abs=1e-5)
    assert found["perplexity_with_cache"] == pytest.approx(np.exp(best), rel=1e-4)


def test_a_token_that_nothing_predicts_costs_much_but_no_infinity():
    cached = Cached(np.array([1.0, 1e30], np.float32), {0.1: np.zeros(2, np.float32)})
    assert np.isfinite(mixed(cached, 0.1, 0.1))
    assert neural_cache.mixed(cached, 0.1, 0.1) > 300
