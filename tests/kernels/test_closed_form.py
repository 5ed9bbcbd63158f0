"""The closed-form kernels against Keras' own layers, forward and backward."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow kernels", allow_module_level=True)

import tensorflow as tf

from kerasseq.kernels.closed_form import Direction, run_layer
from kerasseq.layers import RecurrentStack
from tests import warm

BATCH, TIME, FEATURES, UNITS = 4, 37, 6, 5
LENGTHS = np.array([37, 20, 1, 33])
MASK = np.arange(TIME)[None] < LENGTHS[:, None]
BUILT_IN = {
    "lstm": (keras.layers.LSTM, {}),
    "gru": (keras.layers.GRU, {}),
    "gru_before": (keras.layers.GRU, {"reset_after": False}),
    "simple_rnn": (keras.layers.SimpleRNN, {}),
}


def close(ours, theirs) -> None:
    """Equal to 1e-5 of the largest value."""
    theirs = np.asarray(theirs)
    scale = max(np.abs(theirs).max(), 1e-3)
    np.testing.assert_allclose(np.asarray(ours) / scale, theirs / scale, atol=1e-5)


def normal(seed: int, *shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", BUILT_IN)
def test_values_and_gradients_equal_keras(name, reverse, masked, xla):
    if xla and not (reverse and masked):
        pytest.skip("one of the four settings is enough to compile")
    make, extra = BUILT_IN[name]
    settings = {} if name == "simple_rnn" else extra
    layer = make(UNITS, return_sequences=True, return_state=True, go_backwards=reverse, **settings)
    layer.build((BATCH, TIME, FEATURES))
    rng = np.random.default_rng(1)
    layer.set_weights([w + rng.normal(size=w.shape) * 0.3 for w in layer.get_weights()])
    weights = [w.value for w in layer.trainable_weights]
    x = normal(2, BATCH, TIME, FEATURES)
    count = 2 if name == "lstm" else 1
    states = [normal(3 + i, BATCH, UNITS) for i in range(count)]
    to_outputs, to_states = normal(7, BATCH, TIME, UNITS), normal(8, count, BATCH, UNITS)
    mask = tf.constant(MASK) if masked else None
    seen = tf.cast(MASK if masked else np.ones_like(MASK), "float32")[..., None]

    def theirs():
        y, *final = layer(x, mask=mask, initial_state=states)
        return tf.reverse(y, [1]) if reverse else y, final

    def ours():
        direction = Direction(tuple(tf.identity(w) for w in weights), states, None, reverse)
        (y,), (final,) = run_layer(
            name.split("_before")[0],
            x,
            mask,
            [direction],
            reset_after="before" not in name,
            xla=xla,
        )
        return y, final

    @tf.function
    def compare(run):
        with tf.GradientTape() as tape:
            tape.watch([x, *states])
            y, final = run()
            y = y * seen
            loss = tf.reduce_sum(y * to_outputs)
            loss += tf.reduce_sum(tf.stack(final) * to_states)
        return [y, *final, *tape.gradient(loss, [x, *states, *weights])]

    for mine, his in zip(compare(ours), compare(theirs), strict=True):
        close(mine, his)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("name", BUILT_IN)
def test_products_in_bfloat16_and_the_loop_in_float32(name, xla):
    """What mixed precision runs: close to float32, with outputs and states of the inputs' dtype."""
    if xla and name != "lstm":
        pytest.skip("one of them is enough to compile")
    width = {"lstm": 4, "simple_rnn": 1}.get(name, 3) * UNITS
    rng = np.random.default_rng(0)
    shapes = [(FEATURES, width), (UNITS, width), (2, width) if name == "gru" else (width,)]
    weights = [tf.constant(0.4 * rng.normal(size=s).astype("float32")) for s in shapes]
    count = 2 if name == "lstm" else 1
    x = normal(2, BATCH, TIME, FEATURES)
    states = [normal(3 + i, BATCH, UNITS) for i in range(count)]
    to_outputs, to_states = normal(7, BATCH, TIME, UNITS), normal(8, count, BATCH, UNITS)
    seen = tf.cast(MASK, "float32")[..., None]

    @tf.function
    def run(low):
        given = tf.cast(x, "bfloat16") if low else x
        with tf.GradientTape() as tape:
            tape.watch([given, *states, *weights])
            direction = Direction(tuple(weights), states, None)
            (y,), (final,) = run_layer(
                name.split("_before")[0],
                given,
                tf.constant(MASK),
                [direction],
                reset_after="before" not in name,
                xla=xla,
            )
            wide = tf.cast(y, "float32") * seen
            loss = tf.reduce_sum(wide * to_outputs)
            loss += tf.reduce_sum(tf.cast(tf.stack(final), "float32") * to_states)
        return wide, y, final, tape.gradient(loss, [given, *states, *weights])

    low, full = run(True), run(False)
    assert low[1].dtype == tf.bfloat16
    assert all(state.dtype == tf.bfloat16 for state in low[2])
    assert [g.dtype for g in low[3]] == [tf.bfloat16] + [tf.float32] * (count + 3)
    for mine, his in zip([low[0], *low[2], *low[3]], [full[0], *full[2], *full[3]], strict=True):
        mine, his = (np.asarray(tf.cast(value, "float32")) for value in (mine, his))
        scale = np.abs(his).max()
        np.testing.assert_allclose(mine / scale, his / scale, atol=2e-2)
    assert not np.array_equal(np.asarray(low[0]), np.asarray(full[0]))


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_a_stack_in_mixed_bfloat16_keeps_its_states_exact_inside_a_piece(cell):
    """200 steps of a state that decays slowly: in bfloat16 throughout it would drift away."""
    low = RecurrentStack(UNITS, cell=cell, dtype="mixed_bfloat16", return_state=True)
    full = RecurrentStack(UNITS, cell=cell, return_state=True)
    x = normal(1, 2, 200, 3)
    low.build(x.shape)
    full.build(x.shape)
    full.set_weights(low.get_weights())
    (y, state), (wanted, ended) = low(x), full(x)
    assert y.dtype == state[0].dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(y, "float32"), wanted, atol=2e-2)
    for mine, his in zip(state, ended, strict=True):
        np.testing.assert_allclose(tf.cast(mine, "float32"), his, atol=2e-2)


