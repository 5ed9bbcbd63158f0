"""Losses and metrics: against dense NumPy, masked, over batches of unequal size."""

import keras
import numpy as np
import pytest

from kerasseq.layers.losses import CRFLoss, MaskedSparseCrossentropy
from kerasseq.layers.metrics import (
    BitsPerCharacter,
    CRFAccuracy,
    Perplexity,
    SentenceAccuracy,
    TokenAccuracy,
)
from tests.layers.gradients import gradients


def batches():
    """Two batches of different lengths, so that a mean of means would be wrong."""
    rng = np.random.default_rng(0)
    for rows, lengths in ((2, [5, 1]), (3, [2, 2, 3])):
        mask = np.arange(5)[None] < np.array(lengths)[:, None]
        logits = (2 * rng.normal(size=(rows, 5, 4))).astype("float32")
        yield rng.integers(0, 4, (rows, 5)), logits, mask


def dense_nll(y_true, logits, smoothing=0.0):
    logits = logits.astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    target = (1 - smoothing) * np.eye(logits.shape[-1])[y_true] + smoothing / logits.shape[-1]
    return -(target * log_p).sum(axis=-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_mean_over_valid_tokens(smoothing):
    for y_true, logits, mask in batches():
        loss = MaskedSparseCrossentropy(label_smoothing=smoothing)
        wanted = dense_nll(y_true, logits, smoothing)[mask].mean()
        assert abs(float(loss(y_true, logits, mask)) - wanted) < 1e-6
        ignored = np.where(mask, y_true, -1)
        loss = MaskedSparseCrossentropy(label_smoothing=smoothing, ignore_class=-1)
        assert abs(float(loss(ignored, logits)) - wanted) < 1e-6


def test_smoothing_equals_keras_dense_loss():
    y_true, logits, _mask = next(batches())
    dense = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    wanted = float(dense(np.eye(4)[y_true].reshape(-1, 4), logits.reshape(-1, 4)))
    assert abs(float(MaskedSparseCrossentropy(0.2)(y_true, logits)) - wanted) < 1e-6


def test_padding_has_no_gradient_and_no_influence():
    y_true, logits, mask = next(batches())
    loss = MaskedSparseCrossentropy(0.1)
    (grad,) = gradients(lambda x: loss(y_true, x, mask), logits)
    assert not grad[~mask].any()
    assert grad[mask].any()
    spoiled = np.where(mask[..., None], logits, 1e9).astype("float32")
    assert float(loss(y_true, spoiled, mask)) == float(loss(y_true, logits, mask))
    assert float(loss(y_true, logits, np.zeros_like(mask))) == 0.0


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        (Perplexity, lambda mean: np.exp(mean)),
        (BitsPerCharacter, lambda mean: mean / np.log(2)),
    ],
)
@pytest.mark.parametrize("from_nll", [False, True])
def test_summed_nll_over_summed_tokens(metric, function, from_nll):
    metric = metric(from_nll=from_nll)
    total, tokens = 0.0, 0
    for y_true, logits, mask in batches():
        nll = dense_nll(y_true, logits)
        total, tokens = total + nll[mask].sum(), tokens + mask.sum()
        metric.update_state(y_true, nll.astype("float32") if from_nll else logits, mask)
    np.testing.assert_allclose(float(metric.result()), function(total / tokens), rtol=1e-5)
    metric.reset_state()
    assert float(metric.count) == 0.0


def test_accuracies():
    y_true = np.array([[1, 2, 3], [1, 2, 3], [1, 1, 1], [0, 0, 0]])
    y_pred = np.array([[1, 2, 0], [1, 0, 3], [1, 1, 1], [0, 0, 0]])
    mask = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]])
    tokens, sentences = TokenAccuracy(), SentenceAccuracy()
    for metric, wanted in ((tokens, 5 / 6), (sentences, 2 / 3)):
        metric.update_state(y_true, y_pred, mask)
        np.testing.assert_allclose(float(metric.result()), wanted, rtol=1e-6)
        metric.reset_state()
        metric.update_state(y_true, np.eye(4, dtype="float32")[y_pred], mask)
        np.testing.assert_allclose(float(metric.result()), wanted, rtol=1e-6)
    ignoring = TokenAccuracy(ignore_class=3)
    ignoring.update_state(y_true[:2], y_pred[:2])
    assert float(ignoring.result()) == 0.75


@pytest.mark.parametrize(
    "thing",
    [
        MaskedSparseCrossentropy(0.1, ignore_class=2),
        CRFLoss(),
        Perplexity(from_nll=True),
        BitsPerCharacter(ignore_class=0),
        TokenAccuracy(ignore_class=1),
        SentenceAccuracy(),
        CRFAccuracy(),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_config_round_trip(thing):
    config = keras.saving.serialize_keras_object(thing)
    assert config["registered_name"].startswith("kerasseq>")
    assert keras.saving.deserialize_keras_object(config).get_config() == thing.get_config()


def test_in_compile_and_fit():
    y_true, logits, mask = next(batches())
    model = keras.Sequential([keras.Input((None, 4)), keras.layers.Dense(4)])
    model.compile(
        "sgd", MaskedSparseCrossentropy(0.1), weighted_metrics=[Perplexity(), TokenAccuracy()]
    )
    history = model.fit(
        logits, y_true, sample_weight=mask.astype("float32"), verbose=0, shuffle=False
    ).history
    assert np.isfinite(history["perplexity"][0])
    assert 0 <= history["token_accuracy"][0] <= 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_are_scored_in_float32(dtype):
    y_true, logits, mask = next(batches())
    half = keras.ops.cast(logits, dtype)
    exact = keras.ops.cast(half, "float32")
    loss = MaskedSparseCrossentropy()
    assert keras.backend.standardize_dtype(loss(y_true, half, mask).dtype) == "float32"
    np.testing.assert_allclose(
        float(loss(y_true, half, mask)), float(loss(y_true, exact, mask)), rtol=1e-6
    )


def test_errors():
    y_true, logits, _ = next(batches())
    with pytest.raises(ValueError, match="`y_pred` must have one axis more"):
        MaskedSparseCrossentropy()(y_true, logits[..., 0])
    with pytest.raises(ValueError, match="`label_smoothing` must be a number"):
        MaskedSparseCrossentropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match="an nll for each token"):
        Perplexity(from_nll=True).update_state(y_true, logits)
    with pytest.raises(ValueError, match="class ids in the shape"):
        TokenAccuracy().update_state(y_true, logits[:, 0, 0])
