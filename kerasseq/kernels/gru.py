"""GRU over a whole sequence with a closed-form backward pass (TensorFlow).

Reset-after form: with `s = h R + d`, `z = sigmoid(x_z + s_z)`, `r = sigmoid(x_r + s_r)`,
`g = tanh(x_g + r * s_g)` and `h' = z h + (1 - z) g`, every gradient of a step is a multiple of
`dh`, by factors that are known before the backward loop:

    ds = dh * [ (h - g) z (1 - z),  k s_g r (1 - r),  k r ]      with k = (1 - z) (1 - g^2)
    dx = dh * [ (h - g) z (1 - z),  k s_g r (1 - r),  k ]
    dh_prev = dh * z + ds R^T

Textbook form, `g = tanh(x_g + (r * h) R_g)`: the reset gate's gradient needs a product of its own,

    dg = dh * k      dp = dg R_g^T      dr = dp * h r (1 - r)
    dh_prev = dh * z + dp * r + [dz, dr] R_zr^T
"""

from typing import Any

import tensorflow as tf

from kerasseq.kernels.products import masked, outer, previous, project, project_back, total
from kerasseq.kernels.tensorflow_loop import loop


def after_step(constants: Any, carry: Any, xs: Any) -> Any:
    """One step of the reset-after form, with what the backward pass needs."""
    hidden = carry[0]
    recurrent, bias, *mask = constants
    units = hidden.shape[1]
    product = tf.matmul(hidden * mask[0] if mask else hidden, recurrent) + bias
    projected = xs[0]
    both = tf.sigmoid(projected[:, : 2 * units] + product[:, : 2 * units])
    update, reset = both[:, :units], both[:, units:]
    inner = product[:, 2 * units :]
    candidate = tf.tanh(projected[:, 2 * units :] + reset * inner)
    hidden = candidate + update * (hidden - candidate)
    return (hidden,), (hidden, both, candidate, inner)


def before_step(constants: Any, carry: Any, xs: Any) -> Any:
    """One step of the textbook form, with what the backward pass needs."""
    hidden = carry[0]
    to_gates, to_candidate, *mask = constants
    units = hidden.shape[1]
    projected = xs[0]
    reached = hidden * mask[0] if mask else hidden
    both = tf.sigmoid(projected[:, : 2 * units] + tf.matmul(reached, to_gates))
    update, reset = both[:, :units], both[:, units:]
    product = reset * hidden * mask[0] if mask else reset * hidden
    candidate = tf.tanh(projected[:, 2 * units :] + tf.matmul(product, to_candidate))
    hidden = candidate + update * (hidden - candidate)
    return (hidden,), (hidden, both, candidate)


def after_back(constants: Any, carry: Any, xs: Any) -> Any:
    """One step back of the reset-after form: writes the whole gradient that reached `h'`."""
    given, update, factors = xs
    mask = constants[1:]
    dh = carry[0] + given
    back = tf.matmul(tf.concat([dh, dh, dh], 1) * factors, constants[0])
    return (dh * update + (back * mask[0] if mask else back),), (dh,)


def before_back(constants: Any, carry: Any, xs: Any) -> Any:
    """One step back of the textbook form: writes `[dz, dr, dg]`."""
    given, update, reset, to_update, to_reset, to_candidate = xs
    mask = constants[2:]
    dh = carry[0] + given
    dg = dh * to_candidate
    dp = tf.matmul(dg, constants[1])
    if mask:
        dp = dp * mask[0]
    gates = tf.concat([dh * to_update, dp * to_reset], 1)
    back = tf.matmul(gates, constants[0])
    if mask:
        back = back * mask[0]
    return (dh * update + dp * reset + back,), (tf.concat([gates, dg], 1),)