@pytest.mark.parametrize("width", [3, 700])
def test_both_forward_passes_of_the_lstm_agree(width):
    """Narrow layers use TensorFlow's one-op forward pass, wide ones the loop."""
    stack = RecurrentStack(4, kernel="closed_form")
    plain = RecurrentStack(4, kernel="loop")
    x = normal(1, 2, 5, width)
    stack.build(x.shape)
    plain.build(x.shape)
    plain.set_weights(stack.get_weights())
    close(stack(x), plain(x))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "length", [1, pytest.param(31, marks=SLOW), 32, pytest.param(33, marks=SLOW), 64, 70]
)
def test_chunks_of_every_remainder(length):
    x = normal(1, 2, length, 3)
    results = []
    for xla in (False, True):
        keras.utils.set_random_seed(1)
        stack = RecurrentStack(4, cell="gru", xla=xla)

        @tf.function
        def train(x, stack=stack):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = stack(x, training=True)
                loss = tf.reduce_sum(tf.sin(y))
            return y, tape.gradient(loss, x)

        results.append(train(x))
    for a, b in zip(*results, strict=True):
        close(a, b)


@pytest.mark.gate
@pytest.mark.parametrize("xla", [False, True])
def test_fit_with_lengths_and_batches_that_vary(xla):
    x, m = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    stack = RecurrentStack(8, bidirectional=True, xla=xla, seed=1)
    model = keras.Model([x, m], keras.layers.Dense(1)(stack(x, mask=m)))
    model.compile("adam", "mse")

    def batches():
        rng = np.random.default_rng(0)
        for size, length in ((4, 9), (4, 40), (2, 5)):
            mask = np.arange(length)[None] < rng.integers(1, length + 1, size)[:, None]
            data = rng.normal(size=(size, length, 3)).astype("float32")
            yield (data, mask), np.ones((size, length, 1), "float32")

    spec = (
        (tf.TensorSpec((None, None, 3)), tf.TensorSpec((None, None), tf.bool)),
        tf.TensorSpec((None, None, 1)),
    )
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    history = model.fit(data.repeat(4), epochs=2, steps_per_epoch=6, verbose=0, shuffle=False)
    losses = history.history["loss"]
    assert np.isfinite(losses).all()
    assert losses[1] < losses[0]


def test_export_holds_no_compiled_and_no_custom_op(tmp_path):
    x, m = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="m")
    stack = RecurrentStack(64, bidirectional=True, use_cudnn=False)
    assert stack.kernel_plan().xla
    model = keras.Model([x, m], stack(x, mask=m))
    model.export(tmp_path, verbose=False)
    loaded = tf.saved_model.load(tmp_path)
    mask = tf.constant(MASK[:, :9])
    inputs = normal(1, BATCH, 9, 3)
    close(loaded.serve([inputs, mask]), model([inputs, mask]))
    graph = loaded.signatures["serving_default"].graph.as_graph_def()
    functions = [function.node_def for function in graph.library.function]
    for node in (node for nodes in [graph.node, *functions] for node in nodes):
        assert not node.op.lower().startswith(("xla", "cudnn"))
        assert not ("_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b), node.name


DETERMINISM = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
tf.config.experimental.enable_op_determinism()
import keras
from kerasseq.layers import RecurrentStack
x = np.random.default_rng(0).normal(size=(16, 40, 8)).astype("float32")
mask = np.arange(40)[None] < np.random.default_rng(1).integers(1, 41, 16)[:, None]
def made():
    keras.utils.set_random_seed(1)
    y, m = i, m = keras.Input((None, 8)), keras.Input((None,), dtype="bool")
    for cell, xla in (("lstm", True), ("gru", False)):
        settings = {"bidirectional": True, "weight_drop": 0.2, "seed": 1}
        y = RecurrentStack(16, cell=cell, xla=xla, **settings)(y, mask=m)
    model = keras.Model([i, m], keras.layers.Dense(1)(y))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model
def values(model):
    return [np.array(v) for v in (*model.variables, *model.optimizer.variables)]
def same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
model = made()
start = values(model)
same(start, values(made()))
ends = []
for _ in range(2):  # the states of seeds and of the optimiser start anew too
    for variable, value in zip((*model.variables, *model.optimizer.variables), start, strict=True):
        variable.assign(value)
    model.fit([x, mask], np.ones((16, 40, 1)), batch_size=8, epochs=1, verbose=0, shuffle=False)
    ends.append(values(model))
same(*ends)
seeds = [i for i, v in enumerate(model.variables) if "seed" in v.path]
assert seeds and all((ends[0][i] != start[i]).any() for i in seeds)
assert any((a != b).any() for a, b in zip(ends[0][: len(model.weights)], start))
print("same")
"""


@pytest.mark.gate
def test_deterministic_when_asked_for():
    run = warm.run(["-c", DETERMINISM])  # determinism is for a whole process
    assert run.stdout.strip() == "same", run.stderr[-2000:]
