"""Sums over the replicas of a TensorFlow strategy."""

from typing import Any

import tensorflow as tf


def sum_over_replicas(value: Any) -> Any:
    """The sum of what each replica holds, without a gradient; outside a replica the value itself.

    Replicas wait for each other here: Keras lets them share what `add_loss` collects in a call, so
    that this is for loss functions alone.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.stop_gradient(value))
