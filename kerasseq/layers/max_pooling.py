"""Pooling by the maximum over valid steps."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._checks import check_mask, check_rank
from kerasseq.layers._masked import masked_max
from kerasseq.layers._sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="kerasseq")
class MaxPooling(SequenceLayer):
    """The largest value of each feature over the valid steps: `y[b, d] = max_t x[b, t, d]`.

    [Collobert & Weston, 2008](https://doi.org/10.1145/1390156.1390177);
    [Conneau et al., 2017](https://arxiv.org/abs/1705.02364) for BiLSTMs.

    Call arguments:
        inputs: `[batch, time, features]`.
        mask: bool `[batch, time]`; `None` means that all steps are valid.

    Output shape: `[batch, features]`, in the compute dtype.

    Masking: padded steps have no influence; a row with no valid step gives zeros.

    Example:

    >>> import numpy as np
    >>> x = np.array([[[-1.0], [-3.0], [0.0]]], "float32")
    >>> np.asarray(MaxPooling()(x, mask=np.array([[True, True, False]]))).tolist()
    [[-1.0]]
    """

    output_has_steps = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.built = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        check_rank("MaxPooling", "inputs", inputs.shape, "batch, time, features")
        inputs = ops.cast(inputs, self.compute_dtype)
        mask = check_mask("MaxPooling", mask, inputs)
        largest = masked_max(inputs, mask[..., None], axis=1)
        filled = ops.any(mask, axis=1, keepdims=True)
        return ops.where(filled, largest, ops.zeros_like(largest))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], input_shape[2])
