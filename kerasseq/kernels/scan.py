"""A loop over time, for steps that no fused kernel knows."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerasseq.kernels.step_products import Step


def scan(
    step: Step,
    states: list[Any],
    steps: list[Any],
    reverse: bool = False,
    kernels: Sequence[Any] = (),
) -> tuple[Any, list[Any]]:
    """Run `step(states, [x[t] for x in steps]) -> states` over the first axis of `steps`.

    Args:
        step: one step; the first of the states that it returns is its output.
        states: the initial states, each `[batch, units]`.
        steps: tensors with time first.
        reverse: whether to run from the last step to the first; outputs stay in order.
        kernels: matrices by which the step multiplies `[batch, ...]` with `product`, each once.
            Their gradients are taken for all steps at once then, where that is faster.

    Returns:
        The outputs `[time, batch, units]`, and the final states.
    """
    if keras.backend.backend() == "tensorflow":
        from kerasseq.kernels.tensorflow_scan import scan as tensorflow_scan

        return tensorflow_scan(step, states, steps, reverse, kernels)

    if steps[0].shape[0] == 0:  # Keras' scan on torch wants a step
        return states[0][None][:0], list(states)

    def body(carry: list[Any], xs: list[Any]) -> tuple[list[Any], Any]:
        carry = step(carry, xs)
        return carry, carry[0]

    final, outputs = ops.scan(body, states, steps, reverse=reverse)
    return outputs, final
