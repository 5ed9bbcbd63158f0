"""RecurrentStack: the contract, NumPy, and the same numbers whichever kernel runs."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasseq import compat
from kerasseq.layers import LSTMCell, RecurrentStack
from tests.examples import examples
from tests.layers import recurrent_reference as reference
from tests.layers.contract import run_layer_contract
from tests.layers.gradients import compiled

LENGTHS = np.array([6, 3, 1])
MASK = np.arange(6)[None] < LENGTHS[:, None]
X = np.random.default_rng(0).normal(size=(3, 6, 5)).astype("float32")
KERNELS = ("closed_form", "loop") if keras.backend.backend() == "tensorflow" else ("loop",)
CONTRACT = {
    "lstm": {"units": 4},
    "gru, deep, both ways": {
        "units": 4,
        "cell": "gru",
        "num_layers": 2,
        "bidirectional": True,
        "dropout": 0.3,
        "residual": True,
        "seed": 1,
    },
    "simple_rnn, no cuDNN": {"units": 4, "cell": "simple_rnn", "use_cudnn": False},
    "everything that the cells add": {
        "units": 4,
        "layer_norm": True,
        "coupled_gates": True,
        "zoneout": 0.1,
        "weight_drop": 0.2,
        "recurrent_dropout": 0.2,
        "seed": 1,
    },
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.gate) if n.startswith("gru, deep") else n for n in CONTRACT],
)
def test_contract(name, kernel):
    init = CONTRACT[name]
    if kernel == "closed_form" and "layer_norm" in init:
        pytest.skip("only the step-by-step form")
    width = init["units"] * (2 if init.get("bidirectional") else 1)
    run_layer_contract(
        RecurrentStack,
        {**init, "kernel": kernel},
        {"inputs": X, "mask": MASK},
        expected_output_shape=(3, 6, width),
        time_arguments={"inputs": 1, "mask": 1},
        output_time_axis=1,
        zero_at_padding=True,
        # With one layer and one step a weight may be dropped, or see zeros only.
        all_weights_train="weight_drop" not in init,
    )


def randomise(layer) -> None:
    rng = np.random.default_rng(5)
    layer.set_weights([w + rng.normal(size=w.shape) * 0.3 for w in layer.get_weights()])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("cell", "extra"),
    [("lstm", {}), ("gru", {}), ("gru", {"reset_after": False}), ("simple_rnn", {})],
)
def test_equals_numpy(kernel, cell, extra):
    stack = RecurrentStack(
        4,
        cell=cell,
        num_layers=2,
        bidirectional=True,
        residual=True,
        return_state=True,
        kernel=kernel,
        **extra,
    )
    stack.build(X.shape)
    randomise(stack)
    rng = np.random.default_rng(2)
    initial = [rng.normal(size=(3, 4)).astype("float32") for _ in stack.get_initial_state(3)]
    y, final = stack(X, mask=MASK, initial_state=initial)
    count = stack.states_per_cell
    below, ended = X.astype("float64"), []
    for layer in range(2):
        halves = []
        for direction in range(2):
            index = 2 * layer + direction
            output, last = reference.run(
                cell,
                below,
                LENGTHS,
                initial[index * count : (index + 1) * count],
                reference.weights_of(stack.cells[index]),
                reverse=direction == 1,
                **extra,
            )
            halves.append(output)
            ended.extend(last)
        written = np.concatenate(halves, -1)
        below = written + below if layer else written
    np.testing.assert_allclose(y, below, atol=2e-6)
    for mine, his in zip(final, ended, strict=True):
        np.testing.assert_allclose(mine, his, atol=2e-6)


@pytest.mark.skipif(len(KERNELS) < 2, reason="one kernel on this backend")
@pytest.mark.parametrize("drop", [{}, {"weight_drop": 0.4}, {"recurrent_dropout": 0.4}])
@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_kernels_agree_in_training_with_their_gradients(cell, drop):
    """The same seed draws the same masks, so that training steps can be compared too."""
    import tensorflow as tf

    results = []
    target = np.random.default_rng(2).normal(size=(3, 6, 8)).astype("float32")
    x = tf.constant(X)
    for kernel in KERNELS:
        stack = RecurrentStack(4, cell=cell, kernel=kernel, bidirectional=True, seed=7, **drop)
        stack.build(X.shape)
        rng = np.random.default_rng(1)
        stack.set_weights([rng.normal(size=w.shape) * 0.4 for w in stack.get_weights()])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = stack(x, mask=MASK, training=True)
            loss = tf.reduce_sum(y * target)
        weights = [weight.value for weight in stack.trainable_weights]
        results.append([y, *tape.gradient(loss, [x, *weights])])
        changed = np.abs(y - np.asarray(stack(X, mask=MASK))).max() > 1e-3
        assert changed == bool(drop)
    for one, other in zip(*results, strict=True):
        scale = max(np.abs(one).max(), 1.0)
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5)


@pytest.mark.skipif(len(KERNELS) < 2, reason="one kernel on this backend")
def test_weights_saved_under_one_kernel_load_under_another(tmp_path):
    def model(kernel):
        x, m = keras.Input((None, 5), name="x"), keras.Input((None,), dtype="bool", name="m")
        stack = RecurrentStack(4, num_layers=2, bidirectional=True, kernel=kernel)
        return keras.Model([x, m], stack(x, mask=m))

    one, other = model("closed_form"), model("loop")
    one.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_allclose(one([X, MASK]), other([X, MASK]), atol=1e-6)


def test_no_mask_is_a_full_mask():
    stack = RecurrentStack(4, bidirectional=True, num_layers=2)
    full = np.ones(X.shape[:2], bool)
    np.testing.assert_allclose(stack(X), stack(X, mask=full), atol=1e-6)


def test_carried_state_continues_a_sequence():
    stack = RecurrentStack(4, num_layers=2, return_state=True)
    whole, final = stack(X)
    first, state = stack(X[:, :2])
    second, ended = stack(X[:, 2:], initial_state=state)
    np.testing.assert_allclose(np.concatenate([first, second], 1), whole, atol=1e-6)
    for a, b in zip(final, ended, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_step_by_step_equals_the_whole(cell):
    stack = RecurrentStack(4, cell=cell, num_layers=3, residual=True)
    whole = np.asarray(stack(X))
    state = stack.get_initial_state(3)
    for t in range(X.shape[1]):
        output, state = stack.step(X[:, t], state)
        np.testing.assert_allclose(output, whole[:, t], atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_empty_row_gives_zeros_and_its_initial_state(kernel):
    stack = RecurrentStack(4, bidirectional=True, return_state=True, kernel=kernel)
    mask = MASK & (np.arange(3) != 1)[:, None]
    initial = [np.full((3, 4), 0.1 * i, "float32") for i in range(4)]
    y, final = stack(X, mask=mask, initial_state=initial)
    assert not np.asarray(y)[1].any()
    for before, after in zip(initial, final, strict=True):
        np.testing.assert_array_equal(np.asarray(after)[1], before[1])


@examples(20)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    extra=st.integers(0, 4),
    cell=st.sampled_from(["lstm", "gru", "simple_rnn"]),
)
def test_padding_invariance(lengths, extra, cell):
    stack = _shared(cell)
    longest = max(lengths) + extra
    x = np.random.default_rng(sum(lengths)).normal(size=(len(lengths), longest, 5))
    x = x.astype("float32")
    mask = np.arange(longest)[None] < np.array(lengths)[:, None]
    together = np.asarray(stack(x, mask=mask))
    assert not together[~mask].any()
    for row, length in enumerate(lengths):
        alone = np.asarray(stack(x[row : row + 1, :length]))[0]
        np.testing.assert_allclose(together[row, :length], alone, atol=1e-6)


_STACKS: dict[str, RecurrentStack] = {}


def _shared(cell: str) -> RecurrentStack:
    if cell not in _STACKS:
        _STACKS[cell] = RecurrentStack(3, cell=cell, bidirectional=True, seed=1)
    return _STACKS[cell]


def test_a_cell_of_ones_own_is_copied_and_reloads(tmp_path):
    stack = RecurrentStack(
        4, cell=keras.layers.LSTMCell(4), num_layers=2, bidirectional=True, return_state=True
    )
    assert stack.kernel_plan().name == "loop"
    ours = RecurrentStack(4, num_layers=2, bidirectional=True, return_state=True)
    stack.build(X.shape)
    ours.build(X.shape)
    ours.set_weights(stack.get_weights())
    for a, b in zip(
        keras.tree.flatten(stack(X, mask=MASK)),
        keras.tree.flatten(ours(X, mask=MASK)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)
    x = keras.Input((None, 5))
    model = keras.Model(x, stack(x)[0])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(X), model(X))


def test_a_cell_of_ours_that_is_given_as_a_layer_keeps_what_it_adds():
    settings = {"zoneout": 0.1, "weight_drop": 0.3, "recurrent_dropout": 0.2, "seed": 5}
    given = RecurrentStack(4, cell=LSTMCell(4, **settings))
    named = RecurrentStack(4, **settings)
    for stack in (given, named):
        stack.build(X.shape)
    named.set_weights(given.get_weights())
    for training in (True, False):
        outputs = [np.asarray(s(X, mask=MASK, training=training)) for s in (given, named)]
        np.testing.assert_allclose(*outputs, atol=1e-6)


def test_residual_and_locked_dropout_between_layers():
    stack = RecurrentStack(5, num_layers=2, dropout=0.5, residual=True, seed=3)
    assert len(stack.dropouts) == 1
    plain, noisy = np.asarray(stack(X)), np.asarray(stack(X, training=True))
    assert np.abs(plain - noisy).max() > 1e-3


def test_the_plan_says_which_and_why():
    assert RecurrentStack(4, kernel="loop").kernel_plan() == ("loop", "asked for", False)
    plan = RecurrentStack(4, layer_norm=True).kernel_plan()
    assert plan.name == "loop"
    if keras.backend.backend() == "tensorflow":
        assert "layer_norm" in plan.reason
        plan = RecurrentStack(64, use_cudnn=False).kernel_plan()
        assert plan.name == "closed_form"
        assert "use_cudnn=False" in plan.reason
        assert plan.xla
        assert "compiled once a batch size" in str(plan)
        assert not RecurrentStack(650).kernel_plan().xla
        assert not RecurrentStack(64, xla=False).kernel_plan().xla


def test_kernel_settings_survive_the_config():
    stack = RecurrentStack(4, kernel="loop", use_cudnn=False, xla=False)
    clone = RecurrentStack.from_config(stack.get_config())
    assert (clone.kernel, clone.use_cudnn, clone.xla) == ("loop", False, False)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"units": 0}, "`units` must be a positive whole number. Received: units=0"),
        ({"units": 4, "num_layers": 0}, "Received: num_layers=0"),
        ({"units": 4, "cell": "ltsm"}, "`cell` must be one of 'lstm'.* Received: cell='ltsm'"),
        ({"units": 4, "kernel": "fast"}, "`kernel` must be one of .* Received: kernel='fast'"),
        ({"units": 4, "use_cudnn": "no"}, "`use_cudnn` must be one of"),
        ({"units": 4, "dropout": 1.5}, "`dropout` must be a number"),
        ({"units": 4, "cell": "gru", "coupled_gates": True}, "`coupled_gates`.*cell='gru'"),
        ({"units": 4, "use_cudnn": False, "kernel": "cudnn"}, "contradict"),
        (
            {"units": 4, "use_cudnn": True, "kernel": "loop"},
            "contradict.*use_cudnn=True, kernel='l",
        ),
        ({"units": 4, "use_cudnn": True, "kernel": "closed_form"}, "contradict"),
        ({"units": 4, "use_cudnn": 0}, "`use_cudnn` must be one of .* Received: use_cudnn=0"),
        ({"units": 4, "use_cudnn": 1}, "`use_cudnn` must be one of .* Received: use_cudnn=1"),
        ({"units": 4, "xla": 1}, "`xla` must be one of .* Received: xla=1"),
        ({"units": 4, "cell": keras.layers.GRUCell(5)}, r"units=4, cell.state_size=\[5\]"),
        ({"units": 4, "cell": keras.layers.Dense(4)}, "`cell` must be a Keras cell"),
        ({"units": 4, "cell": LSTMCell(4), "zoneout": 0.1}, "`zoneout` is for a cell .* by its na"),
    ],
)
def test_wrong_settings_are_named(init, message):
    with pytest.raises(ValueError, match=message):
        RecurrentStack(**init)


def test_wrong_calls_are_named():
    stack = RecurrentStack(4)
    with pytest.raises(ValueError, match=r"`inputs` must have shape \[batch, time, features\]"):
        stack(X[:, 0])
    with pytest.raises(ValueError, match=r"`mask` must have shape \[batch, time\]"):
        stack(X, mask=MASK[..., None])
    with pytest.raises(ValueError, match=r"`mask` must be .*: a list of 2. An initial state is gi"):
        stack(X, [np.zeros((3, 4), "float32")] * 2)
    with pytest.raises(ValueError, match=r"`mask` must be .*: float32 of shape \(3, 6\)"):
        stack(X, np.zeros((3, 6), "float32"))
    with pytest.raises(ValueError, match=r"`inputs` must be a tensor or an array.*a list of 3"):
        stack(X.tolist())
    with pytest.raises(ValueError, match=r"batch and time of `inputs`"):
        stack(X, mask=MASK[:, :3])
    with pytest.raises(ValueError, match=r"`initial_state` must be a list of 2 tensors"):
        stack(X, initial_state=[np.zeros((3, 4), "float32")])
    with pytest.raises(ValueError, match=r"initial_state\[1\].shape=\(3, 5\)"):
        stack(X, initial_state=[np.zeros((3, n), "float32") for n in (4, 5)])
    with pytest.raises(ValueError, match=r"`inputs` must have 5 features.*shape=\(3, 6, 2\)"):
        stack(X[..., :2])
    with pytest.raises(ValueError, match=r"`inputs` must hold floats.*inputs.dtype=int"):
        stack(X.astype("int32"))
    with pytest.raises(ValueError, match="one direction"):
        RecurrentStack(4, bidirectional=True).step(X[:, 0], [])


def test_kernels_that_cannot_run_are_named():
    with pytest.raises(ValueError, match=r"kernel='closed_form' cannot be used: .*"):
        RecurrentStack(4, kernel="closed_form", layer_norm=True).kernel_plan()
    with pytest.raises(ValueError, match=r"use_cudnn=True cannot be used: .*"):
        RecurrentStack(4, use_cudnn=True, zoneout=0.1)(X)


def test_zoneout_differs_from_step_to_step():
    keep = LSTMCell(4, zoneout=0.5, seed=1).draw_zoneout((6, 3, 4), True)
    assert len(keep) == 2
    assert np.asarray(keep[0]).std(axis=0).any()


@pytest.mark.parametrize("kernel", KERNELS)
def test_noise_is_drawn_once_a_sequence(kernel):
    """The masks of weight drop and of the state are those of one draw, at every step."""
    settings = {"weight_drop": 0.4, "recurrent_dropout": 0.4, "seed": 1, "kernel": kernel}
    stack, twin = RecurrentStack(4, **settings), RecurrentStack(4, **settings)
    for layer in (stack, twin):
        layer.build(X.shape)
    twin.set_weights(stack.get_weights())
    cell = twin.cells[0]
    noise = cell.draw_noise(3, True)
    states, steps = cell.get_initial_state(3), []
    for t in range(X.shape[1]):
        output, states = cell(X[:, t], states, training=True, noise=noise)
        steps.append(np.asarray(output))
    got = np.asarray(stack(X, training=True))
    np.testing.assert_allclose(got, np.stack(steps, 1), atol=1e-6)
    assert np.abs(got - np.asarray(stack(X))).max() > 1e-3


DROPPING = {"dropout": 0.5, "recurrent_dropout": 0.5}


@pytest.mark.parametrize("cell", ["LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_a_keras_cell_with_dropout_fits_batches_of_every_size(cell):
    stack = RecurrentStack(4, cell=getattr(keras.layers, cell)(4, **DROPPING), bidirectional=True)
    x = keras.Input((None, 5))
    model = keras.Model(x, stack(x))
    model.compile("sgd", "mse")
    for size in (8, 6):
        data = np.repeat(X, 3, axis=0)[:size]
        history = model.fit(data, np.zeros((size, 6, 8)), batch_size=size, verbose=0)
        assert np.isfinite(history.history["loss"][0])
    assert model.predict(X, verbose=0).shape == (3, 6, 8)


def test_a_keras_cell_draws_its_dropout_once_a_sequence():
    """With equal steps and no recurrence the outputs are equal, if one mask is used for all."""
    cell = keras.layers.SimpleRNNCell(50, dropout=0.5, recurrent_initializer="zeros", seed=1)
    stack = RecurrentStack(50, cell=cell)
    ones = np.ones((2, 6, 8), "float32")
    stack.build(ones.shape)

    def eager(x):
        return stack(x, training=True)

    # jax compiles no function that moves a seed on, but for those that Keras makes itself
    on_jax = keras.backend.backend() == "jax"
    for run in (eager,) if on_jax else (eager, compiled(eager)):
        first, second = (np.asarray(run(ones)) for _ in range(2))
        for y in (first, second):
            np.testing.assert_allclose(y, np.repeat(y[:, :1], 6, axis=1), atol=1e-6)
        assert np.abs(first - second).max() > 1e-3
        assert run(ones[:1]).shape == (1, 6, 50)  # nothing is kept of a batch of 2


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_keras_cell_takes_the_dtype_of_the_stack(policy):
    stack = RecurrentStack(4, cell=keras.layers.LSTMCell(4), bidirectional=True, dtype=policy)
    y = stack(X, mask=MASK)
    assert keras.backend.standardize_dtype(y.dtype) == stack.compute_dtype
    clone = RecurrentStack.from_config(stack.get_config())
    assert clone.cells[0].compute_dtype == stack.compute_dtype


def test_copies_with_a_seed_differ():
    seeded = keras.initializers.GlorotUniform(seed=3)
    given = LSTMCell(4, recurrent_dropout=0.5, seed=5, kernel_initializer=seeded)
    stacks = (
        RecurrentStack(4, cell=given, bidirectional=True),
        RecurrentStack(
            4, kernel_initializer=seeded, recurrent_dropout=0.5, seed=5, bidirectional=True
        ),
    )
    for stack in stacks:
        stack.build(X.shape)
        forward, backward = stack.cells
        assert np.abs(np.asarray(forward.kernel) - np.asarray(backward.kernel)).max() > 1e-3
        masks = [np.asarray(c.draw_noise(64, True).state_mask) for c in stack.cells]
        assert (masks[0] != masks[1]).any()
        again = RecurrentStack.from_config(stack.get_config())
        again.build(X.shape)
        for one, other in zip(again.cells, stack.cells, strict=True):
            np.testing.assert_array_equal(np.asarray(one.kernel), np.asarray(other.kernel))


def test_states_may_be_nested():
    stack = RecurrentStack(4, num_layers=2, return_state=True)
    _, states = stack(X)
    nested = [states[:2], states[2:]]
    np.testing.assert_array_equal(
        stack(X, initial_state=nested)[0], stack(X, initial_state=states)[0]
    )


def test_an_implicit_mask_of_the_inputs_is_read_and_passed_on():
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 6]])
    vectors = keras.layers.Embedding(10, 5, mask_zero=True)(ids)
    stack = RecurrentStack(4)
    outputs = stack(vectors)
    np.testing.assert_array_equal(outputs, stack(vectors, mask=ids != 0))
    np.testing.assert_array_equal(compat.implicit_mask(outputs), ids != 0)
    given = stack(vectors, mask=ids > 1)
    np.testing.assert_array_equal(compat.implicit_mask(given), ids > 1)
    by_position = stack(vectors, ids > 1)
    np.testing.assert_array_equal(compat.implicit_mask(by_position), ids > 1)
    stateful = RecurrentStack(4, return_state=True)(vectors, initial_state=None)[0]
    np.testing.assert_array_equal(compat.implicit_mask(stateful), ids != 0)


@pytest.mark.skipif(len(KERNELS) < 2, reason="graphs of TensorFlow")
def test_the_loop_trains_under_xla_with_a_mask():
    x, m = keras.Input((6, 5)), keras.Input((6,), dtype="bool")
    model = keras.Model([x, m], RecurrentStack(4, kernel="loop")(x, mask=m))
    model.compile("sgd", "mse", jit_compile=True)
    history = model.fit([X, MASK], np.zeros((3, 6, 4)), verbose=0)
    assert np.isfinite(history.history["loss"][0])
