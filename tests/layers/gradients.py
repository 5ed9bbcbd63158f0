"""Gradients on whichever backend runs, and by finite differences."""

import keras
import numpy as np


def gradients(function, *arrays):
    """Gradients of a scalar `function` with respect to float32 arrays, as NumPy arrays."""
    if keras.backend.backend() == "jax":
        import jax

        grads = jax.grad(function, argnums=tuple(range(len(arrays))))(
            *[jax.numpy.asarray(a) for a in arrays]
        )
    else:
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(a) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        grads = tape.gradient(value, tensors)
        grads = [tf.zeros_like(t) if g is None else g for t, g in zip(tensors, grads, strict=True)]
        grads = [tf.convert_to_tensor(g) for g in grads]
    return [np.asarray(g) for g in grads]
