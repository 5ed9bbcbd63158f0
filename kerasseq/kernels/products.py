"""Matrix products over all steps at once."""

from typing import Any

import tensorflow as tf


def project(x: Any, kernel: Any, bias: Any = None) -> Any:
    """`x [time, batch, a] @ kernel [a, b]`, as one product of two matrices."""
    shape = tf.shape(x)
    flat = tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel)
    if bias is not None:
        flat = tf.nn.bias_add(flat, bias)
    return tf.ensure_shape(
        tf.reshape(flat, (shape[0], shape[1], kernel.shape[1])), (*x.shape[:2], kernel.shape[1])
    )


def project_back(dz: Any, kernel: Any) -> Any:
    """`dz [time, batch, b] @ kernel^T`: the gradient with respect to `x`."""
    shape = tf.shape(dz)
    flat = tf.matmul(tf.reshape(dz, (-1, kernel.shape[1])), kernel, transpose_b=True)
    return tf.reshape(flat, (shape[0], shape[1], kernel.shape[0]))


def outer(x: Any, dz: Any) -> Any:
    """`sum_t x[t]^T dz[t]`: the gradient with respect to the kernel."""
    flat_x, flat_dz = tf.reshape(x, (-1, x.shape[-1])), tf.reshape(dz, (-1, dz.shape[-1]))
    return tf.matmul(flat_x, flat_dz, transpose_a=True)


def total(dz: Any) -> Any:
    """`sum_t,b dz[t, b]`: the gradient with respect to the bias."""
    return tf.reduce_sum(tf.reshape(dz, (-1, dz.shape[-1])), 0)


def previous(states: Any, initial: Any) -> Any:
    """The states before each step: `[s_0, s_1 .. s_{T-1}]` from `[s_1 .. s_T]` and `s_0`."""
    return tf.concat([initial[None], states[:-1]], 0)