def gru(
    x: Any,
    weights: Any,
    states: Any,
    state_mask: Any = None,
    reset_after: bool = True,
    xla: bool = False,
) -> Any:
    """All steps of a GRU, differentiable in every tensor but `state_mask`.

    Args:
        x: `[time, batch, features]`.
        weights: kernel `[features, 3 units]`, recurrent kernel `[units, 3 units]`, bias `[2, 3
            units]` (`[3 units]` for the textbook form).
        states: the initial `h`, `[batch, units]`, in a sequence of one.
        state_mask: `[batch, units]`, what `h` is multiplied by before a recurrent product.
        reset_after: which form.
        xla: whether to compile the loops with XLA.

    Returns:
        Outputs `[time, batch, units]`.
    """
    run = _run_after if reset_after else _run_before
    return run(x, weights, states, state_mask, xla)


def _run_after(x: Any, weights: Any, states: Any, state_mask: Any, xla: bool) -> Any:
    """All steps of the reset-after form; arguments and result as in `gru`."""
    masks = [] if state_mask is None else [state_mask]

    @tf.custom_gradient
    def run(x: Any, kernel: Any, recurrent: Any, bias: Any, h0: Any) -> Any:
        units = recurrent.shape[0]
        projected = project(x, kernel, bias[0])
        widths = [units, 2 * units, units, units]
        (hidden, both, candidate, inner), _ = loop(
            after_step, [recurrent, bias[1], *masks], [h0], [projected], widths, xla=xla
        )

        def grad(given: Any) -> tuple[Any, ...]:
            update, reset = both[..., :units], both[..., units:]
            before = previous(hidden, h0)
            to_update = (before - candidate) * update * (1 - update)
            to_candidate = (1 - update) * (1 - candidate * candidate)
            to_reset = to_candidate * inner * reset * (1 - reset)
            factors = tf.concat([to_update, to_reset, to_candidate * reset], -1)
            (dh,), (dh0,) = loop(
                after_back,
                [tf.transpose(recurrent), *masks],
                [tf.zeros_like(h0)],
                [given, update, factors],
                [units],
                reverse=True,
                xla=xla,
            )
            ds = tf.concat([dh, dh, dh], -1) * factors
            dx = tf.concat([ds[..., : 2 * units], dh * to_candidate], -1)
            reached = masked(before, state_mask)
            dbias = tf.stack([total(dx), total(ds)])
            low = tf.cast(dx, x.dtype)
            return (
                project_back(low, kernel),
                outer(x, low, kernel),
                outer(reached, tf.cast(ds, x.dtype), recurrent),
                dbias,
                dh0,
            )

        return hidden, grad

    return run(x, *weights, *states)


def _run_before(x: Any, weights: Any, states: Any, state_mask: Any, xla: bool) -> Any:
    """All steps of the textbook form; arguments and result as in `gru`."""
    masks = [] if state_mask is None else [state_mask]

    @tf.custom_gradient
    def run(x: Any, kernel: Any, recurrent: Any, bias: Any, h0: Any) -> Any:
        units = recurrent.shape[0]
        projected = project(x, kernel, bias)
        to_gates, to_candidate = recurrent[:, : 2 * units], recurrent[:, 2 * units :]
        (hidden, both, candidate), _ = loop(
            before_step,
            [to_gates, to_candidate, *masks],
            [h0],
            [projected],
            [units, 2 * units, units],
            xla=xla,
        )

        def grad(given: Any) -> tuple[Any, ...]:
            update, reset = both[..., :units], both[..., units:]
            before = previous(hidden, h0)
            (dz,), (dh0,) = loop(
                before_back,
                [tf.transpose(to_gates), tf.transpose(to_candidate), *masks],
                [tf.zeros_like(h0)],
                [
                    given,
                    update,
                    reset,
                    (before - candidate) * update * (1 - update),
                    before * reset * (1 - reset),
                    (1 - update) * (1 - candidate * candidate),
                ],
                [3 * units],
                reverse=True,
                xla=xla,
            )
            reached = masked(before, state_mask)
            low = tf.cast(dz, x.dtype)
            drecurrent = tf.concat(
                [
                    outer(reached, low[..., : 2 * units], recurrent),
                    outer(reset * reached, low[..., 2 * units :], recurrent),
                ],
                -1,
            )
            return project_back(low, kernel), outer(x, low, kernel), drecurrent, total(dz), dh0

        return hidden, grad

    return run(x, *weights, *states)
