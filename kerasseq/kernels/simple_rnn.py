"""Simple recurrent network over a whole sequence with a closed-form backward pass (TensorFlow).

With `h = tanh(x K + b + h_prev R)`: `dz = dh * (1 - h^2)` and `dh_prev = dz R^T`.
"""

from typing import Any

import tensorflow as tf

from kerasseq.kernels.products import gradients, masked, previous, project
from kerasseq.kernels.tensorflow_loop import loop


def forward_step(constants: Any, carry: Any, xs: Any) -> Any:
    """One step."""
    recurrent, *mask = constants
    hidden = tf.tanh(xs[0] + tf.matmul(carry[0] * mask[0] if mask else carry[0], recurrent))
    return (hidden,), (hidden,)


def backward_step(constants: Any, carry: Any, xs: Any) -> Any:
    """One step back: `dh` -> `dz`."""
    mask = constants[1:]
    dz = (carry[0] + xs[0]) * xs[1]
    back = tf.matmul(dz, constants[0])
    return (back * mask[0] if mask else back,), (dz,)


def simple_rnn(x: Any, weights: Any, states: Any, state_mask: Any = None, xla: bool = False) -> Any:
    """All steps of a simple recurrent network; arguments and result as in `gru`."""
    masks = [] if state_mask is None else [state_mask]

    @tf.custom_gradient
    def run(x: Any, kernel: Any, recurrent: Any, bias: Any, h0: Any) -> Any:
        units = recurrent.shape[0]
        projected = project(x, kernel, bias)
        (hidden,), _ = loop(forward_step, [recurrent, *masks], [h0], [projected], [units], xla=xla)

        def grad(given: Any) -> tuple[Any, ...]:
            (dz,), (dh0,) = loop(
                backward_step,
                [tf.transpose(recurrent), *masks],
                [tf.zeros_like(h0)],
                [given, 1 - hidden * hidden],
                [units],
                reverse=True,
                xla=xla,
            )
            reached = masked(previous(hidden, h0), state_mask)
            return *gradients(x, reached, dz, kernel, recurrent), dh0

        return hidden, grad

    return run(x, *weights, *states)
