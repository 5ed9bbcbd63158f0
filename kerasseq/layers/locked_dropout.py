"""Dropout with one mask for a whole sequence."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import check_rank, check_rate
from kerasseq.layers._sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="kerasseq")
class LockedDropout(SequenceLayer):
    """Variational dropout: the same features are dropped at every step of a sequence.

    `y[b, t, d] = x[b, t, d] * m[b, d] / (1 - rate)` with `m[b, d] ~ Bernoulli(1 - rate)`
    ([Gal & Ghahramani, 2016](https://arxiv.org/abs/1512.05287); the name is that of
    [AWD-LSTM](https://arxiv.org/abs/1708.02182)).

    Args:
        rate: fraction of the features to drop, in [0, 1).
        seed: seed of the layer's own random numbers.

    Call arguments:
        inputs: `[batch, time, features]`.
        training: whether to drop; without it the input is returned as it is.

    Output shape: that of `inputs`.

    Masking: padded steps get the mask of their sequence too, so that zeros stay zeros, and
    the length of a batch does not change what is drawn.

    Example:

    >>> import numpy as np
    >>> x = np.ones((1, 3, 4), "float32")
    >>> y = np.asarray(LockedDropout(0.5, seed=1)(x, training=True))
    >>> bool((y == y[:, :1]).all())  # one mask for all steps
    True
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_rate("LockedDropout", "rate", rate)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        check_rank("LockedDropout", "inputs", inputs.shape, "batch, time, features")
        if not training or self.rate == 0:
            return inputs
        shape = ops.shape(inputs)
        ones = ops.ones((shape[0], 1, shape[2]), dtype=inputs.dtype)
        return inputs * keras.random.dropout(ones, self.rate, seed=self.seed_generator)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """It has no weights."""

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
