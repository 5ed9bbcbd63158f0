"""Losses at the edges: float64, no rows, tags that are not known, Keras in float64."""

import keras
import numpy as np
import pytest

from kerasseq.layers import CRF, CRFLoss, MaskedSparseCrossentropy, RecurrentStack, TokenLoss

numpy_stays = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="other backends make floatx of NumPy's float64"
)


@numpy_stays
def test_losses_of_float64_are_float64():
    random = np.random.default_rng(0)
    labels, logits = random.integers(0, 3, (4, 5)), random.normal(size=(4, 5, 3))
    found = MaskedSparseCrossentropy()(labels, logits, np.ones((4, 5)))
    shifted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.take_along_axis(shifted, labels[..., None], -1).mean()
    assert keras.backend.standardize_dtype(found.dtype) == "float64"
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    nll = random.normal(size=(4, 5))
    np.testing.assert_allclose(TokenLoss()(labels, nll), nll.mean(), rtol=1e-12)


@pytest.mark.parametrize("unknown", [None, -1])
def test_a_crf_of_no_rows_has_no_loss(unknown):
    potentials = CRF(4)(np.zeros((0, 3, 4), "float32"), output="potentials")
    assert float(CRFLoss(unknown_tag=unknown)(np.zeros((0, 3), "int32"), potentials)) == 0


def test_a_tag_that_a_crf_does_not_have_is_refused():
    potentials = CRF(3)(np.zeros((1, 4, 3), "float32"), output="potentials")
    for tags in ([[0, -1, 2, 1]], [[0, 5, 2, 1]]):
        with pytest.raises(ValueError, match="`unknown_tag` is for steps"):
            CRFLoss()(np.array(tags), potentials)
    assert np.isfinite(float(CRFLoss(unknown_tag=-1)(np.array([[0, -1, 2, 1]]), potentials)))


@numpy_stays
def test_layers_run_where_keras_computes_in_float64():
    inputs, mask = np.random.default_rng(1).normal(size=(2, 3, 4)), np.array([[1, 1, 0], [0, 1, 1]])
    keras.config.set_floatx("float64")
    try:
        stack = RecurrentStack(3, dtype="float64")
        found = stack(inputs, mask=mask.astype(bool))
        assert keras.backend.standardize_dtype(found.dtype) == "float64"
        keras_layer = keras.layers.LSTM(3, return_sequences=True, dtype="float64")
        keras_layer.build(inputs.shape)
        keras_layer.set_weights(stack.get_weights())
        np.testing.assert_allclose(found[0, :2], keras_layer(inputs)[0, :2], rtol=1e-9)
        assert CRF(4, dtype="float64")(inputs).shape == (2, 3)
    finally:
        keras.config.set_floatx("float32")
