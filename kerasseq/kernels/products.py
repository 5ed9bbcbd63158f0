"""Matrix products over all steps at once.

They are taken in the dtype of `x`, the layer's compute dtype, which under mixed precision is a
half one. The weights, and with them the loop over time, its states and its gates, stay in theirs;
states that go in and out have the compute dtype.
"""

from typing import Any

import tensorflow as tf


def project(x: Any, kernel: Any, bias: Any) -> Any:
    """`x [time, batch, a] @ kernel [a, b] + bias [b]` in their dtype, as one product."""
    shape = tf.shape(x)
    flat = tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), tf.cast(kernel, x.dtype))
    flat = tf.nn.bias_add(tf.cast(flat, kernel.dtype), bias)
    return tf.ensure_shape(
        tf.reshape(flat, (shape[0], shape[1], kernel.shape[1])), (*x.shape[:2], kernel.shape[1])
    )


def project_back(dz: Any, kernel: Any) -> Any:
    """`dz [time, batch, b] @ kernel^T` in the dtype of dz: the gradient with respect to `x`."""
    shape = tf.shape(dz)
    flat = tf.reshape(dz, (-1, kernel.shape[1]))
    flat = tf.matmul(flat, tf.cast(kernel, dz.dtype), transpose_b=True)
    return tf.reshape(flat, (shape[0], shape[1], kernel.shape[0]))


def outer(x: Any, dz: Any, kernel: Any) -> Any:
    """`sum_t x[t]^T dz[t]`: the gradient with respect to a kernel, in its dtype.

    The product is taken in the dtype of dz.
    """
    flat_x, flat_dz = tf.reshape(x, (-1, x.shape[-1])), tf.reshape(dz, (-1, dz.shape[-1]))
    product = tf.matmul(tf.cast(flat_x, dz.dtype), flat_dz, transpose_a=True)
    return tf.cast(product, kernel.dtype)


def total(dz: Any) -> Any:
    """`sum_t,b dz[t, b]`: the gradient with respect to the bias."""
    return tf.reduce_sum(tf.reshape(dz, (-1, dz.shape[-1])), 0)


def gradients(
    x: Any, reached: Any, dz: Any, kernel: Any, recurrent: Any
) -> tuple[Any, Any, Any, Any]:
    """The gradients of `z = x K + reached R + b` with respect to `x`, `K`, `R` and `b`.

    Args:
        x: inputs, `[time, batch, a]`.
        reached: what the recurrent kernel multiplied, `[time, batch, units]`.
        dz: gradient with respect to `z`, `[time, batch, b]`.
        kernel, recurrent: `[a, b]` and `[units, b]`.
    """
    low = tf.cast(dz, x.dtype)
    return (
        project_back(low, kernel),
        outer(x, low, kernel),
        outer(reached, low, recurrent),
        total(dz),
    )


def masked(states: Any, state_mask: Any) -> Any:
    """The states that a recurrent product reads: all of them if there is no mask."""
    return states if state_mask is None else states * state_mask


def previous(states: Any, initial: Any) -> Any:
    """The states before each step: `[s_0, s_1 .. s_{T-1}]` from `[s_1 .. s_T]` and `s_0`."""
    # cut to as many steps, of which there may be none
    return tf.concat([initial[None], states[:-1]], 0)[: tf.shape(states)[0]]
