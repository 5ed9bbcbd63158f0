"""Pooling by the last valid step."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import check_mask, check_rank
from kerasseq.layers._sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="kerasseq")
class LastPooling(SequenceLayer):
    """What a recurrent layer knows at the end: the output at the last valid step.

    `y[b] = x[b, n_b - 1]` for a sequence of length `n_b`. With `bidirectional=True` the
    features are two halves, a forward and a backward one, and the backward half is read where
    it ended, at step 0: `y[b] = [x_f[b, n_b - 1]; x_b[b, 0]]`
    ([Graves & Schmidhuber, 2005](https://doi.org/10.1016/j.neunet.2005.06.042)).

    Args:
        bidirectional: whether the second half of the features runs backwards.

    Call arguments:
        inputs: `[batch, time, features]`.
        mask: bool `[batch, time]`; `None` means that all steps are valid.

    Output shape: `[batch, features]`.

    Masking: padded steps are not read; a row with no valid step gives zeros.

    Example:

    >>> import numpy as np
    >>> x = np.arange(6, dtype="float32").reshape(1, 3, 2)
    >>> np.asarray(LastPooling()(x, mask=np.array([[True, True, False]]))).tolist()
    [[2.0, 3.0]]
    """

    output_has_steps = False

    def __init__(self, bidirectional: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bidirectional = bidirectional
        self.built = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        check_rank("LastPooling", "inputs", inputs.shape, "batch, time, features")
        features = inputs.shape[-1]
        if self.bidirectional and features % 2:
            raise ValueError(
                "LastPooling: with `bidirectional=True` the features of `inputs` must be even. "
                f"Received: inputs.shape={tuple(inputs.shape)}"
            )
        if mask is not None:
            mask = check_mask("LastPooling", mask, inputs)
        return last_step(inputs, mask, self.bidirectional)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bidirectional": self.bidirectional}


def last_step(inputs: Any, mask: Any, bidirectional: bool) -> Any:
    """See `LastPooling`; what is chosen by a sum has no slow gradient."""
    features = inputs.shape[-1]
    forward = features // 2 if bidirectional else features
    valid = (
        ops.ones_like(inputs[..., 0], dtype="int32") if mask is None else ops.cast(mask, "int32")
    )
    count = ops.cumsum(valid, axis=1) * valid  # from 1, and 0 at padding
    last = ops.logical_and(valid > 0, count == ops.sum(valid, axis=1, keepdims=True))
    pooled = _sum_of(inputs[:, :, :forward], last)
    if bidirectional:
        pooled = ops.concatenate([pooled, _sum_of(inputs[:, :, forward:], count == 1)], axis=-1)
    return pooled


def _sum_of(inputs: Any, chosen: Any) -> Any:
    """The one step of each row that is chosen, or zeros: its gradient is no scattering."""
    return ops.sum(ops.where(chosen[..., None], inputs, ops.zeros_like(inputs)), axis=1)
