"""LSTM over a whole sequence with a closed-form backward pass (TensorFlow).

With `z = x K + b + h R` in blocks i, f, g, o and `dh`, `dc` the gradients that reach a step,

    dc  += dh * o * (1 - tanh(c)^2)
    dz_i = dc * g * i (1 - i)      dz_f = dc * c_prev * f (1 - f)
    dz_g = dc * i * (1 - g^2)      dz_o = dh * tanh(c) * o (1 - o)
    dc_prev = dc * f               dh_prev = dz R^T

Every factor but `dh` and `dc` is known before the backward loop, so that one step is a product
and a few element-wise operations, and `dK`, `dR`, `db`, `dx` are one product each after it.
"""

from typing import Any

import tensorflow as tf

from kerasseq.kernels.products import gradients, masked, previous, project
from kerasseq.kernels.tensorflow_loop import loop

# Up to this many input features and units, TensorFlow's one-op forward pass was faster.
ONE_OP_WIDTH = 640


def forward_step(constants: Any, carry: Any, xs: Any) -> Any:
    """One step, without what only a backward pass needs."""
    carry = _step(constants, carry, xs)[:2]
    return carry, carry


def training_step(constants: Any, carry: Any, xs: Any) -> Any:
    """One step with the factors of its backward pass, formed while all of it is in the cache."""
    hidden, cell, shown, *gates = _step(constants, carry, xs)
    return (hidden, cell), (hidden, cell, *_factors(carry[1], shown, *gates))


def _step(constants: Any, carry: Any, xs: Any) -> Any:
    """New `h` and `c`, `tanh c`, and the gates i, f, g, o."""
    hidden, cell = carry
    mask = constants[1:]
    reached = hidden * mask[0] if mask else hidden
    gates = xs[0] + tf.matmul(reached, constants[0])
    enter, forget, candidate, out = tf.split(gates, 4, axis=1)
    enter, forget, out = tf.sigmoid(enter), tf.sigmoid(forget), tf.sigmoid(out)
    candidate = tf.tanh(candidate)
    cell = forget * cell + enter * candidate
    shown = tf.tanh(cell)
    return out * shown, cell, shown, enter, forget, candidate, out


def _factors(before: Any, shown: Any, enter: Any, forget: Any, candidate: Any, out: Any) -> Any:
    """What `backward_step` reads: `dc` per `dh`, `f`, and `dz` per `dc` (per `dh` for o)."""
    factors = [
        candidate * enter * (1 - enter),
        before * forget * (1 - forget),
        enter * (1 - candidate * candidate),
        shown * out * (1 - out),
    ]
    return out * (1 - shown * shown), forget, tf.concat(factors, -1)


def backward_step(constants: Any, carry: Any, xs: Any) -> Any:
    """One step back: `dh`, `dc` -> `dz`, by the factors that were computed for all steps."""
    dh, dc = carry
    mask = constants[1:]
    given, to_cell, forget, factors = xs[:4]
    dh = dh + given
    dc = dc + dh * to_cell
    if len(xs) > 4:
        dc = dc + xs[4]
    dz = tf.concat([dc, dc, dc, dh], 1) * factors
    back = tf.matmul(dz, constants[0])
    return (back * mask[0] if mask else back, dc * forget), (dz,)


def forward(
    x: Any, weights: Any, states: Any, state_mask: Any, training: bool, xla: bool
) -> tuple[Any, Any, tuple[Any, ...]]:
    """Outputs and cells, `[time, batch, units]`, and the `_factors` for all steps, if training."""
    kernel, recurrent, bias = weights
    units = recurrent.shape[0]
    small = x.shape[-1] + units <= ONE_OP_WIDTH
    known = x.dtype == kernel.dtype and x.dtype in (tf.float32, tf.float16)
    if small and known and state_mask is None and not xla:
        nothing = tf.zeros((units,), x.dtype)
        # Its blocks are in the order i, f, g, o, whatever its documentation says; its registered
        # gradient takes them in another, which is why it is only used under our own.
        one = tf.raw_ops.BlockLSTMV2(
            seq_len_max=tf.cast(tf.shape(x)[0], tf.int64),
            x=x,
            h_prev=states[0],
            cs_prev=states[1],
            w=tf.concat([kernel, recurrent], 0),
            b=bias,
            wci=nothing,
            wcf=nothing,
            wco=nothing,
            cell_clip=0.0,
            use_peephole=False,
        )
        gates = (one.i, one.f, one.ci, one.o)
        return one.h, one.cs, _factors(previous(one.cs, states[1]), one.co, *gates)
    projected = project(x, kernel, bias)
    constants = [recurrent] if state_mask is None else [recurrent, state_mask]
    step, widths = forward_step, [units] * 2
    if training:
        step, widths = training_step, [units] * 4 + [4 * units]
    (hidden, cells, *factors), _ = loop(step, constants, states, [projected], widths, xla=xla)
    return hidden, cells, tuple(factors)


def lstm(
    x: Any,
    weights: Any,
    states: Any,
    state_mask: Any = None,
    with_cells: bool = True,
    training: bool = True,
    xla: bool = False,
) -> tuple[Any, Any]:
    """All steps of an LSTM, differentiable in every tensor but `state_mask`.

    Args:
        x: `[time, batch, features]`.
        weights: kernel `[features, 4 units]`, recurrent kernel `[units, 4 units]`, bias.
        states: initial `h` and `c`, `[batch, units]`.
        state_mask: `[batch, units]`, what `h` is multiplied by before the recurrent product.
        with_cells: whether a gradient may come through the cells (that of the final state).
        training: whether a gradient is likely to be asked for; without it one costs another
            forward pass.
        xla: whether to compile the loops with XLA.

    Returns:
        Outputs and cells, each `[time, batch, units]`; without `with_cells` the cells carry no
        gradient.
    """

    @tf.custom_gradient
    def run(x: Any, kernel: Any, recurrent: Any, bias: Any, h0: Any, c0: Any) -> Any:
        arguments = (x, (kernel, recurrent, bias), (h0, c0), state_mask)
        hidden, cells, kept = forward(*arguments, training, xla)

        def grad(given: Any, given_cells: Any) -> tuple[Any, ...]:
            xs = [given, *(kept or forward(*arguments, True, xla)[2])]
            if with_cells:
                xs.append(given_cells)
            constants = [tf.transpose(recurrent)] + ([] if state_mask is None else [state_mask])
            (dz,), (dh0, dc0) = loop(
                backward_step,
                constants,
                [tf.zeros_like(h0), tf.zeros_like(c0)],
                xs,
                [kernel.shape[1]],
                reverse=True,
                xla=xla,
            )
            reached = masked(previous(hidden, h0), state_mask)
            return *gradients(x, reached, dz, kernel, recurrent), dh0, dc0

        return (hidden, cells), grad

    hidden, cells = run(x, *weights, *states)
    return hidden, cells if with_cells else tf.stop_gradient(cells)
