"""`scan` for TensorFlow: keras.ops.scan keeps every state of every step, at twice the time."""

from typing import Any

import tensorflow as tf

from kerasseq.kernels.scan import Step


def scan(
    step: Step, states: list[Any], steps: list[Any], reverse: bool = False
) -> tuple[Any, list[Any]]:
    """See `kerasseq.kernels.scan.scan`."""
    length = tf.shape(steps[0])[0]
    arrays = [
        tf.TensorArray(x.dtype, size=length, element_shape=x.shape[1:]).unstack(x) for x in steps
    ]
    outputs = tf.TensorArray(states[0].dtype, size=length, element_shape=states[0].shape)

    def body(t: Any, states: tuple[Any, ...], outputs: Any) -> Any:
        at = length - 1 - t if reverse else t
        new = step(list(states), [array.read(at) for array in arrays])
        for tensor, old in zip(new, states, strict=True):
            tensor.set_shape(old.shape)
        return t + 1, tuple(new), outputs.write(at, new[0])

    _, final, outputs = tf.while_loop(
        lambda t, *_: t < length,
        body,
        (tf.constant(0), tuple(states), outputs),
        maximum_iterations=length,
    )
    return outputs.stack(), list(final)
