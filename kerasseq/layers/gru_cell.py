"""The gated recurrent unit."""

from typing import Any

import keras

from kerasseq.layers.recurrent_cell import Noise, RecurrentCell


@keras.saving.register_keras_serializable(package="kerasseq")
class GRUCell(RecurrentCell):
    """One step of a gated recurrent unit.

    [Cho et al., 2014](https://arxiv.org/abs/1406.1078):

        z = sigmoid(x K_z + h R_z + b_z)              update gate
        r = sigmoid(x K_r + h R_r + b_r)              reset gate
        g = tanh(x K_g + (r * h) R_g + b_g)           candidate, the textbook form
        g = tanh(x K_g + b_g + r * (h R_g + d_g))     candidate, `reset_after=True`
        h' = z * h + (1 - z) * g

    The reset-after form is that of the paper's
    [first version](https://arxiv.org/abs/1406.1078v1). It needs one recurrent product a step
    instead of two, and is the only one that cuDNN knows; its recurrent products have a bias `d`
    of their own. The kernels hold their blocks in the order z, r, g, which is that of
    `keras.layers.GRU`: with the same weights both give the same numbers. What it adds:

    - `layer_norm`: `x K` and `h R` are normalised
      ([Ba et al., 2016](https://arxiv.org/abs/1607.06450)).
    - `weight_drop`: DropConnect on `R`, one mask a sequence
      ([Merity et al., 2018](https://arxiv.org/abs/1708.02182)).
    - `recurrent_dropout`: variational dropout of `h` in `h R`, one mask a sequence
      ([Gal & Ghahramani, 2016](https://arxiv.org/abs/1512.05287)).
    - `zoneout`: units keep their old value with this probability; at inference the expectation is
      taken ([Krueger et al., 2017](https://arxiv.org/abs/1606.01305)).

    Args:
        units: width of the state.
        use_bias: whether to add `b` (and `d`).
        reset_after: which candidate, as above.
        kernel_initializer, recurrent_initializer, bias_initializer: initialisers of K, R and b.
        activation: of the candidate.
        recurrent_activation: of the gates.
        kernel_regularizer, recurrent_regularizer: of K and R.
        layer_norm, recurrent_dropout, weight_drop, zoneout: as above.
        seed: seed of the cell's own random numbers.

    Call arguments:
        inputs: `[batch, features]`.
        states: `[h]` or `h`, `[batch, units]`.
        training: whether to drop.
        noise: what `draw_noise` drew for the sequence; needed in training with `weight_drop` or
            `recurrent_dropout`.

    Output: `(h', [h'])`, or `(h', h')` where `h` came bare.

    Masking: a cell knows one step only; `RecurrentStack` keeps states still over padding.

    Example: one unit, one input, worked by hand. With x = 1, h = 0.5, all kernels 1 and no bias,
    z = r = sigmoid(1.5) = 0.81757; the candidate is tanh(1 + 0.81757 * 0.5) = tanh(1.40879) =
    0.88724 in both forms, since r * (h R) = (r * h) R for one unit, so
    h' = 0.81757 * 0.5 + 0.18243 * 0.88724 = 0.57064.

    >>> import numpy as np
    >>> cell = GRUCell(1, kernel_initializer="ones", recurrent_initializer="ones")
    >>> h, _ = cell(np.array([[1.0]], "float32"), np.array([[0.5]], "float32"))
    >>> round(float(h[0, 0]), 5)
    0.57064
    """

    def __init__(
        self, units: int, use_bias: bool = True, reset_after: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(units, use_bias=use_bias, **kwargs)
        self.reset_after = reset_after

    @property
    def gates(self) -> int:
        return 3

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def input_bias(self) -> Any:
        return self.bias[0] if self.use_bias and self.reset_after else self.bias

    def step(self, projected: Any, states: list[Any], noise: Noise | None = None) -> list[Any]:
        """One step, before zoneout: `projected = x K + b`, `states = [h]` -> `[h']`."""
        hidden = states[0]
        units = self.units
        gates, candidate = projected[..., : 2 * units], projected[..., 2 * units :]
        if self.reset_after:
            product = self.recurrent_product(hidden, noise)
            if self.use_bias:
                product = product + self.bias[1]
            both = self.recurrent_activation(gates + product[..., : 2 * units])
            update, reset = both[..., :units], both[..., units:]
            candidate = self.activation(candidate + reset * product[..., 2 * units :])
        else:
            product = self.recurrent_product(hidden, noise, slice(0, 2 * units))
            both = self.recurrent_activation(gates + product)
            update, reset = both[..., :units], both[..., units:]
            columns = slice(2 * units, 3 * units)
            candidate = self.activation(
                candidate + self.recurrent_product(reset * hidden, noise, columns)
            )
        return [update * hidden + (1 - update) * candidate]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reset_after": self.reset_after}
