"""`scan` for TensorFlow: keras.ops.scan keeps every state of every step, at twice the time."""

from typing import Any

from kerasseq.kernels.scan import Step
from kerasseq.kernels.tensorflow_loop import loop


def scan(
    step: Step, states: list[Any], steps: list[Any], reverse: bool = False
) -> tuple[Any, list[Any]]:
    """See `kerasseq.kernels.scan.scan`."""

    def one(_: Any, carry: Any, xs: Any) -> Any:
        new = tuple(step(list(carry), list(xs)))
        return new, new[:1]

    width = states[0].shape[-1]
    (outputs,), final = loop(one, (), states, steps, (width,), reverse)
    return outputs, list(final)
