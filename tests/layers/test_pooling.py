"""The pooling layers: contract, NumPy, and rows without a valid step."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.layers import AttentionPooling, LastPooling, MaxPooling, MeanPooling
from tests.examples import examples
from tests.layers.contract import run_layer_contract

X = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")
LENGTHS = np.array([5, 3, 1])
MASK = np.arange(5)[None] < LENGTHS[:, None]
POOLS = {
    "last": (LastPooling, {}),
    "last of both directions": (LastPooling, {"bidirectional": True}),
    "mean": (MeanPooling, {}),
    "max": (MaxPooling, {}),
    "attention": (AttentionPooling, {"units": 4}),
}


def reference(name: str, x: np.ndarray, layer) -> np.ndarray:
    """One sequence without padding."""
    if name == "mean":
        return x.mean(0)
    if name == "max":
        return x.max(0)
    if name == "attention":
        kernel, query, score = (np.asarray(w) for w in (layer.kernel, layer.query, layer.score))
        weights = np.exp(np.tanh(x @ kernel + query) @ score)[:, 0]
        return (weights / weights.sum()) @ x
    return x[-1] if name == "last" else np.concatenate([x[-1, :3], x[0, 3:]])


@pytest.mark.parametrize("name", POOLS)
def test_contract(name):
    layer, init = POOLS[name]
    run_layer_contract(
        layer,
        init,
        {"inputs": X, "mask": MASK},
        expected_output_shape=(3, 6),
        time_arguments={"inputs": 1, "mask": 1},
    )


@pytest.mark.parametrize("name", POOLS)
def test_equals_numpy(name):
    make, init = POOLS[name]
    layer = make(**init)
    y = np.asarray(layer(X, mask=MASK))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(y[row], reference(name, X[row, :length], layer), atol=1e-6)
    np.testing.assert_allclose(layer(X), layer(X, mask=np.ones((3, 5), bool)), atol=1e-6)


@pytest.mark.parametrize("name", POOLS)
def test_a_row_without_a_valid_step_gives_zeros(name):
    make, init = POOLS[name]
    y = np.asarray(make(**init)(X, mask=MASK & (np.arange(3) != 1)[:, None]))
    assert not y[1].any()
    assert np.isfinite(y).all()


@pytest.mark.parametrize("name", POOLS)
@examples(15)
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    extra=st.integers(1, 4),
    junk=st.sampled_from([0.0, 1e4, -1e4, np.inf]),
)
def test_padding_has_no_influence(name, lengths, extra, junk):
    make, init = POOLS[name]
    layer = _SHARED.setdefault(name, make(**init))
    longest = max(lengths) + extra
    mask = np.arange(longest)[None] < np.array(lengths)[:, None]
    x = np.random.default_rng(len(lengths)).normal(size=(len(lengths), longest, 6))
    x = np.where(mask[..., None], x, 0).astype("float32")
    noisy = np.where(mask[..., None], x, np.float32(junk))
    np.testing.assert_array_equal(layer(x, mask=mask), layer(noisy, mask=mask))


_SHARED: dict[str, object] = {}


def test_attention_weights_sum_to_one_and_are_zero_on_padding():
    y, weights = AttentionPooling(return_scores=True)(X, mask=MASK)
    weights = np.asarray(weights)
    assert tuple(y.shape) == (3, 6)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert not weights[~MASK].any()


def test_mean_is_summed_in_float32():
    x = np.full((1, 3000, 1), 30.0, "float16")
    assert float(MeanPooling(dtype="float16")(x)[0, 0]) == 30.0


@pytest.mark.parametrize("name", ["mean", "max"])
@pytest.mark.parametrize("mask", [None, MASK])
def test_whole_numbers_are_pooled_as_floats(name, mask):
    make, init = POOLS[name]
    whole = (10 * X).astype("int32")
    got = make(**init)(whole, mask=mask)
    np.testing.assert_array_equal(got, make(**init)(whole.astype("float32"), mask=mask))


def test_the_maximum_of_large_negative_halves_is_exact():
    x = np.full((2, 3, 1), -60000.0, "float16")
    mask = np.array([[True, False, False], [True, True, False]])
    assert np.asarray(MaxPooling(dtype="float16")(x, mask=mask)).tolist() == [[-60000.0]] * 2


@pytest.mark.parametrize("seed", [None, 3])
def test_attention_pooling_starts_from_unrelated_weights(seed):
    """One initialiser used twice would give the score the numbers of the kernel again."""
    pool = AttentionPooling(kernel_initializer=keras.initializers.RandomNormal(seed=seed))
    pool.build((None, None, 6))
    kernel, score = np.asarray(pool.kernel).ravel(), np.asarray(pool.score).ravel()
    assert (kernel[:6] != score).all()


@pytest.mark.parametrize("name", POOLS)
def test_ranks_and_masks_are_checked(name):
    make, init = POOLS[name]
    layer = make(**init)
    with pytest.raises(ValueError, match=r"`inputs` must have shape \[batch, time, features\]"):
        layer(X[..., None])
    layer = make(**init)
    for mask in (MASK[:2], MASK[:, :4]):
        with pytest.raises(ValueError, match="`mask` must have the batch and time of `inputs`"):
            layer(X, mask=mask)
    with pytest.raises(ValueError, match=r"`mask` must have shape \[batch, time\]"):
        layer(X, mask=MASK[..., None])
    with pytest.raises(ValueError, match="`mask` must be a tensor of truth values"):
        layer(X, mask=X[..., 0])


def test_wrong_calls_are_named():
    pool = AttentionPooling()
    pool(X)
    with pytest.raises(ValueError, match=r"`inputs` must have 6 features.*shape=\(3, 5, 4\)"):
        pool(X[..., :4])
    with pytest.raises(ValueError, match=r"MeanPooling: `inputs` must have shape \[batch, time"):
        MeanPooling()(X[0])
    with pytest.raises(ValueError, match=r"`inputs` must be a tensor or an array.*a list of 3"):
        MaxPooling()(X.tolist())
    with pytest.raises(ValueError, match=r"must be even. Received: inputs.shape=\(3, 5, 5\)"):
        LastPooling(bidirectional=True)(X[..., :5])
    with pytest.raises(ValueError, match="Received: units=-1"):
        AttentionPooling(units=-1)
