"""The cases of Keras' own lstm_test, gru_test, bidirectional_test and rnn_test: their inputs, their
weights, and the numbers that they expect.

Keras' `go_backwards=True` is the backward half of `bidirectional=True`; `stateful=True` is a state
that is carried by hand; `merge_mode` other than "concat" is arithmetic on the two halves.

Left out: `unroll` and `implementation` (how Keras computes, here `kernel`), legacy arguments,
padded steps that repeat the last output (`zero_output_for_mask=False`: here they are 0), batch
sizes that a stateful layer refuses (there is none), dispatch on torch, and `run_layer_test`, whose
place the layer contract takes.
"""

import keras
import numpy as np
import pytest
from keras import ops

from kerasseq.layers import RecurrentStack

KERNELS = ["closed_form", "loop"] if keras.backend.backend() == "tensorflow" else ["loop"]
GAPS = np.array([[True, True, False, True], [True, False, False, True]])


def sequence(*shape):
    return np.arange(np.prod(shape)).reshape(shape).astype("float32")


def states(count):
    """Of bidirectional_test; those of the other tests are the first of them, unscaled."""
    return [sequence(2, 2) * scale for scale in range(1, count + 1)]


def stack(cell, units, features, kernel, forget_bias=True, **options):
    """With the weights of Keras' tests: 0.01, 0.02 and 0.03, and 1 for the forget gate."""
    made = RecurrentStack(units, cell=cell, kernel=kernel, **options)
    made.build((None, None, features))
    for one in made.cells:
        one.kernel.assign(ops.ones(one.kernel.shape) * 0.01)
        one.recurrent_kernel.assign(ops.ones(one.recurrent_kernel.shape) * 0.02)
        if one.bias is not None:
            bias = np.full(one.bias.shape, 0.03)
            if cell == "lstm" and forget_bias:
                bias[units : 2 * units] = 1.0
            one.bias.assign(bias)
    return made


def close(found, wanted):
    np.testing.assert_allclose(ops.convert_to_numpy(found), np.array(wanted), rtol=1e-5, atol=1e-5)


def rows(units, *numbers):
    """Every unit has the same number: `[batch, units]`."""
    return np.repeat(np.array(numbers)[:, None], units, 1)


CORRECT = {
    # cell, options -> forward, backward
    "lstm": ("lstm", {}, [0.6288687, 0.86899155, 0.9460773], [0.35622165, 0.74789524, 0.8872726]),
    "lstm without forget bias":
        ("lstm", {"forget_bias": False}, [0.57019705, 0.8661914, 0.9459622], None),
    "lstm without bias": ("lstm", {"use_bias": False}, [0.54986924, 0.86226785, 0.9443936], None),
    "gru": ("gru", {}, [0.5217289, 0.6371659, 0.39384964], [0.24406259, 0.611516, 0.3928808]),
    "gru, reset before":
        ("gru", {"reset_after": False}, [0.51447755, 0.6426879, 0.40208298], None),
    "gru without bias": ("gru", {"use_bias": False}, [0.49988455, 0.64701194, 0.4103359], None),
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", CORRECT)
def test_correctness(name, kernel):
    cell, options, forward, backward = CORRECT[name]
    layer = stack(cell, 3, 4, kernel, bidirectional=True, return_sequences=False, **options)
    found = layer(sequence(3, 6, 4))
    close(found[:, :3], rows(3, *forward))
    if backward:
        close(found[:, 3:], rows(3, *backward))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("cell", "numbers"),
    [("lstm", [0.3124785, 0.6863672]), ("gru", [0.29542392, 0.5885018])],
)
def test_statefulness(cell, numbers, kernel):
    layer = stack(cell, 4, 4, kernel, return_sequences=False, return_state=True)
    _, ended = layer(sequence(2, 3, 4))
    found, _ = layer(sequence(2, 3, 4), initial_state=ended)
    close(found, rows(4, *numbers))


