"""Gradients and compiled functions on whichever backend runs."""

import keras
import numpy as np
import pytest


def compiled(function):
    """`function` as the backend's graph: long loops are slow when run step by step."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "torch":
        return function
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
    elif keras.backend.backend() == "torch":
        import torch

        tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
        value = function(*tensors)
        if not value.requires_grad:
            pytest.skip(
                "torch has no gradient for the value that a variable is assigned in a scope"
            )
        grads = torch.autograd.grad(value, tensors, allow_unused=True)
        grads = [torch.zeros_like(t) if g is None else g
                 for t, g in zip(tensors, grads, strict=True)]  # fmt: skip
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
