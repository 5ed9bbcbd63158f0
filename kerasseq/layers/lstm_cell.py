"""The long short-term memory cell."""

from typing import Any, ClassVar

import keras
from keras import ops

from kerasseq.layers.recurrent_cell import Noise, RecurrentCell, normalize


@keras.saving.register_keras_serializable(package="kerasseq")
class LSTMCell(RecurrentCell):
    """One step of a long short-term memory.

    [Hochreiter & Schmidhuber, 1997](https://doi.org/10.1162/neco.1997.9.8.1735), with the forget
    gate of [Gers et al., 2000](https://doi.org/10.1162/089976600300015015):

        i = sigmoid(x K_i + h R_i + b_i)        input gate
        f = sigmoid(x K_f + h R_f + b_f)        forget gate
        g = tanh   (x K_g + h R_g + b_g)        candidate
        o = sigmoid(x K_o + h R_o + b_o)        output gate
        c' = f * c + i * g                      cell
        h' = o * tanh(c')                       output

    The kernels hold their blocks in the order i, f, g, o, which is that of `keras.layers.LSTM`:
    with the same weights both give the same numbers. What it adds:

    - `coupled_gates`: `i = 1 - f`
      ([Greff et al., 2017](https://arxiv.org/abs/1503.04069)); the blocks are then f, g, o.
    - `layer_norm`: `x K`, `h R` and `c'` (inside the tanh) are normalised
      ([Ba et al., 2016](https://arxiv.org/abs/1607.06450), equations 20 to 22).
    - `weight_drop`: DropConnect on `R`, one mask a sequence
      ([Merity et al., 2018](https://arxiv.org/abs/1708.02182)).
    - `recurrent_dropout`: variational dropout of `h` in `h R`, one mask a sequence
      ([Gal & Ghahramani, 2016](https://arxiv.org/abs/1512.05287)).
    - `zoneout`: units of `h` and `c` keep their old value with this probability; at inference the
      expectation is taken ([Krueger et al., 2017](https://arxiv.org/abs/1606.01305)).

    Args:
        units: width of the state.
        use_bias: whether to add `b`.
        unit_forget_bias: start `b_f` at 1
            ([Jozefowicz et al., 2015](https://proceedings.mlr.press/v37/jozefowicz15.html)).
        kernel_initializer, recurrent_initializer, bias_initializer: initialisers of K, R and b.
        activation: of the candidate and of the cell.
        recurrent_activation: of the gates.
        kernel_regularizer, recurrent_regularizer: of K and R.
        layer_norm, coupled_gates, recurrent_dropout, weight_drop, zoneout: as above.
        seed: seed of the cell's own random numbers.

    Call arguments:
        inputs: `[batch, features]`.
        states: `[h, c]`, each `[batch, units]`.
        training: whether to drop.
        noise: what `draw_noise` drew for the sequence; needed in training with `weight_drop` or
            `recurrent_dropout`.

    Output: `(h', [h', c'])`.

    Masking: a cell knows one step only; `RecurrentStack` keeps states still over padding.

    Example: one unit, one input, worked by hand. With x = 1, h = 0.5, c = 0.2 and all kernels 1,
    b = (0, 1, 0, 0), each pre-activation is 1 + 0.5 = 1.5, and 2.5 for the forget gate:
    i = o = sigmoid(1.5) = 0.81757, f = sigmoid(2.5) = 0.92414, g = tanh(1.5) = 0.90515, so
    c' = 0.92414 * 0.2 + 0.81757 * 0.90515 = 0.92485 and h' = 0.81757 * tanh(0.92485) = 0.59535.

    >>> import numpy as np
    >>> cell = LSTMCell(1, kernel_initializer="ones", recurrent_initializer="ones")
    >>> state = [np.array([[0.5]], "float32"), np.array([[0.2]], "float32")]
    >>> h, (_, c) = cell(np.array([[1.0]], "float32"), state)
    >>> round(float(c[0, 0]), 5), round(float(h[0, 0]), 5)
    (0.92485, 0.59535)
    """

    state_count: ClassVar[int] = 2

    def __init__(
        self,
        units: int,
        use_bias: bool = True,
        unit_forget_bias: bool = True,
        coupled_gates: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, use_bias=use_bias, **kwargs)
        self.unit_forget_bias = unit_forget_bias
        self.coupled_gates = coupled_gates

    @property
    def gates(self) -> int:
        return 3 if self.coupled_gates else 4

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.layer_norm:
            self.cell_scale = self._add_scale("cell_scale", self.units)
            self.cell_shift = self.add_weight(
                name="cell_shift", shape=(self.units,), initializer="zeros"
            )

    def _add_bias(self) -> Any:
        def initializer(shape: Any, dtype: Any = None) -> Any:
            bias = self.bias_initializer(shape, dtype=dtype)
            if not self.unit_forget_bias:
                return bias
            start = 0 if self.coupled_gates else self.units
            ones = ops.ones((self.units,), dtype=dtype)
            return ops.concatenate([bias[:start], ones, bias[start + self.units :]])

        return self.add_weight(name="bias", shape=self.bias_shape, initializer=initializer)

    def step(self, projected: Any, states: list[Any], noise: Noise | None = None) -> list[Any]:
        """One step, before zoneout: `projected = x K + b`, `states = [h, c]` -> `[h', c']`."""
        hidden, cell = states
        gates = projected + self.recurrent_product(hidden, noise)
        squash, gate = self.activation, self.recurrent_activation
        if self.coupled_gates:
            forget, candidate, output = ops.split(gates, 3, axis=-1)
            forget = gate(forget)
            cell = forget * cell + (1 - forget) * squash(candidate)
        else:
            enter, forget, candidate, output = ops.split(gates, 4, axis=-1)
            cell = gate(forget) * cell + gate(enter) * squash(candidate)
        shown = normalize(cell, self.cell_scale, self.cell_shift) if self.layer_norm else cell
        return [gate(output) * squash(shown), cell]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "unit_forget_bias": self.unit_forget_bias,
            "coupled_gates": self.coupled_gates,
        }
