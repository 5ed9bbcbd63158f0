"""CharacterEncoder: NumPy reference, padding in words and in characters, the contract."""

import numpy as np
import pytest
from keras import ops

from kerasseq.layers.character_encoder import CharacterEncoder
from tests.layers.contract import run_layer_contract

IDS = np.array([[[5, 7, 2], [3, 0, 0]], [[4, 4, 0], [0, 0, 0]]], "int32")


@pytest.mark.parametrize("method", ["cnn", "bilstm"])
def test_contract(method):
    run_layer_contract(
        CharacterEncoder,
        {"vocabulary_size": 9, "units": 6, "method": method, "widths": [1, 2, 3]},
        {"inputs": IDS},
        expected_output_shape=(2, 2, 6),
    )


@pytest.mark.parametrize("method", ["cnn", "bilstm"])
def test_padding_has_no_influence(method):
    encoder = CharacterEncoder(9, units=6, method=method)
    mask = IDS != 0
    whole = np.asarray(encoder(IDS, mask=mask))
    spoiled = np.where(mask, IDS, 8)
    np.testing.assert_array_equal(whole, np.asarray(encoder(spoiled, mask=mask)))
    for b, w, length in ((0, 0, 3), (0, 1, 1), (1, 0, 2)):
        alone = np.asarray(encoder(IDS[b : b + 1, w : w + 1, :length]))
        np.testing.assert_allclose(whole[b, w], alone[0, 0], atol=1e-6)
    assert not whole[1, 1].any()


def test_cnn_equals_numpy():
    encoder = CharacterEncoder(9, units=4, widths=(2, 3), embedding_dim=5)
    got = np.asarray(encoder(IDS))[0, 0]
    table = np.asarray(ops.convert_to_numpy(ops.copy(encoder.embedding.embeddings)))
    wanted = []
    for convolution, width in zip(encoder.convolutions, (2, 3), strict=True):
        kernel = np.asarray(ops.convert_to_numpy(ops.copy(convolution.kernel)))
        left = (width - 1) // 2
        x = np.pad(table[IDS[0, 0]], ((left, width - 1 - left), (0, 0)))
        steps = [np.einsum("we,wef->f", x[i : i + width], kernel) for i in range(3)]
        wanted.append(np.tanh(steps).max(axis=0))
    np.testing.assert_allclose(got, np.concatenate(wanted), atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="`units` must be a multiple of the number of widths"):
        CharacterEncoder(9, units=7, widths=(2, 3))
    with pytest.raises(ValueError, match="`method` must be one of 'cnn', 'bilstm'"):
        CharacterEncoder(9, units=6, method="transformer")
    with pytest.raises(ValueError, match=r"\[batch, words, characters\].*Received"):
        CharacterEncoder(9, units=6)(IDS[0])
