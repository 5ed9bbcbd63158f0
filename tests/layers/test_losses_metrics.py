"""Losses and metrics: against dense NumPy, masked, over batches of unequal size."""

import keras
import numpy as np
import pytest

from kerasseq.layers.crf import CRF
from kerasseq.layers.losses import CRFLoss, MaskedSparseCrossentropy, TokenLoss
from kerasseq.layers.metrics import (
    BitsPerCharacter,
    CRFAccuracy,
    Perplexity,
    SentenceAccuracy,
    TokenAccuracy,
)
from tests.layers.crf_reference import enumerate_crf
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
        TokenLoss(),
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
    with pytest.raises(ValueError, match="class ids in the shape"):  # ids, not scores
        TokenAccuracy().update_state(np.array([[1], [2]]), np.array([[1, 2, 3], [1, 2, 3]]))
    for metric in (Perplexity(), BitsPerCharacter(), TokenAccuracy(), SentenceAccuracy()):
        with pytest.raises(ValueError, match=r"one axis more.*y_pred.shape=\(2, 4, 4\)"):
            metric.update_state(y_true, logits[:, :4])
    things = (TokenLoss(), Perplexity(from_nll=True).update_state)
    for thing in things:
        with pytest.raises(ValueError, match=r"an nll for each token.*y_pred.shape=\(2, 4\)"):
            thing(y_true, logits[:, :4, 0])
        with pytest.raises(ValueError, match=r"an nll for each token.*y_pred.dtype=int"):
            thing(y_true, y_true)
    for reduction in ("sum", "none"):
        for loss in (MaskedSparseCrossentropy, CRFLoss, TokenLoss):
            with pytest.raises(ValueError, match="`reduction` must be 'mean_with_sample_weight'"):
                loss(reduction=reduction)


@pytest.mark.parametrize("weight", [np.ones((2, 4)), np.ones(3), np.ones((2, 5, 4))])
def test_weights_of_another_shape_are_named(weight):
    y_true, logits, _ = next(batches())
    nll = logits[..., 0]
    for thing, y_pred in (
        (MaskedSparseCrossentropy(), logits),
        (TokenLoss(), nll),
        (Perplexity().update_state, logits),
        (Perplexity(from_nll=True).update_state, nll),
        (TokenAccuracy().update_state, logits),
        (SentenceAccuracy().update_state, y_true),
    ):
        with pytest.raises(ValueError, match=r"`sample_weight` must have the shape of `y_true`"):
            thing(y_true, y_pred, weight.astype("float32"))


def test_labels_without_a_logit_are_named():
    y_true, logits, mask = next(batches())
    loss = MaskedSparseCrossentropy()
    for label in (-1, 4):
        wrong = y_true.copy()
        wrong[0, 1] = label
        with pytest.raises(ValueError, match=rf"classes from 0 to 3.*Received: {label}"):
            loss(wrong, logits, mask)
        assert np.isfinite(float(loss(np.where(mask, y_true, label), logits, mask)))


def test_column_targets_are_one_class_a_row():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(6, 4)).astype("float32")
    y_true = rng.integers(0, 4, 6)
    hits = (logits.argmax(axis=-1) == y_true).mean()
    mean = dense_nll(y_true, logits).mean()
    cases = [
        (TokenAccuracy, hits),
        (SentenceAccuracy, hits),
        (Perplexity, np.exp(mean)),
        (BitsPerCharacter, mean / np.log(2)),
    ]
    for make, wanted in cases:
        for column in (y_true[:, None], y_true):
            for weights in (None, np.ones(6), np.ones((6, 1))):
                metric = make()
                metric.update_state(column, logits, weights)
                np.testing.assert_allclose(float(metric.result()), wanted, rtol=1e-5)
    nll = dense_nll(y_true, logits).astype("float32")
    metric = Perplexity(from_nll=True)
    metric.update_state(y_true[:, None], nll)
    np.testing.assert_allclose(float(metric.result()), np.exp(mean), rtol=1e-5)
    np.testing.assert_allclose(float(TokenLoss()(y_true[:, None], nll)), mean, rtol=1e-5)
    # Sequences of one step, whose class ids are given.
    metric = TokenAccuracy()
    metric.update_state(np.array([[1], [2]]), np.array([[1], [0]]))
    assert float(metric.result()) == 0.5


