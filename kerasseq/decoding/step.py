"""What decoders share: the step function, and a loop over it of core TensorFlow ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasseq.errors import UserError

Step = Callable[..., tuple[Any, ...]]
"""``(tokens int32 [rows], state) -> (logits [rows, V], state, ...)``, as a cell of Keras has it;
with a memory, ``(tokens, state, memory)``. What comes after the state is not read.

``state`` is any nest of tensors whose first axis is the rows, such as the (h, c) of each layer;
structure, dtypes and shapes stay the same from step to step. Rows must not depend on each other.
"""

EXCLUDED = -1e30
"""Log-probability of what is not there: finite, so that sums and quotients of it are too."""

PRESENT = -1e29
"""Whatever is above is there."""

LONGEST = 1_000_000
"""Most tokens of a sequence: memory for as many as are asked for is taken at once."""


def check_length(length: int) -> None:
    """Raises:
    UserError: if a sequence cannot have so many tokens.
    """
    if not 1 <= length <= LONGEST:
        raise UserError(f"length must be from 1 to {LONGEST:,}, got {length:,}")


def without(step: Step, excluded: Sequence[int]) -> Step:
    """A step that never gives some tokens; the probabilities of the others sum to 1."""

    def others(tokens: tf.Tensor, state: Any, *memory: Any) -> tuple[tf.Tensor, Any]:
        logits, state, *_ = step(tokens, state, *memory)
        out = is_any_of(tf.range(tf.shape(logits)[-1]), token_ids(excluded))
        return tf.nn.log_softmax(tf.where(out, EXCLUDED, tf.cast(logits, tf.float32))), state

    return others


class LoopStep:
    """A step as a loop carries it: its state is tensors and keeps its structure.

    Args:
        step: the model.
        state: its first state; anything that converts to tensors.

    Raises:
        UserError: if Keras runs on another backend.
    """

    def __init__(self, step: Step, state: Any):
        if keras.backend.backend() != "tensorflow":
            raise UserError(
                "kerasseq.decoding runs in TensorFlow alone, set KERAS_BACKEND=tensorflow; Keras "
                f"runs on {keras.backend.backend()}"
            )
        self._step = step
        self.state = tf.nest.map_structure(tf.convert_to_tensor, state)

    def __call__(self, tokens: tf.Tensor, state: Any, memory: Any = None) -> tuple[tf.Tensor, Any]:
        """Logits float32 ``[rows, V]`` and the new state; a step without a memory gets none."""
        more = () if memory is None else (memory,)
        logits, after, *_ = self._step(tokens, state, *more)
        tf.nest.assert_same_structure(self.state, after, check_types=False)
        tensors = [tf.convert_to_tensor(tensor) for tensor in tf.nest.flatten(after)]
        return tf.cast(logits, tf.float32), tf.nest.pack_sequence_as(self.state, tensors)


def loop(
    condition: Callable[..., tf.Tensor],
    body: Callable[..., Sequence[Any]],
    variables: Sequence[Any],
    shrinking: Sequence[Any] = (),
) -> Sequence[Any]:
    """``tf.while_loop`` over nests of tensors, and then nests of those whose first axis may change.

    Static shapes stay as they came: a body loses some of them on the way (``tf.reshape``), which
    ``tf.while_loop`` by itself would refuse.
    """

    def any_rows(tensor: tf.Tensor) -> tf.TensorShape:
        return tf.TensorShape([None]).concatenate(tensor.shape[1:])

    shapes = tf.nest.map_structure(lambda tensor: tensor.shape, [*variables])
    shapes += tf.nest.map_structure(any_rows, [*shrinking])
    flat_shapes = tf.nest.flatten(shapes)

    def keeping_shapes(*before: Any) -> Sequence[Any]:
        after = body(*before)
        for tensor, shape in zip(tf.nest.flatten(after), flat_shapes, strict=True):
            tensor.set_shape(shape)
        return after

    return tf.while_loop(condition, keeping_shapes, [*variables, *shrinking], shapes)


def token_ids(ids: Any) -> tf.Tensor:
    """Token ids, in a tensor or not, none or one or many, as int32 ``[N]``."""
    return tf.reshape(tf.cast(ids, tf.int32), [-1])


def is_any_of(tokens: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
    """Which of ``tokens`` int32 ``[...]`` are in ``stop`` int32 ``[S]``; S may be 0."""
    return tf.reduce_any(tokens[..., tf.newaxis] == stop, axis=-1)
