"""Attention layers: NumPy references, weights on padding, windows, coverage, the contract."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from kerasseq.layers.additive_attention import AdditiveAttention
from kerasseq.layers.bilinear_attention import BilinearAttention
from kerasseq.layers.dot_attention import DotAttention
from kerasseq.layers.uniform_attention import UniformAttention
from tests.examples import examples
from tests.layers.contract import run_layer_contract
from tests.layers.gradients import gradients

LAYERS = [
    (AdditiveAttention, {"units": 6}),
    (AdditiveAttention, {"units": 6, "coverage": True}),
    (AdditiveAttention, {"units": 6, "window": 1, "window_center": "predictive"}),
    (DotAttention, {}),
    (DotAttention, {"scaled": True, "window": 1}),
    (BilinearAttention, {}),
    (BilinearAttention, {"window": 2, "window_center": "predictive"}),
    (UniformAttention, {}),
]
IDS = [f"{c.__name__}-{'-'.join(k)}" for c, k in LAYERS]
MASK = np.array([[True, True, True, True], [True, True, False, False], [True, False, False, False]])


def arrays(queries=3, steps=4, features=5, seed=0, rows=3):
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(rows, queries, features)).astype("float32")
    return query, rng.normal(size=(rows, steps, features)).astype("float32")


def softmax(scores):
    e = np.exp(scores - scores.max())
    return e / e.sum()


def reference(layer, query, values, length):
    """Contexts and weights of one row `query` [T, Q], `values` [S, V], by loops."""
    w = {v.name: np.asarray(ops.convert_to_numpy(ops.copy(v))) for v in layer.weights}
    covered = np.zeros(len(values))
    contexts, all_weights = [], []
    for t, q in enumerate(query):
        scores = np.zeros(length)
        for s in range(length):
            x = values[s]
            if isinstance(layer, AdditiveAttention):
                hidden = q @ w["query_kernel"] + x @ w["key_kernel"] + w["bias"]
                if layer.coverage:
                    hidden = hidden + covered[s] * w["coverage_kernel"][0]
                scores[s] = np.tanh(hidden) @ w["score_kernel"][:, 0]
            elif isinstance(layer, BilinearAttention):
                scores[s] = x @ w["kernel"] @ q
            elif isinstance(layer, UniformAttention):
                scores[s] = 0
            else:
                scores[s] = x @ q / (np.sqrt(len(q)) if layer.scaled else 1.0)
        if layer.window is not None:
            center = min(t, length - 1)
            if layer.window_center == "predictive":
                predicted = np.tanh(q @ w["center_kernel"]) @ w["center_score"][:, 0]
                center = (length - 1) / (1 + np.exp(-predicted))
                scores -= (np.arange(length) - center) ** 2 / (2 * (layer.window / 2) ** 2)
            scores[np.abs(np.arange(length) - center) > layer.window] = -np.inf
        weights = np.zeros(len(values))
        weights[:length] = softmax(scores)
        covered += weights
        contexts.append(weights @ values)
        all_weights.append(weights)
    return np.array(contexts), np.array(all_weights)


CONTRACT = [0, 1, 2, 4, 5, 7]  # every class and every option once


@pytest.mark.parametrize(("layer_class", "kwargs"), [LAYERS[i] for i in CONTRACT])
def test_contract(layer_class, kwargs):
    query, values = arrays()
    run_layer_contract(
        layer_class,
        kwargs,
        {"query": query, "values": values, "mask": MASK},
        expected_output_shape=(3, 3, 5),
        time_arguments={"values": 1, "mask": 1},
    )


@pytest.mark.parametrize(("layer_class", "kwargs"), LAYERS, ids=IDS)
def test_equals_numpy_and_steps(layer_class, kwargs):
    query, values = arrays()
    layer = layer_class(**kwargs)
    context, weights = layer(query, values, mask=MASK, return_weights=True)
    keys, covered = layer.precompute(values), np.zeros((3, 4), "float32")
    for row in range(3):
        wanted = reference(layer, query[row], values[row], MASK[row].sum())
        np.testing.assert_allclose(np.asarray(context)[row], wanted[0], atol=1e-5)
        np.testing.assert_allclose(np.asarray(weights)[row], wanted[1], atol=1e-5)
    for t in range(3):
        one, w = layer.step(
            ops.convert_to_tensor(query[:, t]),
            keys,
            ops.convert_to_tensor(values),
            mask=ops.convert_to_tensor(MASK),
            position=t,
            coverage=covered,
        )
        covered = covered + np.asarray(w)
        np.testing.assert_allclose(np.asarray(one), np.asarray(context)[:, t], atol=1e-6)
        np.testing.assert_allclose(np.asarray(w), np.asarray(weights)[:, t], atol=1e-6)


@examples(25)
@given(
    which=st.integers(0, len(LAYERS) - 1),
    queries=st.integers(1, 3),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    scale=st.sampled_from([0.1, 1.0, 100.0]),
    seed=st.integers(0, 999),
)
def test_weights_sum_to_one_and_are_zero_on_padding(which, queries, lengths, scale, seed):
    layer_class, kwargs = LAYERS[which]
    query, values = arrays(queries, 4, 3, seed, len(lengths))
    mask = np.arange(4)[None] < np.array(lengths)[:, None]
    layer = layer_class(**kwargs)
    context, weights = layer(scale * query, scale * values, mask=mask, return_weights=True)
    weights, context = np.asarray(weights), np.asarray(context)
    full = np.broadcast_to(np.array(lengths)[:, None] > 0, weights.shape[:2])
    np.testing.assert_allclose(weights.sum(axis=-1), full.astype("float32"), atol=1e-5)
    assert not weights[np.broadcast_to(~mask[:, None], weights.shape)].any()
    assert (weights >= 0).all()
    assert np.isfinite(context).all()
    assert not context[np.array(lengths) == 0].any()


@pytest.mark.parametrize(("layer_class", "kwargs"), LAYERS, ids=IDS)
def test_fully_masked_row_has_zero_gradient(layer_class, kwargs):
    query, values = arrays()
    layer = layer_class(**kwargs)
    layer(query, values)
    mask = MASK.copy()
    mask[2] = False
    grads = gradients(lambda q, v: ops.sum(layer(q, v, mask=mask) ** 2), query, values)
    for name, grad in zip(("query", "values"), grads, strict=True):
        assert np.isfinite(grad).all()
        assert not grad[2].any()
        # a query that chooses nothing has no gradient
        assert grad[0].any() == (name == "values" or layer_class is not UniformAttention)


def test_single_source_step():
    query, values = arrays(steps=1)
    _, weights = DotAttention()(query, values, return_weights=True)
    assert (np.asarray(weights) == 1.0).all()


@pytest.mark.parametrize(("layer_class", "kwargs"), LAYERS, ids=IDS)
@pytest.mark.parametrize("junk", [np.inf, np.nan])
def test_what_stands_at_padding_has_no_influence(layer_class, kwargs, junk):
    query, values = arrays()
    layer = layer_class(**kwargs)
    spoiled = np.where(MASK[..., None], values, np.float32(junk))
    layer(query, values)

    def loss(q, v):
        return ops.sum(layer(q, v, mask=MASK) ** 2)

    np.testing.assert_array_equal(layer(query, values, mask=MASK), layer(query, spoiled, mask=MASK))
    for mine, his in zip(
        gradients(loss, query, values), gradients(loss, query, spoiled), strict=True
    ):
        np.testing.assert_array_equal(mine, his)


def test_coverage_trains_as_compile_has_it():
    """Compiled with XLA by default, where all layers say that they can be."""
    query, values = arrays()
    layer = AdditiveAttention(6, coverage=True)
    inputs = [keras.Input((3, 5)), keras.Input((4, 5)), keras.Input((4,), dtype="bool")]
    model = keras.Model(inputs, layer(*inputs))
    before = [np.asarray(w) for w in layer.get_weights()]
    model.compile(keras.optimizers.SGD(1.0), "mse")
    plain = np.asarray(layer(query, values, mask=MASK))
    np.testing.assert_allclose(model.predict([query, values, MASK], verbose=0), plain, atol=1e-5)
    history = model.fit([query, values, MASK], np.zeros((3, 3, 5)), verbose=0)
    assert np.isfinite(history.history["loss"][0])
    for old, new in zip(before, layer.get_weights(), strict=True):
        assert (old != new).any()


def test_coverage_is_summed_in_float32():
    """Half precision would round the sum of many weights more and more."""
    seen = []

    class Spy(AdditiveAttention):
        def score(self, query, keys, coverage=None):
            seen.append(keras.backend.standardize_dtype(coverage.dtype))
            return super().score(query, keys, coverage)

    query, values = arrays()
    layer = Spy(4, coverage=True, dtype="mixed_bfloat16")
    layer(query, values, mask=MASK)
    assert set(seen) == {"float32"}


@pytest.mark.parametrize("attend", ["call", "step"])
def test_uniform_attention_is_the_mean_of_the_valid_values(attend):
    query, values = arrays()
    layer = UniformAttention()
    context, weights = layer(query, values, mask=MASK, return_weights=True)
    if attend == "step":
        keys = layer.precompute(ops.convert_to_tensor(values))
        context, weights = layer.step(query[:, 0], keys, values, mask=ops.convert_to_tensor(MASK))
    assert not layer.weights
    for row, length in enumerate(MASK.sum(1)):
        np.testing.assert_allclose(
            np.asarray(context)[row],
            np.broadcast_to(values[row, :length].mean(0), context.shape[1:]),
            atol=1e-6,
        )
        shares = np.where(MASK[row], 1 / length, 0)
        np.testing.assert_allclose(
            np.asarray(weights)[row], np.broadcast_to(shares, weights.shape[1:]), atol=1e-6
        )


def test_a_seeded_initialiser_gives_other_numbers_to_each_weight():
    seeded = keras.initializers.RandomNormal(seed=1)
    layer = AdditiveAttention(5, kernel_initializer=seeded)
    layer(*arrays())
    assert (np.asarray(layer.query_kernel) != np.asarray(layer.key_kernel)).any()


def test_wrong_steps_are_named():
    query, values = arrays()
    layer = BilinearAttention()
    layer(query, values)
    keys, one = layer.precompute(values), query[:, 0]
    good = {"query": one, "keys": keys, "values": values, "mask": MASK}
    layer.step(**good)
    wrong = {
        "mask": [MASK[:1], MASK[:, :3], MASK[..., None]],
        "keys": [keys[:1], keys[:, :3], keys[:, 0]],
        "query": [one[:1]],
        "values": [values[:, 0]],
        "coverage": [np.zeros((1, 4), "float32")],
    }
    for name, tensors in wrong.items():
        for tensor in tensors:
            with pytest.raises(ValueError, match=f"BilinearAttention: `{name}` must have"):
                layer.step(**{**good, name: tensor})


def test_errors():
    query, values = arrays()
    with pytest.raises(ValueError, match=r"same features.*query features 5, value features 4"):
        DotAttention()(query, values[..., :4])
    with pytest.raises(ValueError, match=r"`query` must have shape \[batch, queries"):
        BilinearAttention()(query[:, 0], values)
    with pytest.raises(ValueError, match="`units` must be a positive"):
        AdditiveAttention(0)
    with pytest.raises(ValueError, match="`window_center` must be one of 'monotonic'"):
        DotAttention(window=2, window_center="middle")
    with pytest.raises(ValueError, match="must be a tensor of truth values"):
        DotAttention()(query, values, mask=values[..., 0])
    with pytest.raises(ValueError, match=r"mask.shape=\(3, 3\)"):
        DotAttention()(query, values, mask=MASK[:, :3])
    with pytest.raises(ValueError, match=r"same batch.*query.shape=\(2, 3, 5\)"):
        DotAttention()(query[:2], values)
    layer = AdditiveAttention(4, coverage=True)
    with pytest.raises(ValueError, match="call the layer once"):
        layer.precompute(values)
    layer(query, values)
    with pytest.raises(ValueError, match=r"`values` must have 5 features.*shape=\(3, 4, 2\)"):
        layer.precompute(values[..., :2])
    with pytest.raises(ValueError, match=r"`query` must have 5 features.*shape=\(3, 3, 2\)"):
        layer(query[..., :2], values)
    with pytest.raises(ValueError, match="`coverage` is needed"):
        layer.step(query[:, 0], layer.precompute(values), values)
    layer = DotAttention(window=1)
    layer(query, values)
    with pytest.raises(ValueError, match="`position` is needed"):
        layer.step(ops.convert_to_tensor(query[:, 0]), values, values)
