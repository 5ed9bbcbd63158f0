"""`scan` for TensorFlow: keras.ops.scan keeps every state of every step, at twice the time.

TensorFlow's gradient of a loop adds to the gradient of a kernel at every step: a product that is
too small to be fast, and a pass over memory as large as the kernel. Here a step's product with a
kernel is `x K` without a gradient for `K`, plus a zero that is an input of the loop. The loop's
gradient gives that of all these zeros, `[time, batch, b]`, and with the `x` of all steps, which the
loop puts out, `dK` is one product after it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf
from keras import ops

from kerasseq.kernels.products import outer
from kerasseq.kernels.step_products import Step, products
from kerasseq.kernels.tensorflow_loop import loop

_WHOLE = {2: tf.int16, 4: tf.int32, 8: tf.int64}


def scan(
    step: Step,
    states: list[Any],
    steps: list[Any],
    reverse: bool = False,
    kernels: Sequence[Any] = (),
) -> tuple[Any, list[Any]]:
    """See `kerasseq.kernels.scan.scan`."""
    if reverse:  # turned round: converters to other formats take the outputs in the order of steps
        outputs, final = scan(step, states, [tf.reverse(x, [0]) for x in steps], kernels=kernels)
        return tf.reverse(outputs, [0]), final
    length, batch = tf.shape(steps[0])[0], tf.shape(states[0])[0]
    matrices = [ops.cast(kernel, states[0].dtype) for kernel in kernels]
    read: list[Any] = [None] * len(kernels)
    zeros = [
        _zeros_for(matrix, (length, batch), partial(read.__getitem__, i))
        for i, matrix in enumerate(matrices)
    ]
    frozen = [(_frozen(matrix), _frozen(tf.transpose(matrix))) for matrix in matrices]

    def one(_: Any, carry: Any, xs: Any) -> Any:
        inputs: list[Any] = [None] * len(kernels)

        def times(i: int) -> Callable[[Any], Any]:
            def multiply(x: Any) -> Any:
                inputs[i] = tf.reshape(x, (-1, matrices[i].shape[0]))
                dtype = matrices[i].dtype
                matrix, transposed = (tf.bitcast(whole, dtype) for whole in frozen[i])
                made = _product(inputs[i], matrix, transposed) + xs[len(steps) + i]
                return tf.reshape(made, (*tf.unstack(tf.shape(x)[:-1]), matrix.shape[1]))

            return multiply

        with products({id(kernel): times(i) for i, kernel in enumerate(kernels)}):
            new = tuple(step(list(carry), list(xs[: len(steps)])))
        return new, (new[0], *inputs)

    widths = (states[0].shape[-1], *(matrix.shape[0] for matrix in matrices))
    (outputs, *read[:]), last = loop(one, (), states, [*steps, *zeros], widths)
    return outputs, list(last)


def _frozen(matrix: Any) -> Any:
    """As integers, for which a loop has no gradient to add up."""
    return tf.bitcast(tf.stop_gradient(matrix), _WHOLE[matrix.dtype.size])


def _product(x: Any, matrix: Any, transposed: Any) -> Any:
    """`x K` with the gradient of `x`, for which transposing at every step would be slow."""

    @tf.custom_gradient
    def multiply(x: Any) -> Any:
        return tf.matmul(x, matrix), lambda given: tf.matmul(given, transposed)

    return multiply(x)


def _zeros_for(matrix: Any, shape: tuple[Any, Any], read: Callable[[], Any]) -> Any:
    """Zeros `[time, batch, b]`, whose gradient becomes the matrix's by what was read."""

    @tf.custom_gradient
    def make(matrix: Any) -> Any:
        def grad(given: Any) -> Any:
            return outer(read(), given, matrix)

        return tf.zeros((*shape, matrix.shape[1]), matrix.dtype), grad

    return make(matrix)
