"""Maximum and softmax over valid steps; there may be none."""

from typing import Any

import keras
from keras import ops

from kerasseq.layers._precision import widen


def masked_max(values: Any, mask: Any, axis: int, keepdims: bool = False) -> Any:
    """The largest of the valid values; the least number of the dtype, nearly, where there is none.

    Args:
        values: floats.
        mask: bool, in a shape that goes with that of `values`; `None`: all valid.
        axis: over which it is taken; it may have no steps.
        keepdims: whether the axis stays, with size 1.
    """
    # Finite: what is computed with it stays so.
    low = -65504.0 if keras.backend.standardize_dtype(values.dtype) == "float16" else -1e30
    if 0 in values.shape:  # Keras has another shape then on torch
        return ops.sum(values, axis=axis, keepdims=keepdims) + ops.cast(low, values.dtype)
    if mask is not None:
        values = ops.where(mask, values, ops.cast(low, values.dtype))
    return ops.max(values, axis=axis, keepdims=keepdims, initial=ops.cast(low, values.dtype))


def masked_softmax(scores: Any, mask: Any = None) -> Any:
    """Softmax over the last axis, in float32 at least; exactly 0 where `mask` is False.

    A row without any True is all zeros, and so is its gradient.
    """
    scores = widen(scores)
    top = ops.stop_gradient(masked_max(scores, mask, axis=-1, keepdims=True))
    if mask is not None:
        scores = ops.where(mask, scores, top)
    exponentials = ops.exp(scores - top)
    if mask is not None:
        exponentials = ops.where(mask, exponentials, 0.0)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    return exponentials / ops.where(total > 0.0, total, 1.0)
