"""A loop over time: products whose gradients are taken for all steps at once."""

import keras
import numpy as np
import pytest
from keras import ops

from kerasseq.kernels.scan import scan
from kerasseq.kernels.step_products import product

TIME, BATCH, UNITS, INNER = 5, 3, 4, 6

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="gradients by TensorFlow's tape"
)


def make(dtype):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    shapes = {
        "x": (TIME, BATCH, INNER), "start": (BATCH, UNITS), "first": (UNITS, INNER),
        "second": (INNER, UNITS), "bias": (UNITS,),
    }  # fmt: skip
    drawn = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    return {name: tf.Variable(tf.cast(array, dtype)) for name, array in drawn.items()}


def run(tensors, reverse, listed):
    """Outputs and gradients of a loop with two products, one of them of rank three."""
    import tensorflow as tf

    kernels = [tensors["first"], tensors["second"]]

    def step(states, now):
        inner = ops.tanh(product(states[0][:, None], tensors["first"])[:, 0] + now[0])
        return [ops.tanh(product(inner, tensors["second"]) + tensors["bias"])]

    with tf.GradientTape() as tape:
        outputs, (last,) = scan(
            step, [tensors["start"]], [tensors["x"]], reverse, kernels if listed else ()
        )
        weights = tf.reshape(tf.range(60.0), (TIME, BATCH, UNITS)) / 60
        outputs, last = tf.cast(outputs, "float32"), tf.cast(last, "float32")
        loss = tf.reduce_sum(weights * outputs) + tf.reduce_sum(last**2)
    found = [outputs, last, *tape.gradient(loss, list(tensors.values()))]
    return [tf.cast(values, "float32") for values in found]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_listed_kernels_change_no_number(reverse, compiled):
    import tensorflow as tf

    tensors = make("float32")

    def both():
        return run(tensors, reverse, listed=False), run(tensors, reverse, listed=True)

    plain, listed = (tf.function(both) if compiled else both)()
    assert len(plain) == 7
    for ours, theirs in zip(listed, plain, strict=True):
        assert np.abs(theirs).max() > 0.01
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_half_precision_rounds_and_no_more(reverse):
    """Summed over all steps at once a gradient is rounded once, and is the nearer one."""
    import tensorflow as tf

    half = make("bfloat16")
    exact = {name: tf.Variable(tf.cast(values, "float32")) for name, values in half.items()}
    wanted = run(exact, reverse, listed=False)
    listed, plain = (run(half, reverse, listed=listed) for listed in (True, False))
    for ours, theirs, right in zip(listed, plain, wanted, strict=True):
        scale = np.abs(right).max()
        assert np.abs(ours - right).max() < 0.05 * scale
        assert np.abs(ours - right).mean() <= 1.1 * np.abs(theirs - right).mean() + 1e-3 * scale


def test_products_outside_of_a_loop():
    x, kernel = np.ones((2, 3), "float32"), np.ones((3, 4), "float32")
    np.testing.assert_array_equal(product(x, kernel), np.full((2, 4), 3.0))
