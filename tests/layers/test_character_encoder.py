"""CharacterEncoder: NumPy reference, padding in words and in characters, the contract."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasseq.layers.character_encoder import CharacterEncoder
from tests.layers import recurrent_reference as reference
from tests.layers.contract import run_layer_contract

IDS = np.array([[[5, 7, 2], [3, 0, 0]], [[4, 4, 0], [0, 0, 0]]], "int32")


@pytest.mark.parametrize("method", ["cnn", "bilstm"])
def test_contract(method):
    run_layer_contract(
        CharacterEncoder,
        {
            "vocabulary_size": 9,
            "units": 6,
            "method": method,
            "widths": [1, 2, 3],
            "use_cudnn": False,
        },
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


def test_bilstm_equals_numpy():
    encoder = CharacterEncoder(9, units=6, method="bilstm", embedding_dim=5)
    got = np.asarray(encoder(IDS)).reshape(4, 6)
    table = np.asarray(ops.convert_to_numpy(ops.copy(encoder.embedding.embeddings)))
    ids = IDS.reshape(4, 3)
    zeros = [np.zeros((4, 3))] * 2
    wanted = [
        reference.run(
            "lstm", table[ids], (ids != 0).sum(axis=1), zeros, reference.weights_of(cell), reverse
        )[1][0]
        for reverse, cell in enumerate(encoder.recurrent.cells)
    ]
    np.testing.assert_allclose(got, np.concatenate(wanted, axis=-1), atol=1e-6)


def test_use_cudnn_reaches_the_recurrent_layer_and_the_config():
    encoder = CharacterEncoder(9, units=6, method="bilstm", use_cudnn=False)
    assert encoder.recurrent.use_cudnn is False
    if keras.backend.backend() == "tensorflow":
        plan = encoder.recurrent.kernel_plan()
        assert "use_cudnn=False" in plan.reason
        assert not plan.xla
    clone = CharacterEncoder.from_config(encoder.get_config())
    assert clone.recurrent.use_cudnn is False
    assert CharacterEncoder(9, units=6, method="bilstm").recurrent.use_cudnn == "auto"


def test_kernel_and_xla_reach_the_recurrent_layer_and_the_config():
    encoder = CharacterEncoder(9, units=6, method="bilstm", kernel="loop")
    assert encoder.recurrent.kernel_plan() == ("loop", "asked for", False)
    clone = CharacterEncoder.from_config(encoder.get_config())
    assert (clone.kernel, clone.recurrent.kernel) == ("loop", "loop")
    # for it "auto" is not to compile: the number of words is another in every batch
    for xla, wanted in (("auto", False), (False, False), (True, True)):
        encoder = CharacterEncoder(9, units=6, method="bilstm", xla=xla)
        clone = CharacterEncoder.from_config(encoder.get_config())
        assert (clone.xla, clone.recurrent.xla) == (xla, wanted)
    config = encoder.get_config()
    del config["kernel"], config["xla"]  # of a model that was saved before it had them
    assert CharacterEncoder.from_config(config).kernel == "auto"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one kernel on this backend")
def test_kernels_agree():
    found = []
    for kernel in ("loop", "closed_form"):
        keras.utils.set_random_seed(0)
        encoder = CharacterEncoder(9, units=6, method="bilstm", kernel=kernel)
        found.append(np.asarray(encoder(IDS)))
        assert encoder.recurrent.kernel_plan().reason.startswith("asked for")
    assert found[0].any()
    np.testing.assert_allclose(*found, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match=r"CharacterEncoder: `kernel` must be one of .*'fast'"):
        CharacterEncoder(9, units=6, kernel="fast")
    with pytest.raises(ValueError, match="CharacterEncoder: `use_cudnn` and `kernel` contradict"):
        CharacterEncoder(9, units=6, kernel="cudnn", use_cudnn=False)
    with pytest.raises(ValueError, match="CharacterEncoder: `use_cudnn` must be one of 'auto'"):
        CharacterEncoder(9, units=6, use_cudnn=1)
    for widths in (3, [2.7], "23"):
        with pytest.raises(ValueError, match="`widths` must be a list of whole numbers"):
            CharacterEncoder(9, units=6, widths=widths)
    mask = IDS != 0
    for wrong in (mask[:1], mask[:, :1], mask[..., :2]):
        with pytest.raises(ValueError, match=r"`mask` must have the shape of `inputs`"):
            CharacterEncoder(9, units=6)(IDS, mask=wrong)
    with pytest.raises(ValueError, match="`units` must be a multiple of the number of widths"):
        CharacterEncoder(9, units=7, widths=(2, 3))
    with pytest.raises(ValueError, match="`method` must be one of 'cnn', 'bilstm'"):
        CharacterEncoder(9, units=6, method="transformer")
    with pytest.raises(ValueError, match=r"\[batch, words, characters\].*Received"):
        CharacterEncoder(9, units=6)(IDS[0])
