"""Gradients and compiled functions on whichever backend runs."""

import keras
import numpy as np


def compiled(function):
    """`function` as the backend's graph: long loops are slow when run step by step."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function)


def gradients(function, *arrays, compile=False):
    """Gradients of a scalar `function` with respect to float32 arrays, as NumPy arrays."""
    function = compiled(function) if compile else function
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
