"""The loop over time under every TensorFlow kernel, plain or compiled with XLA chunk by chunk."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import tensorflow as tf

Tensors = tuple[Any, ...]
# step(constants, carry, xs) -> (carry, ys)
Step = Callable[[Tensors, Tensors, Tensors], tuple[Tensors, Tensors]]

CHUNK = 32


def loop(
    step: Step,
    constants: Sequence[Any],
    carry: Sequence[Any],
    xs: Sequence[Any],
    widths: Sequence[int],
    reverse: bool = False,
    xla: bool = False,
) -> tuple[Tensors, Tensors]:
    """Run `step` over the first axis of `xs`.

    Args:
        step: a module-level function (with `xla` it is compiled once, and kept).
        constants: what every step reads.
        carry: what a step hands to the next, each `[batch, ...]`.
        xs: tensors `[time, batch, ...]`.
        widths: the last axis of each of the ys, which are `[batch, width]` and of the dtype of
            the carry.
        reverse: whether to run from the last step to the first; ys stay in order.
        xla: whether to compile (where a graph is being traced). Time is cut into chunks of 32
            steps with a step count that is data, so that the length of a batch is no part of
            what is compiled.

    Returns:
        The ys, each `[time, batch, width]`, and the last carry.
    """
    constants, carry, xs = tuple(constants), tuple(carry), tuple(xs)
    # Outside a graph a tape would ask the compiled function for a gradient of its own.
    run = _chunks if xla and not tf.executing_eagerly() else _steps
    return run(step, constants, carry, xs, tuple(widths), reverse)


def _steps(
    step: Step,
    constants: Tensors,
    carry: Tensors,
    xs: Tensors,
    widths: tuple[int, ...],
    reverse: bool,
    count: Any = None,
) -> tuple[Tensors, Tensors]:
    """One `tf.while_loop`; with `count` only so many of the steps run, the others give zeros."""
    length = tf.shape(xs[0])[0] if count is None else xs[0].shape[0]
    arrays = [tf.TensorArray(x.dtype, length, element_shape=x.shape[1:]).unstack(x) for x in xs]
    dtype, batch = carry[0].dtype, carry[0].shape[0]
    outputs = []
    for width in widths:
        array = tf.TensorArray(dtype, length, element_shape=(batch, width))
        if count is not None:
            array = array.unstack(tf.zeros((length, tf.shape(carry[0])[0], width), dtype))
        outputs.append(array)
    last = (length if count is None else count) - 1

    def body(t: Any, carry: Tensors, outputs: Tensors) -> Any:
        at = last - t if reverse else t
        new, ys = step(constants, carry, tuple(array.read(at) for array in arrays))
        for tensor, old in zip(new, carry, strict=True):
            tensor.set_shape(old.shape)
        return t + 1, new, tuple(a.write(at, y) for a, y in zip(outputs, ys, strict=True))

    _, carry, written = tf.while_loop(
        lambda t, *_: t <= last,
        body,
        (tf.constant(0), carry, tuple(outputs)),
        maximum_iterations=None if count is not None else length,
    )
    return tuple(_stack(array, tf.shape(carry[0])) for array in written), carry


def _stack(array: Any, like: Any) -> Any:
    """The ys of all steps; unlike `TensorArray.stack` it knows their shape where there is none.

    Args:
        array: of what a step puts out, `[batch, width]`.
        like: the shape of the carry, which is theirs where the width is not known.
    """
    width = array.element_shape[1]
    shape = tf.stack([like[0], like[1] if width is None else width])
    if tf.executing_eagerly():
        return array.stack() if array.size() else tf.zeros((0, *shape), array.dtype)
    stacked = tf.raw_ops.TensorListStack(
        input_handle=array.flow, element_shape=shape, element_dtype=array.dtype
    )
    return tf.ensure_shape(stacked, (None, *array.element_shape))


@cache
def _compiled(step: Step, widths: tuple[int, ...], reverse: bool) -> Any:
    def chunk(constants: Tensors, carry: Tensors, xs: Tensors, count: Any) -> Any:
        return _steps(step, constants, carry, xs, widths, reverse, count)

    return tf.function(chunk, jit_compile=True, autograph=False)


def _chunks(
    step: Step,
    constants: Tensors,
    carry: Tensors,
    xs: Tensors,
    widths: tuple[int, ...],
    reverse: bool,
) -> tuple[Tensors, Tensors]:
    length = tf.shape(xs[0])[0]
    whole, rest = length // CHUNK, length % CHUNK
    dtype, batch = carry[0].dtype, carry[0].shape[0]
    outputs = tuple(
        tf.TensorArray(dtype, whole + 1, element_shape=(None, batch, width), infer_shape=False)
        for width in widths
    )
    compiled = _compiled(step, widths, reverse)

    def write(outputs: Tensors, at: Any, ys: Tensors) -> Tensors:
        return tuple(array.write(at, y) for array, y in zip(outputs, ys, strict=True))

    def run_rest(carry: Tensors, outputs: Tensors) -> tuple[Tensors, Tensors]:
        """The steps after the last whole chunk, as one that is filled up and cut again."""
        cut = tuple(
            tf.ensure_shape(
                tf.pad(x[whole * CHUNK :], [[0, CHUNK - rest], *([[0, 0]] * (len(x.shape) - 1))]),
                (CHUNK, *x.shape[1:]),
            )
            for x in xs
        )
        ys, new = compiled(constants, carry, cut, rest)
        return new, write(outputs, whole, tuple(y[:rest] for y in ys))

    def body(k: Any, carry: Tensors, outputs: Tensors) -> Any:
        at = whole - 1 - k if reverse else k
        # A slice of the first axis is a view, so that whole chunks are not copied.
        cut = tuple(
            tf.ensure_shape(x[at * CHUNK : (at + 1) * CHUNK], (CHUNK, *x.shape[1:])) for x in xs
        )
        ys, new = compiled(constants, carry, cut, CHUNK)
        return k + 1, new, write(outputs, at, ys)

    if reverse:
        carry, outputs = run_rest(carry, outputs)
    _, carry, outputs = tf.while_loop(
        lambda k, *_: k < whole,
        body,
        (tf.constant(0), carry, outputs),
        maximum_iterations=whole,
    )
    if not reverse:
        carry, outputs = run_rest(carry, outputs)
    return tuple(array.concat() for array in outputs), carry