INITIAL = {
    "lstm": ([[0.20574439, 0.3558822], [0.64930826, 0.66276]],
             [[0.13281618, 0.2790356], [0.5839337, 0.5992567]]),
    "gru": ([[0.23774096, 0.33508456], [0.83659905, 1.0227708]],
            [[0.13486053, 0.23261218], [0.78257304, 0.9691353]]),
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("cell", INITIAL)
def test_pass_initial_state_and_return_state(cell, kernel):
    layer = stack(cell, 2, 3, kernel, bidirectional=True, return_sequences=False, return_state=True)
    each = 2 if cell == "lstm" else 1
    found, ended = layer(sequence(2, 4, 3), initial_state=[sequence(2, 2)] * 2 * each)
    for half, wanted in enumerate(INITIAL[cell]):
        close(found[:, 2 * half : 2 * half + 2], wanted)
        close(ended[half * each], wanted)  # gru_test's test_pass_return_state


@pytest.mark.parametrize("kernel", KERNELS)
def test_masking_of_an_lstm(kernel):
    mask = np.array([[True, True, True, False], [True, True, False, False]])
    last = stack("lstm", 2, 3, kernel, return_sequences=False)(sequence(2, 4, 3), mask=mask)
    close(last, rows(2, 0.11755939, 0.28556206))
    found = stack("lstm", 2, 3, kernel)(sequence(2, 4, 3), mask=mask)
    close(found[0], rows(2, 0.01588910, 0.05552048, 0.11755939, 0.0))
    close(found[1], rows(2, 0.14185596, 0.28556206, 0.0, 0.0))
    layer = stack("lstm", 2, 3, kernel, bidirectional=True, return_sequences=False)
    found = layer(sequence(2, 4, 3), mask=mask[:, ::-1])
    close(found[:, 2:], rows(2, 0.15341201, 0.3844719))


@pytest.mark.parametrize("kernel", KERNELS)
def test_masking_of_a_gru(kernel):
    found = stack("gru", 2, 3, kernel)(sequence(2, 4, 3), mask=GAPS)
    close(found[0], rows(2, 0.03606692, 0.09497581, 0.0, 0.19393763))
    close(found[1], rows(2, 0.16051409, 0.0, 0.0, 0.30818558))
    layer = stack("gru", 2, 3, kernel, bidirectional=True, return_sequences=False)
    found = layer(sequence(2, 4, 3), mask=GAPS)  # bidirectional_test's test_masking
    close(found, [[0.19393763] * 2 + [0.11669192] * 2, [0.30818558] * 2 + [0.28380975] * 2])


@pytest.mark.parametrize("kernel", KERNELS)
def test_bidirectional_correctness(kernel):
    layer = stack("simple_rnn", 2, 4, kernel, bidirectional=True, return_sequences=False)
    found = ops.convert_to_numpy(layer(sequence(2, 3, 4)))
    close(found, [[0.39687276] * 2 + [0.10004295] * 2, [0.7237238] * 2 + [0.53391594] * 2])
    close((found[:, :2] + found[:, 2:]) / 2, rows(2, 0.24845785, 0.6288199))  # "ave"
    backward = layer.cells[1]
    backward.kernel.assign(ops.ones((4, 2)) * 0.03)
    backward.bias.assign(ops.ones(2) * 0.01)
    found = ops.convert_to_numpy(layer(sequence(2, 3, 4)))
    close(found[:, :2] * found[:, 2:], rows(2, 0.08374989, 0.6740834))  # "mul"
    found = stack("gru", 2, 4, kernel, bidirectional=True)(sequence(2, 3, 4))
    wanted = [[0.20937867, 0.34462988, 0.40290534], [0.59829646, 0.6734641, 0.6479671]]
    close(found[..., :2] + found[..., 2:], np.repeat(np.array(wanted)[..., None], 2, 2))  # "sum"


@pytest.mark.parametrize("kernel", KERNELS)
def test_bidirectional_states(kernel):
    layer = stack("lstm", 2, 3, kernel, bidirectional=True, return_sequences=False,
                  return_state=True)  # fmt: skip
    found, ended = layer(sequence(2, 4, 3), initial_state=states(4))
    close(found, [[0.20794602, 0.4577124, 0.14046375, 0.48191673],
                  [0.6682636, 0.6711909, 0.60943645, 0.60950446]])  # fmt: skip
    found, ended = layer(sequence(2, 4, 3))
    close(found, [[0.1990008] * 2 + [0.12659755] * 2, [0.52335435] * 2 + [0.44717982] * 2])
    for state, numbers in zip(
        ended,
        ([0.1990008, 0.52335435], [0.35567185, 1.0492687], [0.12659755, 0.44717982],
         [0.2501858, 0.941473]),
        strict=True,
    ):  # fmt: skip
        close(state, rows(2, *numbers))
    found, _ = layer(sequence(2, 4, 3), initial_state=ended)  # "stateful"
    close(found, [[0.26234663] * 2 + [0.16959146] * 2, [0.6137073] * 2 + [0.5381646] * 2])


# -- rnn_test: cells of one's own ------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="kerasseq_tests")
class SumCell(keras.layers.Layer):
    """All weights 1; with two states the output is none of them, but their sum."""

    def __init__(self, units, count=1, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.count = count
        self.state_size = [units] * count if count > 1 else units
        self.output_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones")
        self.recurrent = [
            self.add_weight(shape=(self.units, self.units), initializer="ones", name=f"r{i}")
            for i in range(self.count)
        ]

    def call(self, inputs, states):
        read = ops.matmul(inputs, self.kernel)
        new = [read + ops.matmul(states[0], kernel) for kernel in self.recurrent]
        return sum(new), new

    def get_config(self):
        return {**super().get_config(), "units": self.units, "count": self.count}


@pytest.mark.parametrize("count", [1, 2])
def test_a_cell_of_ones_own(count):
    def made(units, **options):
        return RecurrentStack(units, cell=SumCell(units, count), return_state=True, **options)

    found, ended = made(2)(np.ones((1, 2, 3), "float32"))
    close(found, np.array([[[3.0, 3.0], [9.0, 9.0]]]) * count)
    assert len(ended) == count
    for state in ended:
        close(state, [[9.0, 9.0]])
    last, again = made(2, return_sequences=False)(np.ones((1, 2, 3), "float32"))
    close(last, np.array([[9.0, 9.0]]) * count)
    layer = made(2, return_sequences=False)
    _, ended = layer(np.ones((1, 2, 3), "float32"))
    last, again = layer(np.ones((1, 2, 3), "float32"), initial_state=ended)  # "stateful"
    close(last, np.array([[45.0, 45.0]]) * count)
    close(again[0], [[45.0, 45.0]])
    ones = [np.ones((2, 2), "float32")] * count
    last, _ = made(2, return_sequences=False)(np.ones((2, 3, 2), "float32"), initial_state=ones)
    close(last, np.full((2, 2), 22.0 * count))
    if count == 1:
        both = RecurrentStack(2, cell=SumCell(2), bidirectional=True, return_sequences=False)
        close(both(sequence(2, 3, 4))[:, 2:], rows(2, 202.0, 538.0))  # "go_backwards"


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shape", [(3, 4, 5), (None, None, 3)])
def test_output_shapes_of_a_cell_of_ones_own(count, shape):
    for sequences in (True, False):
        for state in (True, False):
            layer = RecurrentStack(8, cell=SumCell(8, count), return_sequences=sequences,
                                   return_state=state)  # fmt: skip
            wanted = (*shape[:2], 8) if sequences else (shape[0], 8)
            found = layer.compute_output_shape(shape)
            assert found == ((wanted, [(shape[0], 8)] * count) if state else wanted)
            clone = RecurrentStack.from_config(layer.get_config())
            assert clone.get_config() == layer.get_config()
