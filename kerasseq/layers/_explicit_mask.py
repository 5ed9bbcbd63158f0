"""Base of the layers that take their mask as an argument."""

from typing import Any

import keras
from keras import ops

from kerasseq import compat


class ExplicitMaskLayer(keras.layers.Layer):
    """A layer whose output carries no implicit Keras mask; most have a `mask` argument.

    Where no `mask` is given and the layer gets one tensor only, Keras fills the argument with the
    mask that a layer before attached to that tensor (`Embedding(mask_zero=True)` does), and so it
    is read. The output never has one: the layers after it need their `mask` given.

    Without `supports_masking` Keras warns that the mask is lost, which is what is meant here.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None


def unmasked(tensor: Any) -> Any:
    """The tensor without its implicit mask, for a layer that may return its input as it is."""
    if compat.implicit_mask(tensor) is None:
        return tensor
    # A copy keeps the mask on TensorFlow, a reshape to the same shape is no new array on jax.
    return ops.copy(ops.reshape(tensor, ops.shape(tensor)))
