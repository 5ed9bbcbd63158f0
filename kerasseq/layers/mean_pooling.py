"""Pooling by the mean over valid steps."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import check_mask, check_rank
from kerasseq.layers._sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="kerasseq")
class MeanPooling(SequenceLayer):
    """The mean over the valid steps: `y[b] = sum_t m[b, t] x[b, t] / sum_t m[b, t]`.

    Sums are taken in float32 at least, also under mixed precision.

    Call arguments:
        inputs: `[batch, time, features]`.
        mask: bool `[batch, time]`; `None` means that all steps are valid.

    Output shape: `[batch, features]`, in the compute dtype.

    Masking: padded steps have no influence, whatever stands there; a row with no valid step
    gives zeros.

    Example:

    >>> import numpy as np
    >>> x = np.array([[[1.0], [3.0], [99.0]]], "float32")
    >>> np.asarray(MeanPooling()(x, mask=np.array([[True, True, False]]))).tolist()
    [[2.0]]
    """

    output_has_steps = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        check_rank("MeanPooling", "inputs", inputs.shape, "batch, time, features")
        values = ops.cast(inputs, self.wide_dtype)
        mask = check_mask("MeanPooling", mask, inputs)
        # where, not a product: 0 * inf would be NaN.
        total = ops.sum(ops.where(mask[..., None], values, 0.0), axis=1)
        count = ops.sum(ops.cast(mask, self.wide_dtype), axis=1, keepdims=True)
        return ops.cast(total / ops.maximum(count, 1.0), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[2])