def test_token_loss_is_the_mean_of_the_nll_it_is_given():
    for y_true, logits, mask in batches():
        nll = dense_nll(y_true, logits).astype("float32")
        spoiled = np.where(mask, nll, np.nan).astype("float32")
        loss = TokenLoss()(y_true, spoiled, mask)
        np.testing.assert_allclose(float(loss), nll[mask].mean(), rtol=1e-6)
        rows = np.arange(1.0, len(nll) + 1, dtype="float32")
        wanted = (rows[:, None] * nll).sum() / (rows.sum() * nll.shape[1])
        np.testing.assert_allclose(float(TokenLoss()(y_true, nll, rows)), wanted, rtol=1e-6)
        (grad,) = gradients(lambda x, y=y_true, m=mask: TokenLoss()(y, x, m), nll)
        np.testing.assert_allclose(grad, mask / mask.sum(), rtol=1e-6)
    assert float(TokenLoss()(y_true, nll, np.zeros_like(mask))) == 0.0


def potentials(mask=None):
    rng = np.random.default_rng(2)
    crf = CRF(3)
    emissions = (2 * rng.normal(size=(4, 5, 3))).astype("float32")
    return crf, emissions, crf(emissions, mask=mask, output="potentials")


def test_crf_accuracy_equals_enumeration():
    mask = np.arange(5)[None] < np.array([5, 3, 1, 2])[:, None]
    crf, emissions, y_pred = potentials(mask)
    y_true = np.random.default_rng(3).integers(0, 3, (4, 5))
    weights = mask & (np.arange(5)[None] < 4)  # narrower than the CRF's own mask
    parts = [np.asarray(p) for p in crf._potentials(emissions, None)[1:4]]
    hits = 0
    for row, length in enumerate(mask.sum(axis=1)):
        _, best, _, _ = enumerate_crf(emissions[row, :length], *parts)
        hits += ((np.array(best) == y_true[row, :length]) * weights[row, :length]).sum()
    metric = CRFAccuracy()
    metric.update_state(y_true, y_pred, weights)
    np.testing.assert_allclose(float(metric.result()), hits / weights.sum(), rtol=1e-6)
    ignoring = CRFAccuracy(ignore_class=1)
    ignoring.update_state(y_true, y_pred)
    assert float(ignoring.count) == (mask & (y_true != 1)).sum()


def test_crf_loss_and_accuracy_name_what_is_wrong():
    crf, emissions, y_pred = potentials()
    y_true = np.zeros((4, 5), "int32")
    for thing in (CRFLoss(), CRFAccuracy().update_state):
        for wrong in (emissions, np.asarray(crf(emissions)), np.asarray(y_pred)[:2]):
            with pytest.raises(ValueError, match=r"CRF.*`y_pred` must be what a CRF gives with"):
                thing(y_true, wrong)
        with pytest.raises(ValueError, match=r"`y_true` must have shape \[batch, time\]"):
            thing(y_true[0], y_pred)
    for weights in (y_true[:, :4] + 1, np.ones((4, 5, 1)), np.ones(3)):
        with pytest.raises(ValueError, match="`sample_weight` must have"):
            CRFLoss()(y_true, y_pred, weights.astype("float32"))


@pytest.mark.parametrize("hole", [0, 2])
def test_crf_loss_leaves_steps_without_weight_out(hole):
    random = np.random.default_rng(3)
    crf, y_true = CRF(3), random.integers(0, 3, (4, 5))
    emissions = random.normal(size=(4, 5, 3)).astype("float32")
    weights = np.ones((4, 5), "float32")
    weights[:, hole] = 0.0
    cut = crf(np.delete(emissions, hole, 1), output="potentials")
    np.testing.assert_allclose(
        CRFLoss()(y_true, crf(emissions, output="potentials"), weights),
        CRFLoss()(np.delete(y_true, hole, 1), cut),
        rtol=1e-6,
    )
