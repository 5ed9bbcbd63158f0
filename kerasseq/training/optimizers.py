"""Optimisers, and gradients in the form that they are right for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasseq import compat
from kerasseq.training.settings import TrainingSettings


@keras.saving.register_keras_serializable(package="kerasseq")
class LazyAdam(keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015) that touches only those rows of an embedding that a batch used.

    The moments of the other rows stand still instead of decaying, so a step costs what the batch
    holds and not what the vocabulary holds. For variables with dense gradients it is Adam. It is
    the LazyAdam of TensorFlow Addons; ``amsgrad`` is not offered.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; a sparse gradient must list each row once."""
        step = tf.cast(self.iterations + 1, variable.dtype)
        rate = tf.cast(learning_rate, variable.dtype)
        mean, square = (moment.value for moment in compat.adam_moments(self, variable))
        weights = variable.value if isinstance(variable, keras.Variable) else variable
        if not isinstance(gradient, tf.IndexedSlices):
            # one pass over the memory, where Keras' own ops take eight
            tf.raw_ops.ResourceApplyAdam(
                var=weights.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=self.beta_1**step,
                beta2_power=self.beta_2**step,
                lr=rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )
            return
        rate *= tf.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        rows, values = gradient.indices, gradient.values
        new_mean = self.beta_1 * tf.gather(mean, rows) + (1 - self.beta_1) * values
        new_square = self.beta_2 * tf.gather(square, rows) + (1 - self.beta_2) * values**2
        mean.scatter_update(tf.IndexedSlices(new_mean, rows))
        square.scatter_update(tf.IndexedSlices(new_square, rows))
        change = rate * new_mean / (tf.sqrt(new_square) + self.epsilon)
        weights.scatter_sub(tf.IndexedSlices(change, rows))


def make_optimizer(settings: TrainingSettings) -> keras.optimizers.Optimizer:
    """The optimiser of some settings; with loss scaling under mixed_float16."""
    kinds = {
        "adam": keras.optimizers.Adam,
        "lazy_adam": LazyAdam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    options: dict[str, Any] = {}
    if settings.optimizer == "sgd":
        options = {"momentum": settings.momentum, "nesterov": settings.momentum > 0}
    elif settings.optimizer != "rmsprop":
        options = {"beta_1": settings.momentum}
    if settings.weight_decay or settings.optimizer == "adamw":
        options["weight_decay"] = settings.weight_decay
    optimizer = kinds[settings.optimizer](learning_rate=settings.learning_rate, **options)
    # of several replicas' gradients; the update sums them itself, before it clips
    compat.leave_gradients_as_they_are(optimizer)
    if keras.mixed_precision.dtype_policy().compute_dtype == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def clipped(gradients: Sequence[Any], norm: float) -> list[Any]:
    """Gradients scaled so that their global norm is at most ``norm``.

    Args:
        gradients: dense, or sparse with each row once.
        norm: the bound.
    """
    return tf.clip_by_global_norm(gradients, norm)[0]


def merged(gradient: Any, sparse: bool) -> Any:
    """A gradient in the form that optimisers and norms are right for.

    The sparse gradient of an embedding lists a token once for each occurrence. Its parts are
    summed: adaptive optimisers would square them one by one, and a norm would be theirs.

    Args:
        gradient: dense, or ``tf.IndexedSlices``.
        sparse: whether to leave a sparse gradient sparse, each row listed once.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    if not sparse:
        return tf.convert_to_tensor(gradient)
    indices, values = gradient.indices, gradient.values
    if indices.shape.rank != 1:  # a batch of ids has more axes than one; what follows is a row
        values = tf.reshape(values, [-1, *values.shape[indices.shape.rank :]])
        indices = tf.reshape(indices, [-1])
    rows, position = tf.unique(indices)
    summed = tf.math.unsorted_segment_sum(values, position, tf.size(rows))
    return tf.IndexedSlices(summed, rows, gradient.dense_shape)


def scaled(gradient: Any, factor: Any) -> Any:
    """A gradient times a number."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(gradient.values * factor, gradient.indices, gradient.dense_shape)
    return gradient * factor


def added(some: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Gradients added one by one; a sparse one has each row once."""
    return [
        merged(
            tf.IndexedSlices(
                tf.concat([a.values, b.values], 0),
                tf.concat([a.indices, b.indices], 0),
                a.dense_shape,
            ),
            sparse=True,
        )
        if isinstance(a, tf.IndexedSlices)
        else a + b
        for a, b in zip(some, others, strict=True)
    ]
