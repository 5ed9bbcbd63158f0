"""The cells against NumPy, against Keras' own, and in what they add."""

import keras
import numpy as np
import pytest

from kerasseq.layers import GRUCell, LSTMCell, SimpleRNNCell
from tests.layers import recurrent_reference as reference
from tests.layers.contract import run_layer_contract
from tests.layers.gradients import gradients

CELLS = {
    "lstm": (LSTMCell, {}, keras.layers.LSTMCell),
    "gru": (GRUCell, {}, keras.layers.GRUCell),
    "gru_before": (GRUCell, {"reset_after": False}, keras.layers.GRUCell),
    "simple_rnn": (SimpleRNNCell, {}, keras.layers.SimpleRNNCell),
}
BATCH, FEATURES, UNITS = 3, 5, 4


def arrays(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def randomise(layer: keras.layers.Layer, seed: int = 5) -> None:
    rng = np.random.default_rng(seed)
    layer.set_weights([w + rng.normal(size=w.shape) * 0.3 for w in layer.get_weights()])


def states_for(cell, seed: int = 1) -> list[np.ndarray]:
    return arrays(seed, *[(BATCH, UNITS)] * cell.state_count)


@pytest.mark.parametrize("name", CELLS)
def test_equals_keras_forward_and_backward(name):
    ours, settings, theirs = CELLS[name]
    a, b = ours(UNITS, **settings), theirs(UNITS, **settings)
    x, direction = arrays(0, (BATCH, FEATURES), (BATCH, UNITS))
    a.build(x.shape)
    b.build(x.shape)
    randomise(a)
    b.set_weights(a.get_weights())
    states = states_for(a)
    for mine, his in zip(a(x, states)[1], b(x, states)[1], strict=True):
        np.testing.assert_allclose(mine, his, atol=1e-6)

    def loss(cell):
        return lambda x, *states: keras.ops.sum(cell(x, list(states))[0] * direction)

    for mine, his in zip(
        gradients(loss(a), x, *states), gradients(loss(b), x, *states), strict=True
    ):
        np.testing.assert_allclose(mine, his, atol=1e-6)

    def loss_of_weights(cell):
        rest = [keras.ops.convert_to_tensor(v) for v in cell.non_trainable_variables]

        def function(*weights):
            (output, _), _ = cell.stateless_call(list(weights), rest, x, states)
            return keras.ops.sum(output * direction)

        return function

    for mine, his in zip(
        gradients(loss_of_weights(a), *a.get_weights()),
        gradients(loss_of_weights(b), *a.get_weights()),
        strict=True,
    ):
        assert np.abs(mine).max() > 0
        np.testing.assert_allclose(mine, his, atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    "settings", [{}, {"layer_norm": True}, {"zoneout": 0.3}, {"layer_norm": True, "zoneout": 0.1}]
)
def test_equals_numpy_step_by_step(name, settings):
    ours, own, _ = CELLS[name]
    check_steps(ours(UNITS, **own, **settings), {**own, "zoneout": settings.get("zoneout", 0.0)})


@pytest.mark.parametrize("layer_norm", [False, True])
def test_coupled_gates_equal_numpy(layer_norm):
    cell = LSTMCell(UNITS, coupled_gates=True, layer_norm=layer_norm)
    check_steps(cell, {"coupled": True})
    assert cell.kernel.shape == (FEATURES, 3 * UNITS)


def check_steps(cell, settings) -> None:
    xs = arrays(3, (6, BATCH, FEATURES))[0]
    # Normalising divides by the spread of a few values, and their rounding grows with it.
    tolerance = 1e-5 if cell.layer_norm else 1e-6
    keras.utils.set_random_seed(1)  # a draw whose spread is tiny would need more tolerance
    cell.build((BATCH, FEATURES))
    randomise(cell)
    weights = reference.weights_of(cell)
    kind = {"LSTMCell": "lstm", "GRUCell": "gru"}.get(type(cell).__name__, "simple_rnn")
    ours = states_for(cell)
    theirs = [[s[row].astype("float64") for s in ours] for row in range(BATCH)]
    for x in xs:
        output, ours = cell(x, ours)
        for row in range(BATCH):
            theirs[row] = reference.step(kind, x[row], theirs[row], weights, **settings)
            for mine, his in zip(ours, theirs[row], strict=True):
                np.testing.assert_allclose(np.asarray(mine)[row], his, atol=tolerance)
        np.testing.assert_array_equal(output, ours[0])


def test_the_forget_bias_starts_at_one():
    for coupled, start in ((False, UNITS), (True, 0)):
        cell = LSTMCell(UNITS, coupled_gates=coupled)
        cell.build((BATCH, FEATURES))
        bias = np.asarray(cell.bias)
        assert (bias[start : start + UNITS] == 1).all()
        assert bias.sum() == UNITS
    cell = LSTMCell(UNITS, unit_forget_bias=False)
    cell.build((BATCH, FEATURES))
    assert not np.asarray(cell.bias).any()


@pytest.mark.parametrize("name", CELLS)
def test_weight_drop_is_one_mask_a_sequence(name):
    ours, own, _ = CELLS[name]
    cell = ours(UNITS, weight_drop=0.5, seed=3, recurrent_initializer="ones", **own)
    (x,) = arrays(0, (BATCH, FEATURES))
    cell.build(x.shape)
    noise = cell.draw_noise(BATCH, True)
    dropped = np.asarray(noise.recurrent_kernel)
    assert set(np.unique(dropped)) == {0.0, 2.0}
    # The first step, from a state of zeros, does not see R; later steps do.
    zeros = cell.get_initial_state(BATCH)
    plain, noisy = cell(x, zeros)[1], cell(x, zeros, training=True, noise=noise)[1]
    np.testing.assert_allclose(plain[0], noisy[0], atol=1e-6)
    again = cell(x, noisy, training=True, noise=noise)[0]
    assert np.abs(np.asarray(again) - np.asarray(cell(x, plain)[0])).max() > 1e-3
    np.testing.assert_array_equal(again, cell(x, noisy, training=True, noise=noise)[0])
    assert cell.draw_noise(BATCH, False) is None


@pytest.mark.parametrize("name", CELLS)
def test_recurrent_dropout_masks_the_state_in_the_product(name):
    ours, own, _ = CELLS[name]
    cell = ours(UNITS, recurrent_dropout=0.5, seed=3, **own)
    (x,) = arrays(0, (BATCH, FEATURES))
    cell.build(x.shape)
    noise = cell.draw_noise(BATCH, True)
    mask = np.asarray(noise.state_mask)
    assert set(np.unique(mask)) == {0.0, 2.0}
    states = states_for(cell)
    got = cell(x, states, training=True, noise=noise)[0]
    if name in ("lstm", "simple_rnn"):
        expected = cell(x, [states[0] * mask, *states[1:]])[0]
        np.testing.assert_allclose(got, expected, atol=1e-6)
    else:
        assert np.abs(np.asarray(got) - np.asarray(cell(x, states)[0])).max() > 1e-3


@pytest.mark.parametrize("settings", [{"weight_drop": 0.5}, {"recurrent_dropout": 0.5}])
def test_training_needs_the_noise_of_the_sequence(settings):
    cell = LSTMCell(UNITS, **settings)
    (x,) = arrays(0, (BATCH, FEATURES))
    with pytest.raises(ValueError, match=r"noise=cell.draw_noise.*Received: noise=None"):
        cell(x, cell.get_initial_state(BATCH), training=True)


def test_zoneout_keeps_old_values_in_training():
    cell = LSTMCell(64, zoneout=0.4, seed=2)
    (x,) = arrays(0, (BATCH, FEATURES))
    old = [np.full((BATCH, 64), 7.0, "float32"), np.full((BATCH, 64), 5.0, "float32")]
    for before, after in zip(old, cell(x, old, training=True)[1], strict=True):
        kept = (np.asarray(after) == before).mean()
        assert 0.25 < kept < 0.55


@keras.saving.register_keras_serializable(package="kerasseq_tests")
class OneStep(keras.layers.Layer):
    """A cell as a layer of one input and one state, which the contract can call."""

    def __init__(self, cell, settings, **kwargs):
        super().__init__(**kwargs)
        self.name_of_cell, self.settings = cell, settings
        self.cell = CELLS[cell][0](UNITS, **settings, dtype=self.dtype_policy)

    def build(self, inputs_shape, hidden_shape):
        self.cell.build(inputs_shape)

    def call(self, inputs, hidden):
        return self.cell(inputs, [hidden] * self.cell.state_count)[0]

    def get_config(self):
        return {**super().get_config(), "cell": self.name_of_cell, "settings": dict(self.settings)}


@pytest.mark.parametrize("name", CELLS)
def test_contract(name):
    inputs, hidden = arrays(0, (BATCH, FEATURES), (BATCH, UNITS))
    settings = {**CELLS[name][1], "layer_norm": True, "zoneout": 0.1}
    run_layer_contract(
        OneStep,
        {"cell": name, "settings": settings},
        {"inputs": inputs, "hidden": hidden},
        expected_output_shape=(BATCH, UNITS),
    )


@pytest.mark.parametrize("name", CELLS)
def test_runs_inside_keras_rnn_and_survives_its_config(name):
    ours, own, _ = CELLS[name]
    layer = keras.layers.RNN(ours(UNITS, zoneout=0.1, **own), return_sequences=True)
    (x,) = arrays(0, (BATCH, 6, FEATURES))
    assert layer(x).shape == (BATCH, 6, UNITS)
    clone = keras.layers.RNN.from_config(layer.get_config())
    assert clone.cell.get_config() == layer.cell.get_config()
    clone.build(x.shape)
    clone.set_weights(layer.get_weights())
    np.testing.assert_array_equal(clone(x), layer(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": 0}, "LSTMCell: `units` must be a positive whole number. Received: units=0"),
        ({"units": 2.5}, "Received: units=2.5"),
        ({"units": 4, "zoneout": 1.0}, r"`zoneout` must be a number in \[0, 1\)"),
        ({"units": 4, "weight_drop": -0.1}, "weight_drop=-0.1"),
        ({"units": 4, "recurrent_dropout": 2}, "recurrent_dropout=2"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        LSTMCell(**settings)


@pytest.mark.parametrize("name", CELLS)
def test_wrong_calls_are_named(name):
    ours, own, _ = CELLS[name]
    cell = ours(UNITS, **own)
    x = arrays(0, (BATCH, FEATURES))[0]
    good, count = states_for(cell), cell.state_count
    cell(x, good)
    with pytest.raises(ValueError, match=r"`inputs` must have shape \[batch, features\]"):
        cell(x[None], good)
    with pytest.raises(ValueError, match=r"`inputs` must have 5 features.*shape=\(3, 4\)"):
        cell(x[:, :4], good)
    wrong = [
        [*good, good[0]],
        [good[0][:, :3]] * count,
        [good[0][:1]] * count,
        [good[0][0]] * count,
    ]
    for states in wrong:
        with pytest.raises(ValueError, match=rf"`states` must be {count} of shape \[batch, 4\]"):
            cell(x, states)
    if count == 2:
        with pytest.raises(ValueError, match=r"`states` must be 2 of shape"):
            cell(x, good[0])
