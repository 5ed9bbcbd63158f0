"""Base of the layers that take their mask as an argument."""

from typing import Any

import keras


class ExplicitMaskLayer(keras.layers.Layer):
    """A layer with a `mask` argument, whose output carries no implicit Keras mask.

    Without `supports_masking` Keras warns that the mask is lost, which is what is meant here.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        return None
