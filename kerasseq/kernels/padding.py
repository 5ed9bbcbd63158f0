"""A check of masks while a graph runs (TensorFlow)."""

from typing import Any

import tensorflow as tf


def require_right_padding(mask: Any, message: str) -> None:
    """Make the graph that is being traced fail where `mask` is not padded on the right.

    No other operation waits for this one, so that a GPU is not stopped for the answer; what is
    compiled with XLA as a whole leaves it out.

    Args:
        mask: bool `[batch, time]`.
        message: what the error says.
    """
    if tf.executing_eagerly():
        return
    wrong = tf.reduce_any(tf.logical_and(mask[:, 1:], tf.logical_not(mask[:, :-1])))
    tf.debugging.Assert(tf.logical_not(wrong), [message])
