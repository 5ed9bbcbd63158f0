"""The fused product, softmax and cross-entropy against the dense form."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow kernels", allow_module_level=True)

import tensorflow as tf

import kerasseq.kernels.linear_cross_entropy as kernel_module
from kerasseq.kernels.linear_cross_entropy import linear_cross_entropy

SIZE, WIDTH = 9, 5


def arrays(count, size=SIZE, width=WIDTH, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    weights = random.uniform(0.1, 2.0, count) * (random.random(count) > 0.3)  # some are zero
    return {
        "hidden": (scale * random.normal(size=(count, width))).astype("float32"),
        "kernel": random.normal(size=(size, width)).astype("float32"),
        "bias": random.normal(size=size).astype("float32"),
        "targets": random.integers(0, size, count).astype("int32"),
        "weights": weights.astype("float32"),
        "spread": np.full(size, 1 / size, "float32"),
    }


def with_gradients(function, values, **options):
    """Value and gradients with respect to hidden, kernel and bias, of three times the loss."""
    tensors = {name: tf.constant(value) for name, value in values.items()}
    tensors["spread"] = values["spread"]
    watched = [tensors[name] for name in ("hidden", "kernel", "bias")]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        loss = 3.0 * function(**tensors, **options)
    return [loss, *tape.gradient(loss, watched)]


def dense(values, label_smoothing=0.0):
    """The same in float64."""
    values = {
        name: v.astype("float64") if v.dtype == np.float32 else v for name, v in values.items()
    }

    def loss(hidden, kernel, bias, targets, weights, spread):
        log_probs = tf.nn.log_softmax(tf.matmul(hidden, kernel, transpose_b=True) + bias)
        wanted = (1 - label_smoothing) * tf.one_hot(targets, SIZE, dtype=tf.float64)
        wanted += label_smoothing * spread
        return -tf.reduce_sum(weights[:, None] * wanted * log_probs)

    return with_gradients(loss, values)


def close(ours, theirs, tolerance=1e-5):
    """Equal to a part of the largest value."""
    for mine, his in zip(ours, theirs, strict=True):
        mine, his = np.asarray(mine, "float64"), np.asarray(his, "float64")
        assert mine.shape == his.shape
        scale = max(np.abs(his).max(initial=0), 1e-3)
        np.testing.assert_allclose(mine / scale, his / scale, atol=tolerance)


@examples(25)
@given(
    count=st.integers(0, 200),
    chunk_size=st.integers(1, 300),
    smoothing=st.sampled_from([0.0, 0.2]),
    scale=st.sampled_from([1.0, 30.0]),
)
def test_values_and_gradients_equal_the_dense_form(count, chunk_size, smoothing, scale):
    values = arrays(count, seed=count, scale=scale)
    ours = with_gradients(
        linear_cross_entropy,
        values,
        label_smoothing=smoothing,
        chunk_size=chunk_size,
        xla=False,
    )
    close(ours, dense(values, smoothing))
    assert all(tensor.dtype == tf.float32 for tensor in ours)


@pytest.mark.parametrize("count", [0, 1, 64, 65, 130])
def test_compiled_is_the_same(count):
    values = arrays(count)
    results = [
        with_gradients(linear_cross_entropy, values, label_smoothing=0.1, chunk_size=64, xla=xla)
        for xla in (False, True)
    ]
    close(results[1], results[0], 2e-6)
    close(results[1], dense(values, 0.1))


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_cannot_be_predicted(smoothing, xla):
    """A row with the bias -1e30 counts nowhere, and neither does such a target of no weight."""
    values = arrays(30)
    never = np.array([0, 4])
    values["bias"][never] = -1e30
    rest = np.setdiff1d(np.arange(SIZE), never)
    values["spread"] = np.where(np.isin(np.arange(SIZE), rest), 1 / len(rest), 0).astype("float32")
    values["targets"] = rest[values["targets"] % len(rest)].astype("int32")
    padding = values["weights"] == 0
    assert padding.any()
    values["targets"][padding] = 0
    loss, d_hidden, d_kernel, d_bias = with_gradients(
        linear_cross_entropy, values, label_smoothing=smoothing, chunk_size=16, xla=xla
    )
    logits = values["hidden"].astype("float64") @ values["kernel"][rest].T + values["bias"][rest]
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = np.full(logs.shape, smoothing / len(rest))
    wanted += (1 - smoothing) * (values["targets"][:, None] == rest)
    expected = -3 * (values["weights"][:, None] * wanted * logs).sum()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert not np.asarray(d_kernel)[never].any()
    assert not np.asarray(d_bias)[never].any()
    assert not np.asarray(d_hidden)[padding].any()
    assert all(np.isfinite(np.asarray(g)).all() for g in (d_hidden, d_kernel, d_bias))


@pytest.mark.parametrize("xla", [False, True])
def test_products_in_bfloat16_are_close(xla):
    values = arrays(300, seed=3)
    low = with_gradients(
        linear_cross_entropy, values, label_smoothing=0.1, chunk_size=128, dtype="bfloat16", xla=xla
    )
    assert all(tensor.dtype == tf.float32 for tensor in low)
    full = dense(values, 0.1)
    assert float(low[0]) == pytest.approx(float(full[0]), rel=5e-3)
    close(low, full, 2e-2)
    assert not np.allclose(np.asarray(low[1]), np.asarray(full[1]), rtol=1e-6)


@pytest.mark.parametrize("xla", [False, True])
def test_traced_once_for_every_number_of_tokens(xla):
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, WIDTH]), tf.TensorSpec([SIZE, WIDTH]), tf.TensorSpec([SIZE]),
            tf.TensorSpec([None], tf.int32), tf.TensorSpec([None]),
        ]
    )  # fmt: skip
    def run(hidden, kernel, bias, targets, weights):
        traces.append(1)
        spread = np.full(SIZE, 1 / SIZE, "float32")
        values = {"hidden": hidden, "kernel": kernel, "bias": bias, "targets": targets,
                  "weights": weights}  # fmt: skip
        with tf.GradientTape() as tape:
            tape.watch([hidden, kernel, bias])
            loss = 3.0 * linear_cross_entropy(
                **values, spread=spread, label_smoothing=0.1, chunk_size=64, xla=xla
            )
        return [loss, *tape.gradient(loss, [hidden, kernel, bias])]

    for count in (0, 1, 70, 200):
        values = arrays(count, seed=count)
        found = run(**{name: tf.constant(v) for name, v in values.items() if name != "spread"})
        close(found, dense(values, 0.1))
    assert len(traces) == 1


def graphs(graph):
    """A graph and those of all functions that it calls."""
    yield graph
    for name in graph._functions:  # the functions of a FuncGraph are not public
        inner = graph._get_function(name)
        if inner is not None:
            yield from graphs(inner.graph)


def largest(function, *arguments):
    """The most elements of a result of any operation of a traced function."""
    graph = function.get_concrete_function(*arguments).graph
    shapes = [
        tensor.shape
        for each in graphs(graph)
        for op in each.get_operations()
        for tensor in op.outputs
        if tensor.shape.rank is not None
    ]
    return max(int(np.prod([size or 1 for size in shape])) for shape in shapes), shapes


def test_the_scores_of_all_tokens_never_exist():
    count, size, width, chunk_size = 4096, 20_000, 4, 128
    values = arrays(count, size, width)

    def train(run):
        def step(hidden, kernel, bias):
            with tf.GradientTape() as tape:
                tape.watch([hidden, kernel, bias])
                loss = run(hidden, kernel, bias)
            return tape.gradient(loss, [hidden, kernel, bias])

        return tf.function(step)

    def ours(hidden, kernel, bias):
        rest = [values[name] for name in ("targets", "weights", "spread")]
        return linear_cross_entropy(hidden, kernel, bias, *rest, chunk_size=chunk_size, xla=False)

    def full(hidden, kernel, bias):
        logits = tf.matmul(hidden, kernel, transpose_b=True) + bias
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(values["targets"], logits)
        return tf.reduce_sum(each * values["weights"])

    tensors = [tf.constant(values[name]) for name in ("hidden", "kernel", "bias")]
    assert largest(train(full), *tensors)[0] >= count * size
    most, shapes = largest(train(ours), *tensors)
    assert most <= size * max(width, chunk_size)
    scores = [shape for shape in shapes if shape.rank == 2 and shape[1] == size]
    assert scores, "the loop's body was not looked at"
    assert {shape[0] for shape in scores} <= {None, width}  # what None is: the next test


@pytest.mark.parametrize(
    ("count", "chunk_size", "wanted"),
    [
        (0, 128, [64]),
        (1, 128, [64]),
        (128, 128, [128]),
        (129, 128, [128, 128]),
        (100, 1, [64] * 100),
        (4096, 1024, [1024] * 4),
    ],
)
def test_tokens_at_a_time(monkeypatch, count, chunk_size, wanted):
    seen = []
    make = kernel_module._normaliser

    def spy(*settings):
        inner = make(*settings)

        def normalise(scores, *rest):
            seen.append(scores.shape[0])
            return inner(scores, *rest)

        return normalise

    monkeypatch.setattr(kernel_module, "_normaliser", spy)
    linear_cross_entropy(
        **{name: v if name == "spread" else tf.constant(v) for name, v in arrays(count).items()},
        chunk_size=chunk_size,
        xla=False,
    )
    assert seen == wanted
