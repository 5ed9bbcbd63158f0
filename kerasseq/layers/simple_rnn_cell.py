"""The simple recurrent cell."""

from typing import Any

import keras

from kerasseq.layers.recurrent_cell import Noise, RecurrentCell


@keras.saving.register_keras_serializable(package="kerasseq")
class SimpleRNNCell(RecurrentCell):
    """One step of the simple recurrent network: `h' = tanh(x K + h R + b)`.

    [Elman, 1990](https://doi.org/10.1207/s15516709cog1402_1). With the same weights it gives the
    same numbers as `keras.layers.SimpleRNN`. What it adds:

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
        use_bias: whether to add `b`.
        kernel_initializer, recurrent_initializer, bias_initializer: initialisers of K, R and b.
        activation: of the state.
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
    h' = tanh(1 + 0.5) = 0.90515.

    >>> import numpy as np
    >>> cell = SimpleRNNCell(1, kernel_initializer="ones", recurrent_initializer="ones")
    >>> h, _ = cell(np.array([[1.0]], "float32"), np.array([[0.5]], "float32"))
    >>> round(float(h[0, 0]), 5)
    0.90515
    """

    @property
    def gates(self) -> int:
        return 1

    def step(self, projected: Any, states: list[Any], noise: Noise | None = None) -> list[Any]:
        """One step, before zoneout: `projected = x K + b`, `states = [h]` -> `[h']`."""
        return [self.activation(projected + self.recurrent_product(states[0], noise))]
